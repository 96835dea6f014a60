//! What an embedded device saw and did, in the order in which it happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// One sequence for all devices of a process, so that events of different devices can be put in order.
static SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// Files larger than this are not looked at.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place among the events of all embedded devices of this process.
    pub sequence: u64,
    /// When it happened.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

/// What somebody logged in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// A key of this fingerprint (`SHA256:…`).
    Key(String),
    /// A password.
    Password,
    /// Answers to prompts.
    KeyboardInteractive,
    /// Nothing at all (the method `none`).
    Nothing,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody connected.
    Connected,
    /// Somebody asked whether a key would do (RFC 4252 §7); every login with a key begins so, too.
    Asked {
        /// The account.
        account: String,
        /// The key's fingerprint.
        fingerprint: String,
        /// What was answered.
        accepted: bool,
    },
    /// Somebody logged in.
    LoggedIn {
        /// The account.
        account: String,
        /// What with.
        with: With,
    },
    /// A login was refused.
    Refused {
        /// The account.
        account: String,
        /// What with.
        with: With,
    },
    /// A command began, or was refused.
    Command {
        /// Its number since the faults were set.
        number: u32,
        /// Its text as it was sent.
        text: String,
    },
    /// A command ended.
    Finished {
        /// Its number since the faults were set.
        number: u32,
        /// Its exit status; none if a signal ended it.
        status: Option<i32>,
    },
    /// An SFTP request was received.
    Request {
        /// Its text, as in [`super::Fault::Sftp`].
        text: String,
    },
    /// A file in the home was made or changed; a file renamed over it counts.
    Wrote {
        /// The file, relative to the home.
        path: PathBuf,
        /// All its bytes after that.
        bytes: Vec<u8>,
    },
    /// A file in the home is gone.
    Removed {
        /// The file, relative to the home.
        path: PathBuf,
    },
    /// A connection was passed on (`direct-tcpip`, RFC 4254 §7.2).
    Forwarded {
        /// The port it went to.
        port: u16,
    },
    /// A fault cut the connection.
    Cut,
}

/// The records of a device, and what its files held when it last looked.
#[derive(Debug, Default)]
pub(crate) struct Records {
    list: Mutex<Vec<Record>>,
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Records {
    /// Adds an event.
    pub(crate) fn add(&self, event: Event) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock: a device's own list is in the order of its numbers.
        let sequence = SEQUENCE.fetch_add(1, Ordering::SeqCst);
        list.push(Record { sequence, at: SystemTime::now(), event });
    }

    /// All that has happened so far.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what has happened so far.
    pub(crate) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes what is in the home as known: the test itself wrote it.
    pub(crate) fn take_as_known(&self, home: &Path) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = contents(home);
    }

    /// Looks at the files in the home, and records what has changed since the last look.
    pub(crate) fn look(&self, home: &Path) {
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let now = contents(home);
        for (path, bytes) in &now {
            if known.get(path) != Some(bytes) {
                self.add(Event::Wrote { path: path.clone(), bytes: bytes.clone() });
            }
        }
        for path in known.keys().filter(|path| !now.contains_key(*path)) {
            self.add(Event::Removed { path: path.clone() });
        }
        *known = now;
    }
}

/// The bytes of every ordinary file below a folder, by relative path; what can't be read is left out.
fn contents(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file()
                && metadata.len() <= LARGEST
                && let (Ok(bytes), Ok(relative)) = (fs::read(&path), path.strip_prefix(home))
            {
                found.insert(relative.to_owned(), bytes);
            }
        }
    }
    found
}
