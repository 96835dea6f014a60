//! Reading and writing a device's files, whichever way the account offers and as whichever account it must be.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    RemoteError, Session,
    program::{
        self, Elevation, ElevationError, FileState, Installed, Probe, Program, ProgramError, Write, WriteError, Written,
    },
    session::Ran,
};
use crate::error::{Class, Explain};

/// Why a file of a device could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The connection failed, so that the work may or may not have been done.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The program's answer could not be used.
    #[error("On the device \"{device}\": {source}")]
    Program {
        /// The device's name.
        device: String,
        /// What was wrong with the answer.
        source: ProgramError,
    },
    /// The file was not written.
    #[error("On the device \"{device}\", file {path}: {source}")]
    Write {
        /// The device's name.
        device: String,
        /// The file.
        path: String,
        /// Why.
        source: WriteError,
    },
    /// The target account could not be acted as.
    #[error("On the device \"{device}\": {source}")]
    NotElevated {
        /// The device's name.
        device: String,
        /// Why.
        source: ElevationError,
    },
}

impl FileError {
    fn cause(&self) -> &dyn Explain {
        match self {
            Self::Remote(source) => source,
            Self::Program { source, .. } => source,
            Self::Write { source, .. } => source,
            Self::NotElevated { source, .. } => source,
        }
    }

    /// Whether a write may have been done, or may still be done, although this error came.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Remote(source) => source.is_passing(),
            Self::Write { source, .. } => *source == WriteError::NoAnswer,
            Self::Program { .. } | Self::NotElevated { .. } => false,
        }
    }

    /// Whether something may have been left beside the file, and the session it went over may answer no more: no answer came,
    /// or none in time.
    pub fn is_unclean(&self) -> bool {
        self.is_unanswered() || matches!(self, Self::Write { source: WriteError::TooLate, .. })
    }

    /// Whether another process wrote the file in between.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Write { source: WriteError::ChangedBySomeoneElse | WriteError::Moved | WriteError::Missing, .. }
                | Self::Program { source: ProgramError::ChangedWhileReading { .. }, .. }
        )
    }

    /// Whether another try may well end differently.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Remote(source) => source.is_passing(),
            Self::Program { source, .. } => {
                matches!(source, ProgramError::Incomplete { .. } | ProgramError::ChangedWhileReading { .. })
            }
            Self::Write { source, .. } => matches!(
                source,
                WriteError::NoAnswer | WriteError::Stopped | WriteError::ChecksumMismatch | WriteError::TooLate
            ),
            Self::NotElevated { .. } => false,
        }
    }
}

impl Explain for FileError {
    crate::sentences! {
        ; through Remote(RemoteError);
        around
            Program(source: ProgramError) { device } as "on-device",
            Write(source: WriteError) { device, path } as "on-device-file",
            NotElevated(source: ElevationError) { device } as "on-device-elevated"
    }

    fn hint(&self) -> String {
        self.cause().hint()
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Remote(source) => source.subject(),
            Self::Program { device, .. } | Self::Write { device, .. } | Self::NotElevated { device, .. } => {
                Some(device.clone())
            }
        }
    }

    fn class(&self) -> Class {
        self.cause().class()
    }
}

/// Which way leads to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Programs over exec requests.
    Shell,
    /// SFTP, for accounts that have nothing else.
    Sftp,
}

impl Way {
    /// The word that is stored and shown to programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Sftp => "sftp",
        }
    }
}

/// How the files of an account are reached.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The way.
    pub way: Way,
    /// As which account the work is done.
    pub elevation: Elevation,
    /// The password for `sudo`, where it asks for one.
    pub password: Option<SecretString>,
    /// Stands in the names of temporary files: vault and change.
    pub mark: String,
    /// After this long from the arrival of the data nothing is renamed any more.
    pub deadline: Duration,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// The path after all links; the one to write.
    pub resolved: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The files of one account, over one session.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    session: &'a Session,
    reach: &'a Reach,
}

impl<'a> Files<'a> {
    /// The files behind a session.
    pub fn new(session: &'a Session, reach: &'a Reach) -> Self {
        Self { session, reach }
    }

