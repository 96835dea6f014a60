//! Adding a credential: the intent, then the keyring, then the catalogue.
//!
//! Until the last step the credential is a row that nobody sees: whoever is killed in between has added nothing, and what
//! was left in the keyring is found by the intent's row and removed later.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::{NewCredential, NewSecret, authentication};
use crate::audit::{self, Action};
use crate::catalogue::credential::{self, Credential, Kind};
use crate::catalogue::{CatalogueError, CredentialId, Noun, person, policy};
use crate::catalogue::{key_version, password_version, text};
use crate::error::Error;
use crate::key::{PrivateKey, PublicKey};
use crate::keywheel::Keywheel;
use crate::vault::{ItemName, VaultError};

/// Who has not finished after this time was killed: the keyring's own timeouts are far shorter.
const UNFINISHED: SignedDuration = SignedDuration::from_mins(10);

/// A new secret, taken apart: what the catalogue may know of it, and the bytes for the keyring.
struct Taken {
    kind: Kind,
    public_key: Option<PublicKey>,
    bytes: Zeroizing<Vec<u8>>,
    imported_from: Option<String>,
    /// The action that made it.
    made: &'static str,
}

impl Keywheel {
    /// Adds a credential and stores its key or password in the keyring.
    ///
    /// # Errors
    /// A field can't be what it is, a name is taken or unknown, or the vault can't be used; then nothing is added.
    pub async fn add_credential(&self, new: NewCredential) -> Result<Credential, Error> {
        let action = Action::new("credential-add", "credential", new.name.trim());
        // A locked keyring is found before anything is begun.
        if let Err(error) = self.vault().check().await {
            self.record(action, Some(&error)).await;
            return Err(error.into());
        }
        self.remove_leftovers().await;
        let taken = match take(&new) {
            Ok(taken) => taken,
            Err(error) => {
                self.record(action, Some(&error)).await;
                return Err(error.into());
            }
        };
        let Taken { kind, public_key, bytes, imported_from, made } = taken;
        let (id, draft, item) = {
            let this = self.clone();
            let public_key = public_key.clone();
            let begun = self.database().run_write(move |tx| this.begin(tx, new, kind, public_key, imported_from, made));
            match begun.await {
                Ok(begun) => begun,
                Err(error) => {
                    self.record(action, Some(&error)).await;
                    return Err(error);
                }
            }
        };
        if let Err(error) = self.vault().store(&item, &bytes).await {
            // A taken name is somebody else's item: it must stay.
            let ours = !matches!(error, VaultError::ItemExists { .. });
            self.forget(id, ours.then_some(&item)).await;
            self.record(action, Some(&error)).await;
            return Err(error.into());
        }
        drop(bytes);
        let now = self.now();
        let finished = self
            .change(action, move |tx, action| {
                credential::finish(tx, id, &draft, now)?;
                let added = credential::by_id(tx, id)?;
                action.detail = json!({
                    "id": id,
                    "kind": added.kind,
                    "username": added.username,
                    "fingerprint": public_key.map(|key| key.fingerprint().to_string()),
                    "devices": added.devices_in_order(),
                });
                Ok(added)
            })
            .await;
        match finished {
            Ok(_) => self.back_up_by_itself().await,
            Err(_) => self.forget(id, Some(&item)).await,
        }
        finished
    }

    fn begin(
        &self,
        tx: &rusqlite::Transaction<'_>,
        new: NewCredential,
        kind: Kind,
        public_key: Option<PublicKey>,
        imported_from: Option<String>,
        made: &'static str,
    ) -> Result<(CredentialId, Credential, ItemName), Error> {
        let now = self.now();
        let draft = draft(tx, new, kind, imported_from, now)?;
        let id = credential::begin(tx, &draft)?;
        let mut action = Action::new(made, "credential", draft.name.clone());
        let item = match public_key {
            Some(key) => {
                let item = self.item_name(id, 1, key.fingerprint());
                key_version::insert_candidate(tx, id, 1, &key, &item, now)?;
                action.detail = json!({
                    "fingerprint": key.fingerprint().to_string(),
                    "algorithm": key.algorithm(),
                    "from": draft.imported_from,
                });
                item
            }
            None => {
                let item = self.password_item(id, 1);
                password_version::insert(tx, id, 1, &item, now)?;
                item
            }
        };
        audit::append(tx, &action.entry(now, self.actor(), None))?;
        Ok((id, draft, item))
    }

