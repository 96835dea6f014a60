//! Removing a credential, and destroying what the keyring holds of it.

use serde_json::json;

use super::{CredentialError, Standing, named};
use crate::audit::Action;
use crate::catalogue::key_version::Happening;
use crate::catalogue::{CatalogueError, CredentialId, credential, key_version, password_version};
use crate::error::Error;
use crate::journal;
use crate::keywheel::Keywheel;
use crate::lock::{CredentialLock, Sharing};
use crate::vault::VaultError;

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The credential's name.
    pub credential: String,
    /// The devices on which its key was left.
    pub left_on: Vec<String>,
}

impl Keywheel {
    /// Removes a credential and destroys its secrets in the keyring.
    ///
    /// The catalogue comes first: were it the keyring, a crash in between would leave a credential without its key.
    ///
    /// # Errors
    /// The key still stands on devices and may not be left there; something authenticates with it; the keyring can't be
    /// used (then nothing is removed); the keyring fails half-way ([`CredentialError::Left`]); a change of it is not ended, or
    /// another process works with it.
    pub async fn remove_credential(&self, id: CredentialId, standing: Standing) -> Result<Removed, Error> {
        if let Err(error) = self.vault().check().await {
            let subject = match self.credential(id).await {
                Ok(credential) => credential.name,
                Err(_) => id.to_string(),
            };
            self.record(Action::new("credential-remove", "credential", subject), Some(&error)).await;
            return Err(error.into());
        }
        // Its keys are destroyed: no process may be using them to change or to authenticate.
        let name = self.credential(id).await?.name;
        let _lock = CredentialLock::take(self.database().dir(), id, &name, Sharing::Exclusive)?;
        let now = self.now();
        let removed = self
            .change(Action::unnamed("credential-remove", "credential"), move |tx, action| {
                let credential = named(tx, id, action)?;
                journal::change::refuse_open(tx, id, &credential.name)?;
                let stands: Vec<_> =
                    key_version::installed(tx, id)?.into_iter().filter(|known| known.stands()).collect();
                let left_on: Vec<String> = key_version::stands_on(tx, id)?.into_iter().map(|(_, name)| name).collect();
                if standing == Standing::Refuse && !left_on.is_empty() {
                    return Err(CatalogueError::KeyStands { credential: credential.name, devices: left_on }.into());
                }
                journal::scheduled::cancel_of(tx, id, now)?;
                credential::remove(tx, &credential, now)?;
                for known in stands {
                    key_version::note(tx, id, known.version, known.device, Happening::GivenUp, now)?;
                }
                action.detail = json!({ "id": id, "key_left_on": left_on });
                Ok(Removed { credential: credential.name, left_on })
            })
            .await?;
        let secrets = self.read(move |conn| credential::left_secrets(conn, Some(id), now)).await?;
        match self.destroy(secrets).await {
            None => Ok(removed),
            Some((left, source)) => Err(CredentialError::Left { credential: removed.credential, left, source }.into()),
        }
    }

    /// Destroys what earlier removals could not.
    pub(super) async fn destroy_left_secrets(&self) {
        let before = self.begun_before();
        match self.read(move |conn| credential::left_secrets(conn, None, before)).await {
            Ok(secrets) => drop(self.destroy(secrets).await),
            Err(error) => tracing::warn!(%error, "secrets that were left could not be looked up"),
        }
    }

    /// Destroys secrets; answers how many are left, and why.
    pub(super) async fn destroy(&self, secrets: Vec<credential::LeftSecret>) -> Option<(usize, VaultError)> {
        let mut left = None;
        for secret in secrets {
            let (name, key) = match secret.kind {
                credential::Kind::SshKey => ("key-destroy", true),
                credential::Kind::Password => ("password-destroy", false),
            };
            let action = Action::new(name, "credential", secret.name.clone())
                .with(json!({ "version": secret.version, "item": secret.item.to_string() }));
            match self.vault().remove(&secret.item).await {
                Ok(()) => {
                    let now = self.now();
                    let noted = self
                        .change(action, move |tx, _| {
                            if key {
                                key_version::destroyed(tx, secret.credential, secret.version, now)?;
                            } else {
                                password_version::destroyed(tx, secret.credential, secret.version, now)?;
                            }
                            Ok(())
                        })
                        .await;
                    if let Err(error) = noted {
                        tracing::warn!(%error, "a destroyed secret could not be noted; it is tried again");
                    }
                }
                Err(error) => {
                    self.record(action, Some(&error)).await;
                    left = Some((left.map_or(0, |(count, _)| count) + 1, error));
                }
            }
        }
        left
    }
}
