//! What `check` finds on a device, and what it predicts.

use serde::{Deserialize, Serialize};

use crate::{
    authorized_keys::{self, Edit, EditError, Key},
    error::{Explain, Report},
    key::PublicKey,
    remote::{
        files::Way,
        program::{DirectoryState, FileKind, FileState, Probe},
        sshd_config::Effective,
    },
};

/// What was found on one device, in the shape of the command line's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct Finding {
    /// The device's name.
    pub device: String,
    /// Whether a change can begin there.
    pub ready: bool,
    /// Which way leads to the files (`shell` or `sftp`).
    pub method: Option<String>,
    /// The files that hold the key, after all links.
    pub files: Vec<String>,
    /// How many lines of the key stand in them.
    pub old_key_lines: usize,
    /// What keeps a change from beginning.
    pub problems: Vec<Report>,
    /// What should be known before.
    pub warnings: Vec<Report>,
}

/// A finding with what the next stages need.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) targets: Vec<Target>,
    pub(super) way: Way,
}

/// A file that will be written, with the change planned for it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) plan: Edit,
}

/// What a finding is judged by.
pub(super) struct Judged<'a> {
    pub(super) device: &'a str,
    pub(super) username: &'a str,
    pub(super) way: Way,
    pub(super) probe: &'a Probe,
    pub(super) configuration: Option<&'a Effective>,
    pub(super) login: Login,
    /// Whether root is who acts for the account.
    pub(super) by_root: bool,
    pub(super) goal: &'a Goal<'a>,
}

/// What is known of the key's own login at the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// It was accepted just now.
    Proven,
    /// It was not.
    Refused,
    /// The key was not tried.
    NotTried,
}

/// What is to become of a file's text.
pub(super) enum Goal<'a> {
    /// The new key beside every old one.
    Add { old: &'a [PublicKey], new: &'a PublicKey },
    /// The key at the end of the first file, with these options.
    Install { new: &'a PublicKey, options: Option<&'a str> },
    /// The keys out.
    Withdraw { keys: &'a [PublicKey] },
    /// Only a look at where the keys stand.
    Look { keys: &'a [PublicKey] },
}

pub(super) fn keys(keys: &[PublicKey]) -> Vec<Key<'_>> {
    keys.iter().map(key).collect()
}

pub(super) fn key(key: &PublicKey) -> Key<'_> {
    Key { key_type: key.key_type(), blob: key.blob() }
}

/// The line that an installation adds.
pub(super) fn installed_line(key: &PublicKey, options: Option<&str>) -> Vec<u8> {
    match options.map(str::trim).filter(|options| !options.is_empty()) {
        Some(options) => format!("{options} {}", key.to_openssh()).into_bytes(),
        None => key.to_openssh().into_bytes(),
    }
}

fn report(code: &str, message: String, hint: &str) -> Report {
    Report { code: code.to_owned(), message, hint: hint.to_owned(), subject: None, field: None }
}

