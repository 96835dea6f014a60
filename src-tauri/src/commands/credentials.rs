//! Credentials.

use std::path::Path;
use std::sync::Arc;

use keywheel_core::catalogue::{CredentialId, DeviceId, Kind, PersonId, PolicyId};
use keywheel_core::credential::{
    Automatic, CredentialDetails, CredentialRow, DeviceTruth, EditCredential, NewCredential, NewSecret, Standing,
};
use keywheel_core::key::PrivateKey;
use keywheel_core::rotation::accepts::Accepts;
use keywheel_core::rotation::changes::ChangeView;
use keywheel_core::rotation::retired::{Held, RetiredVersion};
use keywheel_core::rotation::{Destroy, RotationError};
use keywheel_core::{Error, Keywheel};
use serde::{Deserialize, Serialize};
use tauri::{Runtime, State, WebviewWindow};
use ts_rs::TS;

use crate::desk::{Desk, Draft, Notice};
use crate::error::{Answer, DeskError, report};
use crate::files;
use crate::secret::Secret;

/// The form of a credential, whole.
#[derive(Debug, Deserialize, TS)]
pub(crate) struct CredentialForm {
    /// The name.
    pub(crate) name: String,
    /// The account on the devices.
    pub(crate) username: String,
    /// What kind of secret it is; fixed once it is saved.
    pub(crate) kind: Kind,
    /// The device it is created for.
    pub(crate) original_device: Option<DeviceId>,
    /// Whether it is changed and used to authenticate.
    pub(crate) enabled: bool,
    /// Tags.
    pub(crate) tags: Vec<String>,
    /// The person responsible.
    pub(crate) owner: Option<PersonId>,
    /// How it changes by itself.
    pub(crate) automatic: Automatic,
    /// The policy; none: "Standard".
    pub(crate) policy: Option<PolicyId>,
    /// The devices.
    pub(crate) devices: Vec<DeviceId>,
    /// The secret of a new credential, or another password; none: the one that is stored stays.
    pub(crate) secret: Option<FormSecret>,
}

/// The secret in a form.
#[derive(Debug, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormSecret {
    /// A key that is a draft.
    Key(u32),
    /// A password that was typed.
    Password(Secret),
}

/// All that the page of a credential shows.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
#[ts(rename = "CredentialDetails")]
pub(crate) struct CredentialPage {
    /// What lists show of it.
    pub(crate) credential: CredentialRow,
    /// The picture of the current key's fingerprint.
    pub(crate) randomart: Option<String>,
    /// The devices because of which the username is fixed.
    pub(crate) username_fixed: Vec<String>,
    /// What each device is known to accept.
    pub(crate) truth: Vec<DeviceTruth>,
    /// The other credentials that have the key.
    pub(crate) others_with_key: Vec<String>,
    /// Its changes, newest first.
    pub(crate) changes: Vec<ChangeView>,
    /// The retired versions of its key, oldest first.
    pub(crate) retired: Vec<RetiredVersion>,
}

/// Lists the credentials.
#[tauri::command]
pub(crate) async fn credentials(desk: State<'_, Arc<Desk>>) -> Answer<Vec<CredentialRow>> {
    desk.keywheel()?.credential_rows().await.map_err(report)
}

/// Shows a credential.
#[tauri::command]
pub(crate) async fn credential(desk: State<'_, Arc<Desk>>, id: CredentialId) -> Answer<CredentialPage> {
    let keywheel = desk.keywheel()?;
    let details = keywheel.credential_details(id).await.map_err(report)?;
    let changes = keywheel.change_views_of(id).await.map_err(report)?;
    let retired = keywheel.retired(id).await.map_err(report)?;
    let CredentialDetails { row, randomart, username_fixed, truth, others_with_key, .. } = details;
    Ok(CredentialPage { credential: row, randomart, username_fixed, truth, others_with_key, changes, retired })
}

/// Adds a credential, or gives one these fields; answers its ID.
#[tauri::command]
pub(crate) async fn save_credential(
    desk: State<'_, Arc<Desk>>,
    id: Option<CredentialId>,
    form: CredentialForm,
    standing: Standing,
) -> Answer<CredentialId> {
    let keywheel = desk.keywheel()?;
    match id {
        None => add(&desk, &keywheel, form).await,
        Some(id) => edit(&desk, &keywheel, id, form, standing).await.map(|()| id),
    }
}

async fn add(desk: &Desk, keywheel: &Keywheel, form: CredentialForm) -> Answer<CredentialId> {
    let missing = |what, field| report(DeskError::Missing { what, field });
    let original_device = form.original_device.ok_or_else(|| missing("The original device", "original_device"))?;
    let (secret, draft) = match (form.kind, form.secret) {
        (Kind::SshKey, Some(FormSecret::Key(draft))) => (key(desk, draft)?, Some(draft)),
        (Kind::Password, Some(FormSecret::Password(password))) => (NewSecret::Password(password.into_inner()), None),
        (Kind::SshKey, _) => return Err(missing("The key", "secret")),
        (Kind::Password, _) => return Err(missing("The password", "password")),
    };
    let new = NewCredential {
        name: form.name,
        username: form.username,
        original_device,
        devices: form.devices,
        owner: form.owner,
        tags: form.tags,
        enabled: form.enabled,
        automatic: form.automatic,
        policy: form.policy,
        secret,
    };
    let added = desk.changed(keywheel.add_credential(new).await)?;
    // Only now: where the form is refused, the key stays for the next try.
    if let Some(draft) = draft {
        desk.drafts().forget(draft);
    }
    Ok(added.id)
}

