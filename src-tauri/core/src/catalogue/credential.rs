//! Credentials: keys and passwords for one account name on some devices.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::words::words;
use super::{
    CatalogueError, CredentialId, DeviceId, KeyVersion, Noun, PasswordVersion, PersonId, PolicyId, VersionState,
    key_version, password_version,
};
use crate::clock::rfc3339;
use crate::database::column;
use crate::vault::ItemName;

words! {
    /// What kind of secret a credential is.
    #[ts(rename = "CredentialKind")]
    Kind {
        /// A key pair.
        SshKey = "ssh-key",
        /// A password, which exists only to authenticate with.
        Password = "password",
    }
}

/// How a change of a credential connects to its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// With the key itself.
    Itself,
    /// With another credential.
    Credential(CredentialId),
}

/// A secret for one account name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The number.
    pub id: CredentialId,
    /// The name, unique among credentials.
    pub name: String,
    /// The kind.
    pub kind: Kind,
    /// The account on the devices.
    pub username: String,
    /// The person responsible.
    pub owner: Option<PersonId>,
    /// The device it was created for, always changed first; it is one of `devices`.
    pub original_device: DeviceId,
    /// The devices by ascending number; see [`Credential::devices_in_order`].
    pub devices: Vec<DeviceId>,
    /// Tags, in order.
    pub tags: Vec<String>,
    /// Whether it is changed and used to authenticate.
    pub enabled: bool,
    /// Whether it is changed by itself when its policy says so.
    pub automatic_change: bool,
    /// How a change connects, where the person does not say otherwise.
    pub authentication: Authentication,
    /// The policy.
    pub policy: PolicyId,
    /// The file that the key was imported from.
    pub imported_from: Option<String>,
    /// The key versions, oldest first; none for a password.
    pub key_versions: Vec<KeyVersion>,
    /// The stored passwords, oldest first; none for a key.
    pub passwords: Vec<PasswordVersion>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was removed; its key versions are kept, because they may stand on devices.
    pub removed_at: Option<Timestamp>,
}

impl Credential {
    /// The devices in the order of change: the original device, then the others by ascending number.
    pub fn devices_in_order(&self) -> Vec<DeviceId> {
        order_of_change(self.original_device, &self.devices)
    }

    /// The current key version.
    pub fn current_key(&self) -> Option<&KeyVersion> {
        self.key_versions.iter().find(|version| version.state == VersionState::Current)
    }

    /// The current password.
    pub fn current_password(&self) -> Option<&PasswordVersion> {
        self.passwords.iter().find(|version| version.state == VersionState::Current)
    }

    /// The key version of a number.
    pub fn key_version(&self, version: u32) -> Option<&KeyVersion> {
        self.key_versions.iter().find(|known| known.version == version)
    }
}

/// Puts devices in the order of change: the original first, then by ascending number, each once.
pub fn order_of_change(original: DeviceId, devices: &[DeviceId]) -> Vec<DeviceId> {
    let mut others: Vec<DeviceId> = devices.iter().copied().filter(|id| *id != original).collect();
    others.sort_unstable();
    others.dedup();
    std::iter::once(original).chain(others).collect()
}

const COLUMNS: &str = "SELECT id, name, kind, username, owner, original_device, enabled, automatic_change, auth_with, \
    policy, imported_from, created, removed_at FROM credential WHERE ready = 1";

fn credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let auth_with: Option<CredentialId> = row.get(8)?;
    Ok(Credential {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: column::parsed(row, 2)?,
        username: row.get(3)?,
        owner: row.get(4)?,
        original_device: row.get(5)?,
        devices: Vec::new(),
        tags: Vec::new(),
        enabled: row.get(6)?,
        automatic_change: row.get(7)?,
        authentication: auth_with.map_or(Authentication::Itself, Authentication::Credential),
        policy: row.get(9)?,
        imported_from: row.get(10)?,
        key_versions: Vec::new(),
        passwords: Vec::new(),
        created: column::time(row, 11)?,
        removed_at: column::time_if_any(row, 12)?,
    })
}

