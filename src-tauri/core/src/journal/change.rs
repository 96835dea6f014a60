//! A change with its snapshot, state and epoch.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{DeviceState, JournalError, device, scheduled};
use crate::{
    catalogue::{CredentialId, DeviceId, words},
    clock::rfc3339,
    database::column,
    error::Report,
    rotation::{OnFailure, Strategy, decide::Direction, decide::Standing},
};

/// The number of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ts_rs::TS)]
#[serde(transparent)]
#[ts(type = "number")]
pub struct ChangeId(pub i64);

impl fmt::Display for ChangeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

words! {
    /// What a change does.
    #[ts(rename = "ChangeKind")]
    Kind {
        /// Changes the key to a new one.
        Rotate = "rotate",
        /// Changes the key back to the version before.
        Undo = "undo",
        /// Puts the key on devices where it does not stand yet.
        Install = "install",
        /// Takes the key off devices.
        Uninstall = "uninstall",
    }
}

words! {
    /// How a change stands.
    ChangeState {
        /// It waits for its time.
        Scheduled = "scheduled",
        /// A live process holds its lock.
        Running = "running",
        /// Begun, not ended, and nobody works on it.
        Interrupted = "interrupted",
        /// Every device is proven on the new key and refuses the old.
        Changed = "changed",
        /// Ended; at least one device changed, at least one did not, or is not proven.
        PartlyChanged = "partly-changed",
        /// Ended; every device is proven as before.
        RolledBack = "rolled-back",
        /// Ended before anything was written.
        Failed = "failed",
        /// Taken back before it began.
        Cancelled = "cancelled",
    }
}

impl ChangeState {
    /// Whether the credential gets no new change until this one is ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted | Self::PartlyChanged)
    }
}

words! {
    /// Why a change was begun, or will be.
    #[ts(rename = "OriginReason")]
    ChangeReason {
        /// A person asked for it.
        Request = "request",
        /// The key has come to the age that its policy allows.
        Age = "age",
        /// The key was revealed, and its policy changes it for that.
        Reveal = "reveal",
    }
}

impl ChangeReason {
    /// Whether no person asked for it.
    pub fn is_automatic(self) -> bool {
        self != Self::Request
    }
}

/// What led to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Why.
    pub reason: ChangeReason,
    /// The row in which it waited for its time.
    pub scheduled: Option<ChangeId>,
    /// For when it was asked, or when its policy's time came.
    pub at: Option<Timestamp>,
    /// The first attempt of the series that it goes on with; none where it begins one.
    pub series: Option<ChangeId>,
    /// Which attempt of its series it is; none where a person asked for it.
    pub attempt: Option<u32>,
}

impl Origin {
    /// A person asked for it, now.
    pub const REQUEST: Self =
        Self { reason: ChangeReason::Request, scheduled: None, at: None, series: None, attempt: None };
}

/// What a change goes by, whatever the catalogue says later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The credential's name.
    pub credential: String,
    /// The account on the devices.
    pub username: String,
    /// The credential that authenticates, where it is not the key itself.
    pub auth_with: Option<CredentialId>,
    /// Options for an installed line (`from="…"`), byte for byte.
    pub options: Option<String>,
    /// The devices in the order of change.
    pub devices: Vec<SnapshotDevice>,
}

/// A device as it was when the change began; only its pinned host keys are read anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotDevice {
    /// The device.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The way to it.
    pub jump: Option<Box<SnapshotJump>>,
    /// The file the user named for it.
    pub authorized_keys_path: Option<String>,
    /// Whether it may be connected to.
    pub enabled: bool,
}

/// A jump device and the credential for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotJump {
    /// The jump device.
    pub device: SnapshotDevice,
    /// The credential that enters it.
    pub credential: CredentialId,
}

/// A change to begin.
#[derive(Debug, Clone)]
pub struct Begin<'a> {
    /// The credential.
    pub credential: CredentialId,
    /// What the change does.
    pub kind: Kind,
    /// In which order.
    pub strategy: Strategy,
    /// What a failing device leads to.
    pub on_failure: OnFailure,
    /// How many devices at once.
    pub at_once: usize,
    /// The version to leave; none when installing.
    pub from_version: Option<u32>,
    /// The version to reach; none when uninstalling.
    pub to_version: Option<u32>,
    /// What the change goes by.
    pub snapshot: &'a Snapshot,
    /// Who asked for it.
    pub requested_by: &'a str,
    /// What led to it.
    pub origin: Origin,
    /// The time now.
    pub now: Timestamp,
}

