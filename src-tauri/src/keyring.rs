//! The keyring, opened anew for each use.

use async_trait::async_trait;
use keywheel_core::vault::{AnchorName, ItemName, ItemVersion, OsKeyring, Vault, VaultError};
use zeroize::Zeroizing;

/// The keyring of this account, also where it is not there yet: a window stays open for days, and a keyring that was missing
/// when it opened must be found without a restart. Opening it is cheap, and speaks to nobody.
#[derive(Debug)]
pub(crate) struct Keyring;

#[async_trait]
impl Vault for Keyring {
    async fn check(&self) -> Result<(), VaultError> {
        OsKeyring::open()?.check().await
    }

    async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError> {
        OsKeyring::open()?.store(name, secret).await
    }

    async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError> {
        OsKeyring::open()?.replace(name, anchor).await
    }

    async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        OsKeyring::open()?.read(name).await
    }

    async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        OsKeyring::open()?.find(version).await
    }

    async fn remove(&self, name: &ItemName) -> Result<(), VaultError> {
        OsKeyring::open()?.remove(name).await
    }
}
