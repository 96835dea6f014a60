//! What can be done with devices.

mod contact;
mod import;
mod known_hosts;
mod scan;
#[cfg(test)]
mod tests;
mod view;

use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use self::contact::Contact;
pub use self::import::{AddedDevice, BadRow, ChangedDevice, ImportError, Preview};
pub use self::known_hosts::{KnownHosts, KnownHostsError};
pub use self::scan::{HostKeyState, OfferedKey, OfferedKeyView};
pub use self::view::{ChangedHostKey, DeviceRow, DeviceView, HostKeyStanding, HostKeyView};
use crate::audit::Action;
use crate::catalogue::device::{self, Device};
use crate::catalogue::{CatalogueError, CredentialId, DeviceId, Noun, credential, text};
use crate::error::Error;
use crate::key::PublicKey;
use crate::keywheel::Keywheel;

/// The port of SSH (RFC 4251 §9; IANA).
pub const DEFAULT_PORT: u16 = 22;

/// A device to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct NewDevice {
    /// The name.
    pub name: String,
    /// A host name or an IP address.
    pub address: String,
    /// The port.
    #[ts(type = "number")]
    pub port: i64,
    /// The jump device.
    pub jump: Option<DeviceId>,
    /// The credential for the jump device.
    pub jump_with: Option<CredentialId>,
    /// Tags.
    pub tags: Vec<String>,
    /// Where `authorized_keys` lies; empty: found out.
    pub authorized_keys_path: String,
    /// Whether it is connected to.
    pub enabled: bool,
}

impl NewDevice {
    /// A device with nothing but what it must have.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: DEFAULT_PORT.into(),
            jump: None,
            jump_with: None,
            tags: Vec::new(),
            authorized_keys_path: String::new(),
            enabled: true,
        }
    }
}

/// What is to change of a device; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(default)]
pub struct EditDevice {
    /// The name.
    pub name: Option<String>,
    /// The address; pinned host keys stay, so that another host there is not trusted.
    pub address: Option<String>,
    /// The port.
    #[ts(type = "number | null")]
    pub port: Option<i64>,
    /// The jump device; `Some(None)`: none any more, and no credential for it.
    pub jump: Option<Option<DeviceId>>,
    /// The credential for the jump device; `Some(None)`: none any more.
    pub jump_with: Option<Option<CredentialId>>,
    /// All tags.
    pub tags: Option<Vec<String>>,
    /// Where `authorized_keys` lies; empty: found out.
    pub authorized_keys_path: Option<String>,
    /// Whether it is connected to.
    pub enabled: Option<bool>,
}

impl From<NewDevice> for EditDevice {
    fn from(form: NewDevice) -> Self {
        Self {
            name: Some(form.name),
            address: Some(form.address),
            port: Some(form.port),
            jump: Some(form.jump),
            jump_with: Some(form.jump_with),
            tags: Some(form.tags),
            authorized_keys_path: Some(form.authorized_keys_path),
            enabled: Some(form.enabled),
        }
    }
}

/// What pinning does with another key of the same type that is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// The pinned key stays, and pinning another is refused.
    Keep,
    /// A person has decided: the new key takes its place.
    Replace,
}

