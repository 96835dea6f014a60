//! The passwords that were stored for a credential, one after the other.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::{CatalogueError, CredentialId, VersionState};
use crate::clock::rfc3339;
use crate::database::column;
use crate::vault::ItemName;

/// A stored password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordVersion {
    /// Its number, from 1.
    pub version: u32,
    /// Where in its life it stands; a password that was replaced is destroyed as soon as the keyring allows.
    pub state: VersionState,
    /// The name of the keyring item.
    pub item: ItemName,
    /// When it was stored.
    pub created: Timestamp,
}

const COLUMNS: &str = "SELECT credential, version, state, item, created FROM password_version";

fn password_version(row: &Row<'_>) -> rusqlite::Result<(CredentialId, PasswordVersion)> {
    Ok((
        row.get(0)?,
        PasswordVersion {
            version: row.get(1)?,
            state: column::parsed(row, 2)?,
            item: column::parsed(row, 3)?,
            created: column::time(row, 4)?,
        },
    ))
}

/// Lists a credential's stored passwords, oldest first.
pub(crate) fn of(conn: &Connection, credential: CredentialId) -> Result<Vec<PasswordVersion>, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} WHERE credential = ?1 ORDER BY version"))?;
    let rows = statement.query_map([credential], password_version)?;
    Ok(rows.map(|row| row.map(|(_, version)| version)).collect::<Result<_, _>>()?)
}

/// Lists all stored passwords of all credentials, in order.
pub(crate) fn all(conn: &Connection) -> Result<Vec<(CredentialId, PasswordVersion)>, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY credential, version"))?;
    Ok(statement.query_map([], password_version)?.collect::<Result<_, _>>()?)
}

/// The number that the next stored password gets.
pub(crate) fn next_number(conn: &Connection, id: CredentialId) -> Result<u32, CatalogueError> {
    Ok(conn
        .prepare_cached("SELECT ifnull(max(version), 0) + 1 FROM password_version WHERE credential = ?1")?
        .query_row([id], |row| row.get(0))?)
}

/// Adds the intent to store a password under an item's name.
pub(crate) fn insert(
    conn: &Connection,
    id: CredentialId,
    version: u32,
    item: &ItemName,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO password_version (credential, version, state, item, created)
         VALUES (?1, ?2, 'candidate', ?3, ?4)",
    )?
    .execute((id, version, item.as_str(), rfc3339(now)))?;
    Ok(())
}

/// Makes a stored password the current one, and retires the one that was.
pub(crate) fn make_current(conn: &Connection, id: CredentialId, version: u32) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE password_version SET state = 'retired' WHERE credential = ?1 AND version <> ?2 AND state = 'current'",
    )?
    .execute((id, version))?;
    conn.prepare_cached("UPDATE password_version SET state = 'current' WHERE credential = ?1 AND version = ?2")?
        .execute((id, version))?;
    Ok(())
}

/// Retires a stored password that did not become current.
pub(crate) fn retire(conn: &Connection, id: CredentialId, version: u32) -> Result<(), CatalogueError> {
    conn.prepare_cached("UPDATE password_version SET state = 'retired' WHERE credential = ?1 AND version = ?2")?
        .execute((id, version))?;
    Ok(())
}

/// Notes that a stored password is gone from the keyring.
pub(crate) fn destroyed(
    conn: &Connection,
    id: CredentialId,
    version: u32,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE password_version SET state = 'destroyed', destroyed_at = ?3 WHERE credential = ?1 AND version = ?2",
    )?
    .execute((id, version, rfc3339(now)))?;
    Ok(())
}