fn complete(conn: &Connection, mut credential: Credential) -> Result<Credential, CatalogueError> {
    let id = credential.id;
    credential.devices = conn
        .prepare_cached("SELECT device FROM credential_device WHERE credential = ?1 ORDER BY device")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    credential.tags = conn
        .prepare_cached("SELECT tag FROM credential_tag WHERE credential = ?1 ORDER BY tag")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    credential.key_versions = key_version::of(conn, id)?;
    credential.passwords = password_version::of(conn, id)?;
    Ok(credential)
}

/// Lists the credentials by number.
///
/// # Errors
/// The database's own failure.
pub fn all(conn: &Connection) -> Result<Vec<Credential>, CatalogueError> {
    let mut found: Vec<Credential> = conn
        .prepare_cached(&format!("{COLUMNS} AND removed_at IS NULL ORDER BY id"))?
        .query_map([], credential)?
        .collect::<Result<_, _>>()?;
    let places: HashMap<CredentialId, usize> =
        found.iter().enumerate().map(|(place, credential)| (credential.id, place)).collect();
    let mut devices = conn.prepare_cached("SELECT credential, device FROM credential_device ORDER BY 1, 2")?;
    for row in devices.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (id, device): (CredentialId, DeviceId) = row?;
        if let Some(credential) = numbered(&mut found, &places, id) {
            credential.devices.push(device);
        }
    }
    let mut tags = conn.prepare_cached("SELECT credential, tag FROM credential_tag ORDER BY 1, 2")?;
    for row in tags.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (id, tag): (CredentialId, String) = row?;
        if let Some(credential) = numbered(&mut found, &places, id) {
            credential.tags.push(tag);
        }
    }
    for (id, version) in key_version::all(conn)? {
        if let Some(credential) = numbered(&mut found, &places, id) {
            credential.key_versions.push(version);
        }
    }
    for (id, version) in password_version::all(conn)? {
        if let Some(credential) = numbered(&mut found, &places, id) {
            credential.passwords.push(version);
        }
    }
    Ok(found)
}

fn numbered<'a>(
    found: &'a mut [Credential],
    places: &HashMap<CredentialId, usize>,
    id: CredentialId,
) -> Option<&'a mut Credential> {
    places.get(&id).and_then(|place| found.get_mut(*place))
}

/// Finds a credential by number, also one that was removed.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_id(conn: &Connection, id: CredentialId) -> Result<Credential, CatalogueError> {
    let found = conn.prepare_cached(&format!("{COLUMNS} AND id = ?1"))?.query_row([id], credential).optional()?;
    complete(conn, found.ok_or_else(|| CatalogueError::unknown(Noun::Credential, id))?)
}

/// Finds a credential that was not removed by its name.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_name(conn: &Connection, name: &str) -> Result<Credential, CatalogueError> {
    let found = conn
        .prepare_cached(&format!("{COLUMNS} AND name = ?1 AND removed_at IS NULL"))?
        .query_row([name.trim()], credential)
        .optional()?;
    complete(conn, found.ok_or_else(|| CatalogueError::unknown(Noun::Credential, name))?)
}

