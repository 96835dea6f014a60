//! Reading one file.

use super::answer::Answer;
use super::file::DESCRIBE;
use super::{Checksum, FileKind, FileState, Program, ProgramError};

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path after all links; the one to write.
    pub resolved: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The SHA-256 of its bytes.
    pub checksum: Checksum,
    /// What else was found.
    pub state: FileState,
}

/// Makes the program that reads one file; `~` and relative paths start at the account's home.
///
/// # Errors
/// A path with a line break.
pub fn read(id: &str, path: &str) -> Result<Program, ProgramError> {
    Program::with_paths(id, &format!("{DESCRIBE}F \"$1\""), &[path.to_owned()])
}

/// Understands the answer of [`read`].
///
/// # Errors
/// No or an incomplete answer; a file that is missing, not regular, not readable, too large, or was written meanwhile.
pub fn parse_read(id: &str, stdout: &[u8]) -> Result<File, ProgramError> {
    let mut answer = Answer::new(id, stdout);
    let mut answered = false;
    while let Some(frame) = answer.next() {
        answered = true;
        if frame.word != "file" {
            continue;
        }
        let state = FileState::parse(frame.text()?, &mut answer)?;
        let path = state.path.clone();
        return match (state.kind, &state.content) {
            (FileKind::Missing | FileKind::NoDirectory, _) => Err(ProgramError::Missing { path }),
            (FileKind::Other | FileKind::UnfollowedLink, _) => Err(ProgramError::NotRegular { path }),
            (FileKind::Regular, _) if state.too_large => Err(ProgramError::TooLarge { path }),
            (FileKind::Regular, None) => Err(ProgramError::Unreadable { path }),
            (FileKind::Regular, Some(bytes)) => {
                let bytes = bytes.clone();
                Ok(File { resolved: path, checksum: Checksum::sha256(&bytes), bytes, state })
            }
        };
    }
    Err(if answered { ProgramError::Incomplete { missing: "the file" } } else { ProgramError::NoAnswer })
}
