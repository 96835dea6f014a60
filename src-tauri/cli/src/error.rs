//! What this shell refuses by itself, and how a command ends: the one place that knows the exit statuses.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use keywheel_core::Error;
use keywheel_core::error::{Class, Explain, Report, Sentences};
use keywheel_core::key::{Fingerprint, KeyError};
use keywheel_core::rotation::decide::Outcome;

/// How a command ends (cli.md, "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did what was asked.
    Done,
    /// It did not, and nothing is changed, or all was rolled back.
    NotDone,
    /// The arguments or what they name can't be used.
    BadInput,
    /// Some devices changed, some did not.
    Partly,
    /// It was broken off, and can be resumed.
    Interrupted,
    /// The vault can't be used, and nothing was begun.
    Unusable,
}

impl Ending {
    /// The exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotDone => 1,
            Self::BadInput => 2,
            Self::Partly => 3,
            Self::Interrupted => 4,
            Self::Unusable => 5,
        }
    }

    /// How an operation ends that answered this error.
    pub(crate) fn of(error: &dyn Explain) -> Self {
        match error.class() {
            Class::BadInput => Self::BadInput,
            Class::NotDone => Self::NotDone,
            Class::Unusable => Self::Unusable,
            Class::Interrupted => Self::Interrupted,
        }
    }

    /// How a change ends that came to this.
    pub(crate) fn of_outcome(outcome: Outcome, asked: Asked) -> Self {
        match (outcome, asked) {
            (Outcome::Changed, Asked::Change) | (Outcome::RolledBack, Asked::RollBack) => Self::Done,
            (Outcome::RolledBack, Asked::Change) | (Outcome::Failed, _) => Self::NotDone,
            (Outcome::PartlyChanged | Outcome::Changed, _) => Self::Partly,
            (Outcome::Interrupted, _) => Self::Interrupted,
        }
    }

    /// How several changes end together: what is left on devices decides.
    pub(crate) fn together(endings: &[Self]) -> Self {
        match endings {
            [] => Self::Done,
            _ if endings.contains(&Self::Interrupted) => Self::Interrupted,
            [first, others @ ..] if others.iter().all(|other| other == first) => *first,
            _ => Self::Partly,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        ending.status().into()
    }
}

/// What a change was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To change every device.
    Change,
    /// To put every device back.
    RollBack,
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The core's answer.
    #[error(transparent)]
    Core(Box<Error>),
    /// This shell's own.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

impl Failure {
    /// The error with its two sentences.
    pub(crate) fn explain(&self) -> &dyn Explain {
        match self {
            Self::Core(error) => error.as_ref(),
            Self::Shell(error) => error,
        }
    }

    /// How a command ends that failed so.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Shell(ShellError::ChangeEnded { ending, .. }) => *ending,
            _ => Ending::of(self.explain()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(Box::new(error))
    }
}

/// Lets `?` take any error of one of the core's modules.
macro_rules! from_modules {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Error::from(error).into()
            }
        })+
    };
}

from_modules! {
    keywheel_core::database::DatabaseError,
    keywheel_core::journal::JournalError,
    KeyError,
    keywheel_core::remote::RemoteError,
    keywheel_core::schedule::ScheduleError,
    keywheel_core::vault::VaultError,
}

