//! Changes that wait for their time.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Begin, ChangeId, ChangeReason, ChangeState, JournalError, change};
use crate::{
    catalogue::CredentialId,
    clock::rfc3339,
    database::{DatabaseError, column},
    error::Report,
    rotation::Rotate,
};

/// Writes a change down that begins later.
///
/// # Errors
///
/// [`JournalError::AlreadyScheduled`] when the credential has one that waits.
pub fn schedule(transaction: &Transaction<'_>, begin: &Begin<'_>, choices: &Rotate) -> Result<ChangeId, JournalError> {
    if let Some(id) = waiting_of(transaction, begin.credential)? {
        return Err(JournalError::AlreadyScheduled { credential: begin.snapshot.credential.clone(), id });
    }
    let id = change::insert(transaction, begin, ChangeState::Scheduled)?;
    let choices = serde_json::to_string(choices).map_err(|source| JournalError::Unreadable { id, source })?;
    transaction.execute("UPDATE change SET choices = ?2 WHERE id = ?1", params![id.0, choices])?;
    Ok(id)
}

/// The change of a credential that waits for its time.
pub fn waiting_of(connection: &Connection, credential: CredentialId) -> Result<Option<ChangeId>, JournalError> {
    Ok(connection
        .prepare_cached("SELECT id FROM change WHERE credential = ?1 AND state = 'scheduled'")?
        .query_row([credential], |row| row.get(0).map(ChangeId))
        .optional()?)
}

/// The choices with which a change was asked for; none where it began at once.
///
/// # Errors
///
/// [`JournalError::Unreadable`].
pub fn choices(connection: &Connection, id: ChangeId) -> Result<Option<Rotate>, JournalError> {
    let text: Option<String> = connection
        .query_row("SELECT choices FROM change WHERE id = ?1", [id.0], |row| row.get(0))
        .optional()?
        .flatten();
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|source| JournalError::Unreadable { id, source })
}

/// Makes a change that waited one that runs, by what holds now.
pub(super) fn begin(transaction: &Transaction<'_>, id: ChangeId, begin: &Begin<'_>) -> Result<(), JournalError> {
    refuse_begun(transaction, id, "run")?;
    transaction.execute(
        "UPDATE change SET state = 'running', from_version = ?2, to_version = ?3, snapshot = ?4, started_at = ?5, \
         begun_after = (SELECT max(id) FROM change) WHERE id = ?1",
        params![
            id.0,
            begin.from_version,
            begin.to_version,
            change::snapshot_text(begin.snapshot)?,
            rfc3339(begin.now),
        ],
    )?;
    Ok(())
}

/// Refuses what can be done only with a change that waits for its time.
///
/// # Errors
///
/// [`JournalError::StateForbids`].
pub fn refuse_begun(connection: &Connection, id: ChangeId, action: &'static str) -> Result<(), JournalError> {
    match change::find(connection, id)?.state {
        ChangeState::Scheduled => Ok(()),
        state => Err(JournalError::StateForbids { id, state, action }),
    }
}

/// Takes a change back before it begins.
///
/// # Errors
///
/// [`JournalError::StateForbids`] where it has begun.
pub fn cancel(transaction: &Transaction<'_>, id: ChangeId, now: Timestamp) -> Result<(), JournalError> {
    refuse_begun(transaction, id, "cancelled")?;
    transaction
        .execute("UPDATE change SET state = 'cancelled', ended_at = ?2 WHERE id = ?1", params![id.0, rfc3339(now)])?;
    Ok(())
}

/// Ends a change that could not even begin.
pub fn fail(transaction: &Transaction<'_>, id: ChangeId, cause: &Report, now: Timestamp) -> Result<(), JournalError> {
    let cause = serde_json::to_string(cause).map_err(|source| JournalError::Unreadable { id, source })?;
    transaction.execute(
        "UPDATE change SET state = 'failed', ended_at = ?2, error = ?3, begun_after = (SELECT max(id) FROM change) \
         WHERE id = ?1 AND state = 'scheduled'",
        params![id.0, rfc3339(now), cause],
    )?;
    Ok(())
}

/// Writes an automatic change down that could not even begin: it counts as an attempt, so that it is not tried for ever.
pub fn note_failed(transaction: &Transaction<'_>, begin: &Begin<'_>, cause: &Report) -> Result<ChangeId, JournalError> {
    let id = change::insert(transaction, begin, ChangeState::Failed)?;
    let cause = serde_json::to_string(cause).map_err(|source| JournalError::Unreadable { id, source })?;
    transaction.execute("UPDATE change SET ended_at = started_at, error = ?2 WHERE id = ?1", params![id.0, cause])?;
    Ok(id)
}

/// The changes that wait for their time, by credential.
pub fn waiting(connection: &Connection) -> Result<HashMap<CredentialId, (ChangeId, Timestamp)>, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT credential, id, scheduled_for FROM change WHERE state = 'scheduled'")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, (ChangeId(row.get(1)?), column::time_if_any(row, 2)?.unwrap_or(Timestamp::MIN))))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An automatic change that ended without a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The change.
    pub change: ChangeId,
    /// The key version that was to be left.
    pub from_version: Option<u32>,
    /// Why its series was begun.
    pub reason: ChangeReason,
    /// The first of its series.
    pub series: ChangeId,
    /// Which one of its series it is.
    pub attempt: u32,
    /// When its series began.
    pub series_began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// The newest automatic change of each credential, or of one, that ended without a new key.
pub fn last_attempts(
    connection: &Connection,
    only: Option<CredentialId>,
) -> Result<HashMap<CredentialId, Attempt>, DatabaseError> {
    let mut statement = connection.prepare_cached(
        "SELECT change.credential, change.id, change.from_version, change.reason, change.series, change.attempt,
             first.started_at, ifnull(change.ended_at, change.started_at), max(change.place)
         FROM change JOIN change AS first ON first.id = change.series
         WHERE change.reason <> 'request' AND change.state IN ('failed', 'rolled-back') AND change.attempt IS NOT NULL
             AND (?1 IS NULL OR change.credential = ?1)
         GROUP BY change.credential",
    )?;
    let rows = statement.query_map([only], |row| {
        let attempt = Attempt {
            change: ChangeId(row.get(1)?),
            from_version: row.get(2)?,
            reason: column::parsed(row, 3)?,
            series: ChangeId(row.get(4)?),
            attempt: row.get(5)?,
            series_began: column::time(row, 6)?,
            ended: column::time(row, 7)?,
        };
        Ok((row.get(0)?, attempt))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When a person last went back to the key before, by credential.
pub fn undone(connection: &Connection) -> Result<HashMap<CredentialId, Timestamp>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT credential, ended_at, max(place) FROM change
         WHERE kind = 'undo' AND state = 'changed' AND ended_at IS NOT NULL GROUP BY credential",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, column::time(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes back what waits for a credential that is no more.
pub fn cancel_of(transaction: &Transaction<'_>, credential: CredentialId, now: Timestamp) -> Result<(), JournalError> {
    match waiting_of(transaction, credential)? {
        Some(id) => cancel(transaction, id, now),
        None => Ok(()),
    }
}
