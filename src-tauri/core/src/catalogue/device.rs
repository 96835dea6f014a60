//! Devices, their tags and their pinned host keys.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{CatalogueError, CredentialId, DeviceId, Noun};
use crate::clock::rfc3339;
use crate::database::column;
use crate::key::PublicKey;

/// A host reachable over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The number; the order of change goes by it.
    pub id: DeviceId,
    /// The name, unique among devices.
    pub name: String,
    /// A host name or an IP address.
    pub address: String,
    /// The port of the SSH server.
    pub port: u16,
    /// The device over which this one is reached.
    pub jump: Option<DeviceId>,
    /// The credential for the jump device; none: the one being used.
    pub jump_with: Option<CredentialId>,
    /// Tags, in order.
    pub tags: Vec<String>,
    /// Where `authorized_keys` lies; none: found out.
    pub authorized_keys_path: Option<String>,
    /// Whether it is connected to.
    pub enabled: bool,
    /// The pinned host keys, at most one of each type.
    pub host_keys: Vec<HostKey>,
    /// When the entry was made.
    pub created: Timestamp,
    /// When it was removed from the catalogue; it is kept because key versions may stand on it.
    pub removed_at: Option<Timestamp>,
}

/// A host key that was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The key.
    pub key: PublicKey,
    /// When a person accepted it.
    pub pinned_at: Timestamp,
}

const COLUMNS: &str = "SELECT id, name, address, port, jump, jump_with, authorized_keys_path, enabled, created, \
    removed_at FROM device";

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: row.get(0)?,
        name: row.get(1)?,
        address: row.get(2)?,
        port: row.get(3)?,
        jump: row.get(4)?,
        jump_with: row.get(5)?,
        tags: Vec::new(),
        authorized_keys_path: row.get(6)?,
        enabled: row.get(7)?,
        host_keys: Vec::new(),
        created: column::time(row, 8)?,
        removed_at: column::time_if_any(row, 9)?,
    })
}

fn host_key(row: &Row<'_>) -> rusqlite::Result<(DeviceId, HostKey)> {
    let text: String = row.get(1)?;
    let key = PublicKey::from_openssh(&text).map_err(|error| column::unreadable(row, 1, error))?;
    Ok((row.get(0)?, HostKey { key, pinned_at: column::time(row, 2)? }))
}

fn complete(conn: &Connection, mut device: Device) -> Result<Device, CatalogueError> {
    device.tags = conn
        .prepare_cached("SELECT tag FROM device_tag WHERE device = ?1 ORDER BY tag")?
        .query_map([device.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    device.host_keys = conn
        .prepare_cached("SELECT device, public_key, pinned_at FROM host_key WHERE device = ?1 ORDER BY key_type")?
        .query_map([device.id], host_key)?
        .map(|row| row.map(|(_, key)| key))
        .collect::<Result<_, _>>()?;
    Ok(device)
}

/// Lists the devices by number.
///
/// # Errors
/// The database's own failure.
pub fn all(conn: &Connection) -> Result<Vec<Device>, CatalogueError> {
    let mut devices: Vec<Device> = conn
        .prepare_cached(&format!("{COLUMNS} WHERE removed_at IS NULL ORDER BY id"))?
        .query_map([], device)?
        .collect::<Result<_, _>>()?;
    let places: HashMap<DeviceId, usize> =
        devices.iter().enumerate().map(|(place, device)| (device.id, place)).collect();
    let mut tags = conn.prepare_cached("SELECT device, tag FROM device_tag ORDER BY device, tag")?;
    for row in tags.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (id, tag): (DeviceId, String) = row?;
        if let Some(device) = places.get(&id).and_then(|place| devices.get_mut(*place)) {
            device.tags.push(tag);
        }
    }
    let mut keys =
        conn.prepare_cached("SELECT device, public_key, pinned_at FROM host_key ORDER BY device, key_type")?;
    for row in keys.query_map([], host_key)? {
        let (id, key) = row?;
        if let Some(device) = places.get(&id).and_then(|place| devices.get_mut(*place)) {
            device.host_keys.push(key);
        }
    }
    Ok(devices)
}

/// Finds a device by number, also one that was removed.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_id(conn: &Connection, id: DeviceId) -> Result<Device, CatalogueError> {
    let found = conn.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?.query_row([id], device).optional()?;
    complete(conn, found.ok_or_else(|| CatalogueError::unknown(Noun::Device, id))?)
}

/// Finds a device that was not removed by its name, or by its number in digits.
///
/// # Errors
/// There is none; the database's own failure.
pub fn find(conn: &Connection, given: &str) -> Result<Device, CatalogueError> {
    let given = given.trim();
    let found = match given.parse::<i64>() {
        Ok(id) => conn
            .prepare_cached(&format!("{COLUMNS} WHERE id = ?1 AND removed_at IS NULL"))?
            .query_row([id], device)
            .optional()?,
        Err(_) => conn
            .prepare_cached(&format!("{COLUMNS} WHERE name = ?1 AND removed_at IS NULL"))?
            .query_row([given], device)
            .optional()?,
    };
    complete(conn, found.ok_or_else(|| CatalogueError::unknown(Noun::Device, given))?)
}

