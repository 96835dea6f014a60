//! Reading, revealing and replacing a credential's secret.

use std::path::Path;

use secrecy::SecretString;
use serde_json::json;
use zeroize::Zeroizing;

use super::edit::edit_in;
use super::{CredentialError, EditCredential, Standing, add, named};
use crate::audit::Action;
use crate::catalogue::credential::{self, Credential, Kind};
use crate::catalogue::{CatalogueError, CredentialId, KeyVersion, key_version, password_version};
use crate::error::Error;
use crate::key::PrivateKey;
use crate::keywheel::Keywheel;
use crate::private_file;

impl Keywheel {
    /// Reads the private half of a key version from the vault, and makes sure that it is this version's.
    ///
    /// # Errors
    /// The vault can't be used, or holds no item or another one.
    pub async fn read_key(&self, credential: &Credential, version: &KeyVersion) -> Result<PrivateKey, Error> {
        let item = || version.item.clone();
        let name = || credential.name.clone();
        let Some(bytes) = self.vault().read(&version.item).await? else {
            return Err(CredentialError::Gone { credential: name(), item: item() }.into());
        };
        let key = PrivateKey::from_secret_bytes(&bytes).map_err(|source| CredentialError::Unreadable {
            credential: name(),
            item: item(),
            source,
        })?;
        if key.public_key().blob() != version.public_key.blob() {
            return Err(CredentialError::Other { credential: name(), item: item() }.into());
        }
        Ok(key)
    }

    /// Reads the current key of a credential from the vault.
    ///
    /// # Errors
    /// As [`Keywheel::read_key`]; it is a password, or has no current key.
    pub async fn read_current_key(&self, credential: &Credential) -> Result<PrivateKey, Error> {
        match (credential.kind, credential.current_key()) {
            (Kind::SshKey, Some(version)) => self.read_key(credential, version).await,
            (Kind::SshKey, None) => {
                Err(CatalogueError::NoSecret { credential: credential.name.clone(), secret: "key" }.into())
            }
            (Kind::Password, _) => Err(wrong_kind(credential)),
        }
    }

    /// Reads the current key of a credential, unless it is compromised: for what is not its own change.
    ///
    /// # Errors
    /// As [`Keywheel::read_current_key`]; [`CredentialError::Compromised`].
    pub async fn usable_key(&self, credential: &Credential) -> Result<PrivateKey, Error> {
        refuse_compromised(credential)?;
        self.read_current_key(credential).await
    }

    /// Reads the password of a credential from the vault.
    ///
    /// # Errors
    /// The vault can't be used, or holds no item; it is a key.
    pub async fn read_password(&self, credential: &Credential) -> Result<Zeroizing<Vec<u8>>, Error> {
        match (credential.kind, credential.current_password()) {
            (Kind::Password, Some(version)) => match self.vault().read(&version.item).await? {
                Some(bytes) => Ok(bytes),
                None => {
                    Err(CredentialError::Gone { credential: credential.name.clone(), item: version.item.clone() }
                        .into())
                }
            },
            (Kind::Password, None) => {
                Err(CatalogueError::NoSecret { credential: credential.name.clone(), secret: "password" }.into())
            }
            (Kind::SshKey, _) => Err(wrong_kind(credential)),
        }
    }

    /// Writes a credential's private key to a new file with mode 0600, encrypted where a passphrase is given.
    ///
    /// The file is written and the audit row committed together, or neither.
    ///
    /// # Errors
    /// The file exists or can't be written; as [`Keywheel::read_current_key`].
    pub async fn reveal_key(&self, id: CredentialId, to: &Path, passphrase: Option<SecretString>) -> Result<(), Error> {
        let credential = self.credential(id).await?;
        let action = Action::new("key-reveal", "credential", credential.name.clone()).with(json!({
            "file": to.to_string_lossy(),
            "encrypted": passphrase.is_some(),
            "fingerprint": credential.current_key().map(|version| version.fingerprint().to_string()),
        }));
        let text = match self.openssh(&credential, passphrase).await {
            Ok(text) => text,
            Err(error) => {
                self.record(action, Some(&error)).await;
                return Err(error);
            }
        };
        let path = to.to_owned();
        let (version, now) = (credential.current_key().map(|current| current.version), self.now());
        let this = self.clone();
        self.database()
            .run(move |_| {
                let mut written = false;
                let done = this.change_now(action, |tx, action| {
                    named(tx, id, action)?;
                    private_file::create(&path, |mut file| std::io::Write::write_all(&mut file, text.as_bytes()))?;
                    written = true;
                    if let Some(version) = version {
                        key_version::revealed(tx, id, version, now)?;
                    }
                    Ok(())
                });
                if done.is_err() && written {
                    // A key that nobody knows was revealed must not stay revealed.
                    let _ = std::fs::remove_file(&path);
                }
                done
            })
            .await
    }

