//! What stands in the way of a change on a device, or should be known before.

use std::net::IpAddr;

use crate::authorized_keys::EditError;
use crate::error::Explain;
use crate::journal::ChangeId;
use crate::key::Fingerprint;

/// What stands in the way of a change on a device, or should be known before.
///
/// The sentences that begin with the device's name are read on lists of many devices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The account has no home.
    #[error("The account \"{username}\" has no home directory on \"{device}\".")]
    NoHome {
        /// The device.
        device: String,
        /// The account.
        username: String,
    },
    /// The file that should hold the key is not there.
    #[error("The device \"{device}\" has no file {path}.")]
    NoFile {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The key stands in none of the files.
    #[error("The current public key stands in no file of \"{username}\" on \"{device}\".")]
    KeyNowhere {
        /// The device.
        device: String,
        /// The account.
        username: String,
    },
    /// The path leads to something else than a file.
    #[error("On \"{device}\", {path} is not a regular file.")]
    NotRegular {
        /// The device.
        device: String,
        /// The path.
        path: String,
    },
    /// No file of keys is that large.
    #[error("On \"{device}\", {path} is larger than 16 MiB.")]
    TooLarge {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The account may not read the file.
    #[error("On \"{device}\", {path} can't be read by the account.")]
    Unreadable {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The file has the mark that nobody may write it.
    #[error("On \"{device}\", {path} is marked immutable.")]
    Immutable {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The account may not write the file.
    #[error("On \"{device}\", {path} is read-only for the account.")]
    ReadOnly {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The account may not make files beside it.
    #[error("On \"{device}\", no file can be made beside {path}.")]
    DirectoryNotWritable {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// Nothing can be renamed over the file.
    #[error("On \"{device}\", {path} is a mount point.")]
    MountPoint {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// A rename would part the file's names.
    #[error("On \"{device}\", {path} has more than one hard link.")]
    HardLinks {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// A new file would have another owner.
    #[error("On \"{device}\", {path} belongs to another account.")]
    OtherOwner {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// There is no room for a second copy of the file.
    #[error("On \"{device}\", the disk that holds {path} is full.")]
    DiskFull {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// The account can't give a new file the group of the old one.
    #[error("On \"{device}\", {path} belongs to a group that the account is not in.")]
    OtherGroup {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// What SFTP does not show can't be kept.
    #[error("On \"{device}\", an access control list, label or attributes of {path} can't be seen over SFTP.")]
    MetadataUnseen {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// Others may write a file whose keys this sshd takes all the same.
    #[error("On \"{device}\", others may write {path}; most builds of sshd would ignore the file.")]
    Loosely {
        /// The device.
        device: String,
        /// The file, or a directory above it.
        path: String,
    },
    /// sshd refuses every key of a file that others may write.
    #[error("On \"{device}\", others may write {path}, so that sshd ignores the file.")]
    Loose {
        /// The device.
        device: String,
        /// The file, or a directory above it.
        path: String,
    },
    /// The file lies elsewhere than in the account's home.
    #[error("On \"{device}\", {asked} is a link that leads out of the account's home, to {path}.")]
    LinkOutOfHome {
        /// The device.
        device: String,
        /// The link.
        asked: String,
        /// Where it leads.
        path: String,
    },
    /// A configuration manager may put its own text back.
    #[error("On \"{device}\", {path} bears the mark of a configuration manager.")]
    Managed {
        /// The device.
        device: String,
        /// The file.
        path: String,
    },
    /// Nobody gets in by another key.
    #[error("On \"{device}\", this is the only key that logs in to \"{username}\".")]
    OnlyKey {
        /// The device.
        device: String,
        /// The account.
        username: String,
    },
    /// The device was entered with another version than the current one.
    #[error(
        "The device \"{device}\" accepts version {version} of the key and refuses the current one, version {current}."
    )]
    AcceptsOtherVersion {
        /// The device.
        device: String,
        /// The version it accepts.
        version: u32,
        /// The current version.
        current: u32,
    },
    /// The database is older than the keyring.
    #[error(
        "The keyring holds a newer key of \"{credential}\" (version {version}) than this database knows, as after restoring \
         an older copy."
    )]
    NewerKeyFound {
        /// The credential.
        credential: String,
        /// The version.
        version: u32,
    },
    /// A device accepts a key that is to go.
    #[error("The device \"{device}\" still accepts the retired key.")]
    RetiredAccepted {
        /// The device.
        device: String,
    },
    /// A device may accept a key that is to go, and nothing newer.
    #[error("The device \"{device}\" was not seen to accept a newer key and refuse this one.")]
    NotSeenRefused {
        /// The device.
        device: String,
    },
    /// A key that is to go may be the last one that a device accepts.
    #[error("The device \"{device}\" accepts no newer key.")]
    NothingNewer {
        /// The device.
        device: String,
    },
    /// Until a change is ended any version may be gone back to.
    #[error("The change {id} is not ended.")]
    ChangeOpen {
        /// The change.
        id: ChangeId,
    },
    /// A device that loses power may come back with the file before.
    #[error("Files with version {version} were written less than a minute ago.")]
    JustWritten {
        /// The version.
        version: u32,
    },
    /// sshd's configuration switches key login off.
    #[error("Key login is switched off on \"{device}\" (PubkeyAuthentication no).")]
    KeyLoginOff {
        /// The device.
        device: String,
    },
    /// The server does not offer key login to the account.
    #[error("The device \"{device}\" offers no key login to \"{username}\".")]
    KeyLoginNotOffered {
        /// The device.
        device: String,
        /// The account.
        username: String,
    },
    /// sshd's configuration refuses keys of the new key's type.
    #[error("The device \"{device}\" accepts no key of the type {key_type}.")]
    AlgorithmNotAccepted {
        /// The device.
        device: String,
        /// The type of the new key.
        key_type: String,
    },
    /// A program gives sshd keys, too.
    #[error("On \"{device}\", keys also come from a program (AuthorizedKeysCommand).")]
    KeysFromElsewhere {
        /// The device.
        device: String,
    },
    /// A file can't be edited as the change needs it.
    #[error("On \"{device}\", {path}: {source}")]
    Edit {
        /// The device.
        device: String,
        /// The file.
        path: String,
        /// Why not.
        source: EditError,
    },
    /// Two devices of the credential are reached just the same.
    #[error("\"{device}\" has the same address and port as \"{twin}\".")]
    SameDevice {
        /// The device.
        device: String,
        /// The earlier one.
        twin: String,
    },
    /// The time of the key's line is over.
    #[error("On \"{device}\", the line of the key in {path} lets it in until {time} only (expiry-time).")]
    KeyExpired {
        /// The device.
        device: String,
        /// The file.
        path: String,
        /// The time, as the line has it.
        time: String,
    },
    /// The key's line is for other machines.
    #[error(
        "On \"{device}\", the line of the key in {path} lets it in from {patterns} only (from), and this machine's address is \
         {address}."
    )]
    FromRefused {
        /// The device.
        device: String,
        /// The file.
        path: String,
        /// From where it lets in, as the line has it.
        patterns: String,
        /// The address that this machine connects from.
        address: IpAddr,
    },
    /// Another credential would lose its key.
    #[error("On \"{device}\", the credential \"{credential}\" logs in to the same account with the same key.")]
    SameKeyElsewhere {
        /// The device.
        device: String,
        /// The other credential.
        credential: String,
    },
    /// The device is switched off.
    #[error("The device \"{device}\" is disabled.")]
    Disabled {
        /// The device.
        device: String,
    },
    /// There is no way to the files.
    #[error("The account \"{username}\" on \"{device}\" has neither shell nor SFTP.")]
    NoWayToFiles {
        /// The device.
        device: String,
        /// The account.
        username: String,
    },
    /// The session that was open is not any more.
    #[error("The connection to \"{device}\" is gone.")]
    ConnectionGone {
        /// The device.
        device: String,
    },
    /// The key's line stands there, and the key is refused.
    #[error(
        "The device \"{device}\" refuses the key {fingerprint} of \"{username}\", although its line was written to the file."
    )]
    KeyRefused {
        /// The device.
        device: String,
        /// The key.
        fingerprint: Fingerprint,
        /// The account.
        username: String,
    },
    /// The old key's line is out, and the key is accepted.
    #[error("The device \"{device}\" still accepts the old key after its line was taken out.")]
    OldKeyAccepted {
        /// The device.
        device: String,
    },
}

impl Explain for Problem {
    crate::sentences! {
        NoHome { device, username } => "no-home",
        NoFile { device, path } => "file-missing" as "no-file",
        KeyNowhere { device, username } => "old-key-missing" as "old-key-nowhere",
        NotRegular { device, path } => "not-a-regular-file" as "found-not-regular",
        TooLarge { device, path } => "file-too-large" as "found-too-large",
        Unreadable { device, path } => "file-unreadable" as "found-unreadable",
        Immutable { device, path } => "file-immutable" as "found-immutable",
        ReadOnly { device, path } => "file-read-only" as "found-read-only",
        DirectoryNotWritable { device, path } => "directory-not-writable" as "found-directory-not-writable",
        MountPoint { device, path } => "mount-point" as "found-mount-point",
        HardLinks { device, path } => "metadata-would-change" as "found-hard-links",
        OtherOwner { device, path } => "metadata-would-change" as "found-other-owner",
        DiskFull { device, path } => "disk-full" as "found-disk-full",
        OtherGroup { device, path } => "metadata-would-change" as "found-other-group",
        MetadataUnseen { device, path } => "metadata-unseen",
        Loose { device, path } => "strict-modes",
        Loosely { device, path } => "strict-modes" as "strict-modes-taken",
        LinkOutOfHome { device, asked, path } => "link-out-of-home",
        Managed { device, path } => "managed-file",
        OnlyKey { device, username } => "only-key",
        AcceptsOtherVersion { device, version, current } => "accepts-other-version",
        NewerKeyFound { credential, version } => "newer-key-found",
        RetiredAccepted { device } => "old-key-accepted" as "retired-key-accepted",
        NotSeenRefused { device } => "not-proven" as "not-seen-refused",
        NothingNewer { device } => "newer-key-refused",
        ChangeOpen { id } => "change-open" as "change-not-ended",
        JustWritten { version } => "just-written",
        KeyLoginOff { device } => "key-login-off",
        KeyLoginNotOffered { device, username } => "key-login-off" as "key-login-not-offered",
        AlgorithmNotAccepted { device, key_type } => "algorithm-not-accepted",
        KeysFromElsewhere { device } => "keys-from-elsewhere",
        SameDevice { device, twin } => "same-device",
        KeyExpired { device, path, time } => "key-expired",
        FromRefused { device, path, patterns, address } => "from-refused",
        SameKeyElsewhere { device, credential } => "same-key-elsewhere",
        Disabled { device } => "device-disabled",
        NoWayToFiles { device, username } => "shell-and-sftp-unusable",
        ConnectionGone { device } => "connection-cut" as "connection-gone",
        KeyRefused { device, fingerprint, username } => "key-refused",
        OldKeyAccepted { device } => "old-key-accepted";
        around Edit(source: EditError) { device, path } as "found-in-file"
    }

    fn hint(&self) -> String {
        match self {
            Self::NoHome { .. } => "Make its home directory, owned by the account.",
            Self::NoFile { .. } => {
                "Put the key there with `keywheel install`, or set the device's authorized_keys path."
            }
            Self::KeyNowhere { .. } => {
                "Put it there with `keywheel install`, or set the device's authorized_keys path."
            }
            Self::NotRegular { .. } => "Set the device's authorized_keys path to the file itself.",
            Self::TooLarge { .. } => "Check that the path leads to a file of keys.",
            Self::Unreadable { .. } => {
                "Give the account the right to read it, or authenticate with another credential."
            }
            Self::Immutable { .. } => "Take the mark off with chattr -i and chattr -a, then check again.",
            Self::ReadOnly { .. } => "Give the account the right to write it, or authenticate with another credential.",
            Self::DirectoryNotWritable { .. } => {
                "Give the account the right to write its directory, or authenticate with another credential."
            }
            Self::MountPoint { .. } => "Set the device's authorized_keys path to the file that is mounted there.",
            Self::HardLinks { .. } => "Remove the other names of the file; a rename would part them.",
            Self::OtherOwner { .. } => "Authenticate with the account that owns the file.",
            Self::DiskFull { .. } => "Free some space there.",
            Self::OtherGroup { .. } => {
                "Take the account into that group, or give the file the account's own group (chgrp)."
            }
            Self::MetadataUnseen { .. } => {
                "If the file has any, change the key through another credential, since a new file takes its place."
            }
            Self::Loose { .. } | Self::Loosely { .. } => {
                "Take the right to write away from group and others (chmod go-w), or sshd refuses every key in it."
            }
            Self::LinkOutOfHome { .. } => "Make sure that no other device or account shares that file.",
            Self::Managed { .. } => "Make sure that it does not put its own copy back, or change the key there.",
            Self::OnlyKey { .. } => "Keep another way in at hand.",
            Self::NewerKeyFound { .. } => {
                "Change the key: devices are entered with the version they accept, and all older ones are taken out."
            }
            Self::RetiredAccepted { .. } => "Take its line out there, or change the key once more.",
            Self::NotSeenRefused { .. } => {
                "It is asked when the key is destroyed; a device that is gone for good is given up by name."
            }
            Self::NothingNewer { .. } => "Change the key there, or install the current one, so that it can be entered.",
            Self::ChangeOpen { .. } => "End it first: resume it, retry it or roll it back.",
            Self::JustWritten { .. } => {
                "Try again in a minute; until then a device that loses power may come back with the file before."
            }
            Self::AcceptsOtherVersion { .. } => "Change the key: the device is entered with the version it accepts.",
            Self::KeyLoginOff { .. } => "Switch it on in the device's sshd_config.",
            Self::KeyLoginNotOffered { .. } => "Switch PubkeyAuthentication on in the device's sshd_config.",
            Self::AlgorithmNotAccepted { .. } => {
                "Choose another algorithm for the new key, or extend PubkeyAcceptedAlgorithms in the device's \
                 sshd_config."
            }
            Self::KeysFromElsewhere { .. } => "If the old key is still accepted at the end, it comes from there.",
            Self::Edit { source, .. } => return source.hint(),
            Self::SameDevice { .. } => "Both are one device for the change; take one of them off the credential.",
            Self::KeyExpired { .. } => {
                "Set a later time in that line, or take the option out; the new key's line gets the same options."
            }
            Self::FromRefused { .. } => {
                "Take this machine into from= of that line, by the address under which the device sees it; the new key's \
                 line gets the same options."
            }
            Self::SameKeyElsewhere { .. } => "Take the device off one of the two credentials, or make them one.",
            Self::Disabled { .. } => "Switch it on, or take it off the credential.",
            Self::NoWayToFiles { .. } => {
                "Change the key through another credential, or take the forced command or nologin shell away."
            }
            Self::ConnectionGone { .. } => "Check the network to the device, then try again.",
            Self::KeyRefused { .. } => {
                "Look at sshd's log there: StrictModes, PubkeyAcceptedAlgorithms and from= are the usual causes."
            }
            Self::OldKeyAccepted { .. } => {
                "Look for a second file (AuthorizedKeysFile), an AuthorizedKeysCommand, or another writer."
            }
        }
        .to_owned()
    }

    /// Named only where it does not stand in a finding, which names its device.
    fn subject(&self) -> Option<String> {
        match self {
            Self::KeyLoginNotOffered { device, .. }
            | Self::Edit { device, .. }
            | Self::SameDevice { device, .. }
            | Self::SameKeyElsewhere { device, .. }
            | Self::Disabled { device }
            | Self::NoWayToFiles { device, .. }
            | Self::ConnectionGone { device }
            | Self::KeyRefused { device, .. }
            | Self::AcceptsOtherVersion { device, .. }
            | Self::RetiredAccepted { device }
            | Self::NotSeenRefused { device }
            | Self::NothingNewer { device }
            | Self::OldKeyAccepted { device } => Some(device.clone()),
            Self::NewerKeyFound { credential, .. } => Some(credential.clone()),
            _ => None,
        }
    }
}