/// The name of each device by number, also of removed ones.
pub(crate) fn names(conn: &Connection) -> Result<HashMap<DeviceId, String>, CatalogueError> {
    let mut statement = conn.prepare_cached("SELECT id, name FROM device")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// When each device was last seen.
pub(crate) fn last_seen(conn: &Connection) -> Result<HashMap<DeviceId, Timestamp>, CatalogueError> {
    let mut statement = conn.prepare_cached("SELECT device, seen_at FROM device_seen")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, column::time(row, 1)?)))?.collect::<Result<_, _>>()?)
}

/// The devices that may be connected to for what once stood there: enabled, or deleted while they were.
pub(crate) fn connected(conn: &Connection) -> Result<HashSet<DeviceId>, CatalogueError> {
    let mut statement = conn.prepare_cached("SELECT id FROM device WHERE enabled = 1")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The devices that are connected to.
pub(crate) fn enabled(conn: &Connection) -> Result<HashSet<DeviceId>, CatalogueError> {
    let mut statement = conn.prepare_cached("SELECT id FROM device WHERE enabled = 1 AND removed_at IS NULL")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Adds a device (its number is given by the database) without host keys; the fields were checked.
pub(crate) fn insert(conn: &Connection, device: &Device) -> Result<DeviceId, CatalogueError> {
    free(conn, &device.name, None)?;
    check_jump(conn, None, device)?;
    conn.prepare_cached(
        "INSERT INTO device (name, address, port, jump, jump_with, authorized_keys_path, enabled, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        &device.name,
        &device.address,
        device.port,
        device.jump,
        device.jump_with,
        &device.authorized_keys_path,
        device.enabled,
        rfc3339(device.created),
    ))?;
    let id = DeviceId(conn.last_insert_rowid());
    write_tags(conn, id, &device.tags)?;
    Ok(id)
}

/// Writes a device's fields but its host keys; they were checked.
pub(crate) fn update(conn: &Connection, device: &Device) -> Result<(), CatalogueError> {
    free(conn, &device.name, Some(device.id))?;
    check_jump(conn, Some(device.id), device)?;
    conn.prepare_cached(
        "UPDATE device SET name = ?2, address = ?3, port = ?4, jump = ?5, jump_with = ?6, authorized_keys_path = ?7,
             enabled = ?8
         WHERE id = ?1",
    )?
    .execute((
        device.id,
        &device.name,
        &device.address,
        device.port,
        device.jump,
        device.jump_with,
        &device.authorized_keys_path,
        device.enabled,
    ))?;
    write_tags(conn, device.id, &device.tags)
}

/// Removes a device that no credential and no other device needs; what is known of it stays.
pub(crate) fn remove(conn: &Connection, device: &Device, now: Timestamp) -> Result<(), CatalogueError> {
    let credentials = conn
        .prepare_cached(
            "SELECT DISTINCT credential.name FROM credential
             LEFT JOIN credential_device ON credential_device.credential = credential.id
             WHERE (credential_device.device = ?1 OR original_device = ?1) AND removed_at IS NULL AND ready = 1
             ORDER BY credential.name",
        )?
        .query_map([device.id], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if !credentials.is_empty() {
        return Err(CatalogueError::DeviceUsed { device: device.name.clone(), credentials });
    }
    let devices = conn
        .prepare_cached("SELECT name FROM device WHERE jump = ?1 AND removed_at IS NULL ORDER BY id")?
        .query_map([device.id], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if !devices.is_empty() {
        return Err(CatalogueError::DeviceIsJump { device: device.name.clone(), devices });
    }
    conn.prepare_cached("UPDATE device SET removed_at = ?2 WHERE id = ?1")?.execute((device.id, rfc3339(now)))?;
    Ok(())
}

/// Pins a host key in the place of the one of its type, if there is one.
pub(crate) fn pin(conn: &Connection, id: DeviceId, key: &PublicKey, now: Timestamp) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO host_key (device, key_type, public_key, pinned_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET public_key = excluded.public_key, pinned_at = excluded.pinned_at",
    )?
    .execute((id, key.key_type(), key.to_openssh(), rfc3339(now)))?;
    Ok(())
}

/// Forgets the pinned host key of a type.
pub(crate) fn unpin(conn: &Connection, id: DeviceId, key_type: &str) -> Result<(), CatalogueError> {
    conn.prepare_cached("DELETE FROM host_key WHERE device = ?1 AND key_type = ?2")?.execute((id, key_type))?;
    Ok(())
}

/// What was observed of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// When a connection last showed a pinned host key.
    pub seen_at: Option<Timestamp>,
    /// The host key that was shown instead of a pinned one, and when; until a person pins one.
    pub changed: Option<(PublicKey, Timestamp)>,
}

/// Notes that a connection to a device showed a pinned host key.
pub(crate) fn note_seen(conn: &Connection, id: DeviceId, now: Timestamp) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO device_seen (device, seen_at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
    )?
    .execute((id, rfc3339(now)))?;
    Ok(())
}

