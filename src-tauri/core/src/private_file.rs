//! Files that only the user may read, and that never replace another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Class, Explain};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// A file of that name is there, and is not overwritten.
    #[error("The file {} exists already.", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be made or written.
    #[error("The file {} could not be written: {source}.", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl Explain for PrivateFileError {
    crate::sentences! {
        Exists { path = path.display() } => "file-exists",
        NotWritten { path = path.display(), source } => "file-not-written",
    }

    fn hint(&self) -> String {
        match self {
            Self::Exists { .. } => "Choose another name, or remove the file first.".to_owned(),
            Self::NotWritten { .. } => {
                "Choose a folder that you can write to and that has room, and try again.".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Exists { .. } => Class::BadInput,
            Self::NotWritten { .. } => Class::NotDone,
        }
    }
}

impl PrivateFileError {
    /// The same problem, told of the file that was to come of the one it happened to.
    pub(crate) fn of(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            Self::Exists { .. } => Self::Exists { path },
            Self::NotWritten { source, .. } => Self::NotWritten { path, source },
        }
    }
}

/// Makes a new file with mode 0600.
///
/// # Errors
/// The file exists already, or can't be made.
pub(crate) fn new(path: &Path) -> Result<File, PrivateFileError> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists { path: path.to_owned() },
        _ => PrivateFileError::NotWritten { path: path.to_owned(), source },
    })
}

/// Makes a new file with mode 0600, lets `write` fill it, and syncs it.
///
/// When that fails, what was begun is removed.
///
/// # Errors
/// The file exists already, or can't be written.
pub(crate) fn create(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> Result<(), PrivateFileError> {
    let file = new(path)?;
    write(&file).and_then(|()| file.sync_all()).map_err(|source| {
        drop(file);
        // A half-written file must not be taken for a whole one; that it can't be removed changes nothing in the report.
        let _ = fs::remove_file(path);
        PrivateFileError::NotWritten { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_new_file_is_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, |mut file| file.write_all(b"secret")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }

    #[test]
    fn never_overwrites_a_file_nor_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, b"mine").unwrap();
        let error = create(&path, |mut file| file.write_all(b"secret")).unwrap_err();
        assert_eq!(error.code(), "file-exists");
        assert_eq!(fs::read(&path).unwrap(), b"mine", "the user's file is lost");
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            let target = dir.path().join("target");
            std::os::unix::fs::symlink(&target, &link).unwrap();
            assert_eq!(create(&link, |_| Ok(())).unwrap_err().code(), "file-exists");
            assert!(!target.exists(), "a planted link would choose where the secret goes");
        }
    }

    #[test]
    fn a_file_that_fails_half_way_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let error = create(&path, |mut file| {
            file.write_all(b"half")?;
            Err(io::Error::other("full"))
        })
        .unwrap_err();
        assert_eq!(error.code(), "file-not-written");
        assert!(!path.exists());
    }
}