/// The name of each credential by number, also of removed ones.
pub(crate) fn names(conn: &Connection) -> Result<HashMap<CredentialId, String>, CatalogueError> {
    let mut statement = conn.prepare_cached("SELECT id, name FROM credential")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Checks what spans several fields or several things; the texts were checked.
pub(crate) fn check(
    conn: &Connection,
    id: Option<CredentialId>,
    credential: &Credential,
) -> Result<(), CatalogueError> {
    let taken = conn
        .prepare_cached(
            "SELECT 1 FROM credential WHERE name = ?1 AND id IS NOT ?2 AND removed_at IS NULL AND ready = 1",
        )?
        .exists((&credential.name, id))?;
    if taken {
        return Err(CatalogueError::NameTaken { noun: Noun::Credential, name: credential.name.clone() });
    }
    if credential.kind == Kind::Password && credential.automatic_change {
        return Err(CatalogueError::PasswordChange { credential: credential.name.clone() });
    }
    if let Authentication::Credential(other) = credential.authentication {
        if Some(other) == id {
            return Err(CatalogueError::AuthenticationItself { credential: credential.name.clone() });
        }
        living(conn, Noun::Credential, other.0).map_err(|error| error.at("auth_with"))?;
    }
    if let Some(owner) = credential.owner {
        living(conn, Noun::Person, owner.0).map_err(|error| error.at("owner"))?;
    }
    living(conn, Noun::Policy, credential.policy.0).map_err(|error| error.at("policy"))?;
    for device in credential.devices_in_order() {
        let field = if device == credential.original_device { "original_device" } else { "devices" };
        living(conn, Noun::Device, device.0).map_err(|error| error.at(field))?;
    }
    Ok(())
}

fn living(conn: &Connection, noun: Noun, id: i64) -> Result<(), CatalogueError> {
    let table = noun.as_str();
    if conn.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?1 AND removed_at IS NULL"))?.exists([id])? {
        Ok(())
    } else {
        Err(CatalogueError::unknown(noun, id))
    }
}

/// Begins a credential: a row that nobody sees until [`finish`], while its secret is being stored.
pub(crate) fn begin(conn: &Connection, credential: &Credential) -> Result<CredentialId, CatalogueError> {
    check(conn, None, credential)?;
    conn.prepare_cached(
        "INSERT INTO credential (name, kind, username, owner, original_device, enabled, automatic_change, auth_with,
             policy, imported_from, ready, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11)",
    )?
    .execute((
        &credential.name,
        credential.kind.as_str(),
        &credential.username,
        credential.owner,
        credential.original_device,
        credential.enabled,
        credential.automatic_change,
        auth_with(credential),
        credential.policy,
        &credential.imported_from,
        rfc3339(credential.created),
    ))?;
    let id = CredentialId(conn.last_insert_rowid());
    write_lists(conn, id, credential)?;
    Ok(id)
}

/// Makes a begun credential visible, with its first secret as the current one.
pub(crate) fn finish(
    conn: &Connection,
    id: CredentialId,
    credential: &Credential,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    // Much may have happened while the keyring was asked.
    check(conn, Some(id), credential)?;
    if conn.prepare_cached("UPDATE credential SET ready = 1 WHERE id = ?1")?.execute([id])? == 0 {
        return Err(CatalogueError::Overtaken { credential: credential.name.clone() });
    }
    match credential.kind {
        Kind::SshKey => key_version::make_current(conn, id, 1, now),
        Kind::Password => password_version::make_current(conn, id, 1),
    }
}

/// Forgets a credential that was begun and not finished; its number is not used again.
pub(crate) fn forget(conn: &Connection, id: CredentialId) -> Result<(), CatalogueError> {
    let begun = conn.prepare_cached("SELECT 1 FROM credential WHERE id = ?1 AND ready = 0")?.exists([id])?;
    if !begun {
        return Ok(());
    }
    for table in ["credential_device", "credential_tag", "key_version", "password_version"] {
        conn.execute(&format!("DELETE FROM {table} WHERE credential = ?1"), [id])?;
    }
    conn.execute("DELETE FROM credential WHERE id = ?1", [id])?;
    Ok(())
}