/// Judges what a probe brought: which files are to be written, how, and what stands in the way.
pub(super) fn judge(judged: &Judged<'_>) -> Found {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut targets = Vec::new();
    let mut old_key_lines = 0;
    let probe = judged.probe;
    if probe.home.is_empty() || probe.home_resolved.is_empty() {
        problems.push(report(
            "no-home",
            format!("The account \"{}\" has no home directory on \"{}\".", judged.username, judged.device),
            "Make its home directory, owned by the account.",
        ));
    }
    // A key that stands in one of the files is installed, in whichever.
    let installed = match judged.goal {
        Goal::Install { new, .. } => {
            let texts = probe.files.iter().filter_map(|file| file.content.as_deref());
            texts.into_iter().any(|text| !authorized_keys::lines(text, key(new)).is_empty())
        }
        _ => false,
    };
    let mut seen = Vec::new();
    let mut missing = Vec::new();
    for file in &probe.files {
        if seen.contains(&file.path.as_str()) {
            continue;
        }
        seen.push(&file.path);
        let Some(text) = file.content.as_deref() else {
            if let Some(problem) = unreadable(judged.device, file) {
                problems.push(problem);
            } else {
                missing.push(file.path.clone());
            }
            continue;
        };
        let wanted = match judged.goal {
            Goal::Add { old, new } => {
                let lines: usize = old.iter().map(|old| authorized_keys::lines(text, key(old)).len()).sum();
                old_key_lines += lines;
                let stands = lines > 0 || !authorized_keys::lines(text, key(new)).is_empty();
                stands.then(|| authorized_keys::add(text, &keys(old), key(new)))
            }
            Goal::Withdraw { keys: all } | Goal::Look { keys: all } => {
                let lines: usize = all.iter().map(|old| authorized_keys::lines(text, key(old)).len()).sum();
                old_key_lines += lines;
                (lines > 0).then(|| match judged.goal {
                    Goal::Withdraw { .. } => Ok(authorized_keys::withdraw(text, &keys(all))),
                    _ => Ok(authorized_keys::withdraw(text, &[])),
                })
            }
            Goal::Install { new, options } => {
                let stands = !authorized_keys::lines(text, key(new)).is_empty();
                old_key_lines += usize::from(stands);
                let line = installed_line(new, *options);
                (stands || (!installed && targets.is_empty())).then(|| authorized_keys::append(text, &line, key(new)))
            }
        };
        match wanted {
            None => {}
            Some(Err(error)) => problems.push(edit_problem(judged.device, file, &error)),
            Some(Ok(plan)) => {
                if !plan.changes_nothing() || matches!(judged.goal, Goal::Add { .. }) {
                    write_problems(judged, file, &mut problems, &mut warnings);
                }
                other_findings(judged, file, text, &mut warnings);
                targets.push(Target { path: file.path.clone(), plan });
            }
        }
    }
    let nothing_there = targets.is_empty() && problems.is_empty();
    if nothing_there && let Goal::Install { new, options } = judged.goal {
        if let Some(path) = missing.first() {
            let line = installed_line(new, *options);
            if let Ok(plan) = authorized_keys::append(b"", &line, key(new)) {
                targets.push(Target { path: path.clone(), plan });
            }
        }
    } else if nothing_there && matches!(judged.goal, Goal::Add { .. }) {
        problems.push(match missing.first() {
            Some(path) if seen.len() == missing.len() => report(
                "file-missing",
                format!("The device \"{}\" has no file {path}.", judged.device),
                "Put the key there with `keywheel install`, or set the device's authorized_keys path.",
            ),
            _ => report(
                "old-key-missing",
                format!(
                    "The current public key stands in no file of \"{}\" on \"{}\".",
                    judged.username, judged.device
                ),
                "Put it there with `keywheel install`, or set the device's authorized_keys path.",
            ),
        });
    }
    if let Some(configuration) = judged.configuration {
        configuration_findings(judged, configuration, &mut problems, &mut warnings);
    }
    let method = match judged.way {
        Way::Shell => "shell",
        Way::Sftp => "sftp",
    };
    Found {
        finding: Finding {
            device: judged.device.to_owned(),
            ready: problems.is_empty(),
            method: Some(method.to_owned()),
            files: targets.iter().map(|target| target.path.clone()).collect(),
            old_key_lines,
            problems,
            warnings,
        },
        targets,
        way: judged.way,
    }
}

fn edit_problem(device: &str, file: &FileState, error: &EditError) -> Report {
    Report {
        code: error.code().to_owned(),
        message: format!("On \"{device}\", {}: {error}", file.path),
        hint: error.hint(),
        subject: Some(device.to_owned()),
        field: None,
    }
}

/// The problem of a file whose text could not be had; none where it is merely missing.
fn unreadable(device: &str, file: &FileState) -> Option<Report> {
    let path = &file.path;
    let (code, message, hint) = match file.kind {
        FileKind::Missing | FileKind::NoDirectory => return None,
        FileKind::Other | FileKind::UnfollowedLink => (
            "not-a-regular-file",
            format!("On \"{device}\", {path} is not a regular file."),
            "Set the device's authorized_keys path to the file itself.",
        ),
        FileKind::Regular if file.too_large => (
            "file-too-large",
            format!("On \"{device}\", {path} is larger than 16 MiB."),
            "Check that the path leads to a file of keys.",
        ),
        FileKind::Regular => (
            "file-unreadable",
            format!("On \"{device}\", {path} can't be read by the account."),
            "Give the account the right to read it, or authenticate with another credential.",
        ),
    };
    Some(report(code, message, hint))
}

