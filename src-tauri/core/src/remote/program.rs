//! The shell way to a file: programs that travel in an exec request, and what they answer.
//!
//! A program is one line, `sh -c '…' kw ID`, whose quoted text holds neither `'`, `!`, backslash nor newline: bash, dash,
//! zsh, fish, csh, tcsh, ash and rbash pass such a text on unchanged. Its standard input carries data and never a script;
//! its answer is framed by lines that begin with `KW-ID`, and everything else is noise of start-up files. This module knows
//! no SSH: it makes the request and its input, and understands the bytes that come back.

use crate::error::{Class, Explain};

mod answer;
mod checksum;
mod conversation;
mod elevate;
mod file;
mod install;
mod probe;
mod read;
mod write;

pub use checksum::Checksum;
pub use conversation::{Conversation, Say, Stream};
pub use elevate::{Elevation, ElevationError, elevate};
pub use file::{AttributeSign, DirectoryState, FileKind, FileState, Identity, Mode};
pub use install::{Cleaned, Installed, clean, install, parse_clean, parse_install};
pub use probe::{ConfigurationFile, Probe, Tool, parse_probe, probe};
pub use read::{File, parse_read, read};
pub use write::{Write, WriteError, Written, parse_write, waiting_write, write};

/// Whether a program's input may be sent at once or only after its framed "ready".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// The program reads nothing.
    NoInput,
    /// The input is sent after the line `KW-ID ready`: a start-up file that reads standard input would behead it otherwise.
    Awaited,
}

/// A program for the far side: the exec request's line and the bytes for its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    id: String,
    script: String,
    arguments: Vec<String>,
    command: String,
    input: Vec<u8>,
    ready: Ready,
    mark: Option<String>,
}

impl Program {
    /// The line of the exec request.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The bytes for standard input, which is closed after them.
    pub fn input(&self) -> &[u8] {
        &self.input
    }

    /// When the input may be sent.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// The request's name, with which each line of the answer begins.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The prompt at which sudo's password is sent, where one is needed.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    fn new(id: &str, body: &str, arguments: Vec<String>, input: Vec<u8>, ready: Ready) -> Self {
        let id = plain_name(id);
        let script = format!("{PRELUDE}{body}");
        debug_assert!(travels(&script), "a program's text must pass every login shell unchanged");
        let command = line("sh -c", &script, &id, &arguments);
        Self { id, script, arguments, command, input, ready, mark: None }
    }

    /// A program that is told paths: as arguments where every shell passes them on unchanged, else as lines of input.
    fn with_paths(id: &str, body: &str, paths: &[String]) -> Result<Self, ProgramError> {
        if let Some(path) = paths.iter().find(|path| path.contains(['\n', '\r', '\0'])) {
            return Err(ProgramError::PathNotOneLine { path: path.clone() });
        }
        let body = format!("{PATHS}{body}");
        if paths.iter().all(|path| travels(path)) {
            return Ok(Self::new(id, &body, paths.to_vec(), Vec::new(), Ready::NoInput));
        }
        let mut input = Vec::new();
        for path in paths {
            input.extend_from_slice(path.as_bytes());
            input.push(b'\n');
        }
        Ok(Self::new(id, &body, Vec::new(), input, Ready::Awaited))
    }
}

/// What every program begins with: a known environment, and `p`, which prints one framed line.
///
/// The system's folders come first, so that a wrapper in the account's own folder is not mistaken for the utility.
/// The empty line ends what a start-up file may have printed without a newline.
const PRELUDE: &str = "U=$(umask);umask 077;set -f;LC_ALL=C;\
    PATH=/usr/xpg4/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin${PATH:+:$PATH};export LC_ALL PATH;i=$1;shift;\
    N=$(echo;echo x);N=${N%x};p(){ printf \"%s$N\" \"KW-$i $*\";};echo;p ready;";

/// Takes paths from the arguments, or from standard input where there are none.
const PATHS: &str = "if [ $# = 0 ];then while IFS= read -r f;do set -- \"$@\" \"$f\";done;fi;";

/// Whether a text stands unchanged between single quotes in every login shell.
fn travels(text: &str) -> bool {
    !text.chars().any(|character| matches!(character, '\'' | '!' | '\\') || character.is_control())
}

