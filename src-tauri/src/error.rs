//! What can go wrong in the window's shell itself.

use std::io;
use std::path::PathBuf;

use keywheel_core::error::{Class, Explain, Report};
use keywheel_core::key::KeyError;

/// Why the shell can't do what the window asks for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DeskError {
    /// The environment names no home.
    #[error("It is not known where the database lies, because this account has no home folder.")]
    NoDataDir,
    /// A draft was saved, dropped, or pushed out by newer ones.
    #[error("The key or file that was chosen is no longer in memory.")]
    DraftGone,
    /// A draft is of another kind than what is asked of it.
    #[error("What was chosen can't be used for this.")]
    DraftUnfit,
    /// A file can't be read.
    #[error("The file {} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("The file {} is too large: more than {most} bytes.", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most.
        most: u64,
    },
    /// A chosen file holds no key that can be used.
    #[error("{}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// What the clipboard holds is no key that can be used.
    #[error("The clipboard's text can't be used: {source}")]
    Pasted {
        /// Why not.
        source: KeyError,
    },
    /// The clipboard can't be used.
    #[error("The clipboard can't be used: {source}.")]
    Clipboard {
        /// What the system answered.
        source: arboard::Error,
    },
    /// The clipboard holds no text.
    #[error("The clipboard holds no text.")]
    NothingToPaste,
    /// A key that is to be pinned is not among those that were just shown.
    #[error("The host key {fingerprint} was not offered in the last scan.")]
    NotOffered {
        /// The key.
        fingerprint: String,
    },
    /// A new credential needs what the form lets stay empty.
    #[error("{what} is missing.")]
    Missing {
        /// The field's label.
        what: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The name that was typed to confirm is another one.
    #[error("What was typed is not the name of the credential \"{credential}\".")]
    NotConfirmed {
        /// The credential.
        credential: String,
    },
    /// A change that this process does not run can't be stopped by it.
    #[error("Change {id} does not run in this window.")]
    NotHere {
        /// The change.
        id: i64,
    },
    /// Work of our own ended by a bug.
    #[error("The program failed in a way that it does not know.")]
    Broken,
    /// The system does not take the entry for the start at login.
    #[error("Start at login can't be set: {source}.")]
    StartAtLogin {
        /// What the system answered.
        source: tauri_plugin_autostart::Error,
    },
}

impl Explain for DeskError {
    keywheel_core::sentences! {
        NoDataDir => "no-data-dir",
        DraftGone => "draft-gone",
        DraftUnfit => "draft-unfit",
        Unreadable { path = path.display(), source } => "file-unreadable" as "chosen-file-unreadable",
        TooLarge { path = path.display(), most } => "file-too-large" as "chosen-file-too-large",
        Clipboard { source } => "clipboard-failed",
        NothingToPaste => "clipboard-empty",
        NotOffered { fingerprint } => "host-key-not-offered",
        Missing { field } => "field-missing",
        NotConfirmed { credential } => "not-confirmed",
        NotHere { id } => "change-not-here",
        Broken => "program-failed",
        StartAtLogin { source } => "start-at-login-failed";
        around KeyFile(source: KeyError) { path = path.display() } as "chosen-key-file", Pasted(source: KeyError) {} as "pasted-key"
    }

    fn hint(&self) -> String {
        match self {
            Self::NoDataDir => "Start Keywheel with --data-dir and a folder.".to_owned(),
            Self::DraftGone | Self::DraftUnfit => "Choose it again.".to_owned(),
            Self::Unreadable { .. } => "Choose a file that you may read.".to_owned(),
            Self::TooLarge { .. } => "Choose another file.".to_owned(),
            Self::KeyFile { source, .. } | Self::Pasted { source } => source.hint(),
            Self::Clipboard { .. } => "Save the key as a file, and import the file.".to_owned(),
            Self::NothingToPaste => "Copy the whole private key, and paste again.".to_owned(),
            Self::NotOffered { .. } => "Scan the device again, and compare the fingerprint.".to_owned(),
            Self::Missing { .. } => "Fill it in, and save again.".to_owned(),
            Self::NotConfirmed { .. } => "Type the name exactly as it is shown.".to_owned(),
            Self::NotHere { .. } => "Stop it where it was started.".to_owned(),
            Self::Broken => "See the change's page for what is where, and report this as a bug.".to_owned(),
            Self::StartAtLogin { .. } => "Add Keywheel to what starts at login in the system's settings.".to_owned(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Unreadable { path, .. } | Self::TooLarge { path, .. } | Self::KeyFile { path, .. } => {
                Some(path.display().to_string())
            }
            Self::NotConfirmed { credential } => Some(credential.clone()),
            _ => None,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing { field, .. } => Some(field),
            Self::KeyFile { source, .. } | Self::Pasted { source } => source.field(),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoDataDir => Class::Unusable,
            Self::KeyFile { source, .. } | Self::Pasted { source } => source.class(),
            Self::Clipboard { .. } | Self::Broken | Self::StartAtLogin { .. } => Class::NotDone,
            _ => Class::BadInput,
        }
    }
}

/// What a command answers: its result, or the error in the shape that the window shows.
pub(crate) type Answer<T> = Result<T, Report>;

/// Puts an error into the shape that the window shows.
pub(crate) fn report(error: impl Explain) -> Report {
    Report::of(&error)
}