/// What would keep a file from being written.
fn write_problems(judged: &Judged<'_>, file: &FileState, problems: &mut Vec<Report>, warnings: &mut Vec<Report>) {
    let (device, path) = (judged.device, &file.path);
    let by_root = judged.by_root && file.is_roots_alone();
    let mut problem = |code: &str, what: String, hint: &str| problems.push(report(code, what, hint));
    if file.immutable {
        let hint = "Take the mark off with chattr -i and chattr -a, then check again.";
        problem("file-immutable", format!("On \"{device}\", {path} is marked immutable."), hint);
    } else if by_root {
        // Root writes as itself what is root's alone.
    } else if !file.writable {
        let hint = "Give the account the right to write it, or authenticate with another credential.";
        problem("file-read-only", format!("On \"{device}\", {path} is read-only for the account."), hint);
    } else if !file.directory_writable {
        let hint = "Give the account the right to write its directory, or authenticate with another credential.";
        problem("directory-not-writable", format!("On \"{device}\", no file can be made beside {path}."), hint);
    }
    if file.mount_point {
        let hint = "Set the device's authorized_keys path to the file that is mounted there.";
        problem("mount-point", format!("On \"{device}\", {path} is a mount point."), hint);
    }
    if file.link_count.is_some_and(|count| count > 1) {
        let hint = "Remove the other names of the file; a rename would part them.";
        problem("metadata-would-change", format!("On \"{device}\", {path} has more than one hard link."), hint);
    }
    if let (Some(owner), Some(uid)) = (file.owner, judged.probe.uid)
        && owner != uid
        && !by_root
    {
        let hint = "Authenticate with the account that owns the file.";
        problem("metadata-would-change", format!("On \"{device}\", {path} belongs to another account."), hint);
    }
    if !by_root && !keeps_group(judged.probe, file) {
        let hint = "Take the account into that group, or give the file the account's own group (chgrp).";
        let what = format!("On \"{device}\", {path} belongs to a group that the account is not in.");
        problem("metadata-would-change", what, hint);
    }
    let size = file.content.as_ref().map_or(0, Vec::len) as u64;
    if file.free.is_some_and(|free| free < size.saturating_mul(2).saturating_add(8192)) {
        problem("disk-full", format!("On \"{device}\", the disk that holds {path} is full."), "Free some space there.");
    }
    let strict = judged.configuration.and_then(|configuration| configuration.strict_modes).unwrap_or(true);
    if strict {
        let loose_file = file.mode.is_some_and(super::super::remote::program::Mode::others_may_write);
        let home = judged.probe.home_resolved.as_str();
        let loose_directory = file
            .directories
            .iter()
            .find(|directory| directory.path.starts_with(home) && directory.mode.others_may_write());
        if loose_file || loose_directory.is_some() {
            let at = loose_directory.map_or(path, |directory| &directory.path);
            let hint =
                "Take the right to write away from group and others (chmod go-w), or sshd refuses every key in it.";
            // Some builds of sshd let the account's own group write: a login tells, and modes alone do not.
            match judged.login {
                Login::Proven => warnings.push(report(
                    "strict-modes",
                    format!("On \"{device}\", others may write {at}; most builds of sshd would ignore the file."),
                    hint,
                )),
                Login::Refused | Login::NotTried => problems.push(report(
                    "strict-modes",
                    format!("On \"{device}\", others may write {at}, so that sshd ignores the file."),
                    hint,
                )),
            }
        }
    }
    if judged.way == Way::Sftp {
        warnings.push(report(
            "metadata-unseen",
            format!("On \"{device}\", an access control list, label or attributes of {path} can't be seen over SFTP."),
            "If the file has any, change the key through another credential, since a new file takes its place.",
        ));
    }
    if file.is_outside(&judged.probe.home_resolved) && file.links_followed > 0 {
        warnings.push(report(
            "link-out-of-home",
            format!("On \"{device}\", {} is a link that leads out of the account's home, to {path}.", file.asked),
            "Make sure that no other device or account shares that file.",
        ));
    }
}