/// Only letters, digits and hyphens, so that a name needs no quotes and no pattern matches it by accident.
pub(super) fn plain_name(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
}

fn line(runner: &str, script: &str, id: &str, arguments: &[String]) -> String {
    let mut line = format!("{runner} '{script}' kw {id}");
    for argument in arguments {
        line.push_str(" '");
        line.push_str(argument);
        line.push('\'');
    }
    line
}

/// Why a program could not be made or its answer not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// No framed line came back: the account has no usable shell, or the connection ended first.
    #[error("The program on the device gave no answer.")]
    NoAnswer,
    /// The framed answer ended before it was complete.
    #[error("The answer of the program on the device is incomplete: {missing} is missing.")]
    Incomplete {
        /// What the answer lacks.
        missing: &'static str,
    },
    /// A part of the answer can't be understood.
    #[error("The answer of the program on the device can't be understood at {part}.")]
    Malformed {
        /// The part.
        part: &'static str,
    },
    /// Somebody wrote the file while it was read.
    #[error("The file {path} changed while it was read.")]
    ChangedWhileReading {
        /// The file.
        path: String,
    },
    /// The path holds a line break or a NUL byte.
    #[error("The path {path:?} holds a line break.")]
    PathNotOneLine {
        /// The path.
        path: String,
    },
    /// There is no such file.
    #[error("The file {path} does not exist.")]
    Missing {
        /// The file.
        path: String,
    },
    /// The path leads to something other than a regular file.
    #[error("The path {path} is not a regular file.")]
    NotRegular {
        /// The file.
        path: String,
    },
    /// The account may not read the file.
    #[error("The file {path} can't be read by the account.")]
    Unreadable {
        /// The file.
        path: String,
    },
    /// The file is larger than any file of keys.
    #[error("The file {path} is larger than 16 MiB.")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The directory could not be made, or the file not be created.
    #[error("The file {path} could not be created: {reason}.")]
    NotCreated {
        /// The file.
        path: String,
        /// The utility's own words.
        reason: String,
    },
}

impl Explain for ProgramError {
    crate::sentences! {
        NoAnswer => "shell-unusable",
        Incomplete { missing } => "answer-incomplete",
        Malformed { part } => "answer-malformed",
        ChangedWhileReading { path } => "changed-by-someone-else",
        PathNotOneLine { path = format!("{path:?}") } => "path-not-one-line",
        Missing { path } => "file-missing",
        NotRegular { path } => "not-a-regular-file",
        Unreadable { path } => "file-unreadable",
        TooLarge { path } => "file-too-large",
        NotCreated { path, reason } => "file-not-created",
    }

    fn hint(&self) -> String {
        match self {
            Self::NoAnswer => "Check that the account has a shell and that no forced command stands in the way.",
            Self::Incomplete { .. } | Self::Malformed { .. } => {
                "Try again; if it stays, check what the account's start-up files print."
            }
            Self::ChangedWhileReading { .. } => "Try again when nobody else writes the file.",
            Self::PathNotOneLine { .. } => "Give a path without line breaks.",
            Self::Missing { .. } => "Use Install key on devices first, or set the path of the device.",
            Self::NotRegular { .. } => "Set the path of the device to the file itself.",
            Self::Unreadable { .. } => {
                "Give the account the right to read the file, or authenticate with another credential."
            }
            Self::TooLarge { .. } => "Check that the path of the device leads to a file of keys.",
            Self::NotCreated { .. } => "Check the rights on the account's home and the space left on the device.",
        }
        .to_owned()
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::ChangedWhileReading { path }
            | Self::PathNotOneLine { path }
            | Self::Missing { path }
            | Self::NotRegular { path }
            | Self::Unreadable { path }
            | Self::TooLarge { path }
            | Self::NotCreated { path, .. } => Some(path.clone()),
            Self::NoAnswer | Self::Incomplete { .. } | Self::Malformed { .. } => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::PathNotOneLine { .. } => Class::BadInput,
            _ => Class::NotDone,
        }
    }
}

// The tests run real shells.
#[cfg(test)]
#[cfg(unix)]
mod tests;
