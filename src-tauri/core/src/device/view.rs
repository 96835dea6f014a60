//! A device in the shape that shells show.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use crate::catalogue::device::{self, Device, HostKey};
use crate::catalogue::{CatalogueError, CredentialId, DeviceId, credential};
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