/// The draft's key pair once more, for the core to take: the draft itself is kept until the credential is saved.
fn key(desk: &Desk, draft: u32) -> Answer<NewSecret> {
    let drafts = desk.drafts();
    let again = |key: &PrivateKey| PrivateKey::from_secret_bytes(&key.to_secret_bytes()).map_err(report);
    match drafts.find(draft).map_err(report)? {
        Draft::Generated(key) => Ok(NewSecret::Generated(again(key)?)),
        Draft::Imported { key, from } => Ok(NewSecret::Imported { key: again(key)?, from: from.clone() }),
        Draft::Encrypted { .. } | Draft::Csv { .. } => Err(report(DeskError::DraftUnfit)),
    }
}

async fn edit(
    desk: &Desk,
    keywheel: &Keywheel,
    id: CredentialId,
    form: CredentialForm,
    standing: Standing,
) -> Answer<()> {
    let password = match form.secret {
        None => None,
        Some(FormSecret::Password(password)) => Some(password.into_inner()),
        // A key is changed on its devices, not replaced here.
        Some(FormSecret::Key(_)) => return Err(report(DeskError::DraftUnfit)),
    };
    let edit = EditCredential {
        name: Some(form.name),
        username: Some(form.username),
        original_device: form.original_device,
        devices: Some(form.devices),
        owner: Some(form.owner),
        tags: Some(form.tags),
        enabled: Some(form.enabled),
        automatic: Some(form.automatic),
        policy: form.policy,
    };
    desk.changed(keywheel.save_credential(id, edit, standing, password).await).map(drop)
}

/// Removes a credential and destroys its secrets.
#[tauri::command]
pub(crate) async fn remove_credential(desk: State<'_, Arc<Desk>>, id: CredentialId, standing: Standing) -> Answer<()> {
    let removed = desk.keywheel()?.remove_credential(id, standing).await;
    // Also where the keyring failed half-way the credential is gone.
    desk.notices.tell(Notice::Catalogue);
    removed.map(drop).map_err(report)
}

/// Says whether a credential is changed and used to authenticate.
#[tauri::command]
pub(crate) async fn set_credential_enabled(desk: State<'_, Arc<Desk>>, id: CredentialId, enabled: bool) -> Answer<()> {
    let edit = EditCredential { enabled: Some(enabled), ..EditCredential::default() };
    desk.changed(desk.keywheel()?.edit_credential(id, edit, Standing::Refuse).await).map(drop)
}

/// Asks each device of a credential which key versions it accepts now.
#[tauri::command]
pub(crate) async fn accepts(desk: State<'_, Arc<Desk>>, id: CredentialId) -> Answer<Vec<Accepts>> {
    let keywheel = desk.keywheel()?;
    let name = keywheel.credential(id).await.map_err(report)?.name;
    desk.changed(keywheel.accepts(&name).await)
}

/// Destroys a retired version of a credential's key, whose name the person typed to confirm; devices that are given up hold
/// it up no longer. Answers what holds it up all the same; nothing: it is gone.
#[tauri::command]
pub(crate) async fn destroy_key(
    desk: State<'_, Arc<Desk>>,
    id: CredentialId,
    name: String,
    version: u32,
    give_up: Vec<DeviceId>,
) -> Answer<Vec<Held>> {
    confirm(&desk, id, &name).await?;
    let give_up = give_up.iter().map(DeviceId::to_string).collect();
    let done = desk.keywheel()?.destroy_version(&Destroy { credential: id, version, give_up }).await;
    // Also where it is kept: what the devices answered is known now.
    desk.notices.tell(Notice::Catalogue);
    match done {
        Ok(()) => Ok(Vec::new()),
        Err(Error::Rotation(RotationError::KeyNeeded { held_by, .. })) => Ok(held_by),
        Err(error) => Err(report(error)),
    }
}

/// Lets the person, who typed the credential's name to confirm, choose a file and writes the private key to it; answers its
/// path.
#[tauri::command]
pub(crate) async fn reveal_key<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    id: CredentialId,
    name: String,
    passphrase: Option<Secret>,
) -> Answer<Option<String>> {
    confirm(&desk, id, &name).await?;
    match files::to_write(&window, &file_name(&name)).await {
        Some(path) => reveal(&desk, id, &path, passphrase).await.map(Some),
        None => Ok(None),
    }
}

/// Makes sure that this is the credential's name: the window asks for it, but it is here that it counts.
async fn confirm(desk: &Desk, id: CredentialId, typed: &str) -> Answer<()> {
    let credential = desk.keywheel()?.credential(id).await.map_err(report)?.name;
    if typed == credential { Ok(()) } else { Err(report(DeskError::NotConfirmed { credential })) }
}

/// A credential's name as that of a file: it may hold what leads into another folder, or what Windows does not take.
fn file_name(credential: &str) -> String {
    let safe = |c: char| if r#"/\:*?"<>|"#.contains(c) { '-' } else { c };
    credential.chars().map(safe).collect::<String>().trim_start_matches('.').to_owned()
}

pub(super) async fn reveal(desk: &Desk, id: CredentialId, path: &Path, passphrase: Option<Secret>) -> Answer<String> {
    let passphrase = passphrase.map(Secret::into_inner);
    desk.keywheel()?.reveal_key(id, path, passphrase).await.map_err(report)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_into_no_other_folder() {
        assert_eq!(file_name("web/deploy"), "web-deploy");
        assert_eq!(file_name(r"..\..\.ssh\id"), "-..-.ssh-id");
        assert_eq!(file_name("web 1 (root)"), "web 1 (root)");
    }
}
