//! One process at a time: a lock of the operating system for each credential.
//!
//! The kernel frees it when the process ends, however it ends, so that no clock and no clean-up is involved.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use crate::{
    catalogue::CredentialId,
    error::{Class, Explain},
};

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process works on the credential.
    #[error("The credential \"{credential}\" is being worked on by another process.")]
    Busy {
        /// The credential's name.
        credential: String,
    },
    /// The lock file can't be made or locked.
    #[error("The lock {path} can't be taken: {source}.")]
    File {
        /// The lock file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Explain for LockError {
    crate::sentences! {
        Busy { credential } => "busy",
        File { path, source } => "lock-failed",
    }

    fn hint(&self) -> String {
        match self {
            Self::Busy { .. } => "Wait until it is done, or stop that process.".into(),
            Self::File { .. } => "Make the data directory writable for you.".into(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Busy { credential } => Some(credential.clone()),
            Self::File { .. } => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } => Class::NotDone,
            Self::File { .. } => Class::Unusable,
        }
    }
}

/// A lock on one credential, held until it is dropped.
#[derive(Debug)]
pub struct CredentialLock {
    _file: FileLock,
}

/// A lock on a file of the data directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing is not enough where this process is just starting another one, which has the file too until it runs.
        // A file that can't be unlocked is closed all the same.
        let _ = self.file.unlock();
    }
}

/// Whether others may hold the lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Only this process changes the credential.
    Exclusive,
    /// The credential is used to authenticate, and must not change meanwhile.
    Shared,
}

impl CredentialLock {
    /// Takes the lock, or tells that another process has it; never waits.
    ///
    /// # Errors
    ///
    /// [`LockError::Busy`]; [`LockError::File`] where the file can't be made.
    pub fn take(data_dir: &Path, credential: CredentialId, name: &str, sharing: Sharing) -> Result<Self, LockError> {
        let file = FileLock::take(data_dir, &format!("credential-{credential}"), sharing)?;
        let file = file.ok_or_else(|| LockError::Busy { credential: name.to_owned() })?;
        Ok(Self { _file: file })
    }
}

impl FileLock {
    /// Takes the lock of this name, or answers none where another process has it; never waits.
    ///
    /// # Errors
    ///
    /// [`LockError::File`] where the file can't be made.
    pub(crate) fn take(data_dir: &Path, name: &str, sharing: Sharing) -> Result<Option<Self>, LockError> {
        let dir = data_dir.join("locks");
        let path = dir.join(name);
        let failed = |source| LockError::File { path: path.display().to_string(), source };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        let taken = match sharing {
            Sharing::Exclusive => file.try_lock(),
            Sharing::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_exclusive_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let id = CredentialId(1);
        let first = CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive).unwrap();
        let second = CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive);
        assert!(matches!(second, Err(LockError::Busy { .. })), "two processes may never change one credential");
        drop(first);
        CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive).unwrap();
    }

    #[test]
    fn a_dropped_lock_is_free_though_another_process_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let id = CredentialId(1);
        let first = CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive).unwrap();
        // What a process that is being started shares with this one: the same opened file.
        let inherited = first._file.file.try_clone().unwrap();
        drop(first);
        let second = CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive);
        assert!(second.is_ok(), "a change that has ended would keep the credential busy: {second:?}");
        drop(inherited);
    }

    #[test]
    fn credentials_that_only_authenticate_share_their_lock() {
        let dir = tempfile::tempdir().unwrap();
        let id = CredentialId(1);
        let _first = CredentialLock::take(dir.path(), id, "admin", Sharing::Shared).unwrap();
        let _second = CredentialLock::take(dir.path(), id, "admin", Sharing::Shared).unwrap();
        let change = CredentialLock::take(dir.path(), id, "admin", Sharing::Exclusive);
        assert!(matches!(change, Err(LockError::Busy { .. })), "it must not change while it authenticates");
    }
}
