//! Servers that are other ones, that lie, that run no commands, that share a home; clocks that go back.

use std::sync::Arc;

use keywheel_fleet::{
    embedded::{Edge, Fault, Moment, Which},
    matrix::{Stage, Variant},
};

use crate::{effect::Effect, place::before_commands, trial::Trial};

/// Another host answers from here on.
fn replace_host_key(trial: &Trial) {
    if trial.stage == Stage::Check {
        trial.hit();
        return trial.target().replace_host_key().unwrap();
    }
    trial.at(Edge::Before, |device| {
        device.replace_host_key().unwrap();
        device.cut_all();
    });
}

/// The server refuses the key that is to be proven: the new one, or the old one where that is to be put back.
fn refuse(trial: &Trial) {
    let old = trial.old.public.clone();
    if trial.stage == Stage::Check {
        trial.hit();
        return trial.target().add_fault(Fault::RefuseEveryKey);
    }
    let back = trial.stage == Stage::TakeBack;
    if !back {
        trial.lies();
    }
    trial.at(Edge::Before, move |device| {
        device.add_fault(if back { Fault::RefuseKey(old) } else { Fault::RefuseOthers(old) });
    });
}

/// The server goes on accepting the old key.
fn accept_old(trial: &Trial) {
    trial.lies();
    let old = trial.old.public.clone();
    trial.at(Edge::Before, move |device| device.add_fault(Fault::AcceptKey(old)));
}

/// The account runs no commands any more; it still logs in, and has SFTP.
fn take_shell(trial: &Trial) {
    trial.at(Edge::Before, |device| {
        before_commands(device.home(), "echo This account is currently not available.; exit 1");
    });
}

/// A cut, while both devices have one file.
fn cut_in_shared_home(trial: &Trial) {
    trial.arm(|device, effect| {
        device.add_fault(match effect {
            Effect::Command(part) => Fault::Exec(Which::Next(part), Moment::CutAfter),
            Effect::Request(part) => Fault::Sftp(Which::Next(part), Moment::CutAfter),
            Effect::Login(key) => Fault::Login(key, Moment::CutAfter),
        });
    });
}

/// The clock here is set back by a day; device by device, the process also ends in that moment.
fn set_clock_back(trial: &Trial) {
    let (shared, ends) = (Arc::clone(&trial.shared), trial.variant == Variant::OneByOne);
    trial.at(Edge::Before, move |_| {
        shared.set_clock_back(86_400);
        if ends {
            shared.end_process();
        }
    });
}

/// The device has only its wall clock to measure with, and it is set back between two looks at it.
fn set_clock_back_there(trial: &Trial) {
    trial.at(Edge::Before, |device| {
        let clock = device.home().with_file_name("clock");
        let script = format!(
            "#!/bin/sh\nif [ -e {0} ]; then echo 1000; else : >{0}; echo 5000; fi\n",
            clock.with_file_name("looked-at").display()
        );
        std::fs::create_dir(&clock).unwrap();
        std::fs::write(clock.join("date"), script).unwrap();
        std::fs::set_permissions(clock.join("date"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::set_permissions(clock.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let first = format!(
            "PATH={}:$PATH\nset -- \"$1\" \"$(printf %s \"$2\" | sed s,/proc/uptime,/proc/none,g)\"",
            clock.display()
        );
        before_commands(device.home(), &first);
    });
}

column! {
    /// Another host key.
    host_key: HostKey, super::replace_host_key, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// The key is refused.
    refuses_key: RefusesKey, super::refuse, {
        in_check: [Shell: Refused, Sftp: Refused],
        in_add: [Shell: Back, Sftp: Back, OneByOne: Back],
        in_prove: [Shell: Back, Sftp: Back, OneByOne: Back],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Back],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Back],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// The old key is accepted.
    accepts_old: AcceptsOld, super::accept_old, {
        in_check: "the old key is meant to be accepted",
        in_add: "the old key is meant to be accepted",
        in_prove: "the old key is meant to be accepted",
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: "the old key is meant to be accepted",
    }
}

column! {
    /// No shell any more.
    nologin: NoLogin, super::take_shell, {
        in_check: [Shell: Done, OneByOne: Done],
        in_add: [Shell: Back, OneByOne: Back],
        in_prove: [Shell: Stopped, OneByOne: Back],
        in_remove: [Shell: Stopped, OneByOne: Back],
        in_refuse: [Shell: Done, OneByOne: Done],
        in_take_back: [Shell: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// Two devices with one home.
    shared_home: SharedHome, super::cut_in_shared_home, {
        in_check: [Shell: Done, OneByOne: Done],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// The clock here is set back.
    clock_here: ClockHere, super::set_clock_back, {
        in_check: [Shell: Done, Sftp: Done, OneByOne: Stopped],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Stopped],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Stopped],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Stopped],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Stopped],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Stopped],
    }
}

column! {
    /// The clock there is set back.
    clock_there: ClockThere, super::set_clock_back_there, {
        in_check: "no clock of the device is asked in this stage",
        in_add: [Shell: Done, OneByOne: Done],
        in_prove: "no clock of the device is asked in this stage",
        in_remove: [Shell: Done, OneByOne: Done],
        in_refuse: "no clock of the device is asked in this stage",
        in_take_back: [Shell: Done, OneByOne: Done],
    }
}

column! {
    /// A label that would change.
    label: Label, |_| (), {
        in_check: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
        in_add: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
        in_prove: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
        in_remove: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
        in_refuse: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
        in_take_back: (not here, "needs a kernel with SELinux; there the program compares the labels before it renames"),
    }
}
