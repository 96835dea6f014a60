//! Whole copies: out of a database, and back into one.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, Transaction};

use super::{Database, DatabaseError, open, schema};

/// Copies the whole database, as it is, to a file that takes its name only when it is complete and on the disk.
pub(super) fn whole(connection: &Connection, copy: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let part = copy.with_extension("part");
    let made = (|| {
        open::private_file(&part)?.set_len(0)?;
        let mut target = Connection::open_with_flags(&part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        Backup::new(connection, &mut target)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
        // The copy is one file: with a log beside it, half of it would be forgotten when it is moved.
        target.pragma_update(None, "journal_mode", "delete")?;
        target.close().map_err(|(_, error)| error)?;
        File::open(&part)?.sync_all()?;
        fs::rename(&part, copy)?;
        #[cfg(unix)]
        if let Some(dir) = copy.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    })();
    if made.is_err() {
        // What is left of a failed copy only takes room on a disk that may be full; the first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    made
}

/// Opens a copy that came from elsewhere: checks it, and brings it to this program's version.
///
/// # Errors
/// It is damaged, none of ours, or newer.
pub(crate) fn open_copy(file: &Path) -> Result<Connection, DatabaseError> {
    let mut connection = open::connect(file)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(DatabaseError::NotOurs { file: file.to_owned() });
    }
    open::migrate(&mut connection, file, schema::MIGRATIONS, None)?;
    Ok(connection)
}

/// Closes a copy so that all of it is in its one file.
///
/// # Errors
/// The database's own failure.
pub(crate) fn close_copy(connection: Connection) -> Result<(), DatabaseError> {
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.close().map_err(|(_, error)| error.into())
}

impl Database {
    /// Copies the whole database, as it is now, to a file with mode 0600.
    ///
    /// # Errors
    /// What the system or SQLite answers.
    pub(crate) fn copy_to(&self, copy: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        whole(&self.connection(), copy)
    }

    /// [`Database::write`] with a copy beside it, whose tables are called `restored.…`.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub(crate) fn write_beside<T, E>(
        &self,
        copy: &Path,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        let attach = |connection: &Connection| connection.execute("ATTACH ?1 AS restored", [copy.to_string_lossy()]);
        attach(&self.connection()).map_err(DatabaseError::from)?;
        let done = self.write(work);
        // A statement that is kept for later may hold the copy; it is only read, so it does no harm to let it go.
        self.connection().flush_prepared_statement_cache();
        let detached = self.connection().execute_batch("DETACH restored");
        let done = done?;
        detached.map_err(DatabaseError::from)?;
        Ok(done)
    }

    /// Puts the content of a closed copy in the place of all that is here, in one transaction; from then on this is that
    /// vault. `may` is asked before, when nobody else can write any more.
    ///
    /// # Errors
    /// Another process or another handle of this one has the database open; what `may` answers; the database's own failure.
    pub(crate) fn replace_with<E>(&self, copy: &Path, may: impl FnOnce(&Connection) -> Result<(), E>) -> Result<(), E>
    where
        E: From<DatabaseError>,
    {
        let mut connection = self.connection();
        let done = alone(&connection).map_err(E::from).and_then(|()| {
            may(&connection)?;
            Ok(put(&mut connection, copy)?)
        });
        // Also after a failure: the next process must be let in.
        let shared = shared(&connection).map_err(E::from);
        done.and(shared)?;
        let id: String =
            connection.query_row("SELECT id FROM vault", [], |row| row.get(0)).map_err(DatabaseError::from)?;
        *self.shared.vault_id.lock().unwrap_or_else(PoisonError::into_inner) = Arc::from(id);
        Ok(())
    }
}

/// Makes sure that nobody else has the database open, and keeps others out: only the last connection may leave the
/// write-ahead log (<https://www.sqlite.org/wal.html>, "Activating And Configuring WAL Mode").
fn alone(connection: &Connection) -> Result<(), DatabaseError> {
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
    if mode != "delete" {
        return Err(DatabaseError::Locked);
    }
    // An exclusive lock is taken by the first write and then kept.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
    Ok(())
}

fn put(connection: &mut Connection, copy: &Path) -> Result<(), DatabaseError> {
    let source = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.flush_prepared_statement_cache();
    Backup::new(&source, connection)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    Ok(())
}

fn shared(connection: &Connection) -> Result<(), DatabaseError> {
    connection.pragma_update(None, "locking_mode", "normal")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    // The lock goes with the first read in the new mode.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(())
}
