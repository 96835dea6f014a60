use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::error::{Class, Explain};

/// What can be wrong with the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The data directory could not be made or read.
    #[error("The data directory {} can't be used: {source}.", dir.display())]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Others may enter the directory, and it holds things that are not ours, so its mode is not ours to change.
    #[error("The folder {} holds other files and can be entered by other users.", dir.display())]
    Open {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory belongs to another user.
    #[error("The data directory {} belongs to another user.", dir.display())]
    Foreign {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory lies on a network file system.
    #[error("The data directory {} lies on a network file system ({kind}).", dir.display())]
    Network {
        /// The data directory.
        dir: PathBuf,
        /// The kind of the file system.
        kind: String,
    },
    /// A newer Keywheel has changed the database.
    #[error("The database {} was made by a newer version of Keywheel (database version {found}, this one knows {known}).", file.display())]
    Newer {
        /// The database file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
        /// The copy made before the newer version changed it, if it is still there.
        copy: Option<PathBuf>,
    },
    /// The file is no database of Keywheel's.
    #[error("The file {} is a database of another program.", file.display())]
    NotOurs {
        /// The file.
        file: PathBuf,
    },
    /// The file is damaged, or no SQLite file, or holds a value that can't be.
    #[error("The database is damaged: {source}.")]
    Damaged {
        /// What SQLite answered.
        source: rusqlite::Error,
    },
    /// Another process holds the database.
    #[error("The database is locked by another process.")]
    Locked,
    /// The disk is full.
    #[error("The disk that holds the database is full.")]
    DiskFull {
        /// What SQLite answered.
        source: rusqlite::Error,
    },
    /// The copy that must be made before a migration could not be made.
    #[error("The copy {} of the database could not be made, so it was not brought to the new version: {source}.", copy.display())]
    Copy {
        /// The copy.
        copy: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Bringing the database to this program's version failed; it is as before.
    #[error("The database {} could not be brought to this version: {source}.", file.display())]
    Migration {
        /// The database file.
        file: PathBuf,
        /// What went wrong.
        source: rusqlite_migration::Error,
    },
    /// The write-ahead log can't be used there.
    #[error("The database {} can't use a write-ahead log.", file.display())]
    NoWal {
        /// The database file.
        file: PathBuf,
    },
    /// The program ends.
    #[error("The database was not asked, because the program is ending.")]
    Stopped,
    /// Anything else that SQLite answers.
    #[error("The database failed: {source}.")]
    Sqlite {
        /// What SQLite answered.
        source: rusqlite::Error,
    },
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(source: rusqlite::Error) -> Self {
        match &source {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged { source },
            _ => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
                Some(ErrorCode::DiskFull) => Self::DiskFull { source },
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { source },
                _ => Self::Sqlite { source },
            },
        }
    }
}

impl Explain for DatabaseError {
    crate::sentences! {
        Directory { dir = dir.display(), source } => "data-dir-unusable",
        Open { dir = dir.display() } => "data-dir-open",
        Foreign { dir = dir.display() } => "data-dir-foreign",
        Network { dir = dir.display(), kind } => "data-dir-on-network",
        Newer { file = file.display(), found, known, copy = copy_name(copy.as_deref()) } => "database-newer",
        NotOurs { file = file.display() } => "database-not-ours",
        Damaged { source } => "database-damaged",
        Locked => "database-locked",
        DiskFull => "disk-full",
        Copy { copy = copy.display(), source } => "database-copy-failed",
        Migration { file = file.display(), source } => "database-migration-failed",
        NoWal { file = file.display() } => "database-no-wal",
        Stopped => "program-ending",
        Sqlite { source } => "database-failed",
    }

    fn hint(&self) -> String {
        match self {
            Self::Directory { .. } => "Make the folder writable for you, or choose another with --data-dir.".to_owned(),
            Self::Open { dir } => {
                format!("Choose a folder of its own with --data-dir, or run: chmod 700 '{}'.", dir.display())
            }
            Self::Foreign { .. } => "Run Keywheel as that user, or choose another folder with --data-dir.".to_owned(),
            Self::Network { .. } => {
                "Choose a folder on a disk of this machine with --data-dir, because locks do not hold over a network."
                    .to_owned()
            }
            Self::Newer { copy: Some(copy), .. } => {
                format!("Install the newer version again; the copy made before the change is {}.", copy.display())
            }
            Self::Newer { copy: None, .. } => {
                "Install the newer version again; no copy from before the change was found beside it.".to_owned()
            }
            Self::NotOurs { .. } => "Choose another folder with --data-dir.".to_owned(),
            Self::Damaged { .. } => {
                "Stop Keywheel, keep the file as it is, and put a backup in its place; the keys in the keyring are \
                 untouched."
                    .to_owned()
            }
            Self::Locked => "Close the other Keywheel, or wait until its work is done, and try again.".to_owned(),
            Self::DiskFull { .. } => {
                "Make room on the disk and try again; nothing of this step was written.".to_owned()
            }
            Self::Copy { .. } | Self::Migration { .. } => {
                "Make sure that the disk has room, and try again; the database is as it was.".to_owned()
            }
            Self::NoWal { .. } => "Choose a folder on an ordinary disk of this machine with --data-dir.".to_owned(),
            Self::Stopped => "Start Keywheel again.".to_owned(),
            Self::Sqlite { .. } => "Try again; if it stays so, copy the details and report them.".to_owned(),
        }
    }

    fn class(&self) -> Class {
        Class::Unusable
    }
}

/// The copy's path, or `none`, which no path is that we make.
fn copy_name(copy: Option<&Path>) -> String {
    copy.map_or_else(|| "none".to_owned(), |copy| copy.display().to_string())
}