impl Keywheel {
    /// Lists the devices by number.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        self.read(device::all).await
    }

    /// Finds a device by its name, or by its number in digits.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn find_device(&self, given: &str) -> Result<Device, Error> {
        let given = given.to_owned();
        self.read(move |conn| device::find(conn, &given)).await
    }

    /// Finds a device by number, also one that was removed.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn device(&self, id: DeviceId) -> Result<Device, Error> {
        self.read(move |conn| device::by_id(conn, id)).await
    }

    /// Lists the devices by number, as shells show them.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn device_views(&self) -> Result<Vec<DeviceView>, Error> {
        self.read(view::all).await
    }

    /// Shows a device.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn device_view(&self, id: DeviceId) -> Result<DeviceView, Error> {
        self.read(move |conn| view::one(conn, id)).await
    }

    /// Lists the devices by number, as the window lists them.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn device_rows(&self) -> Result<Vec<DeviceRow>, Error> {
        self.read(view::rows).await
    }

    /// Shows a device as the window lists it.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn device_row(&self, id: DeviceId) -> Result<DeviceRow, Error> {
        self.read(move |conn| view::row(conn, id)).await
    }

    /// Saves a whole form: a new device, or all fields of one that is known.
    ///
    /// # Errors
    /// As [`Keywheel::add_device`] and [`Keywheel::edit_device`].
    pub async fn save_device(&self, id: Option<DeviceId>, form: NewDevice) -> Result<DeviceRow, Error> {
        let saved = match id {
            None => self.add_device(form).await?,
            Some(id) => self.edit_device(id, form.into()).await?,
        };
        self.device_row(saved.id).await
    }

    /// Adds a device.
    ///
    /// # Errors
    /// A field can't be what it is, the name is taken, or the jump device is unknown.
    pub async fn add_device(&self, new: NewDevice) -> Result<Device, Error> {
        let now = self.now();
        self.change(Action::new("device-add", "device", new.name.trim()), move |tx, action| {
            let added = add(tx, new, now)?;
            action.detail = json!({ "id": added.id, "address": added.address, "port": added.port });
            Ok(added)
        })
        .await
    }

    /// Changes a device's fields; its number and its pinned host keys stay.
    ///
    /// # Errors
    /// As [`Keywheel::add_device`]; the jump devices would lead back to it; there is no such device.
    pub async fn edit_device(&self, id: DeviceId, edit: EditDevice) -> Result<Device, Error> {
        self.change(Action::unnamed("device-edit", "device"), move |tx, action| {
            let before = named(tx, id, action)?;
            let after = apply(tx, before.clone(), edit)?;
            action.differs(&facts(&before), &facts(&after));
            Ok(after)
        })
        .await
    }

    /// Removes a device; its number is never given to another, and what stands on it stays known.
    ///
    /// # Errors
    /// A credential or another device needs it; there is no such device.
    pub async fn remove_device(&self, id: DeviceId) -> Result<(), Error> {
        let now = self.now();
        self.change(Action::unnamed("device-remove", "device"), move |tx, action| {
            let device = named(tx, id, action)?;
            action.detail = json!({ "id": id });
            Ok(device::remove(tx, &device, now)?)
        })
        .await
    }

    /// Pins host keys of a device, each in the place of the one of its type.
    ///
    /// # Errors
    /// Another key of the type is pinned and shall stay; there is no such device.
    pub async fn pin_host_keys(&self, id: DeviceId, keys: Vec<PublicKey>, pinned: Pinned) -> Result<Device, Error> {
        let now = self.now();
        self.change(Action::unnamed("device-pin", "device"), move |tx, action| {
            let device = named(tx, id, action)?;
            action.detail = json!({
                "host_keys": keys.iter().map(|key| key.fingerprint().to_string()).collect::<Vec<_>>(),
                "replaced": replaced(&device, &keys),
            });
            pin(tx, &device, &keys, pinned, now)?;
            Ok(device::by_id(tx, id)?)
        })
        .await
    }

    /// Forgets the pinned host key of a type.
    ///
    /// # Errors
    /// There is no such device; the database's own failure.
    pub async fn unpin_host_key(&self, id: DeviceId, key_type: &str) -> Result<Device, Error> {
        let key_type = key_type.to_owned();
        self.change(Action::unnamed("device-unpin", "device"), move |tx, action| {
            named(tx, id, action)?;
            action.detail = json!({ "key_type": key_type });
            device::unpin(tx, id, &key_type)?;
            let left = device::by_id(tx, id)?;
            if left.host_keys.is_empty() {
                // Without a pinned key there is nothing that another could differ from.
                device::forget_changed_host_key(tx, id)?;
            }
            Ok(left)
        })
        .await
    }
}

