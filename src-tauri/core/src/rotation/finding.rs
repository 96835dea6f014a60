//! What `check` finds on a device, and what it predicts.

use serde::{Deserialize, Serialize};

use super::other_keys::{OtherKey, other_keys};
use crate::{
    authorized_keys::{self, Edit, Key},
    error::Report,
    key::PublicKey,
    remote::{
        files::Way,
        program::{DirectoryState, FileKind, FileState, Probe},
        sshd_config::Effective,
    },
    rotation::Problem,
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
    /// The lines that let other keys in, of every file that was read.
    pub other_keys: Vec<OtherKey>,
}

/// A finding with what the next stages need.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) targets: Vec<Target>,
    pub(super) way: Way,
    /// The paths that were looked at.
    pub(super) looked_at: Vec<String>,
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
    /// All versions of the credential's key.
    pub(super) ours: &'a [&'a PublicKey],
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

/// Judges what a probe brought: which files are to be written, how, and what stands in the way.
pub(super) fn judge(judged: &Judged<'_>) -> Found {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut targets = Vec::new();
    let mut old_key_lines = 0;
    let probe = judged.probe;
    if probe.home.is_empty() || probe.home_resolved.is_empty() {
        problems
            .push(report(&Problem::NoHome { device: judged.device.to_owned(), username: judged.username.to_owned() }));
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
            Some(Err(source)) => {
                let (device, path) = (judged.device.to_owned(), file.path.clone());
                problems.push(report(&Problem::Edit { device, path, source }));
            }
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
        let device = judged.device.to_owned();
        problems.push(report(&match missing.first() {
            Some(path) if seen.len() == missing.len() => Problem::NoFile { device, path: path.clone() },
            _ => Problem::KeyNowhere { device, username: judged.username.to_owned() },
        }));
    }
    warnings.extend(last_door(judged));
    if let Some(configuration) = judged.configuration {
        configuration_findings(judged, configuration, &mut problems, &mut warnings);
    }
    Found {
        finding: Finding {
            device: judged.device.to_owned(),
            ready: problems.is_empty(),
            method: Some(judged.way.as_str().to_owned()),
            files: targets.iter().map(|target| target.path.clone()).collect(),
            old_key_lines,
            problems,
            warnings,
            other_keys: other_keys(probe, judged.ours),
        },
        targets,
        looked_at: probe.files.iter().map(|file| file.asked.clone()).collect(),
        way: judged.way,
    }
}

fn report(problem: &Problem) -> Report {
    Report::of(problem)
}

/// The problem of a file whose text could not be had; none where it is merely missing.
fn unreadable(device: &str, file: &FileState) -> Option<Report> {
    let (device, path) = (device.to_owned(), file.path.clone());
    Some(report(&match file.kind {
        FileKind::Missing | FileKind::NoDirectory => return None,
        FileKind::Other | FileKind::UnfollowedLink => Problem::NotRegular { device, path },
        FileKind::Regular if file.too_large => Problem::TooLarge { device, path },
        FileKind::Regular => Problem::Unreadable { device, path },
    }))
}

/// What would keep a file from being written.
fn write_problems(judged: &Judged<'_>, file: &FileState, problems: &mut Vec<Report>, warnings: &mut Vec<Report>) {
    let (device, path) = (judged.device.to_owned(), file.path.clone());
    let by_root = judged.by_root && file.is_roots_alone();
    let mut problem = |problem: &Problem| problems.push(report(problem));
    if file.immutable {
        problem(&Problem::Immutable { device: device.clone(), path: path.clone() });
    } else if by_root {
        // Root writes as itself what is root's alone.
    } else if !file.writable {
        problem(&Problem::ReadOnly { device: device.clone(), path: path.clone() });
    } else if !file.directory_writable {
        problem(&Problem::DirectoryNotWritable { device: device.clone(), path: path.clone() });
    }
    if file.mount_point {
        problem(&Problem::MountPoint { device: device.clone(), path: path.clone() });
    }
    if file.link_count.is_some_and(|count| count > 1) {
        problem(&Problem::HardLinks { device: device.clone(), path: path.clone() });
    }
    if let (Some(owner), Some(uid)) = (file.owner, judged.probe.uid)
        && owner != uid
        && !by_root
    {
        problem(&Problem::OtherOwner { device: device.clone(), path: path.clone() });
    }
    if !by_root && !keeps_group(judged.probe, file) {
        problem(&Problem::OtherGroup { device: device.clone(), path: path.clone() });
    }
    let size = file.content.as_ref().map_or(0, Vec::len) as u64;
    if file.free.is_some_and(|free| free < size.saturating_mul(2).saturating_add(8192)) {
        problem(&Problem::DiskFull { device: device.clone(), path: path.clone() });
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
            let at = loose_directory.map_or(&path, |directory| &directory.path).clone();
            // Some builds of sshd let the account's own group write: a login tells, and modes alone do not.
            match judged.login {
                Login::Proven => warnings.push(report(&Problem::Loosely { device: device.clone(), path: at })),
                Login::Refused | Login::NotTried => {
                    problems.push(report(&Problem::Loose { device: device.clone(), path: at }));
                }
            }
        }
    }
    if judged.way == Way::Sftp {
        warnings.push(report(&Problem::MetadataUnseen { device: device.clone(), path: path.clone() }));
    }
    if file.is_outside(&judged.probe.home_resolved) && file.links_followed > 0 {
        warnings.push(report(&Problem::LinkOutOfHome { device, asked: file.asked.clone(), path }));
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
    let (device, path) = (judged.device.to_owned(), file.path.clone());
    let managed = text.split(|byte| *byte == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line).to_lowercase();
        line.trim_start().starts_with('#') && MANAGER_MARKS.iter().any(|mark| line.contains(mark))
    });
    if managed {
        warnings.push(report(&Problem::Managed { device: device.clone(), path: path.clone() }));
    }
}