/// A change as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its number.
    pub id: ChangeId,
    /// The credential.
    pub credential: CredentialId,
    /// What it does.
    pub kind: Kind,
    /// How it stands.
    pub state: ChangeState,
    /// Which way it goes.
    pub direction: Direction,
    /// Raised by each resume; an effect of an older epoch is refused.
    pub epoch: u32,
    /// In which order.
    pub strategy: Strategy,
    /// What a failing device leads to.
    pub on_failure: OnFailure,
    /// How many devices at once.
    pub at_once: usize,
    /// The version to leave.
    pub from_version: Option<u32>,
    /// The version to reach.
    pub to_version: Option<u32>,
    /// What it goes by.
    pub snapshot: Snapshot,
    /// Who asked for it.
    pub requested_by: String,
    /// Why.
    pub reason: ChangeReason,
    /// For when it was asked, or when its policy's time came.
    pub scheduled_for: Option<Timestamp>,
    /// The first attempt of the series that it is one of.
    pub series: Option<ChangeId>,
    /// Which attempt of its series it is.
    pub attempt: Option<u32>,
    /// Whether it was asked to stop, and did.
    pub stopped: bool,
    /// When it began; while it is scheduled, when it was asked for.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// When the new key was stored and read back.
    pub stored: Option<Timestamp>,
    /// When the new version became the current one.
    pub no_return: Option<Timestamp>,
    /// Why it ended as it did, where one cause is to be named.
    pub error: Option<Report>,
}

const COLUMNS: &str = "id, credential, kind, state, direction, epoch, strategy, on_failure, at_once, from_version, \
     to_version, snapshot, requested_by, started_at, ended_at, stored_at, no_return_at, error, reason, scheduled_for, series, attempt, \
     stopped";

fn read(row: &Row<'_>) -> rusqlite::Result<Change> {
    let json = |index: usize, error| column::unreadable(row, index, error);
    let snapshot: String = row.get(11)?;
    let error: Option<String> = row.get(17)?;
    Ok(Change {
        id: ChangeId(row.get(0)?),
        credential: CredentialId(row.get(1)?),
        kind: column::parsed(row, 2)?,
        state: column::parsed(row, 3)?,
        direction: column::parsed(row, 4)?,
        epoch: row.get(5)?,
        strategy: column::parsed(row, 6)?,
        on_failure: column::parsed(row, 7)?,
        at_once: row.get::<_, u32>(8)? as usize,
        from_version: row.get(9)?,
        to_version: row.get(10)?,
        snapshot: serde_json::from_str(&snapshot).map_err(|error| json(11, error))?,
        requested_by: row.get(12)?,
        started: column::time(row, 13)?,
        ended: column::time_if_any(row, 14)?,
        stored: column::time_if_any(row, 15)?,
        no_return: column::time_if_any(row, 16)?,
        error: error.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| json(17, error))?,
        reason: column::parsed(row, 18)?,
        scheduled_for: column::time_if_any(row, 19)?,
        series: row.get::<_, Option<i64>>(20)?.map(ChangeId),
        attempt: row.get(21)?,
        stopped: row.get(22)?,
    })
}

/// Begins a change: its row with the snapshot, and a row for each device.
///
/// # Errors
///
/// [`JournalError::ChangeOpen`] when the credential has one that is not ended.
pub fn begin(transaction: &Transaction<'_>, begin: &Begin<'_>) -> Result<ChangeId, JournalError> {
    refuse_open(transaction, begin.credential, &begin.snapshot.credential)?;
    let id = match begin.origin.scheduled {
        None => insert(transaction, begin, ChangeState::Running)?,
        Some(id) => {
            scheduled::begin(transaction, id, begin)?;
            id
        }
    };
    for (position, snapshot) in begin.snapshot.devices.iter().enumerate() {
        device::insert(transaction, id, position, snapshot.id, begin.now)?;
    }
    Ok(id)
}

