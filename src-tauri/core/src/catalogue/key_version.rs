//! Key versions, and on which devices each stands.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::words::words;
use super::{CatalogueError, CredentialId, DeviceId};
use crate::clock::rfc3339;
use crate::database::column;
use crate::key::{Algorithm, Fingerprint, PublicKey};
use crate::vault::ItemName;

words! {
    /// Where in its life a key version stands.
    VersionState {
        /// Made for a change that is not through yet.
        Candidate = "candidate",
        /// The key of the credential.
        Current = "current",
        /// Replaced, or taken back; its private half still lies in the keyring.
        Retired = "retired",
        /// Its private half is gone.
        Destroyed = "destroyed",
    }
}

/// One generation of a credential's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// Its number, from 1.
    pub version: u32,
    /// Where in its life it stands.
    pub state: VersionState,
    /// The public half.
    pub public_key: PublicKey,
    /// The name of the keyring item that holds the private half.
    pub item: ItemName,
    /// Whether somebody else may have the private half.
    pub compromised: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was replaced or taken back.
    pub retired_at: Option<Timestamp>,
    /// When its private half was destroyed.
    pub destroyed_at: Option<Timestamp>,
}

impl KeyVersion {
    /// The fingerprint of the public half.
    pub fn fingerprint(&self) -> Fingerprint {
        self.public_key.fingerprint()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.public_key.algorithm()
    }
}

/// What is known of one key version on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The key version's number.
    pub version: u32,
    /// The device; it may be removed from the credential, or from the catalogue.
    pub device: DeviceId,
    /// When Keywheel wrote it there; none: it stood there before.
    pub installed_at: Option<Timestamp>,
    /// When the device last accepted it; none where it was refused or given up since.
    pub accepted_at: Option<Timestamp>,
    /// When the device last refused it; none where it was written or accepted since.
    pub refused_at: Option<Timestamp>,
    /// When the user gave the device up by name.
    pub given_up_at: Option<Timestamp>,
}

impl Installed {
    /// Whether the key must be taken to stand there still. Only a later refusal, or giving the device up, says that it
    /// doesn't; no clock is compared, because it may have been set back.
    pub fn stands(&self) -> bool {
        self.refused_at.is_none() && self.given_up_at.is_none()
    }
}

/// [`Installed::stands`] for queries.
pub(crate) const STANDS: &str = "(refused_at IS NULL AND given_up_at IS NULL)";

const COLUMNS: &str = "credential, version, state, public_key, item, compromised, created, retired_at, destroyed_at";

fn key_version(row: &Row<'_>) -> rusqlite::Result<(CredentialId, KeyVersion)> {
    let text: String = row.get(3)?;
    Ok((
        row.get(0)?,
        KeyVersion {
            version: row.get(1)?,
            state: column::parsed(row, 2)?,
            public_key: PublicKey::from_openssh(&text).map_err(|error| column::unreadable(row, 3, error))?,
            item: column::parsed(row, 4)?,
            compromised: row.get(5)?,
            created: column::time(row, 6)?,
            retired_at: column::time_if_any(row, 7)?,
            destroyed_at: column::time_if_any(row, 8)?,
        },
    ))
}

/// Lists a credential's key versions, oldest first.
///
/// # Errors
/// The database's own failure.
pub fn of(conn: &Connection, credential: CredentialId) -> Result<Vec<KeyVersion>, CatalogueError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM key_version WHERE credential = ?1 ORDER BY version"))?;
    let rows = statement.query_map([credential], key_version)?;
    Ok(rows.map(|row| row.map(|(_, version)| version)).collect::<Result<_, _>>()?)
}

/// Lists all key versions of all credentials, in order.
pub(crate) fn all(conn: &Connection) -> Result<Vec<(CredentialId, KeyVersion)>, CatalogueError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM key_version ORDER BY credential, version"))?;
    Ok(statement.query_map([], key_version)?.collect::<Result<_, _>>()?)
}