/// Notes the host key that a device showed instead of a pinned one.
///
/// It stays noted when the pinned key is shown again later: a person is to know that there was another.
pub(crate) fn note_changed_host_key(
    conn: &Connection,
    id: DeviceId,
    key: &PublicKey,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO changed_host_key (device, public_key, seen_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET public_key = excluded.public_key, seen_at = excluded.seen_at",
    )?
    .execute((id, key.to_openssh(), rfc3339(now)))?;
    Ok(())
}

/// Forgets the changed host key of a device, because a person has decided.
pub(crate) fn forget_changed_host_key(conn: &Connection, id: DeviceId) -> Result<(), CatalogueError> {
    conn.prepare_cached("DELETE FROM changed_host_key WHERE device = ?1")?.execute([id])?;
    Ok(())
}

/// What was observed of one device, or of all of which there is something.
pub(crate) fn observed(
    conn: &Connection,
    only: Option<DeviceId>,
) -> Result<HashMap<DeviceId, Observed>, CatalogueError> {
    let filter = if only.is_some() { "device = ?1" } else { "?1 IS NULL" };
    let mut observed: HashMap<DeviceId, Observed> = HashMap::new();
    let mut seen = conn.prepare_cached(&format!("SELECT device, seen_at FROM device_seen WHERE {filter}"))?;
    for row in seen.query_map([only], |row| Ok((row.get(0)?, column::time(row, 1)?)))? {
        let (id, at) = row?;
        observed.entry(id).or_default().seen_at = Some(at);
    }
    let mut changed =
        conn.prepare_cached(&format!("SELECT device, public_key, seen_at FROM changed_host_key WHERE {filter}"))?;
    for row in changed.query_map([only], host_key)? {
        let (id, HostKey { key, pinned_at: at }) = row?;
        observed.entry(id).or_default().changed = Some((key, at));
    }
    Ok(observed)
}

/// The names of the credentials on one device, or on each.
pub(crate) fn credentials_on(
    conn: &Connection,
    only: Option<DeviceId>,
) -> Result<HashMap<DeviceId, Vec<String>>, CatalogueError> {
    let filter = if only.is_some() { "device = ?1" } else { "?1 IS NULL" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT device, name FROM credential CROSS JOIN credential_device ON credential = id
         WHERE removed_at IS NULL AND ready = 1 AND {filter}"
    ))?;
    let mut credentials: HashMap<DeviceId, Vec<String>> = HashMap::new();
    for row in statement.query_map([only], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (id, name) = row?;
        credentials.entry(id).or_default().push(name);
    }
    // Many short lists are in order sooner than one long one.
    for names in credentials.values_mut() {
        names.sort_unstable();
    }
    Ok(credentials)
}

/// The jump devices on the way to a device, the nearest to this machine first.
///
/// # Errors
/// A jump device was removed; the database's own failure.
pub fn way_to(conn: &Connection, device: &Device) -> Result<Vec<Device>, CatalogueError> {
    let mut way = Vec::new();
    let mut next = device.jump;
    while let Some(id) = next {
        let jump = by_id(conn, id)?;
        if jump.id == device.id || way.iter().any(|known: &Device| known.id == jump.id) {
            return Err(CatalogueError::JumpLoop { device: device.name.clone(), way: vec![jump.name] });
        }
        next = jump.jump;
        way.push(jump);
    }
    way.reverse();
    Ok(way)
}

fn write_tags(conn: &Connection, id: DeviceId, tags: &[String]) -> Result<(), CatalogueError> {
    conn.prepare_cached("DELETE FROM device_tag WHERE device = ?1")?.execute([id])?;
    let mut insert = conn.prepare_cached("INSERT INTO device_tag (device, tag) VALUES (?1, ?2)")?;
    for tag in tags {
        insert.execute((id, tag))?;
    }
    Ok(())
}

fn free(conn: &Connection, name: &str, but: Option<DeviceId>) -> Result<(), CatalogueError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM device WHERE name = ?1 AND id IS NOT ?2 AND removed_at IS NULL")?;
    if statement.exists((name, but))? {
        return Err(CatalogueError::NameTaken { noun: Noun::Device, name: name.to_owned() });
    }
    Ok(())
}

/// Follows the jump devices to the end: none may be removed, and none may be the device itself.
fn check_jump(conn: &Connection, id: Option<DeviceId>, device: &Device) -> Result<(), CatalogueError> {
    let mut next = device.jump;
    if next.is_none() && device.jump_with.is_some() {
        return Err(CatalogueError::JumpMissing { device: device.name.clone() });
    }
    let mut way = vec![device.name.clone()];
    let mut seen = Vec::new();
    while let Some(jump) = next {
        if Some(jump) == id || seen.contains(&jump) {
            way.push(device.name.clone());
            return Err(CatalogueError::JumpLoop { device: device.name.clone(), way });
        }
        seen.push(jump);
        let found = by_id(conn, jump).map_err(|error| error.at("jump"))?;
        if found.removed_at.is_some() {
            return Err(CatalogueError::unknown(Noun::Device, found.name).at("jump"));
        }
        way.push(found.name);
        next = found.jump;
    }
    Ok(())
}
