//! A keyring that is locked, slow or answers errors.

use std::{sync::Arc, time::Duration};

use keywheel_core::vault::Fault;
use keywheel_fleet::{
    embedded::Edge,
    matrix::{Stage, Variant},
};

use crate::trial::Trial;

/// The keyring has this fault from the stage's effect on, or when somebody begins to take back.
fn place(trial: &Trial, fault: Fault) {
    if trial.stage == Stage::TakeBack && trial.variant == Variant::OneByOne {
        trial.hit();
        return trial.desk.vault.set_fault(Some(fault));
    }
    let vault = Arc::new(trial.desk.vault.clone());
    trial.at(Edge::Before, move |_| vault.set_fault(Some(fault)));
}

column! {
    /// It was locked.
    locked: KeyringLocked, |trial| super::place(trial, super::Fault::Locked), {
        in_check: [Shell: Refused, Sftp: Refused, OneByOne: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Stopped],
    }
}

column! {
    /// It takes its time.
    slow: KeyringSlow, |trial| super::place(trial, super::Fault::Slow(super::Duration::from_millis(300))), {
        in_check: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// It answers errors.
    fails: KeyringFails, |trial| super::place(trial, super::Fault::Failing), {
        in_check: [Shell: Refused, Sftp: Refused, OneByOne: Refused],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Stopped],
    }
}