/// The row of a change.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    begin: &Begin<'_>,
    state: ChangeState,
) -> Result<ChangeId, JournalError> {
    transaction.execute(
        "INSERT INTO change (credential, kind, state, direction, epoch, strategy, on_failure, at_once, from_version, \
         to_version, snapshot, requested_by, started_at, reason, scheduled_for, series, attempt) VALUES (?1, ?2, ?3, \
         'forward', 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            begin.credential.0,
            begin.kind.as_str(),
            state.as_str(),
            begin.strategy.as_str(),
            begin.on_failure.as_str(),
            u32::try_from(begin.at_once).unwrap_or(u32::MAX),
            begin.from_version,
            begin.to_version,
            snapshot_text(begin.snapshot)?,
            begin.requested_by,
            rfc3339(begin.now),
            begin.origin.reason.as_str(),
            begin.origin.at.map(rfc3339),
            begin.origin.series.map(|series| series.0),
            begin.origin.attempt,
        ],
    )?;
    let id = ChangeId(transaction.last_insert_rowid());
    if begin.origin.attempt.is_some() && begin.origin.series.is_none() {
        transaction.execute("UPDATE change SET series = id WHERE id = ?1", [id.0])?;
    }
    Ok(id)
}

pub(super) fn snapshot_text(snapshot: &Snapshot) -> Result<String, JournalError> {
    serde_json::to_string(snapshot).map_err(|source| JournalError::Unreadable { id: ChangeId(0), source })
}

/// The change of this credential that is not ended.
pub fn open_of(connection: &Connection, credential: CredentialId) -> Result<Option<ChangeId>, JournalError> {
    Ok(connection
        .query_row(
            "SELECT id FROM change WHERE credential = ?1 AND state IN ('running', 'interrupted', 'partly-changed') \
             ORDER BY id DESC LIMIT 1",
            [credential.0],
            |row| row.get(0).map(ChangeId),
        )
        .optional()?)
}

/// Refuses what must wait until the credential's change is ended.
///
/// # Errors
///
/// [`JournalError::ChangeOpen`].
pub fn refuse_open(connection: &Connection, credential: CredentialId, name: &str) -> Result<(), JournalError> {
    match open_of(connection, credential)? {
        Some(open) => Err(JournalError::ChangeOpen { credential: name.to_owned(), open }),
        None => Ok(()),
    }
}

/// One change.
///
/// # Errors
///
/// [`JournalError::NoSuchChange`].
pub fn find(connection: &Connection, id: ChangeId) -> Result<Change, JournalError> {
    connection
        .query_row(&format!("SELECT {COLUMNS} FROM change WHERE id = ?1"), [id.0], read)
        .optional()?
        .ok_or(JournalError::NoSuchChange { id })
}

/// All changes; that which began last, or was asked for last, first.
pub fn list(connection: &Connection) -> Result<Vec<Change>, JournalError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM change ORDER BY place DESC"))?;
    let changes = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(changes)
}

/// The changes of one credential, in the order of [`list`].
pub fn list_of(connection: &Connection, credential: CredentialId) -> Result<Vec<Change>, JournalError> {
    let sql = format!("SELECT {COLUMNS} FROM change WHERE credential = ?1 ORDER BY place DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let changes = statement.query_map([credential.0], read)?.collect::<Result<_, _>>()?;
    Ok(changes)
}

/// Takes a change up again: raises its epoch, so that a process that still believes to own it is refused, and sets the
/// direction.
pub fn take_up(transaction: &Transaction<'_>, id: ChangeId, direction: Direction) -> Result<u32, JournalError> {
    transaction.execute(
        "UPDATE change SET state = 'running', epoch = epoch + 1, direction = ?2, ended_at = NULL, error = NULL, \
         stopped = 0 WHERE id = ?1",
        params![id.0, direction.as_str()],
    )?;
    Ok(find(transaction, id)?.epoch)
}

/// Makes sure that this epoch is still the change's own.
///
/// # Errors
///
/// [`JournalError::TakenOver`].
pub fn assert_epoch(connection: &Connection, id: ChangeId, epoch: u32) -> Result<(), JournalError> {
    let current: Option<u32> =
        connection.query_row("SELECT epoch FROM change WHERE id = ?1", [id.0], |row| row.get(0)).optional()?;
    match current {
        Some(current) if current == epoch => Ok(()),
        Some(_) => Err(JournalError::TakenOver { id }),
        None => Err(JournalError::NoSuchChange { id }),
    }
}

/// Notes which version the change leads to, once the new key has its number.
pub fn set_to_version(
    transaction: &Transaction<'_>,
    id: ChangeId,
    epoch: u32,
    version: u32,
) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    transaction.execute("UPDATE change SET to_version = ?2 WHERE id = ?1", params![id.0, version])?;
    Ok(())
}

