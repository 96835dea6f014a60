//! The SQLite file of a data directory: opening, migrating, reading and writing.
//!
//! What it must not do is lose a row: write-ahead log with `synchronous=FULL`, a copy of the file before each migration,
//! and a refusal of whatever it can't be sure of (a network file system, a newer version, a damaged file).

pub(crate) mod column;
mod copy;
mod error;
mod file_system;
mod open;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(crate) use self::copy::{close_copy, open_copy};
pub use self::error::DatabaseError;
use crate::clock::Clock;

/// An open database. Clones share one connection.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Mutex<Connection>,
    dir: PathBuf,
    /// Another one only after a backup was restored into this directory.
    vault_id: Mutex<Arc<str>>,
}

impl Database {
    /// The name of the file in a data directory.
    pub const FILE_NAME: &str = "keywheel.db";

    /// Opens the database of a data directory, and makes both where they don't exist.
    ///
    /// The directory gets mode 0700 and the files 0600, because diffs and device names are nobody else's business.
    ///
    /// # Errors
    /// A directory that others can enter and that holds other things, a network file system, a file that is newer,
    /// damaged, locked or not ours, a full disk.
    pub fn open(dir: &Path, clock: &dyn Clock) -> Result<Self, DatabaseError> {
        Self::open_at_version(dir, clock, schema::MIGRATIONS)
    }

    fn open_at_version(dir: &Path, clock: &dyn Clock, migrations: &[&[&str]]) -> Result<Self, DatabaseError> {
        let (connection, vault_id) = open::open(dir, clock, migrations)?;
        let vault_id = Mutex::new(vault_id.into());
        Ok(Self { shared: Arc::new(Shared { connection: Mutex::new(connection), dir: dir.to_owned(), vault_id }) })
    }

    /// The random identity of this data directory, 32 hexadecimal digits, with which its keyring items begin.
    pub fn vault_id(&self) -> Arc<str> {
        Arc::clone(&self.shared.vault_id.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Reads in one transaction, so that several queries see the same state.
    ///
    /// It blocks; async code takes [`Database::run_read`].
    ///
    /// # Errors
    /// What `work` answers, or the database's own failure.
    pub fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(DatabaseError::from)?;
        work(&transaction)
    }

    /// Writes in one transaction (`BEGIN IMMEDIATE`), which is taken back whole when `work` answers an error.
    ///
    /// When it returns, the change is on the disk. It blocks; async code takes [`Database::run_write`].
    ///
    /// # Errors
    /// What `work` answers, or the database's own failure.
    pub fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        let mut connection = self.connection();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(DatabaseError::from)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(DatabaseError::from)?;
        Ok(done)
    }

    /// [`Database::read`] on a thread that may block.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn run_read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        self.run(move |database| database.read(work)).await
    }

    /// [`Database::write`] on a thread that may block. It runs to its end even when the future is dropped.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn run_write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        self.run(move |database| database.write(work)).await
    }

    /// Runs several reads and writes, each a transaction of its own, on a thread that may block.
    pub(crate) async fn run<T, E>(&self, work: impl FnOnce(&Self) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let database = self.clone();
        match tokio::task::spawn_blocking(move || work(&database)).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(DatabaseError::Stopped.into()),
            },
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back while unwinding: the connection is as good as before.
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}