/// Says that nothing but this key logs in, where all files could be read and hold no other.
fn last_door(judged: &Judged<'_>) -> Option<Report> {
    let ours: Vec<PublicKey> = match judged.goal {
        Goal::Add { old, new } => old.iter().chain(std::iter::once(*new)).cloned().collect(),
        Goal::Withdraw { keys } | Goal::Look { keys } => keys.to_vec(),
        Goal::Install { .. } => return None,
    };
    let from_elsewhere = judged
        .configuration
        .and_then(|configuration| configuration.authorized_keys_command.as_deref())
        .is_some_and(|command| command != "none");
    let all_read =
        judged.probe.files.iter().all(|file| file.content.is_some() || unreadable(judged.device, file).is_none());
    let texts: Vec<&[u8]> = judged.probe.files.iter().filter_map(|file| file.content.as_deref()).collect();
    (all_read && !from_elsewhere && is_only_key(&ours, &texts))
        .then(|| report(&Problem::OnlyKey { device: judged.device.to_owned(), username: judged.username.to_owned() }))
}

/// Whether a key stands in these texts and no other line lets anybody in.
fn is_only_key(ours: &[PublicKey], texts: &[&[u8]]) -> bool {
    let is_ours = |entry: &authorized_keys::Entry| {
        let same = |key: &PublicKey| key.key_type() == entry.key_type && key.blob() == entry.blob;
        entry.role == authorized_keys::Role::Login && ours.iter().any(same)
    };
    let mut entries = texts.iter().flat_map(|text| authorized_keys::all_keys(text)).peekable();
    entries.peek().is_some() && entries.all(|entry| is_ours(&entry))
}

fn configuration_findings(
    judged: &Judged<'_>,
    configuration: &Effective,
    problems: &mut Vec<Report>,
    warnings: &mut Vec<Report>,
) {
    let device = || judged.device.to_owned();
    if configuration.pubkey_authentication == Some(false) {
        problems.push(report(&Problem::KeyLoginOff { device: device() }));
    }
    let new = match judged.goal {
        Goal::Add { new, .. } | Goal::Install { new, .. } => Some(*new),
        Goal::Withdraw { .. } | Goal::Look { .. } => None,
    };
    if let (Some(new), Some(accepted)) = (new, configuration.pubkey_accepted_algorithms.as_deref())
        && !configuration.undecided
        && !accepts_algorithm(accepted, new)
    {
        let key_type = new.key_type().to_owned();
        problems.push(report(&Problem::AlgorithmNotAccepted { device: device(), key_type }));
    }
    if configuration.authorized_keys_command.as_deref().is_some_and(|command| command != "none") {
        warnings.push(report(&Problem::KeysFromElsewhere { device: device() }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    #[test]
    fn a_key_is_the_last_door_only_where_no_file_has_another_line_that_lets_anybody_in() {
        let key = |name: &str| PrivateKey::generate(Algorithm::Ed25519, name).unwrap().public_key().clone();
        let (ours, before, foreign) = (key("ours"), key("before"), key("foreign"));
        let line = |key: &PublicKey| format!("{}\n", key.to_openssh()).into_bytes();
        let all = [ours.clone(), before.clone()];
        let only = |texts: &[Vec<u8>]| is_only_key(&all, &texts.iter().map(Vec::as_slice).collect::<Vec<_>>());

        let both = [line(&ours), b"# a comment\nnot a key\n".to_vec(), line(&before)].concat();
        assert!(only(std::slice::from_ref(&both)), "an older version of the same key is no other way in");
        assert!(only(&[line(&ours), Vec::new()]));
        assert!(!only(&[both.clone(), line(&foreign)]), "the second file lets somebody in");
        let authority = [b"cert-authority ".as_slice(), &line(&foreign)].concat();
        assert!(!only(&[both, authority]), "so does a certificate authority");
        let own_authority = [b"cert-authority ".as_slice(), &line(&ours)].concat();
        assert!(!only(&[line(&ours), own_authority]));
        assert!(!only(&[b"# nothing\n".to_vec()]), "where no key stands, this one is no door at all");
    }
}