    /// Looks at the account, the device and these paths; without paths, at the default ones.
    ///
    /// # Errors
    ///
    /// No connection, no usable shell or SFTP, no elevation.
    pub async fn probe(&self, paths: &[String]) -> Result<Probe, FileError> {
        match self.reach.way {
            Way::Shell => {
                let id = request_id();
                let program = program::probe(&id, paths).map_err(|source| self.program(source))?;
                let output = self.run(program).await?;
                program::parse_probe(&id, &output).map_err(|source| self.program(source))
            }
            Way::Sftp => super::sftp::probe(self.session, paths).await,
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    ///
    /// No connection; a file that is missing, unreadable or no regular file.
    pub async fn read(&self, path: &str) -> Result<ReadFile, FileError> {
        match self.reach.way {
            Way::Shell => {
                let id = request_id();
                let program = program::read(&id, path).map_err(|source| self.program(source))?;
                let output = self.run(program).await?;
                let file = program::parse_read(&id, &output).map_err(|source| self.program(source))?;
                Ok(ReadFile { resolved: file.resolved, bytes: file.bytes })
            }
            Way::Sftp => super::sftp::read(self.session, path).await,
        }
    }

    /// Writes one file, if it still holds the expected bytes.
    ///
    /// # Errors
    ///
    /// In every case but those of [`FileError::is_unanswered`] the file holds what it held, or what somebody else wrote.
    pub async fn write(&self, path: &str, expected: &[u8], new: &[u8]) -> Result<Written, FileError> {
        match self.reach.way {
            Way::Shell => {
                let id = request_id();
                let deadline_seconds = u32::try_from(self.reach.deadline.as_secs().max(1)).unwrap_or(u32::MAX);
                let write = Write { path, expected, new, deadline_seconds, mark: &self.reach.mark };
                let program = program::write(&id, &write).map_err(|source| self.program(source))?;
                let output = self.run(program).await?;
                program::parse_write(&id, &output).map_err(|source| self.not_written(path, source))
            }
            Way::Sftp => super::sftp::write(self.session, path, expected, new, &self.reach.mark).await,
        }
    }

    /// Makes the file and its directory where they are missing.
    ///
    /// # Errors
    ///
    /// No connection, or no right to make them.
    pub async fn install(&self, path: &str) -> Result<Installed, FileError> {
        match self.reach.way {
            Way::Shell => {
                let id = request_id();
                let program = program::install(&id, path).map_err(|source| self.program(source))?;
                let output = self.run(program).await?;
                program::parse_install(&id, path, &output).map_err(|source| self.program(source))
            }
            Way::Sftp => super::sftp::install(self.session, path).await,
        }
    }

    /// Removes the temporary files that a power cut left beside these files.
    ///
    /// # Errors
    ///
    /// No connection.
    pub async fn clean(&self, files: &[FileState]) -> Result<usize, FileError> {
        let mut directories: Vec<String> =
            files.iter().filter_map(|file| Some(file.path.rsplit_once('/')?.0.to_owned())).collect();
        directories.sort();
        directories.dedup();
        match self.reach.way {
            Way::Shell => {
                let id = request_id();
                let program =
                    program::clean(&id, &directories, &self.reach.mark).map_err(|source| self.program(source))?;
                let output = self.run(program).await?;
                let cleaned = program::parse_clean(&id, &output).map_err(|source| self.program(source))?;
                Ok(cleaned.len())
            }
            Way::Sftp => super::sftp::clean(self.session, &directories, &self.reach.mark).await,
        }
    }

    async fn run(&self, program: Program) -> Result<Vec<u8>, FileError> {
        let device = || self.session.target().name.clone();
        let program = program::elevate(program, &self.reach.elevation)
            .map_err(|source| FileError::NotElevated { device: device(), source })?;
        match self.session.run(&program, self.reach.password.clone()).await? {
            Ran::Answered(output) => Ok(output),
            Ran::NotElevated(source) => Err(FileError::NotElevated { device: device(), source }),
        }
    }

    fn program(&self, source: ProgramError) -> FileError {
        FileError::Program { device: self.session.target().name.clone(), source }
    }

    fn not_written(&self, path: &str, source: WriteError) -> FileError {
        FileError::Write { device: self.session.target().name.clone(), path: path.to_owned(), source }
    }
}

/// A name for one request, with which its answer is told from noise and from another request's.
fn request_id() -> String {
    hex::encode(rand::random::<[u8; 6]>())
}