/// Lists the keyring items of credentials that were begun before a time and not finished.
pub(crate) fn unfinished(
    conn: &Connection,
    before: Timestamp,
) -> Result<Vec<(CredentialId, ItemName)>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT credential.id, secret.item FROM credential
         JOIN (SELECT credential, item FROM key_version UNION ALL SELECT credential, item FROM password_version) AS secret
           ON secret.credential = credential.id
         WHERE ready = 0 AND credential.created < ?1",
    )?;
    let rows = statement.query_map([rfc3339(before)], |row| Ok((row.get(0)?, column::parsed(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a credential's fields; the texts were checked.
pub(crate) fn update(conn: &Connection, credential: &Credential) -> Result<(), CatalogueError> {
    check(conn, Some(credential.id), credential)?;
    conn.prepare_cached(
        "UPDATE credential SET name = ?2, username = ?3, owner = ?4, original_device = ?5, enabled = ?6,
             automatic_change = ?7, auth_with = ?8, policy = ?9
         WHERE id = ?1",
    )?
    .execute((
        credential.id,
        &credential.name,
        &credential.username,
        credential.owner,
        credential.original_device,
        credential.enabled,
        credential.automatic_change,
        auth_with(credential),
        credential.policy,
    ))?;
    write_lists(conn, credential.id, credential)
}

/// Removes a credential that nothing authenticates with.
pub(crate) fn remove(conn: &Connection, credential: &Credential, now: Timestamp) -> Result<(), CatalogueError> {
    let users = conn
        .prepare_cached(
            "SELECT name FROM credential WHERE auth_with = ?1 AND removed_at IS NULL AND ready = 1
             UNION SELECT name FROM device WHERE jump_with = ?1 AND removed_at IS NULL ORDER BY 1",
        )?
        .query_map([credential.id], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if !users.is_empty() {
        return Err(CatalogueError::CredentialUsed { credential: credential.name.clone(), users });
    }
    conn.prepare_cached("UPDATE credential SET removed_at = ?2 WHERE id = ?1")?
        .execute((credential.id, rfc3339(now)))?;
    Ok(())
}

/// A secret that should not be in the keyring any more: of a removed credential, or a password that was replaced or, before
/// the given time, not finished.
#[derive(Debug, Clone)]
pub(crate) struct LeftSecret {
    pub(crate) credential: CredentialId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) version: u32,
    pub(crate) item: ItemName,
}

/// Lists the secrets of one credential, or of all, that should not be in the keyring any more.
pub(crate) fn left_secrets(
    conn: &Connection,
    id: Option<CredentialId>,
    before: Timestamp,
) -> Result<Vec<LeftSecret>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT credential.id, name, kind, version, item FROM key_version
         JOIN credential ON credential.id = key_version.credential
         WHERE removed_at IS NOT NULL AND state <> 'destroyed' AND (?1 IS NULL OR credential.id = ?1)
         UNION ALL
         SELECT credential.id, name, kind, version, item FROM password_version
         JOIN credential ON credential.id = password_version.credential
         WHERE ready = 1 AND state <> 'destroyed' AND (?1 IS NULL OR credential.id = ?1)
           AND (removed_at IS NOT NULL OR state = 'retired' OR (state = 'candidate' AND password_version.created < ?2))
         ORDER BY 1, 4",
    )?;
    let rows = statement.query_map((id, rfc3339(before)), |row| {
        Ok(LeftSecret {
            credential: row.get(0)?,
            name: row.get(1)?,
            kind: column::parsed(row, 2)?,
            version: row.get(3)?,
            item: column::parsed(row, 4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn auth_with(credential: &Credential) -> Option<CredentialId> {
    match credential.authentication {
        Authentication::Itself => None,
        Authentication::Credential(id) => Some(id),
    }
}

fn write_lists(conn: &Connection, id: CredentialId, credential: &Credential) -> Result<(), CatalogueError> {
    conn.prepare_cached("DELETE FROM credential_device WHERE credential = ?1")?.execute([id])?;
    let mut device = conn.prepare_cached("INSERT INTO credential_device (credential, device) VALUES (?1, ?2)")?;
    for number in credential.devices_in_order() {
        device.execute((id, number))?;
    }
    conn.prepare_cached("DELETE FROM credential_tag WHERE credential = ?1")?.execute([id])?;
    let mut tag = conn.prepare_cached("INSERT INTO credential_tag (credential, tag) VALUES (?1, ?2)")?;
    for text in &credential.tags {
        tag.execute((id, text))?;
    }
    Ok(())
}
