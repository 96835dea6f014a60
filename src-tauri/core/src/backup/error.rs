//! What can go wrong with a backup.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Class, Explain};
use crate::private_file::PrivateFileError;
use crate::vault::ItemName;

use super::LEAST_PASSPHRASE;

/// Why a backup was not made, not opened or not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The passphrase for a new backup is too easy to guess.
    #[error("The passphrase is shorter than {least} characters.")]
    ShortPassphrase {
        /// How long it must be.
        least: usize,
    },
    /// A text is not the public half of an age key.
    #[error("\"{}\" is not a recipient of age.", text.escape_debug())]
    NotARecipient {
        /// The text.
        text: String,
    },
    /// A file holds no age key.
    #[error("The file holds no identity of age.")]
    NoIdentity,
    /// A path can't be where backups are kept.
    #[error("The file {} can't be written there, because its folder is not known.", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
    /// Another process makes or restores a backup.
    #[error("Another backup of this vault is being made or restored.")]
    Busy,
    /// The database could not be copied.
    #[error("The database could not be copied for the backup: {source}.")]
    Copy {
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file for the backup could not be written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// What was read back is not what was written.
    #[error("The backup {} was read back and is not what was written.", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be read.
    #[error("The backup {} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is none of ours.
    #[error("The file {} is no backup of Keywheel.", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged or cut.
    #[error("The backup {} is damaged or not whole.", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer Keywheel made it.
    #[error("The backup {} was made by a newer version of Keywheel.", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("The passphrase does not open the backup {}.", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The file is for a passphrase, and none was given.
    #[error("The backup {} opens with a passphrase.", path.display())]
    NeedsPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The file is for recipients, and no identity was given.
    #[error("The backup {} opens with an identity of age, not with a passphrase.", path.display())]
    NeedsIdentity {
        /// The file.
        path: PathBuf,
    },
    /// None of the identities opens it.
    #[error("None of the identities opens the backup {}.", path.display())]
    OtherIdentity {
        /// The file.
        path: PathBuf,
    },
    /// To open it would take more memory and time than any backup of ours.
    #[error("The backup {} asks for 2^{work} steps to open it, more than any backup of Keywheel.", path.display())]
    TooMuchWork {
        /// The file.
        path: PathBuf,
        /// The logarithm of the steps.
        work: u8,
    },
    /// The data directory has things of another vault.
    #[error("The backup {} is of another vault than this data directory.", path.display())]
    OtherVault {
        /// The file.
        path: PathBuf,
    },
    /// The keyring has another secret under a name of the backup.
    #[error("The keyring holds another secret than the backup for version {version} of \"{credential}\" ({item}).")]
    SecretDiffers {
        /// The credential's name.
        credential: String,
        /// Its version.
        version: u32,
        /// The keyring item.
        item: ItemName,
    },
    /// What the preview said holds no longer.
    #[error("The data directory has changed since the preview.")]
    Changed,
}

impl BackupError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // What age answers to bytes that it can't trust.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Damaged { path: path.to_owned() },
            _ => Self::Unreadable { path: path.to_owned(), source },
        }
    }
}

impl Explain for BackupError {
    crate::sentences! {
        ShortPassphrase { least } => "passphrase-short",
        NotARecipient { text = text.escape_debug() } => "bad-recipient",
        NoIdentity => "no-identity",
        NoFolder { path = path.display() } => "backup-no-folder",
        Busy => "backup-busy",
        Copy { source } => "backup-not-copied",
        ReadBack { path = path.display() } => "backup-not-read-back",
        Unreadable { path = path.display(), source } => "backup-unreadable",
        NotABackup { path = path.display() } => "not-a-backup",
        Damaged { path = path.display() } => "backup-damaged",
        Newer { path = path.display() } => "backup-newer",
        WrongPassphrase { path = path.display() } => "wrong-passphrase" as "backup-wrong-passphrase",
        NeedsPassphrase { path = path.display() } => "passphrase-needed" as "backup-needs-passphrase",
        NeedsIdentity { path = path.display() } => "identity-needed",
        OtherIdentity { path = path.display() } => "other-identity",
        TooMuchWork { path = path.display(), work } => "backup-too-much-work",
        OtherVault { path = path.display() } => "other-vault",
        SecretDiffers { credential, version, item } => "keyring-item-differs",
        Changed => "restore-changed",
        ; through File(PrivateFileError)
    }

    fn hint(&self) -> String {
        match self {
            Self::ShortPassphrase { .. } => format!(
                "Choose at least {LEAST_PASSPHRASE} characters, better four or five random words: whoever has the file can \
                 try passphrases for years."
            ),
            Self::NotARecipient { .. } => {
                "A recipient begins with \"age1\"; \"age-keygen\" prints it beside the identity that it makes.".to_owned()
            }
            Self::NoIdentity => {
                "Give the file that \"age-keygen\" wrote; its identity begins with \"AGE-SECRET-KEY-1\".".to_owned()
            }
            Self::NoFolder { .. } => "Give the whole path of a file that is not there yet.".to_owned(),
            Self::Busy => "Wait until it is done, and try again.".to_owned(),
            Self::Copy { .. } => {
                "Make room on the disk that holds the data directory, and try again; nothing was changed.".to_owned()
            }
            Self::File(error) => error.hint(),
            Self::ReadBack { .. } => {
                "The file was removed. Write the backup to another disk, and don't trust this one.".to_owned()
            }
            Self::Unreadable { .. } => "Check the name, and that you may read it.".to_owned(),
            Self::NotABackup { .. } => {
                "Choose a file that \"keywheel backup create\" or the window has written.".to_owned()
            }
            Self::Damaged { .. } => "Nothing was restored. Take another copy of it, or an older backup.".to_owned(),
            Self::Newer { .. } => "Install the newer version of Keywheel, and restore with that.".to_owned(),
            Self::WrongPassphrase { .. } => "Try again; without the passphrase nobody can open it.".to_owned(),
            Self::NeedsPassphrase { .. } => "Give the passphrase that it was made with.".to_owned(),
            Self::NeedsIdentity { .. } => {
                "Give the file with the identity of one of its recipients, with --identity.".to_owned()
            }
            Self::OtherIdentity { .. } => "Give the identity of one of the recipients it was made for.".to_owned(),
            Self::TooMuchWork { .. } => {
                "Somebody else has made or changed this file; take another copy of the backup.".to_owned()
            }
            Self::OtherVault { .. } => {
                "Restore it into an empty data directory of its own, with --data-dir; then nothing of this one is touched."
                    .to_owned()
            }
            Self::SecretDiffers { .. } => {
                "Nothing was changed. Look in the keyring's own program at what wrote that item; Keywheel overwrites none."
                    .to_owned()
            }
            Self::Changed => "Open the backup again, and look at the new preview.".to_owned(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::File(error) => error.subject(),
            Self::SecretDiffers { credential, .. } => Some(credential.clone()),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::ShortPassphrase { .. } | Self::NotARecipient { .. } | Self::NoIdentity | Self::NoFolder { .. } => {
                Class::BadInput
            }
            _ => Class::NotDone,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::ShortPassphrase { .. } | Self::WrongPassphrase { .. } | Self::NeedsPassphrase { .. } => {
                Some("passphrase")
            }
            Self::NotARecipient { .. } => Some("recipient"),
            _ => None,
        }
    }
}