    /// The name for a stored password: random where a key has its fingerprint, because nothing of a password may be seen.
    pub(super) fn password_item(&self, id: CredentialId, version: u32) -> ItemName {
        self.item_name(id, version, format_args!("password:{}", hex::encode(rand::random::<[u8; 16]>())))
    }

    /// Takes back a credential that was begun. Where the keyring does not let go of the item, the row stays, so that the item
    /// is found later.
    async fn forget(&self, id: CredentialId, item: Option<&ItemName>) {
        if let Some(item) = item
            && let Err(error) = self.vault().remove(item).await
        {
            tracing::warn!(%item, %error, "an item of a credential that was not added is left in the keyring");
            return;
        }
        if let Err(error) = self.database().run_write(move |tx| credential::forget(tx, id)).await {
            tracing::warn!(%error, "the intent of a credential that was not added is left in the database");
        }
    }

    /// The time before which whoever began is no longer at it.
    pub(super) fn begun_before(&self) -> Timestamp {
        self.now().checked_sub(UNFINISHED).unwrap_or(Timestamp::MIN)
    }

    /// Removes from the keyring what a killed process or a locked keyring left there. What fails is tried again next time.
    pub(super) async fn remove_leftovers(&self) {
        let before = self.begun_before();
        match self.read(move |conn| credential::unfinished(conn, before)).await {
            Ok(unfinished) => {
                for (id, item) in unfinished {
                    self.forget(id, Some(&item)).await;
                }
            }
            Err(error) => tracing::warn!(%error, "credentials that were not finished could not be looked up"),
        }
        self.destroy_left_secrets().await;
    }
}

fn take(new: &NewCredential) -> Result<Taken, CatalogueError> {
    let of_key = |key: &PrivateKey, made, imported_from| Taken {
        kind: Kind::SshKey,
        public_key: Some(key.public_key().clone()),
        bytes: key.to_secret_bytes(),
        imported_from,
        made,
    };
    Ok(match &new.secret {
        NewSecret::Generated(key) => of_key(key, "key-generate", None),
        NewSecret::Imported { key, from } => {
            of_key(key, "key-import", from.as_ref().map(|path| path.to_string_lossy().into_owned()))
        }
        NewSecret::Password(password) => Taken {
            kind: Kind::Password,
            public_key: None,
            bytes: password_bytes(&new.name, password)?,
            imported_from: None,
            made: "password-store",
        },
    })
}

/// A password is one line: a prompt could not be answered with another.
pub(super) fn password_bytes(credential: &str, password: &SecretString) -> Result<Zeroizing<Vec<u8>>, CatalogueError> {
    let text = password.expose_secret();
    if text.is_empty() || text.contains(['\n', '\r', '\0']) {
        return Err(CatalogueError::Password { credential: credential.trim().to_owned() });
    }
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn draft(
    tx: &rusqlite::Transaction<'_>,
    new: NewCredential,
    kind: Kind,
    imported_from: Option<String>,
    now: Timestamp,
) -> Result<Credential, CatalogueError> {
    let name = text::name(Noun::Credential, &new.name)?;
    if kind == Kind::Password && new.automatic != super::Automatic::default() {
        return Err(CatalogueError::PasswordChange { credential: name });
    }
    let (automatic_change, authentication) = authentication(&name, new.automatic)?;
    if let Some(owner) = new.owner {
        active(tx, owner)?;
    }
    let policy = match new.policy {
        Some(id) => id,
        None => policy::by_name(tx, policy::STANDARD)?.id,
    };
    Ok(Credential {
        id: CredentialId(0),
        name,
        kind,
        username: text::username(&new.username)?,
        owner: new.owner,
        original_device: new.original_device,
        devices: credential::order_of_change(new.original_device, &new.devices),
        tags: text::tags(&new.tags)?,
        enabled: new.enabled,
        automatic_change,
        authentication,
        policy,
        imported_from,
        key_versions: Vec::new(),
        passwords: Vec::new(),
        created: now,
        removed_at: None,
    })
}

/// Only an active person is given credentials.
pub(super) fn active(tx: &rusqlite::Transaction<'_>, id: crate::catalogue::PersonId) -> Result<(), CatalogueError> {
    let owner = person::by_id(tx, id).map_err(|error| error.at("owner"))?;
    if owner.active { Ok(()) } else { Err(CatalogueError::HandOver { person: owner.name }) }
}