fn facts(device: &Device) -> serde_json::Value {
    json!({
        "name": device.name,
        "address": device.address,
        "port": device.port,
        "jump": device.jump,
        "jump_with": device.jump_with,
        "tags": device.tags,
        "authorized_keys_path": device.authorized_keys_path,
        "enabled": device.enabled,
    })
}

fn named(tx: &Transaction<'_>, id: DeviceId, action: &mut Action) -> Result<Device, CatalogueError> {
    action.subject = Some(id.to_string());
    let device = device::by_id(tx, id)?;
    action.subject = Some(device.name.clone());
    if device.removed_at.is_some() {
        return Err(CatalogueError::unknown(Noun::Device, device.name));
    }
    Ok(device)
}

fn add(tx: &Transaction<'_>, new: NewDevice, now: jiff::Timestamp) -> Result<Device, CatalogueError> {
    let device = Device {
        id: DeviceId(0),
        name: text::name(Noun::Device, &new.name)?,
        address: text::address(&new.address)?,
        port: text::port(new.port)?,
        jump: new.jump,
        jump_with: new.jump_with,
        tags: text::tags(&new.tags)?,
        authorized_keys_path: text::authorized_keys_path(&new.authorized_keys_path)?,
        enabled: new.enabled,
        host_keys: Vec::new(),
        created: now,
        removed_at: None,
    };
    known(tx, device.jump_with)?;
    let id = device::insert(tx, &device)?;
    device::by_id(tx, id)
}

fn apply(tx: &Transaction<'_>, mut device: Device, edit: EditDevice) -> Result<Device, CatalogueError> {
    if let Some(name) = edit.name {
        device.name = text::name(Noun::Device, &name)?;
    }
    if let Some(address) = edit.address {
        device.address = text::address(&address)?;
    }
    if let Some(port) = edit.port {
        device.port = text::port(port)?;
    }
    if let Some(jump) = edit.jump {
        device.jump = jump;
        if jump.is_none() {
            device.jump_with = None;
        }
    }
    if let Some(jump_with) = edit.jump_with {
        device.jump_with = jump_with;
        known(tx, jump_with)?;
    }
    if let Some(tags) = edit.tags {
        device.tags = text::tags(&tags)?;
    }
    if let Some(path) = edit.authorized_keys_path {
        device.authorized_keys_path = text::authorized_keys_path(&path)?;
    }
    device.enabled = edit.enabled.unwrap_or(device.enabled);
    device::update(tx, &device)?;
    Ok(device)
}

fn known(tx: &Transaction<'_>, jump_with: Option<CredentialId>) -> Result<(), CatalogueError> {
    match jump_with {
        None => Ok(()),
        Some(id) => match credential::by_id(tx, id).map_err(|error| error.at("jump_with"))? {
            found if found.removed_at.is_some() => Err(CatalogueError::unknown(Noun::Credential, id).at("jump_with")),
            _ => Ok(()),
        },
    }
}

fn pin(
    tx: &Transaction<'_>,
    device: &Device,
    keys: &[PublicKey],
    pinned: Pinned,
    now: jiff::Timestamp,
) -> Result<(), CatalogueError> {
    if !keys.is_empty() {
        device::forget_changed_host_key(tx, device.id)?;
    }
    for key in keys {
        let same_type = device.host_keys.iter().find(|known| known.key.key_type() == key.key_type());
        match same_type {
            // Pinned is pinned: the time says when a person first accepted it.
            Some(known) if known.key == *key => {}
            Some(known) if pinned == Pinned::Keep => {
                return Err(CatalogueError::HostKeyPinned {
                    device: device.name.clone(),
                    key_type: key.key_type().to_owned(),
                    pinned: known.key.fingerprint().to_string(),
                });
            }
            Some(_) | None => device::pin(tx, device.id, key, now)?,
        }
    }
    Ok(())
}

fn replaced(device: &Device, keys: &[PublicKey]) -> Vec<String> {
    device
        .host_keys
        .iter()
        .filter(|known| keys.iter().any(|key| key.key_type() == known.key.key_type() && *key != known.key))
        .map(|known| known.key.fingerprint().to_string())
        .collect()
}
