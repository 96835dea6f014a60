//! What can be done with credentials.

mod add;
mod edit;
mod error;
mod remove;
mod row;
mod secret;
mod state;
#[cfg(test)]
mod tests;
mod upcoming;
mod view;

use std::path::PathBuf;

use rusqlite::Transaction;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::error::CredentialError;
pub use self::remove::Removed;
pub use self::row::{CredentialDetails, CredentialRow, DeviceTruth, KeyAnswer, VersionTruth};
pub(crate) use self::secret::refuse_compromised;
pub use self::state::CredentialState;
pub use self::upcoming::Coming;
pub use self::view::{AuthenticationView, CredentialView, KeyVersionView};
use crate::audit::Action;
use crate::catalogue::credential::{self, Authentication, Credential};
use crate::catalogue::{CatalogueError, CredentialId, DeviceId, Installed, Noun, PersonId, PolicyId, key_version};
use crate::error::Error;
use crate::key::{Fingerprint, PrivateKey};
use crate::keywheel::Keywheel;

/// A credential to be added.
#[derive(Debug)]
pub struct NewCredential {
    /// The name.
    pub name: String,
    /// The account on the devices.
    pub username: String,
    /// The device it is created for.
    pub original_device: DeviceId,
    /// The devices; the original one is added where it is not among them.
    pub devices: Vec<DeviceId>,
    /// The person responsible.
    pub owner: Option<PersonId>,
    /// Tags.
    pub tags: Vec<String>,
    /// Whether it is changed and used to authenticate.
    pub enabled: bool,
    /// How it changes by itself.
    pub automatic: Automatic,
    /// The policy; none: "Standard".
    pub policy: Option<PolicyId>,
    /// The key or the password.
    pub secret: NewSecret,
}

impl NewCredential {
    /// A credential with nothing but what it must have.
    pub fn new(
        name: impl Into<String>,
        username: impl Into<String>,
        original_device: DeviceId,
        secret: NewSecret,
    ) -> Self {
        Self {
            name: name.into(),
            username: username.into(),
            original_device,
            devices: Vec::new(),
            owner: None,
            tags: Vec::new(),
            enabled: true,
            automatic: Automatic::default(),
            policy: None,
            secret,
        }
    }
}

/// The three fields of automatic change, as a form or a command line gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(default)]
pub struct Automatic {
    /// "Enable automatic change".
    pub change: bool,
    /// "Use the key itself to connect".
    pub use_itself: bool,
    /// "Credential or SSH key for authentication".
    pub auth_with: Option<CredentialId>,
}

/// The secret of a new credential.
#[derive(Debug)]
pub enum NewSecret {
    /// A key pair that was just generated.
    Generated(PrivateKey),
    /// A key pair from a file or the clipboard.
    Imported {
        /// The key pair.
        key: PrivateKey,
        /// The file, which stays where it is and stops working at the first change.
        from: Option<PathBuf>,
    },
    /// A password.
    Password(SecretString),
}

/// What is to change of a credential; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(default)]
pub struct EditCredential {
    /// The name.
    pub name: Option<String>,
    /// The account; fixed once the key stands on a device.
    pub username: Option<String>,
    /// The original device.
    pub original_device: Option<DeviceId>,
    /// All devices; the original one is added where it is not among them.
    pub devices: Option<Vec<DeviceId>>,
    /// The person responsible; `Some(None)`: nobody.
    pub owner: Option<Option<PersonId>>,
    /// All tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is changed and used to authenticate.
    pub enabled: Option<bool>,
    /// How it changes by itself: all three fields at once.
    pub automatic: Option<Automatic>,
    /// The policy.
    pub policy: Option<PolicyId>,
}

/// What happens with a key that stands on devices which are to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is refused, so that the key is taken off first.
    Refuse,
    /// The person has said that it may be left there.
    LeaveThere,
}

impl Keywheel {
    /// Lists the credentials by number.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn credentials(&self) -> Result<Vec<Credential>, Error> {
        self.read(credential::all).await
    }

    /// Finds a credential by name.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn find_credential(&self, name: &str) -> Result<Credential, Error> {
        let name = name.to_owned();
        self.read(move |conn| credential::by_name(conn, &name)).await
    }

    /// Finds a credential by number, also one that was removed.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn credential(&self, id: CredentialId) -> Result<Credential, Error> {
        self.read(move |conn| credential::by_id(conn, id)).await
    }

    /// Lists the credentials by number, as shells show them.
    ///
    /// # Errors
    /// The database's own failure; the lock of a running change can't be asked.
    pub async fn credential_views(&self) -> Result<Vec<CredentialView>, Error> {
        let this = self.clone();
        self.database().run_read(move |conn| view::all(&this, conn)).await
    }

    /// Shows a credential.
    ///
    /// # Errors
    /// There is none; as [`Keywheel::credential_views`].
    pub async fn credential_view(&self, id: CredentialId) -> Result<CredentialView, Error> {
        let this = self.clone();
        self.database().run_read(move |conn| view::one(&this, conn, id)).await
    }

    /// Lists what is known of a credential's key versions on devices.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn installed(&self, id: CredentialId) -> Result<Vec<Installed>, Error> {
        self.read(move |conn| key_version::installed(conn, id)).await
    }

    /// Names the other credentials that have this key: a change of one will not change the other.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn others_with_key(
        &self,
        fingerprint: Fingerprint,
        but: Option<CredentialId>,
    ) -> Result<Vec<String>, Error> {
        self.read(move |conn| key_version::others_with(conn, &fingerprint, but)).await
    }
}

fn named(tx: &Transaction<'_>, id: CredentialId, action: &mut Action) -> Result<Credential, CatalogueError> {
    action.subject = Some(id.to_string());
    let found = credential::by_id(tx, id)?;
    action.subject = Some(found.name.clone());
    if found.removed_at.is_some() {
        return Err(CatalogueError::unknown(Noun::Credential, found.name));
    }
    Ok(found)
}

/// Makes one answer of the three fields.
fn authentication(name: &str, automatic: Automatic) -> Result<(bool, Authentication), CatalogueError> {
    let credential = || name.to_owned();
    match (automatic.change, automatic.use_itself, automatic.auth_with) {
        (false, false, None) => Ok((false, Authentication::Itself)),
        (false, ..) => Err(CatalogueError::AuthenticationUnused { credential: credential() }),
        (true, true, None) => Ok((true, Authentication::Itself)),
        (true, false, Some(other)) => Ok((true, Authentication::Credential(other))),
        (true, true, Some(_)) => Err(CatalogueError::AuthenticationTwice { credential: credential() }),
        (true, false, None) => Err(CatalogueError::AuthenticationMissing),
    }
}
