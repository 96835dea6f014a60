//! How each device stands in a change.

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::{ChangeId, JournalError};
use crate::{
    catalogue::{DeviceId, words},
    clock::rfc3339,
    database::column,
    error::Report,
    key::Fingerprint,
    rotation::{Stage, decide::Standing},
};

words! {
    /// The state of a device in a change, as people and programs see it.
    DeviceState {
        /// Not begun.
        Waiting = "waiting",
        /// A stage is under way.
        Running = "running",
        /// It accepts both keys.
        Proven = "proven",
        /// It accepts the new key and refuses the old.
        Changed = "changed",
        /// It still accepts the old key after the removal.
        OldKeyAccepted = "old-key-accepted",
        /// It was left on the old key.
        Unchanged = "unchanged",
        /// It was put back to the old key.
        RolledBack = "rolled-back",
        /// Its answer stayed unknown.
        NotProven = "not-proven",
        /// It failed; the cause says at which stage, and what the file holds now.
        Failed = "failed",
    }
}

/// A device's row in a change.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRecord {
    /// The device.
    pub device: DeviceId,
    /// Its place in the order of change, from 0.
    pub position: usize,
    /// What people see.
    pub state: DeviceState,
    /// What recovery goes by.
    pub standing: Standing,
    /// The stage it is at, or failed at.
    pub stage: Option<Stage>,
    /// Why it failed.
    pub cause: Option<Report>,
    /// The fingerprints it was last seen to accept.
    pub accepts: Vec<Fingerprint>,
    /// When this was written.
    pub at: Timestamp,
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeviceRecord> {
    let cause: Option<String> = row.get(5)?;
    let accepts: String = row.get(6)?;
    Ok(DeviceRecord {
        device: DeviceId(row.get(0)?),
        position: row.get::<_, u32>(1)? as usize,
        state: column::parsed(row, 2)?,
        standing: column::parsed(row, 3)?,
        stage: column::parsed_if_any(row, 4)?,
        cause: cause
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| column::unreadable(row, 5, error))?,
        accepts: serde_json::from_str(&accepts).map_err(|error| column::unreadable(row, 6, error))?,
        at: column::time(row, 7)?,
    })
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    change: ChangeId,
    position: usize,
    device: DeviceId,
    now: Timestamp,
) -> Result<(), JournalError> {
    transaction.execute(
        "INSERT INTO change_device (change, position, device, state, standing, accepts, at) \
         VALUES (?1, ?2, ?3, 'waiting', 'waiting', '[]', ?4)",
        params![change.0, u32::try_from(position).unwrap_or(u32::MAX), device.0, rfc3339(now)],
    )?;
    Ok(())
}

/// The devices of a change, in the order of change.
pub fn list(connection: &Connection, change: ChangeId) -> Result<Vec<DeviceRecord>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT device, position, state, standing, stage, cause, accepts, at FROM change_device \
         WHERE change = ?1 ORDER BY position",
    )?;
    let records = statement.query_map([change.0], read)?.collect::<Result<_, _>>()?;
    Ok(records)
}

/// Writes down how a device stands.
pub fn update(transaction: &Transaction<'_>, change: ChangeId, record: &DeviceRecord) -> Result<(), JournalError> {
    let json = |source| JournalError::Unreadable { id: change, source };
    let cause = record.cause.as_ref().map(serde_json::to_string).transpose().map_err(json)?;
    let accepts = serde_json::to_string(&record.accepts).map_err(json)?;
    transaction.execute(
        "UPDATE change_device SET state = ?3, standing = ?4, stage = ?5, cause = ?6, accepts = ?7, at = ?8 \
         WHERE change = ?1 AND device = ?2",
        params![
            change.0,
            record.device.0,
            record.state.as_str(),
            record.standing.as_str(),
            record.stage.map(Stage::as_str),
            cause,
            accepts,
            rfc3339(record.at),
        ],
    )?;
    Ok(())
}

/// Takes those of these devices that were left out back into the change.
pub fn bring_along(
    transaction: &Transaction<'_>,
    change: ChangeId,
    devices: &[DeviceId],
    now: Timestamp,
) -> Result<(), JournalError> {
    for record in list(transaction, change)? {
        if record.standing == Standing::LeftOut && devices.contains(&record.device) {
            let (state, standing) = (DeviceState::Waiting, Standing::Waiting);
            update(transaction, change, &DeviceRecord { state, standing, cause: None, at: now, ..record })?;
        }
    }
    Ok(())
}
