use crate::error::{Class, Explain};
use crate::key::KeyError;
use crate::vault::{ItemName, VaultError};

/// What can be wrong with a credential's secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The keyring holds no item of the name in the catalogue.
    #[error("The keyring holds no secret for \"{credential}\" (item {item}).")]
    Gone {
        /// The credential.
        credential: String,
        /// The item.
        item: ItemName,
    },
    /// The item is not the private half of the public key in the catalogue.
    #[error("What the keyring holds for \"{credential}\" is not its key (item {item}).")]
    Other {
        /// The credential.
        credential: String,
        /// The item.
        item: ItemName,
    },
    /// The item is no private key.
    #[error("What the keyring holds for \"{credential}\" is no private key (item {item}).")]
    Unreadable {
        /// The credential.
        credential: String,
        /// The item.
        item: ItemName,
        /// Why not.
        source: KeyError,
    },
    /// The current key is compromised: it is used for nothing but its own change.
    #[error("The key of \"{credential}\" is marked as compromised.")]
    Compromised {
        /// The credential.
        credential: String,
    },
    /// The credential was removed, but the keyring did not let go of all its items.
    #[error("\"{credential}\" is removed, but the keyring still holds {left} of its secrets.")]
    Left {
        /// The credential.
        credential: String,
        /// How many.
        left: usize,
        /// What the keyring answered.
        source: VaultError,
    },
}

impl Explain for CredentialError {
    crate::sentences! {
        Gone { credential, item } => "secret-gone",
        Other { credential, item } => "secret-differs",
        Unreadable { credential, item } => "secret-unreadable",
        Compromised { credential } => "key-compromised",
        Left { credential, left } => "secret-left",
    }

    fn hint(&self) -> String {
        match self {
            Self::Gone { .. } => {
                "Use the keyring that this data directory was made with, or restore a backup of it.".to_owned()
            }
            Self::Other { .. } | Self::Unreadable { .. } => {
                "Another program may have changed the item; restore a backup of the keyring.".to_owned()
            }
            Self::Compromised { credential } => {
                format!("Change it first with `keywheel rotate {credential} --strategy emergency`.")
            }
            Self::Left { .. } => {
                "Unlock the keyring; they are removed the next time a credential is added or removed.".to_owned()
            }
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Gone { credential, .. }
            | Self::Other { credential, .. }
            | Self::Unreadable { credential, .. }
            | Self::Compromised { credential }
            | Self::Left { credential, .. } => Some(credential.clone()),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Gone { .. } | Self::Other { .. } | Self::Unreadable { .. } => Class::Unusable,
            Self::Compromised { .. } => Class::NotDone,
            Self::Left { .. } => Class::Interrupted,
        }
    }
}