/// What this shell refuses by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// The runtime could not be started.
    #[error("The program could not start its threads: {source}.")]
    Runtime {
        /// What the system answered.
        source: io::Error,
    },
    /// The environment names no home, and no data directory is given.
    #[error("It is not known where the database lies, because the environment names no home folder.")]
    NoDataDir,
    /// A question has nobody to answer it.
    #[error("A question needs an answer, and there is no terminal to ask it on: {question}")]
    Unanswered {
        /// The question.
        question: String,
        /// The options that answer it.
        answer: &'static str,
    },
    /// The person said no.
    #[error("Nothing was done, because the question was not answered with yes.")]
    Declined,
    /// The name that was typed is another.
    #[error("Nothing was done, because what was typed is not the name \"{name}\".")]
    OtherName {
        /// The name that was asked for.
        name: String,
    },
    /// A secret is needed, and is neither on standard input nor can it be asked for.
    #[error("{what} is needed, and there is no terminal to ask for it.")]
    NoSecret {
        /// What is needed, as the beginning of a sentence.
        what: String,
        /// The option that takes it.
        option: &'static str,
    },
    /// Two secrets that were typed differ.
    #[error("The two entries differ.")]
    EntriesDiffer,
    /// The secret on standard input can't be one.
    #[error("The secret on standard input is {problem}.")]
    BadSecret {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The terminal or standard input failed.
    #[error("Standard input can't be read: {source}.")]
    Input {
        /// What the system answered.
        source: io::Error,
    },
    /// What was to be shown could not be written.
    #[error("Standard output can't be written: {source}.")]
    Output {
        /// What the system answered.
        source: io::Error,
    },
    /// A file that was named can't be read.
    #[error("The file {} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file that was named is larger than anything of its kind.
    #[error("The file {} is larger than {most} bytes.", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// A file that was named is no usable key.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// Options that don't go together, or one that is missing.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// Nothing is to be edited.
    #[error("There is nothing to change about \"{name}\".")]
    NothingToEdit {
        /// The thing's name.
        name: String,
    },
    /// A device offers another key than the one that was named.
    #[error("The device \"{device}\" does not offer the host key {fingerprint}.")]
    NotOffered {
        /// The device.
        device: String,
        /// What was named.
        fingerprint: Fingerprint,
    },
    /// A device offers a host key where another one is pinned.
    #[error(
        "The device \"{device}\" shows a changed host key: {offered} instead of {}.",
        .pinned.iter().map(Fingerprint::to_string).collect::<Vec<_>>().join(", ")
    )]
    HostKeyChanged {
        /// The device.
        device: String,
        /// What it shows.
        offered: Fingerprint,
        /// What is pinned.
        pinned: Vec<Fingerprint>,
    },
    /// A change that another command needed did not do all.
    #[error("The key of \"{credential}\" was not taken off every device, so \"{credential}\" stays as it is.")]
    ChangeEnded {
        /// The credential.
        credential: String,
        /// How that change ended.
        ending: Ending,
    },
    /// Rows of a file were left out.
    #[error("{bad} of the rows of {} can't be used and were left out.", path.display())]
    BadRows {
        /// The file.
        path: PathBuf,
        /// How many.
        bad: usize,
    },
    /// The program does not find itself, or its data directory.
    #[error("The program can't tell where it lies: {source}.")]
    NoProgram {
        /// What the system answered.
        source: io::Error,
    },
    /// Something is due, and the keyring can't be used.
    #[error("What is due waits for the keyring: {reason}")]
    WaitsForKeyring {
        /// What is wrong with the keyring, as a sentence.
        reason: String,
    },
    /// A signal came before the change of a credential began.
    #[error("The key of \"{credential}\" was not changed, because a signal came before.")]
    NotBegun {
        /// The credential.
        credential: String,
    },
}

impl Explain for ShellError {
    fn code(&self) -> &'static str {
        match self {
            Self::Runtime { .. } => "no-threads",
            Self::NoDataDir => "no-data-dir",
            Self::Unanswered { .. } => "question-unanswered",
            Self::Declined | Self::OtherName { .. } => "declined",
            Self::NoSecret { .. } => "secret-missing",
            Self::EntriesDiffer | Self::BadSecret { .. } => "bad-secret",
            Self::Input { .. } => "input-failed",
            Self::Output { .. } => "output-failed",
            Self::Unreadable { .. } => "file-unreadable",
            Self::TooLarge { .. } => "file-too-large",
            Self::Key { source, .. } => source.code(),
            Self::Usage { .. } => "usage",
            Self::NothingToEdit { .. } => "nothing-to-edit",
            Self::NotOffered { .. } => "host-key-not-offered",
            Self::HostKeyChanged { .. } => "host-key-changed",
            Self::ChangeEnded { .. } => "key-stands",
            Self::BadRows { .. } => "csv-bad-row",
            Self::NotBegun { .. } => "interrupted",
            Self::WaitsForKeyring { .. } => "keyring-waited-for",
            Self::NoProgram { .. } => "program-unknown",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Runtime { .. } => "Free some memory or threads, and try again.".to_owned(),
            Self::NoDataDir => "Name the folder with --data-dir or KEYWHEEL_DATA_DIR.".to_owned(),
            Self::Unanswered { answer, .. } => format!("Answer it with {answer}."),
            Self::Declined | Self::OtherName { .. } => "Run the command again to be asked again.".to_owned(),
            Self::NoSecret { option, .. } => format!("Give it on standard input with {option}."),
            Self::EntriesDiffer => "Run the command again, and type the same twice.".to_owned(),
            Self::BadSecret { .. } => "Give it as one line of text in UTF-8.".to_owned(),
            Self::Input { .. } => "Run the command on a terminal, or give it its input through a pipe.".to_owned(),
            Self::Output { .. } => "What was done stays done; look at it with `list` or `show`.".to_owned(),
            Self::Unreadable { .. } => "Check its name and that you may read it.".to_owned(),
            Self::TooLarge { .. } => "Check that it is the right file.".to_owned(),
            Self::Key { source: KeyError::PassphraseNeeded, .. } => {
                "Give its passphrase on standard input with --passphrase-stdin, or run the command on a terminal."
                    .to_owned()
            }
            Self::Key { source, .. } => source.hint(),
            Self::Usage { hint, .. } => (*hint).to_owned(),
            Self::NothingToEdit { .. } => "Give at least one option with its new value; --help lists them.".to_owned(),
            Self::NotOffered { device, .. } => {
                format!("Look at what it offers with `keywheel device scan {device}`, and find out why it differs.")
            }
            Self::HostKeyChanged { device, offered, .. } => format!(
                "Find out why it changed; if it is right, pin it with `keywheel device trust {device} --fingerprint \
                 {offered}`."
            ),
            Self::ChangeEnded { .. } => {
                "See what is where with `keywheel change list`, or leave the key there with --leave-keys.".to_owned()
            }
            Self::BadRows { .. } => "Mend the rows named above, and import the file again.".to_owned(),
            Self::NotBegun { .. } => "Run the command again for it.".to_owned(),
            Self::NoProgram { .. } => "Start it by its full path, from a folder that exists.".to_owned(),
            Self::WaitsForKeyring { .. } => {
                "Unlock it, for example by logging in to the desktop; no attempt was made, so none counts.".to_owned()
            }
        }
    }

    /// A terminal has one language.
    fn sentences(_: &mut Sentences) {}

    fn subject(&self) -> Option<String> {
        match self {
            Self::OtherName { name } | Self::NothingToEdit { name } => Some(name.clone()),
            Self::Unreadable { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Key { path, .. }
            | Self::BadRows { path, .. } => Some(path.display().to_string()),
            Self::NotOffered { device, .. } | Self::HostKeyChanged { device, .. } => Some(device.clone()),
            Self::ChangeEnded { credential, .. } | Self::NotBegun { credential } => Some(credential.clone()),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoDataDir
            | Self::Unanswered { .. }
            | Self::NoSecret { .. }
            | Self::EntriesDiffer
            | Self::BadSecret { .. }
            | Self::Input { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Usage { .. }
            | Self::NothingToEdit { .. }
            | Self::BadRows { .. } => Class::BadInput,
            Self::Key { source, .. } => source.class(),
            Self::Runtime { .. }
            | Self::Declined
            | Self::OtherName { .. }
            | Self::Output { .. }
            | Self::NotOffered { .. }
            | Self::HostKeyChanged { .. }
            | Self::ChangeEnded { .. }
            | Self::NoProgram { .. }
            | Self::NotBegun { .. } => Class::NotDone,
            Self::WaitsForKeyring { .. } => Class::Unusable,
        }
    }
}

/// An error as the last line of `--json`.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ErrorLine {
    error: Report,
}

