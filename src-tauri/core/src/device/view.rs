//! A device in the shape that shells show.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use crate::catalogue::device::{self, Device, HostKey, Observed};
use crate::catalogue::{CatalogueError, CredentialId, DeviceId, credential, words};
use crate::clock::rfc3339;

/// A device as shells show it (cli.md, "JSON").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct DeviceView {
    /// The number.
    pub id: DeviceId,
    /// The name.
    pub name: String,
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The jump device's name.
    pub jump: Option<String>,
    /// The name of the credential for the jump device.
    pub jump_with: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Where `authorized_keys` lies; none: found out.
    pub authorized_keys_path: Option<String>,
    /// Whether it is connected to.
    pub enabled: bool,
    /// The pinned host keys.
    pub host_keys: Vec<HostKeyView>,
}

/// A pinned host key as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct HostKeyView {
    /// The type, as in the protocol: `ssh-ed25519`.
    pub algorithm: String,
    /// The SHA-256 fingerprint.
    pub fingerprint: String,
    /// When it was pinned, in RFC 3339.
    pub pinned_at: String,
}

words! {
    /// How a device stands with its host keys.
    HostKeyStanding {
        /// None is pinned, so that it is not connected to.
        None = "none",
        /// One is pinned.
        Pinned = "pinned",
        /// It has shown another one than the pinned one, and nobody has decided yet.
        Changed = "changed",
    }
}

/// A host key that was shown instead of a pinned one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct ChangedHostKey {
    /// The type, as in the protocol: `ssh-ed25519`.
    pub algorithm: String,
    /// The SHA-256 fingerprint.
    pub fingerprint: String,
    /// When it was last shown, in RFC 3339.
    pub seen_at: String,
}

/// A device as the window lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct DeviceRow {
    /// What every shell shows.
    #[serde(flatten)]
    pub view: DeviceView,
    /// The jump device.
    pub jump_id: Option<DeviceId>,
    /// The credential for the jump device.
    pub jump_with_id: Option<CredentialId>,
    /// The names of the credentials on it.
    pub credentials: Vec<String>,
    /// How it stands with its host keys.
    pub host_key_state: HostKeyStanding,
    /// When a connection last showed a pinned host key, in RFC 3339.
    pub last_seen: Option<String>,
    /// The host key that was shown instead of a pinned one.
    pub changed_host_key: Option<ChangedHostKey>,
}

impl From<&HostKey> for HostKeyView {
    fn from(host_key: &HostKey) -> Self {
        Self {
            algorithm: host_key.key.key_type().to_owned(),
            fingerprint: host_key.key.fingerprint().to_string(),
            pinned_at: rfc3339(host_key.pinned_at),
        }
    }
}

pub(super) fn all(conn: &Connection) -> Result<Vec<DeviceView>, CatalogueError> {
    let devices = device::names(conn)?;
    let credentials = credential::names(conn)?;
    Ok(device::all(conn)?.into_iter().map(|device| view(device, &devices, &credentials)).collect())
}

pub(super) fn one(conn: &Connection, id: DeviceId) -> Result<DeviceView, CatalogueError> {
    Ok(view(device::by_id(conn, id)?, &device::names(conn)?, &credential::names(conn)?))
}

/// A few queries for the whole list, however long it is.
pub(super) fn rows(conn: &Connection) -> Result<Vec<DeviceRow>, CatalogueError> {
    let devices = device::names(conn)?;
    let credentials = credential::names(conn)?;
    let mut observed = device::observed(conn, None)?;
    let mut on_each = device::credentials_on(conn, None)?;
    let row = |device: Device| {
        let id = device.id;
        let observed = observed.remove(&id).unwrap_or_default();
        row_of(device, observed, on_each.remove(&id).unwrap_or_default(), &devices, &credentials)
    };
    Ok(device::all(conn)?.into_iter().map(row).collect())
}

pub(super) fn row(conn: &Connection, id: DeviceId) -> Result<DeviceRow, CatalogueError> {
    let device = device::by_id(conn, id)?;
    let observed = device::observed(conn, Some(id))?.remove(&id).unwrap_or_default();
    let credentials = device::credentials_on(conn, Some(id))?.remove(&id).unwrap_or_default();
    Ok(row_of(device, observed, credentials, &device::names(conn)?, &credential::names(conn)?))
}

fn row_of(
    device: Device,
    observed: Observed,
    credentials: Vec<String>,
    device_names: &HashMap<DeviceId, String>,
    credential_names: &HashMap<CredentialId, String>,
) -> DeviceRow {
    let changed_host_key = observed.changed.map(|(key, at)| ChangedHostKey {
        algorithm: key.key_type().to_owned(),
        fingerprint: key.fingerprint().to_string(),
        seen_at: rfc3339(at),
    });
    DeviceRow {
        jump_id: device.jump,
        jump_with_id: device.jump_with,
        credentials,
        host_key_state: match (&changed_host_key, device.host_keys.as_slice()) {
            (Some(_), _) => HostKeyStanding::Changed,
            (None, []) => HostKeyStanding::None,
            (None, _) => HostKeyStanding::Pinned,
        },
        last_seen: observed.seen_at.map(rfc3339),
        changed_host_key,
        view: view(device, device_names, credential_names),
    }
}

fn view(
    device: Device,
    devices: &HashMap<DeviceId, String>,
    credentials: &HashMap<CredentialId, String>,
) -> DeviceView {
    DeviceView {
        id: device.id,
        name: device.name,
        address: device.address,
        port: device.port,
        jump: device.jump.and_then(|id| devices.get(&id).cloned()),
        jump_with: device.jump_with.and_then(|id| credentials.get(&id).cloned()),
        tags: device.tags,
        authorized_keys_path: device.authorized_keys_path,
        enabled: device.enabled,
        host_keys: device.host_keys.iter().map(HostKeyView::from).collect(),
    }
}