    async fn openssh(
        &self,
        credential: &Credential,
        passphrase: Option<SecretString>,
    ) -> Result<Zeroizing<String>, Error> {
        let key = self.usable_key(credential).await?;
        // The key derivation of an encrypted file takes a tenth of a second of pure computing.
        self.database().run(move |_| Ok::<_, Error>(key.write_openssh(passphrase.as_ref())?)).await
    }

    /// Changes a credential's fields and, where one is given, its password: both or neither. The password before is destroyed.
    ///
    /// # Errors
    /// As [`Keywheel::edit_credential`]; the password can't be one; it is a key; the vault can't be used.
    pub async fn save_credential(
        &self,
        id: CredentialId,
        edit: EditCredential,
        standing: Standing,
        password: Option<SecretString>,
    ) -> Result<Credential, Error> {
        let Some(password) = password else { return self.edit_credential(id, edit, standing).await };
        let credential = self.credential(id).await?;
        let store = Action::new("password-store", "credential", credential.name.clone());
        let version = match self.store_password(&credential, &password).await {
            Ok(version) => version,
            Err(error) => {
                self.record(store, Some(&error)).await;
                return Err(error);
            }
        };
        let (dir, now, actor) = (self.database().dir().to_owned(), self.now(), self.actor().clone());
        let mut store = store.with(json!({ "version": version }));
        let saved = self
            .change(Action::unnamed("credential-edit", "credential"), move |tx, action| {
                edit_in(tx, action, &dir, id, edit, standing)?;
                named(tx, id, &mut store)?;
                password_version::make_current(tx, id, version)?;
                crate::audit::append(tx, &store.entry(now, &actor, None))?;
                Ok(credential::by_id(tx, id)?)
            })
            .await;
        if saved.is_err() {
            self.leave_password(id, version).await?;
        }
        self.destroy_left_secrets().await;
        saved
    }

    /// Puts a password into the keyring that is not the current one yet; answers its number.
    async fn store_password(&self, credential: &Credential, password: &SecretString) -> Result<u32, Error> {
        if credential.kind != Kind::Password {
            return Err(wrong_kind(credential));
        }
        let bytes = add::password_bytes(&credential.name, password)?;
        self.vault().check().await?;
        let (id, now, this) = (credential.id, self.now(), self.clone());
        let (version, item) = self
            .database()
            .run_write(move |tx| -> Result<_, CatalogueError> {
                let version = password_version::next_number(tx, id)?;
                let item = this.password_item(id, version);
                password_version::insert(tx, id, version, &item, now)?;
                Ok((version, item))
            })
            .await?;
        if let Err(error) = self.vault().store(&item, &bytes).await {
            self.leave_password(id, version).await?;
            return Err(error.into());
        }
        Ok(version)
    }

    /// Makes the row of a password that did not become current one of a secret that is left: it is destroyed as soon as the
    /// keyring answers.
    async fn leave_password(&self, id: CredentialId, version: u32) -> Result<(), Error> {
        Ok(self.database().run_write(move |tx| password_version::retire(tx, id, version)).await?)
    }
}

/// Refuses what would use a key that is compromised for anything but its own change.
pub(crate) fn refuse_compromised(credential: &Credential) -> Result<(), CredentialError> {
    if credential.current_key().is_some_and(|version| version.compromised) {
        return Err(CredentialError::Compromised { credential: credential.name.clone() });
    }
    Ok(())
}

fn wrong_kind(credential: &Credential) -> Error {
    let (found, needed) = match credential.kind {
        Kind::SshKey => ("a key", "a password"),
        Kind::Password => ("a password", "a key"),
    };
    CatalogueError::WrongKind { credential: credential.name.clone(), found, needed }.into()
}