/// Whether the account can give a new file the group of this one; yes where its groups can't be seen.
fn keeps_group(probe: &Probe, file: &FileState) -> bool {
    let Some(group) = file.group else { return true };
    // In a folder with the set-group-ID bit, a new file gets the folder's group.
    let given = |directory: &DirectoryState| directory.mode.0 & 0o2000 != 0 && directory.group == group;
    probe.groups.is_empty()
        || probe.uid == Some(0)
        || probe.groups.contains(&group)
        || file.directories.first().is_some_and(given)
}

/// Marks that configuration managers leave in files they own.
const MANAGER_MARKS: [&str; 7] = ["puppet", "ansible", "chef", "saltstack", "managed by", "do not edit", "cloud-init"];

fn other_findings(judged: &Judged<'_>, file: &FileState, text: &[u8], warnings: &mut Vec<Report>) {
    let device = judged.device;
    let managed = text.split(|byte| *byte == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line).to_lowercase();
        line.trim_start().starts_with('#') && MANAGER_MARKS.iter().any(|mark| line.contains(mark))
    });
    if managed {
        warnings.push(report(
            "managed-file",
            format!("On \"{device}\", {} bears the mark of a configuration manager.", file.path),
            "Make sure that it does not put its own copy back, or change the key there.",
        ));
    }
    let ours: &[PublicKey] = match judged.goal {
        Goal::Add { old, .. } => old,
        Goal::Withdraw { keys } | Goal::Look { keys } => keys,
        Goal::Install { .. } => return,
    };
    let others = authorized_keys::all_keys(text)
        .into_iter()
        .any(|entry| !ours.iter().any(|key| key.key_type() == entry.key_type && key.blob() == entry.blob));
    if !others {
        warnings.push(report(
            "only-key",
            format!("On \"{device}\", this is the only key in {}.", file.path),
            "Keep another way in at hand.",
        ));
    }
}

fn configuration_findings(
    judged: &Judged<'_>,
    configuration: &Effective,
    problems: &mut Vec<Report>,
    warnings: &mut Vec<Report>,
) {
    let device = judged.device;
    if configuration.pubkey_authentication == Some(false) {
        problems.push(report(
            "key-login-off",
            format!("Key login is switched off on \"{device}\" (PubkeyAuthentication no)."),
            "Switch it on in the device's sshd_config.",
        ));
    }
    let new = match judged.goal {
        Goal::Add { new, .. } | Goal::Install { new, .. } => Some(*new),
        Goal::Withdraw { .. } | Goal::Look { .. } => None,
    };
    if let (Some(new), Some(accepted)) = (new, configuration.pubkey_accepted_algorithms.as_deref())
        && !configuration.undecided
        && !accepts_algorithm(accepted, new)
    {
        problems.push(report(
            "algorithm-not-accepted",
            format!("The device \"{device}\" accepts no key of the type {}.", new.key_type()),
            "Choose another algorithm for the new key, or extend PubkeyAcceptedAlgorithms in the device's sshd_config.",
        ));
    }
    if configuration.authorized_keys_command.as_deref().is_some_and(|command| command != "none") {
        warnings.push(report(
            "keys-from-elsewhere",
            format!("On \"{device}\", keys also come from a program (AuthorizedKeysCommand)."),
            "If the old key is still accepted at the end, it comes from there.",
        ));
    }
}

/// Whether `PubkeyAcceptedAlgorithms` (sshd_config(5)) may let a key in; what is said relative to sshd's own list, or with
/// wildcards, is not judged.
fn accepts_algorithm(accepted: &str, key: &PublicKey) -> bool {
    if accepted.starts_with(['+', '-', '^']) || accepted.contains(['*', '?', '!']) {
        return true;
    }
    let mut accepted = accepted.split(',').map(str::trim);
    match key.key_type() {
        "ssh-rsa" => accepted.any(|algorithm| matches!(algorithm, "rsa-sha2-256" | "rsa-sha2-512")),
        key_type => accepted.any(|algorithm| algorithm == key_type),
    }
}
