//! What a device and an account are like, and the files that may hold keys.

use super::answer::Answer;
use super::file::DESCRIBE;
use super::{FileState, Program, ProgramError};

/// The files that sshd reads where its configuration says nothing else (`sshd_config(5)`, `AuthorizedKeysFile`).
const DEFAULT_FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

/// Describes the account, the utilities, sshd's configuration and each path.
const PROBE: &str = "Q;p user \"$u\";p uid $k;p home \"$h\";p home-resolved \"$(cd -P \"$h/\" 2>/dev/null&&pwd -P)\";\
    p shell \"${e##*:}\";p groups $(id -G);p kernel \"$(uname -srm)\";p umask $U;p clock $(date +%s);\
    for c in sha256sum cksum ln cp sync stat readlink getfacl getfattr lsattr sudo setpriv restorecon;\
    do command -v $c >/dev/null 2>&1&&p tool $c;done;cp --version 2>/dev/null|grep -q GNU&&p tool gnu-cp;\
    set +f;for c in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf /usr/local/etc/ssh/sshd_config /etc/sshd_config;\
    do if [ -f \"$c\" ]&&[ -r \"$c\" ];then p config \"$c\";B \"$c\";elif [ -e \"$c\" ];then p hidden \"$c\";fi;done;set -f;\
    for c in \"$@\";do F \"$c\";done;p probed";

/// A utility that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tool {
    /// SHA-256 of the bytes written is compared instead of a CRC.
    Sha256sum,
    /// POSIX checksum.
    Cksum,
    /// Hard links, for compare and swap.
    Ln,
    /// Copies with attributes.
    Cp,
    /// `cp` of GNU coreutils, which keeps access control lists and extended attributes.
    GnuCp,
    /// Writes caches to disk.
    Sync,
    /// Device and inode of a file.
    Stat,
    /// Follows links.
    Readlink,
    /// Shows access control lists.
    Getfacl,
    /// Shows extended attributes.
    Getfattr,
    /// Shows the immutable mark.
    Lsattr,
    /// Runs as another account.
    Sudo,
    /// Runs as another account, for root.
    Setpriv,
    /// Gives a new file its security label.
    Restorecon,
}

impl Tool {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha256sum" => Self::Sha256sum,
            "cksum" => Self::Cksum,
            "ln" => Self::Ln,
            "cp" => Self::Cp,
            "gnu-cp" => Self::GnuCp,
            "sync" => Self::Sync,
            "stat" => Self::Stat,
            "readlink" => Self::Readlink,
            "getfacl" => Self::Getfacl,
            "getfattr" => Self::Getfattr,
            "lsattr" => Self::Lsattr,
            "sudo" => Self::Sudo,
            "setpriv" => Self::Setpriv,
            "restorecon" => Self::Restorecon,
            _ => return None,
        })
    }
}

/// A file of sshd's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationFile {
    /// Its path.
    pub path: String,
    /// Its bytes; `None` where the account may not read it.
    pub text: Option<Vec<u8>>,
}

/// What was found out about a device and an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The account's name.
    pub user: String,
    /// The account's number.
    pub uid: Option<u32>,
    /// The account's home.
    pub home: String,
    /// The same after all links; empty where the home can't be entered.
    pub home_resolved: String,
    /// The login shell.
    pub shell: String,
    /// The numbers of the account's groups.
    pub groups: Vec<u32>,
    /// Name, release and machine of the kernel.
    pub kernel: String,
    /// The mode bits that the account's new files lack.
    pub umask: Option<u32>,
    /// The device's clock, in seconds since 1970.
    pub clock: Option<i64>,
    /// The utilities that were found.
    pub tools: Vec<Tool>,
    /// sshd's configuration, as far as it can be seen.
    pub configuration: Vec<ConfigurationFile>,
    /// The files asked for, in this order.
    pub files: Vec<FileState>,
}

/// Makes the program that looks around; without paths, at `~/.ssh/authorized_keys` and `~/.ssh/authorized_keys2`.
///
/// # Errors
/// A path with a line break.
pub fn probe(id: &str, paths: &[String]) -> Result<Program, ProgramError> {
    if paths.is_empty() {
        return Program::with_paths(id, &format!("{DESCRIBE}{PROBE}"), &DEFAULT_FILES.map(str::to_owned));
    }
    Program::with_paths(id, &format!("{DESCRIBE}{PROBE}"), paths)
}

/// Understands the answer of [`probe`].
///
/// # Errors
/// No or an incomplete answer, or a file that was written meanwhile.
pub fn parse_probe(id: &str, stdout: &[u8]) -> Result<Probe, ProgramError> {
    let mut answer = Answer::new(id, stdout);
    let mut probe = Probe::default();
    let mut answered = false;
    while let Some(frame) = answer.next() {
        answered = true;
        let text = String::from_utf8_lossy(frame.rest);
        match frame.word {
            "probed" => return Ok(probe),
            "user" => probe.user = text.into_owned(),
            "uid" => probe.uid = text.parse().ok(),
            "home" => probe.home = text.into_owned(),
            "home-resolved" => probe.home_resolved = text.into_owned(),
            "shell" => probe.shell = text.into_owned(),
            "groups" => probe.groups = text.split(' ').filter_map(|group| group.parse().ok()).collect(),
            "kernel" => probe.kernel = text.into_owned(),
            "umask" => probe.umask = u32::from_str_radix(&text, 8).ok(),
            "clock" => probe.clock = text.parse().ok(),
            "tool" => probe.tools.extend(Tool::named(&text)),
            "hidden" => probe.configuration.push(ConfigurationFile { path: text.into_owned(), text: None }),
            "config" => probe.configuration.push(ConfigurationFile { path: text.into_owned(), text: None }),
            "bytes" => {
                let file = probe.configuration.last_mut().ok_or(ProgramError::Malformed { part: "a file" })?;
                file.text = Some(answer.content(&text, &file.path)?.to_vec());
            }
            "file" => probe.files.push(FileState::parse(&text, &mut answer)?),
            _ => {}
        }
    }
    Err(if answered { ProgramError::Incomplete { missing: "the end of the probe" } } else { ProgramError::NoAnswer })
}