/// Notes that the new key is stored and read back.
pub fn set_stored(transaction: &Transaction<'_>, id: ChangeId, epoch: u32, now: Timestamp) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    transaction.execute("UPDATE change SET stored_at = ?2 WHERE id = ?1", params![id.0, rfc3339(now)])?;
    Ok(())
}

/// Notes the point of no return.
pub fn set_no_return(
    transaction: &Transaction<'_>,
    id: ChangeId,
    epoch: u32,
    at: Option<Timestamp>,
) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    transaction.execute("UPDATE change SET no_return_at = ?2 WHERE id = ?1", params![id.0, at.map(rfc3339)])?;
    Ok(())
}

/// Turns a change round.
pub fn set_direction(
    transaction: &Transaction<'_>,
    id: ChangeId,
    epoch: u32,
    direction: Direction,
) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    transaction.execute("UPDATE change SET direction = ?2 WHERE id = ?1", params![id.0, direction.as_str()])?;
    Ok(())
}

/// Ends a change, or leaves it interrupted.
pub fn end(
    transaction: &Transaction<'_>,
    id: ChangeId,
    epoch: u32,
    state: ChangeState,
    error: Option<&Report>,
    now: Timestamp,
) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    let ended = (state != ChangeState::Interrupted).then(|| rfc3339(now));
    let error =
        error.map(serde_json::to_string).transpose().map_err(|source| JournalError::Unreadable { id, source })?;
    transaction.execute(
        "UPDATE change SET state = ?2, ended_at = ?3, error = ?4 WHERE id = ?1",
        params![id.0, state.as_str(), ended, error],
    )?;
    if matches!(state, ChangeState::Failed | ChangeState::RolledBack) {
        super::effect::drop_texts(transaction, id)?;
    }
    Ok(())
}

/// Notes that a change was asked to stop, and did.
pub fn set_stopped(transaction: &Transaction<'_>, id: ChangeId, epoch: u32) -> Result<(), JournalError> {
    assert_epoch(transaction, id, epoch)?;
    transaction.execute("UPDATE change SET stopped = 1 WHERE id = ?1", [id.0])?;
    Ok(())
}

/// When something was last noted of a change's devices.
pub fn last_noted(connection: &Connection, id: ChangeId) -> Result<Option<Timestamp>, JournalError> {
    Ok(connection
        .query_row("SELECT max(at) FROM change_device WHERE change = ?1", [id.0], |row| column::time_if_any(row, 0))?)
}

/// The changes that are not ended.
pub fn open(connection: &Connection) -> Result<Vec<Change>, JournalError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM change WHERE state IN ('running', 'interrupted', 'partly-changed')"
    ))?;
    let changes = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(changes)
}

/// Marks a change that says it is running as interrupted; for a change whose lock is free.
pub fn mark_interrupted(transaction: &Transaction<'_>, id: ChangeId) -> Result<(), JournalError> {
    transaction.execute("UPDATE change SET state = 'interrupted' WHERE id = ?1 AND state = 'running'", [id.0])?;
    Ok(())
}

/// How many of a change's devices are done, and of how many.
pub fn progress(connection: &Connection, id: ChangeId) -> Result<(usize, usize), JournalError> {
    let records = device::list(connection, id)?;
    let done = records.iter().filter(|record| record.state == DeviceState::Changed).count();
    Ok((done, records.len()))
}

/// Whether anything of a change may stand on a device.
pub fn touched(connection: &Connection, id: ChangeId) -> Result<bool, JournalError> {
    Ok(device::list(connection, id)?.iter().any(|record| Standing::is_touched(record.standing)))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
