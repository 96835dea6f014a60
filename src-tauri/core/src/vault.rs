//! Where secrets lie: the keyring of the operating system.
//!
//! A vault keeps bytes under a name and lists nothing but the items of one version: what can be listed stands in the
//! database, and only where that is older than the vault there is something to find. A secret is written once
//! and never again, because the stores below replace silently, and a restored database would then overwrite the only key
//! that still logs in. The one item that is replaced is the audit's anchor, which is no secret.

mod error;
mod item_name;
mod memory;
mod os_keyring;

use std::fmt::Debug;

use async_trait::async_trait;
use zeroize::Zeroizing;

pub use error::{Cause, VaultError};
pub use item_name::{AnchorName, ItemName, ItemVersion};
pub use memory::{Fault, MemoryVault};
pub use os_keyring::OsKeyring;

/// A place that keeps secrets under names.
///
/// Reality is swapped here: the keyring of the system, or memory in tests. An operation that ends with an error other than
/// [`VaultError::ItemExists`] may have been done all the same (the answer can be lost); the caller finds out with
/// [`Vault::read`].
#[async_trait]
pub trait Vault: Debug + Send + Sync {
    /// Makes sure that the vault can be reached and is unlocked, without reading or writing a secret.
    ///
    /// Called before a change begins, so that a locked keyring is found while nothing is begun.
    ///
    /// # Errors
    ///
    /// As [`VaultError`] says for a vault that is locked, missing, slow or failing.
    async fn check(&self) -> Result<(), VaultError>;

    /// Keeps a secret under a new name, looks it up anew and compares.
    ///
    /// # Errors
    ///
    /// [`VaultError::ItemExists`] if the name is taken, also by the same bytes; [`VaultError::Mismatch`] if what is read
    /// back differs; as for [`Vault::check`].
    async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError>;

    /// Keeps what the audit is anchored by, in place of what was there, reads it back and compares.
    ///
    /// # Errors
    ///
    /// [`VaultError::Mismatch`] if what is read back differs; as for [`Vault::check`].
    async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError>;

    /// Reads a secret; `None` only if the vault was unlocked and holds no item of that name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Mismatch`] if the item is not one that Keywheel wrote; [`VaultError::Ambiguous`] if two items of the
    /// name differ; as for [`Vault::check`].
    async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError>;

    /// Lists the items of one version of a credential, whatever their fingerprints; empty only if the vault was unlocked and
    /// holds none.
    ///
    /// # Errors
    ///
    /// As for [`Vault::check`].
    async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError>;

    /// Removes a secret, and makes sure that it is gone; a name that isn't there is fine, so that a removal can be repeated.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotRemoved`] if the item is still there afterwards; as for [`Vault::check`].
    async fn remove(&self, name: &ItemName) -> Result<(), VaultError>;
}
