//! Changes that wait for their time.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Begin, ChangeId, ChangeState, JournalError, change};
use crate::{catalogue::CredentialId, clock::rfc3339, error::Report, rotation::Rotate};

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

/// Takes back what waits for a credential that is no more.
pub fn cancel_of(transaction: &Transaction<'_>, credential: CredentialId, now: Timestamp) -> Result<(), JournalError> {
    match waiting_of(transaction, credential)? {
        Some(id) => cancel(transaction, id, now),
        None => Ok(()),
    }
}