/// The number that the next version of a credential's key gets: no number is used twice, also not for a version that
/// failed.
///
/// # Errors
/// The database's own failure.
pub fn next_number(conn: &Connection, credential: CredentialId) -> Result<u32, CatalogueError> {
    Ok(conn
        .prepare_cached("SELECT ifnull(max(version), 0) + 1 FROM key_version WHERE credential = ?1")?
        .query_row([credential], |row| row.get(0))?)
}

/// Adds a candidate: the intent to store an item of that name.
///
/// # Errors
/// The database's own failure.
pub fn insert_candidate(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    public_key: &PublicKey,
    item: &ItemName,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO key_version (credential, version, state, public_key, fingerprint, item, compromised, created)
         VALUES (?1, ?2, 'candidate', ?3, ?4, ?5, 0, ?6)",
    )?
    .execute((
        credential,
        version,
        public_key.to_openssh(),
        public_key.fingerprint().to_string(),
        item.as_str(),
        rfc3339(now),
    ))?;
    Ok(())
}

/// Adds a version that was found in the keyring: as a retired one, since no change of this database leads to it.
///
/// # Errors
/// The database's own failure.
pub fn insert_found(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    public_key: &PublicKey,
    item: &ItemName,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    insert_candidate(conn, credential, version, public_key, item, now)?;
    retire(conn, credential, version, now)
}

/// Makes a version the current one, and retires the one that was.
///
/// # Errors
/// The database's own failure.
pub fn make_current(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE key_version SET state = 'retired', retired_at = ?3
         WHERE credential = ?1 AND version <> ?2 AND state = 'current'",
    )?
    .execute((credential, version, rfc3339(now)))?;
    conn.prepare_cached(
        "UPDATE key_version SET state = 'current', retired_at = NULL WHERE credential = ?1 AND version = ?2",
    )?
    .execute((credential, version))?;
    Ok(())
}

/// Retires a version that did not become or stay current.
///
/// # Errors
/// The database's own failure.
pub fn retire(conn: &Connection, credential: CredentialId, version: u32, now: Timestamp) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE key_version SET state = 'retired', retired_at = ?3 WHERE credential = ?1 AND version = ?2",
    )?
    .execute((credential, version, rfc3339(now)))?;
    Ok(())
}

/// Notes that a version's private half is gone.
///
/// # Errors
/// The database's own failure.
pub fn destroyed(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE key_version SET state = 'destroyed', destroyed_at = ?3 WHERE credential = ?1 AND version = ?2",
    )?
    .execute((credential, version, rfc3339(now)))?;
    Ok(())
}

/// Notes that somebody else may have a version's private half.
///
/// # Errors
/// The database's own failure.
pub fn compromised(conn: &Connection, credential: CredentialId, version: u32) -> Result<(), CatalogueError> {
    conn.prepare_cached("UPDATE key_version SET compromised = 1 WHERE credential = ?1 AND version = ?2")?
        .execute((credential, version))?;
    Ok(())
}

/// Notes that the private half of a version left the keyring for a file; the first time counts.
///
/// # Errors
/// The database's own failure.
pub fn revealed(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    at: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "UPDATE key_version SET revealed_at = ?3 WHERE credential = ?1 AND version = ?2 AND revealed_at IS NULL",
    )?
    .execute((credential, version, rfc3339(at)))?;
    Ok(())
}

/// The current version of a key, as far as its next change goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentKey {
    /// Its number.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it was first revealed.
    pub revealed: Option<Timestamp>,
    /// Whether somebody else may have it.
    pub compromised: bool,
}

