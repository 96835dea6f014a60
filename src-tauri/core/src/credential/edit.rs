//! Changing a credential's fields.

use std::path::Path;

use rusqlite::Transaction;
use serde_json::json;

use super::{Automatic, EditCredential, Standing, add, authentication, named};
use crate::audit::Action;
use crate::catalogue::credential::{self, Authentication, Credential, Kind, order_of_change};
use crate::catalogue::{CatalogueError, CredentialId, DeviceId, Noun, key_version, text};
use crate::error::Error;
use crate::journal;
use crate::keywheel::Keywheel;
use crate::lock::{CredentialLock, Sharing};

impl Keywheel {
    /// Changes a credential's fields; its kind and its secret stay. What is given as it is already counts as not given, so
    /// that a whole form can be saved.
    ///
    /// `standing` says what happens where devices are taken off on which its key still stands.
    ///
    /// # Errors
    /// As [`Keywheel::add_credential`]; the username is fixed; the key stands on a device that would be taken off; a change
    /// that is not ended goes by the account, the devices and the status. Devices may be taken off all the same while nobody
    /// works on it: that gives a device up which the change waits for.
    pub async fn edit_credential(
        &self,
        id: CredentialId,
        edit: EditCredential,
        standing: Standing,
    ) -> Result<Credential, Error> {
        let dir = self.database().dir().to_owned();
        self.change(Action::unnamed("credential-edit", "credential"), move |tx, action| {
            edit_in(tx, action, &dir, id, edit, standing)
        })
        .await
    }
}

pub(super) fn edit_in(
    tx: &Transaction<'_>,
    action: &mut Action,
    dir: &Path,
    id: CredentialId,
    edit: EditCredential,
    standing: Standing,
) -> Result<Credential, Error> {
    let before = named(tx, id, action)?;
    let edit = differing(edit, &before);
    let touches_change =
        edit.username.is_some() || edit.devices.is_some() || edit.original_device.is_some() || edit.enabled.is_some();
    let mut _lock = None;
    if touches_change {
        _lock = Some(CredentialLock::take(dir, id, &before.name, Sharing::Exclusive)?);
        if !only_takes_off(&before, &edit) {
            journal::change::refuse_open(tx, id, &before.name)?;
        }
    }
    let left = apply(tx, before.clone(), edit, standing)?;
    let after = credential::by_id(tx, id)?;
    action.differs(&facts(&before), &facts(&after));
    if !left.is_empty()
        && let Some(detail) = action.detail.as_object_mut()
    {
        detail.insert("key_left_on".to_owned(), left.into());
    }
    Ok(after)
}

/// The edit without those fields on which a change depends, where they are as they should be already.
fn differing(edit: EditCredential, before: &Credential) -> EditCredential {
    let original = edit.original_device.unwrap_or(before.original_device);
    EditCredential {
        username: edit.username.filter(|username| username.trim() != before.username),
        original_device: edit.original_device.filter(|device| *device != before.original_device),
        devices: edit.devices.filter(|devices| order_of_change(original, devices) != before.devices_in_order()),
        enabled: edit.enabled.filter(|enabled| *enabled != before.enabled),
        ..edit
    }
}

/// Whether an edit does nothing to account, status and devices but take devices off.
fn only_takes_off(before: &Credential, edit: &EditCredential) -> bool {
    let known = |device: &DeviceId| before.devices.contains(device);
    edit.username.is_none()
        && edit.enabled.is_none()
        && edit.devices.iter().flatten().all(known)
        && edit.original_device.iter().all(known)
}

fn facts(credential: &Credential) -> serde_json::Value {
    json!({
        "name": credential.name,
        "username": credential.username,
        "owner": credential.owner,
        "original_device": credential.original_device,
        "devices": credential.devices,
        "tags": credential.tags,
        "enabled": credential.enabled,
        "automatic_change": credential.automatic_change,
        "auth_with": match credential.authentication {
            Authentication::Itself => None,
            Authentication::Credential(id) => Some(id),
        },
        "policy": credential.policy,
    })
}

/// Answers the names of the devices that were taken off though the key stands there.
fn apply(
    tx: &Transaction<'_>,
    mut credential: Credential,
    edit: EditCredential,
    standing: Standing,
) -> Result<Vec<String>, CatalogueError> {
    let stands_on = key_version::stands_on(tx, credential.id)?;
    if let Some(name) = edit.name {
        credential.name = text::name(Noun::Credential, &name)?;
    }
    if let Some(username) = edit.username {
        let username = text::username(&username)?;
        if username != credential.username && !stands_on.is_empty() {
            let devices = stands_on.into_iter().map(|(_, name)| name).collect();
            return Err(CatalogueError::UsernameFixed { credential: credential.name, devices });
        }
        credential.username = username;
    }
    let before = credential.devices_in_order();
    credential.original_device = edit.original_device.unwrap_or(credential.original_device);
    if let Some(devices) = edit.devices {
        credential.devices = devices;
    }
    credential.devices = credential.devices_in_order();
    let left: Vec<String> = stands_on
        .into_iter()
        .filter(|(id, _)| before.contains(id) && !credential.devices.contains(id))
        .map(|(_, name)| name)
        .collect();
    if standing == Standing::Refuse && !left.is_empty() {
        return Err(CatalogueError::KeyStands { credential: credential.name, devices: left });
    }
    if let Some(owner) = edit.owner {
        if let Some(person) = owner
            && credential.owner != owner
        {
            add::active(tx, person)?;
        }
        credential.owner = owner;
    }
    if let Some(tags) = edit.tags {
        credential.tags = text::tags(&tags)?;
    }
    credential.enabled = edit.enabled.unwrap_or(credential.enabled);
    if let Some(automatic) = edit.automatic {
        if credential.kind == Kind::Password && automatic != Automatic::default() {
            return Err(CatalogueError::PasswordChange { credential: credential.name });
        }
        (credential.automatic_change, credential.authentication) = authentication(&credential.name, automatic)?;
    }
    credential.policy = edit.policy.unwrap_or(credential.policy);
    credential::update(tx, &credential)?;
    Ok(left)
}
