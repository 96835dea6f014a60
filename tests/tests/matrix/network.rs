//! Connections that are cut, answers that are lost, hosts that say nothing any more.

use keywheel_fleet::{
    embedded::{Edge, Fault, KeyIs, Moment, Which},
    matrix::{Stage, Variant},
};

use crate::{effect::Effect, trial::Trial};

/// Something happens once to what the stage does on the device.
fn once(trial: &Trial, moment: Moment) {
    trial.arm(move |device, effect| {
        device.add_fault(match effect {
            Effect::Command(part) => Fault::Exec(Which::Next(part), moment),
            Effect::Request(part) => Fault::Sftp(Which::Next(part), moment),
            Effect::Login(key) => Fault::Login(key, moment),
        });
    });
}

/// The command gets a part of its data; a login is cut when its signature has come.
fn cut_during(trial: &Trial) {
    match trial.effect() {
        Effect::Login(_) => once(trial, Moment::CutUnanswered),
        Effect::Command(_) => once(trial, Moment::CutAfterInput(if trial.stage == Stage::Check { 0 } else { 200 })),
        Effect::Request(part) => trial.arm(move |device, _| {
            let part = if part.is_empty() { part } else { "write ".to_owned() };
            device.add_fault(Fault::Sftp(Which::Next(part), Moment::CutAfterInput(100)));
        }),
    }
}

/// The connection of a command stays, but its answer does not come; that of a login goes.
fn lose_answer(trial: &Trial) {
    match trial.variant {
        Variant::OneByOne => once(trial, Moment::CutUnanswered),
        _ if matches!(trial.effect(), Effect::Login(_)) => once(trial, Moment::CutUnanswered),
        _ => once(trial, Moment::AnswerLost),
    }
}

/// One command is not begun, or is done; either way nothing is answered.
fn hang(trial: &Trial) {
    once(trial, if trial.variant == Variant::OneByOne { Moment::HangAfter } else { Moment::Hang });
}

/// From here on the host answers nothing: no command, no login, no new connection.
fn die(trial: &Trial) {
    trial.wait_a_second();
    trial.at(Edge::Before, |device| {
        for fault in [
            Fault::Exec(Which::Every, Moment::Hang),
            Fault::Sftp(Which::Every, Moment::Hang),
            Fault::Login(KeyIs::Other(String::new()), Moment::Hang),
            Fault::HangBeforeLogin,
            Fault::HangBeforeVersion,
            Fault::HangAfterLogin,
        ] {
            device.add_fault(fault);
        }
    });
}

/// sshd ends with all its sessions, and is there again when the first tries have failed.
fn restart(trial: &Trial) {
    let (runtime, shared) = (tokio::runtime::Handle::current(), std::sync::Arc::clone(&trial.shared));
    trial.at(Edge::Before, move |device| shared.restart(&runtime, device));
}

column! {
    /// The connection is cut before the command is begun.
    cut_before: CutBefore, |trial| super::once(trial, super::Moment::CutBefore), {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// The connection is cut in the middle of the command's data, or in place of a login's answer.
    cut_during: CutDuring, super::cut_during, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// The connection is cut when the command is done and answered.
    cut_after: CutAfter, |trial| super::once(trial, super::Moment::CutAfter), {
        in_check: [Shell: Done],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// The command is done, and its answer does not come.
    answer_lost: AnswerLost, super::lose_answer, {
        in_check: [Shell: Done, Sftp: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// One answer never comes.
    hangs: Hangs, super::hang, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// Nothing is answered any more.
    dead: Dead, super::die, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// Nobody listens for a moment, and all connections are gone.
    restarted: Restarted, super::restart, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}