/// The current version of one credential's key, or of all.
///
/// # Errors
/// The database's own failure.
pub(crate) fn current(
    conn: &Connection,
    only: Option<CredentialId>,
) -> Result<HashMap<CredentialId, CurrentKey>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT credential, version, created, revealed_at, compromised FROM key_version
         WHERE state = 'current' AND (?1 IS NULL OR credential = ?1)",
    )?;
    let rows = statement.query_map([only], |row| {
        let current = CurrentKey {
            version: row.get(1)?,
            created: column::time(row, 2)?,
            revealed: column::time_if_any(row, 3)?,
            compromised: row.get(4)?,
        };
        Ok((row.get(0)?, current))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lists the compromised versions that were replaced and whose private halves are still in the keyring.
///
/// # Errors
/// The database's own failure.
pub(crate) fn compromised_left(conn: &Connection) -> Result<Vec<(CredentialId, u32)>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT credential, version FROM key_version WHERE compromised = 1 AND state = 'retired'
         ORDER BY credential, version",
    )?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// What happened to a key version on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Keywheel wrote its line, or was about to.
    Installed,
    /// A login with it was accepted.
    Accepted,
    /// It was refused.
    Refused,
    /// The user gave the device up by name.
    GivenUp,
}

/// Notes what happened to a key version on a device. What is written or accepted there is no longer refused or given up, and
/// the other way round.
///
/// # Errors
/// The database's own failure.
pub fn note(
    conn: &Connection,
    credential: CredentialId,
    version: u32,
    device: DeviceId,
    happening: Happening,
    at: Timestamp,
) -> Result<(), CatalogueError> {
    let column = match happening {
        Happening::Installed => "installed_at",
        Happening::Accepted => "accepted_at",
        Happening::Refused => "refused_at",
        Happening::GivenUp => "given_up_at",
    };
    let undone = match happening {
        Happening::Installed | Happening::Accepted => ", refused_at = NULL, given_up_at = NULL",
        // What is written there anew later is not accepted because it was accepted once.
        Happening::Refused | Happening::GivenUp => ", accepted_at = NULL",
    };
    conn.prepare_cached(&format!(
        "INSERT INTO installed_on (credential, version, device, {column}) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET {column} = excluded.{column}{undone}",
    ))?
    .execute((credential, version, device, rfc3339(at)))?;
    Ok(())
}

/// Lists what is known of a credential's key versions on devices.
///
/// # Errors
/// The database's own failure.
pub fn installed(conn: &Connection, credential: CredentialId) -> Result<Vec<Installed>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT version, device, installed_at, accepted_at, refused_at, given_up_at FROM installed_on
         WHERE credential = ?1 ORDER BY version, device",
    )?;
    let rows = statement.query_map([credential], |row| {
        Ok(Installed {
            version: row.get(0)?,
            device: row.get(1)?,
            installed_at: column::time_if_any(row, 2)?,
            accepted_at: column::time_if_any(row, 3)?,
            refused_at: column::time_if_any(row, 4)?,
            given_up_at: column::time_if_any(row, 5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lists the devices, also removed ones, on which any version of a credential's key must be taken to stand.
///
/// # Errors
/// The database's own failure.
pub fn stands_on(conn: &Connection, credential: CredentialId) -> Result<Vec<(DeviceId, String)>, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT DISTINCT device.id, device.name FROM installed_on JOIN device ON device.id = installed_on.device
         WHERE credential = ?1 AND {STANDS} ORDER BY device.id",
    ))?;
    Ok(statement.query_map([credential], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Names the other credentials that have had a key of this fingerprint: a change of one will not change the other.
///
/// # Errors
/// The database's own failure.
pub fn others_with(
    conn: &Connection,
    fingerprint: &Fingerprint,
    but: Option<CredentialId>,
) -> Result<Vec<String>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT credential.name FROM key_version JOIN credential ON credential.id = key_version.credential
         WHERE fingerprint = ?1 AND credential.id IS NOT ?2 AND removed_at IS NULL AND ready = 1
           AND state <> 'destroyed'
         ORDER BY credential.name",
    )?;
    Ok(statement.query_map((fingerprint.to_string(), but), |row| row.get(0))?.collect::<Result<_, _>>()?)
}
