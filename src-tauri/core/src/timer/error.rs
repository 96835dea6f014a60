//! Why the system's timer could not be set up.

use std::{io, path::PathBuf};

use crate::error::{Class, Explain};

/// Why the system's timer could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// The environment names no home.
    #[error("It is not known where the timer belongs, because the environment names no home folder.")]
    NoHome,
    /// A file of that name is not ours.
    #[error("The file {} was not written by Keywheel.", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file can't be read, written or removed.
    #[error("The file {} can't be written: {source}.", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl Explain for TimerError {
    crate::sentences! {
        NoHome => "no-home-folder",
        Foreign { path = path.display() } => "timer-foreign",
        File { path = path.display(), source } => "timer-file",
    }

    fn hint(&self) -> String {
        match self {
            Self::NoHome => "Set HOME to the home folder of this account.".to_owned(),
            Self::Foreign { .. } => "Move it away, or have it run `keywheel rotate --due` itself.".to_owned(),
            Self::File { .. } => "Make its folder writable for you, and try again.".to_owned(),
        }
    }

    fn class(&self) -> Class {
        Class::NotDone
    }
}
