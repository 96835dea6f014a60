//! Processes that end, machines whose power fails.

use std::{fs, path::Path};

use keywheel_fleet::{
    embedded::{Edge, Fault, Moment, Which},
    matrix::Variant,
};

use crate::{effect::Effect, trial::Trial};

/// The process ends: before the effect, so that the device works on alone, or when it is done and not answered.
fn kill(trial: &Trial) {
    let edge = if trial.variant == Variant::Shell { Edge::Before } else { Edge::After };
    let shared = std::sync::Arc::clone(&trial.shared);
    trial.at(edge, move |_| shared.end_process());
}

/// The process ends, and the next one finds what had been synced, and behind it a frame that was being written.
fn cut_power(trial: &Trial) {
    let (shared, from) = (std::sync::Arc::clone(&trial.shared), trial.desk.data_dir());
    trial.at(Edge::After, move |_| {
        let to = from.with_file_name("after-the-power-cut");
        copy(&from, &to);
        shared.go_on_with(to);
        shared.end_process();
    });
}

/// Copies a data directory as a disk keeps it: without the shared memory, and with half a frame at the log's end.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !path.is_file() || name.ends_with("-shm") {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if name.ends_with("-wal") {
            bytes.extend((0..2_000_u32).map(|number| (number % 251) as u8));
        }
        let target = to.join(name);
        fs::write(&target, bytes).unwrap();
        fs::set_permissions(target, fs::metadata(&path).unwrap().permissions()).unwrap();
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

/// The device loses its power while it writes: the temporary file stays, and it is away until it has booted.
fn cut_power_there(trial: &Trial) {
    let vault: String = trial.desk.keywheel.database().vault_id().chars().take(8).collect();
    let runtime = tokio::runtime::Handle::current();
    let (target, shared) = (std::sync::Arc::clone(trial.target()), std::sync::Arc::clone(&trial.shared));
    trial.arm(move |device, effect| {
        let point = effect.point();
        if let Effect::Command(part) = effect {
            device.add_fault(Fault::Exec(Which::Next(part), Moment::CutBefore));
        } else if let Effect::Request(part) = effect {
            device.add_fault(Fault::Sftp(Which::Next(part), Moment::CutBefore));
        }
        device.once(Edge::Before, point, move || {
            fs::write(target.home().join(format!(".ssh/.kw-{vault}-1-99.new")), "half a file").unwrap();
            shared.restart(&runtime, &target);
        });
    });
}

column! {
    /// The process ends.
    killed: Killed, super::kill, {
        in_check: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_add: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// This machine's power fails.
    power_cut_here: PowerCut, super::cut_power, {
        in_check: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_add: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// The device's power fails.
    power_cut_there: DevicePowerCut, super::cut_power_there, {
        in_check: "nothing is written in this stage, so that it is a restart of sshd",
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: "nothing is written in this stage, so that it is a restart of sshd",
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: "nothing is written in this stage, so that it is a restart of sshd",
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}