impl ErrorLine {
    pub(crate) fn of(error: &dyn Explain) -> Self {
        Self { error: Report::of(error) }
    }

    pub(crate) fn usage(message: String) -> Self {
        Self { error: Report::new("usage", message, "See what there is with --help.") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_change_has_its_exit_status() {
        for (outcome, change, roll_back) in [
            (Outcome::Changed, 0, 3),
            (Outcome::PartlyChanged, 3, 3),
            (Outcome::RolledBack, 1, 0),
            (Outcome::Failed, 1, 1),
            (Outcome::Interrupted, 4, 4),
        ] {
            assert_eq!(Ending::of_outcome(outcome, Asked::Change).status(), change, "{outcome} after a change");
            assert_eq!(Ending::of_outcome(outcome, Asked::RollBack).status(), roll_back, "{outcome} after a roll-back");
        }
    }

    #[test]
    fn several_changes_end_as_what_is_left_on_devices() {
        use Ending::{Done, Interrupted, NotDone, Partly, Unusable};
        for (endings, together) in [
            (&[Done, Done][..], 0),
            (&[NotDone, NotDone], 1),
            (&[Done, NotDone], 3),
            (&[NotDone, Done], 3),
            (&[Done, Partly], 3),
            (&[Done, Interrupted], 4),
            (&[Interrupted, NotDone, Partly], 4),
            (&[Unusable], 5),
            (&[Unusable, Unusable], 5),
            (&[Done, Unusable], 3),
            (&[NotDone, Unusable], 3),
        ] {
            assert_eq!(Ending::together(endings).status(), together, "{endings:?}");
        }
    }

    #[test]
    fn every_class_of_error_has_its_exit_status() {
        let key = |source| ShellError::Key { path: "key".into(), source };
        assert_eq!(Failure::from(key(KeyError::PuttyFile)).ending().status(), 2);
        assert_eq!(Failure::from(ShellError::Declined).ending().status(), 1);
        assert_eq!(Failure::from(keywheel_core::vault::VaultError::Locked).ending().status(), 5);
        assert_eq!(Failure::from(keywheel_core::database::DatabaseError::Locked).ending().status(), 5);
        let id = keywheel_core::journal::ChangeId(7);
        let source = Box::new(Error::Vault(keywheel_core::vault::VaultError::Locked));
        let interrupted = keywheel_core::rotation::RotationError::Interrupted { id, source };
        assert_eq!(Failure::from(Error::from(interrupted)).ending().status(), 4, "it was begun, and can be resumed");
        let busy = keywheel_core::lock::LockError::Busy { credential: "deploy".to_owned() };
        assert_eq!(Failure::from(Error::from(busy)).ending().status(), 1);
        let ended = ShellError::ChangeEnded { credential: "deploy".to_owned(), ending: Ending::Partly };
        assert_eq!(Failure::from(ended).ending().status(), 3);
    }
}
