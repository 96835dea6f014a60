//! One process at a time: a lock of the operating system for each credential.
//!
//! The kernel frees it when the process ends, however it ends, so that no clock and no clean-up is involved.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use super::RotationError;
use crate::catalogue::CredentialId;

/// A lock on one credential, held until it is dropped.
#[derive(Debug)]
pub struct CredentialLock {
    _file: File,
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
    /// [`RotationError::Busy`]; [`RotationError::Lock`] where the file can't be made.
    pub fn take(
        data_dir: &Path,
        credential: CredentialId,
        name: &str,
        sharing: Sharing,
    ) -> Result<Self, RotationError> {
        let dir = data_dir.join("locks");
        let path = dir.join(format!("credential-{credential}"));
        let failed = |source| RotationError::Lock { path: path.display().to_string(), source };
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
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(RotationError::Busy { credential: name.to_owned() }),
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
        assert!(matches!(second, Err(RotationError::Busy { .. })), "two processes may never change one credential");
        drop(first);
        CredentialLock::take(dir.path(), id, "deploy", Sharing::Exclusive).unwrap();
    }

    #[test]
    fn credentials_that_only_authenticate_share_their_lock() {
        let dir = tempfile::tempdir().unwrap();
        let id = CredentialId(1);
        let _first = CredentialLock::take(dir.path(), id, "admin", Sharing::Shared).unwrap();
        let _second = CredentialLock::take(dir.path(), id, "admin", Sharing::Shared).unwrap();
        let change = CredentialLock::take(dir.path(), id, "admin", Sharing::Exclusive);
        assert!(matches!(change, Err(RotationError::Busy { .. })), "it must not change while it authenticates");
    }
}
