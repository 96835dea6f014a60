//! One opened data directory, and all that can be done with it.
//!
//! The operations are methods of [`Keywheel`], split by noun over the crate's modules. Each that changes something writes
//! its audit row in the transaction of the change; when it fails or is refused, a row says so.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use crate::after_change::Programs;
use crate::audit::{self, Action, Actor, Anchor};
use crate::catalogue::{CatalogueError, policy};
use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::error::{Error, Explain};
use crate::vault::{ItemName, Vault};

/// An opened data directory with its vault. Clones are the same one.
#[derive(Clone)]
pub struct Keywheel {
    database: Database,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    actor: Actor,
    /// The audit's last row when this was opened, or when it was anchored since.
    pub(crate) anchored_until: Arc<AtomicI64>,
    programs: Programs,
}

impl Keywheel {
    /// Opens a data directory, and makes it where it doesn't exist. The vault is not asked.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(dir: &Path, vault: Arc<dyn Vault>, clock: Arc<dyn Clock>, actor: Actor) -> Result<Self, DatabaseError> {
        let database = Database::open(dir, clock.as_ref())?;
        Self::with_database(database, vault, clock, actor)
    }

    /// Takes a database that is open already.
    ///
    /// # Errors
    /// The database's own failure.
    pub fn with_database(
        database: Database,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        actor: Actor,
    ) -> Result<Self, DatabaseError> {
        let (begun, end) = database.read(|conn| -> Result<(bool, Option<Anchor>), DatabaseError> {
            let begun = conn.query_row("SELECT EXISTS (SELECT 1 FROM policy)", [], |row| row.get(0))?;
            Ok((begun, audit::anchor::end(conn)?))
        })?;
        if !begun {
            database.write(|tx| policy::make_standard(tx, clock.now()))?;
        }
        let anchored_until = Arc::new(AtomicI64::new(end.map_or(0, |end| end.row)));
        Ok(Self { database, vault, clock, actor, anchored_until, programs: Programs::default() })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The vault.
    pub fn vault(&self) -> &Arc<dyn Vault> {
        &self.vault
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The programs that run after changes.
    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The name of the keyring item for a version of a credential's secret.
    pub fn item_name(
        &self,
        credential: crate::catalogue::CredentialId,
        version: u32,
        distinction: impl fmt::Display,
    ) -> ItemName {
        ItemName::new(&self.database.vault_id(), credential.0, version, distinction)
    }

    /// Reads off the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogueError> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.database.run_read(work).await?)
    }

    /// Changes something off the async threads, with its audit row in the same transaction, or with a row that says why not
    /// in one of its own. `work` may name the subject and add details as it learns them, or say that nothing was to change.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        action: Action,
        work: impl FnOnce(&Transaction<'_>, &mut Action) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let this = self.clone();
        self.database.run(move |_| this.change_now(action, work)).await
    }

    /// [`Keywheel::change`] on this thread, which may block.
    pub(crate) fn change_now<T>(
        &self,
        mut action: Action,
        work: impl FnOnce(&Transaction<'_>, &mut Action) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = self.database.write(|tx| {
            let done = work(tx, &mut action)?;
            if !action.idle {
                audit::append(tx, &action.entry(self.now(), &self.actor, None))?;
            }
            Ok(done)
        });
        if let Err(error) = &done {
            self.record_now(&action, Some(error));
        }
        done
    }

    /// Writes an audit row in a transaction of its own, off the async threads: for what failed before anything was changed,
    /// and for what happened outside the database.
    pub(crate) async fn record(&self, action: Action, error: Option<&(dyn Explain + Sync)>) {
        let entry = action.entry(self.now(), &self.actor, error.map(|error| error as &dyn Explain));
        let written = self.database.run_write(move |tx| audit::append(tx, &entry)).await;
        tell(&action, written);
    }

    fn record_now(&self, action: &Action, error: Option<&dyn Explain>) {
        let entry = action.entry(self.now(), &self.actor, error);
        tell(action, self.database.write(|tx| audit::append(tx, &entry)));
    }
}

/// The error that is being recorded is the one to answer; that the row is missing as well stands in the log.
fn tell(action: &Action, written: Result<(), DatabaseError>) {
    if let Err(error) = written {
        tracing::warn!(action = action.name, %error, "an audit row could not be written");
    }
}

impl fmt::Debug for Keywheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keywheel").field("database", &self.database).field("actor", &self.actor).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A Keywheel for tests: a directory of its own, a vault in memory, a clock that stands until it is set.

    use std::sync::Mutex;

    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use tempfile::TempDir;

    use super::*;
    use crate::vault::MemoryVault;

    /// A clock that stands until it is moved.
    #[derive(Debug)]
    pub(crate) struct SetClock(Mutex<Timestamp>);

    impl SetClock {
        pub(crate) fn new() -> Self {
            Self(Mutex::new("2026-11-24T08:00:00Z".parse().unwrap()))
        }

        pub(crate) fn pass(&self, time: SignedDuration) {
            *self.0.lock().unwrap() += time;
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn zone(&self) -> TimeZone {
            TimeZone::UTC
        }
    }

    pub(crate) fn keywheel() -> (Keywheel, TempDir) {
        let (keywheel, dir, _, _) = with_parts();
        (keywheel, dir)
    }

    pub(crate) fn with_parts() -> (Keywheel, TempDir, MemoryVault, Arc<SetClock>) {
        let dir = tempfile::tempdir().unwrap();
        let vault = MemoryVault::new();
        let clock = Arc::new(SetClock::new());
        let opened = Keywheel::open(
            &dir.path().join("data"),
            Arc::new(vault.clone()),
            Arc::<SetClock>::clone(&clock),
            Actor::named("ana@desk"),
        );
        (opened.unwrap(), dir, vault, clock)
    }
}
