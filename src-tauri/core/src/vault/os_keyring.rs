//! The keyring of the operating system.

// macOS and Windows share one way to their stores; its tests run everywhere, against a store in memory.
#[cfg(any(not(target_os = "linux"), test))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;

use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{AnchorName, ItemName, ItemVersion, Vault, VaultError};

#[cfg(not(target_os = "linux"))]
use native::Native as Backend;
#[cfg(target_os = "linux")]
use secret_service::SecretServiceKeyring as Backend;

/// The attribute or name by which our items are told from everybody else's.
const SERVICE: &str = "keywheel";

/// The keyring of the account that runs the program: the Secret Service on Linux, the login keychain on macOS, the
/// Credential Manager on Windows.
///
/// Each call is bounded in time, also where the system waits for a person. It never opens an unlock prompt by itself: a
/// timer has nobody to answer it.
#[derive(Debug)]
pub struct OsKeyring {
    backend: Backend,
    limit: Duration,
}

impl OsKeyring {
    /// How long a call may take unless set otherwise.
    ///
    /// gnome-keyring writes its whole file at each store: about 50 ms at 2,000 items, so this is far above what work takes.
    pub const LIMIT: Duration = Duration::from_secs(10);

    /// Takes the keyring of this account, without speaking to it yet; [`Vault::check`] does.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] if the system has none.
    pub fn open() -> Result<Self, VaultError> {
        Ok(Self { backend: Backend::open()?, limit: Self::LIMIT })
    }

    /// Takes the Secret Service on the bus at a D-Bus address, so that tests need not change their environment.
    #[cfg(target_os = "linux")]
    #[doc(hidden)]
    pub fn open_at(address: &str) -> Self {
        Self { backend: Backend::open_at(address), limit: Self::LIMIT }
    }

    /// Sets how long a call may take.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, VaultError>> + Send) -> Result<T, VaultError> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer,
            Err(_) => Err(VaultError::Timeout { limit: self.limit }),
        }
    }
}

#[async_trait]
impl Vault for OsKeyring {
    async fn check(&self) -> Result<(), VaultError> {
        self.within(self.backend.check()).await
    }

    async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError> {
        self.within(self.backend.store(name, secret)).await
    }

    async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError> {
        self.within(self.backend.replace(name, anchor)).await
    }

    async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        self.within(self.backend.read(name)).await
    }

    async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        self.within(self.backend.find(version)).await
    }

    async fn remove(&self, name: &ItemName) -> Result<(), VaultError> {
        self.within(self.backend.remove(name)).await
    }
}
