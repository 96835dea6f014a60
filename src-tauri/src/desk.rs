//! All that the commands work with: the opened data directory, and what this process remembers beside it.

mod drafts;
mod due;
mod notices;
mod preferences;
mod retiring;
mod running;
mod scans;
#[cfg(test)]
pub(crate) mod testing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywheel_core::audit::Actor;
use keywheel_core::clock::{Clock, SystemClock};
use keywheel_core::error::Report;
use keywheel_core::vault::Vault;
use keywheel_core::{Error, Keywheel};
use tauri::ipc::Channel;
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) use self::drafts::{Draft, Drafts};
pub(crate) use self::due::start_due;
pub(crate) use self::notices::{Notice, Notices};
pub(crate) use self::preferences::{Language, Preferences};
pub(crate) use self::retiring::retire;
pub(crate) use self::running::{Happened, Progress, Running};
pub(crate) use self::scans::{Scans, Stops};
use crate::error::{Answer, DeskError, report};

/// The desk that the window works at.
pub(crate) struct Desk {
    data_dir: Option<PathBuf>,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    opened: Mutex<Result<Keywheel, Report>>,
    drafts: Mutex<Drafts>,
    preferences: Mutex<Preferences>,
    /// The host keys that were shown last.
    pub(crate) scans: Scans,
    /// What stops a check under way.
    pub(crate) checks: Stops,
    /// The changes that run here.
    pub(crate) running: Running,
    /// The page that is told what happens.
    pub(crate) notices: Notices,
}

impl Desk {
    /// A desk whose data directory is not opened yet. What happens to changes is told to the receiver.
    pub(crate) fn new(data_dir: Option<PathBuf>, vault: Arc<dyn Vault>) -> (Self, UnboundedReceiver<Happened>) {
        let (running, happened) = Running::new();
        let desk = Self {
            data_dir,
            vault,
            clock: Arc::new(SystemClock),
            opened: Mutex::new(Err(report(DeskError::NoDataDir))),
            drafts: Mutex::default(),
            preferences: Mutex::default(),
            scans: Scans::default(),
            checks: Stops::default(),
            running,
            notices: Notices::default(),
        };
        (desk, happened)
    }

    /// Opens the data directory unless it is open; answers why it can't be, if so. Blocks.
    ///
    /// It is tried anew each time: the cause (another program's lock, a full disk) may be gone.
    pub(crate) fn open(&self) -> Option<Report> {
        let mut opened = lock(&self.opened);
        if opened.is_err() {
            *opened = match &self.data_dir {
                None => Err(report(DeskError::NoDataDir)),
                Some(dir) => Keywheel::open(dir, Arc::clone(&self.vault), Arc::clone(&self.clock), Actor::current())
                    .map_err(report),
            };
        }
        opened.as_ref().err().cloned()
    }

    /// Works for this page from now on. What the one before had chosen and not saved nobody can ask for any more, and nobody
    /// waits for what it was looking at; its changes go on.
    pub(crate) fn begin_page(&self, page: Channel<Notice>) {
        self.notices.listen(page);
        self.drafts().clear();
        self.scans.stops.stop();
        self.checks.stop();
    }

    /// Anchors what was written into the audit.
    pub(crate) async fn anchor(&self) {
        if let Ok(keywheel) = self.keywheel() {
            keywheel.anchor_audit().await;
        }
    }

    /// Lets go of the data directory and the keys in memory, because the process then ends without dropping anything.
    pub(crate) fn close(&self) {
        self.drafts().clear();
        *lock(&self.opened) = Err(report(DeskError::Broken));
    }

    /// The opened data directory.
    ///
    /// # Errors
    /// It could not be opened.
    pub(crate) fn keywheel(&self) -> Answer<Keywheel> {
        lock(&self.opened).clone()
    }

    /// Where the data lies.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Whether the keyring can be used. Asked also where the database can't be.
    pub(crate) fn vault(&self) -> &Arc<dyn Vault> {
        &self.vault
    }

    /// What was chosen in forms.
    pub(crate) fn drafts(&self) -> MutexGuard<'_, Drafts> {
        lock(&self.drafts)
    }

    /// The settings that the shell goes by.
    pub(crate) fn preferences(&self) -> Preferences {
        *lock(&self.preferences)
    }

    /// Reads the settings that the shell goes by anew; where they can't be read, they stay.
    pub(crate) async fn read_preferences(&self) {
        let Ok(keywheel) = self.keywheel() else { return };
        let read = async {
            let paused = keywheel.settings().await?.pause.holds(keywheel.now(), &keywheel.clock().zone());
            Ok::<_, Error>(Preferences::of(&keywheel.setting_views().await?, paused))
        };
        match read.await {
            Ok(preferences) => *lock(&self.preferences) = preferences,
            Err(error) => tracing::warn!(%error, "the settings could not be read"),
        }
    }

    /// Tells the page that something was changed, and answers what the change answered.
    pub(crate) fn changed<T, E: keywheel_core::error::Explain>(&self, done: Result<T, E>) -> Answer<T> {
        let done = done.map_err(report)?;
        self.notices.tell(Notice::Catalogue);
        Ok(done)
    }
}

/// Takes a lock, also after a panic: nothing here is left half-done by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
