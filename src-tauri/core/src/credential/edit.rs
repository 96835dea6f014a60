//! Changing a credential's fields.

use rusqlite::Transaction;
use serde_json::json;

use super::{Automatic, EditCredential, Standing, add, authentication, named};
use crate::audit::{self, Action};
use crate::catalogue::credential::{self, Authentication, Credential, Kind};
use crate::catalogue::{CatalogueError, CredentialId, Noun, key_version, text};
use crate::error::Error;
use crate::journal;
use crate::keywheel::Keywheel;

impl Keywheel {
    /// Changes a credential's fields; its kind and its secret stay.
    ///
    /// `standing` says what happens where devices are taken off on which its key still stands.
    ///
    /// # Errors
    /// As [`Keywheel::add_credential`]; the username is fixed; the key stands on a device that would be taken off; a change
    /// that is not ended goes by the account, the devices and the status.
    pub async fn edit_credential(
        &self,
        id: CredentialId,
        edit: EditCredential,
        standing: Standing,
    ) -> Result<Credential, Error> {
        self.change(Action::unnamed("credential-edit", "credential"), move |tx, action| {
            let before = named(tx, id, action)?;
            let where_or_whether = edit.username.is_some()
                || edit.devices.is_some()
                || edit.original_device.is_some()
                || edit.enabled.is_some();
            if where_or_whether {
                journal::change::refuse_open(tx, id, &before.name)?;
            }
            let left = apply(tx, before.clone(), edit, standing)?;
            let after = credential::by_id(tx, id)?;
            action.detail = audit::difference(&facts(&before), &facts(&after));
            if !left.is_empty()
                && let Some(detail) = action.detail.as_object_mut()
            {
                detail.insert("key_left_on".to_owned(), left.into());
            }
            Ok(after)
        })
        .await
    }
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
