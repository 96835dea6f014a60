//! The login keychain of macOS and the Credential Manager of Windows.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::SERVICE;
use crate::vault::{AnchorName, ItemName, ItemVersion, VaultError};

/// A store with one item per name, whose calls block.
#[derive(Debug)]
pub(super) struct Native {
    store: Arc<CredentialStore>,
    /// What each item is made with.
    modifiers: &'static [(&'static str, &'static str)],
    /// The word under which the store takes what to search for: the service's name, or a pattern for the item's.
    search_by: &'static str,
}

impl Native {
    #[cfg(target_os = "macos")]
    pub(super) fn open() -> Result<Self, VaultError> {
        let store = apple_native_keyring_store::keychain::Store::new().map_err(VaultError::missing)?;
        Ok(Self { store, modifiers: &[], search_by: "service" })
    }

    #[cfg(target_os = "windows")]
    pub(super) fn open() -> Result<Self, VaultError> {
        let store = windows_native_keyring_store::Store::new().map_err(VaultError::missing)?;
        // The default would let a key roam to every machine of a domain account.
        Ok(Self { store, modifiers: &[("persistence", "Local")], search_by: "pattern" })
    }

    #[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
    pub(super) fn open() -> Result<Self, VaultError> {
        Err(VaultError::missing(Unsupported))
    }

    pub(super) async fn check(&self) -> Result<(), VaultError> {
        // A question whose answer does not matter: these stores have none about themselves.
        self.read(&ItemName::new("check", 0, 0, "none")).await.map(drop)
    }

    pub(super) async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError> {
        let secret = Zeroizing::new(secret.to_vec());
        self.call(name, move |name, entry| {
            // The store replaces silently, so the look-up comes first; two processes are kept apart by the credential's lock.
            if look_up(&entry(name)?)?.is_some() {
                return Err(VaultError::ItemExists { name: name.clone() });
            }
            entry(name)?.set_secret(&secret).map_err(explain)?;
            if look_up(&entry(name)?)?.is_some_and(|read_back| read_back == secret) {
                return Ok(());
            }
            // Made by this call, and nobody knows of it yet; the caller must not use it, whether it goes or not.
            let _ = entry(name)?.delete_credential();
            Err(VaultError::Mismatch { name: name.clone() })
        })
        .await
    }

    pub(super) async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError> {
        let anchor = Zeroizing::new(anchor.to_vec());
        self.call(name.item(), move |name, entry| {
            entry(name)?.set_secret(&anchor).map_err(explain)?;
            match look_up(&entry(name)?)? {
                Some(read_back) if read_back == anchor => Ok(()),
                _ => Err(VaultError::Mismatch { name: name.clone() }),
            }
        })
        .await
    }

    pub(super) async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        self.call(name, |name, entry| look_up(&entry(name)?)).await
    }

    pub(super) async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        let (store, search_by, version) = (Arc::clone(&self.store), self.search_by, version.clone());
        on_a_thread(move || {
            // The stores search by other things than what a name begins with, so that the rest is sifted here.
            let found = store.search(&HashMap::from([(search_by, SERVICE)])).map_err(explain)?;
            let named = found.iter().filter_map(|entry| entry.get_specifiers()?.1.parse::<ItemName>().ok());
            let mut names: Vec<ItemName> = named.filter(|name| name.version() == version).collect();
            names.sort();
            Ok(names)
        })
        .await
    }

    pub(super) async fn remove(&self, name: &ItemName) -> Result<(), VaultError> {
        self.call(name, |name, entry| {
            match entry(name)?.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => {}
                Err(error) => return Err(explain(error)),
            }
            match look_up(&entry(name)?)? {
                None => Ok(()),
                Some(_) => Err(VaultError::NotRemoved { name: name.clone() }),
            }
        })
        .await
    }

    /// Runs blocking work on one item, on a thread of its own.
    async fn call<T: Send + 'static>(
        &self,
        name: &ItemName,
        work: impl FnOnce(&ItemName, &dyn Fn(&ItemName) -> Result<Entry, VaultError>) -> Result<T, VaultError>
        + Send
        + 'static,
    ) -> Result<T, VaultError> {
        let (store, modifiers, name) = (Arc::clone(&self.store), self.modifiers, name.clone());
        on_a_thread(move || {
            let modifiers: HashMap<&str, &str> = modifiers.iter().copied().collect();
            let entry = |name: &ItemName| store.build(SERVICE, name.as_str(), Some(&modifiers)).map_err(explain);
            work(&name, &entry)
        })
        .await
    }
}

/// Runs blocking work on a thread of its own.
///
/// Not on the runtime's blocking threads: the system may wait for a person there, and the runtime would wait with it when
/// the program ends.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || {
            // Nobody waits any more when the time was up.
            let _ = sender.send(work());
        })
        .map_err(VaultError::failed)?;
    receiver.await.map_err(VaultError::failed)?
}

fn look_up(entry: &Entry) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match entry.get_secret() {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(explain(error)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the item is not in the form in which the keyring stores")]
struct Malformed;

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
#[derive(Debug, thiserror::Error)]
#[error("there is no keyring for this operating system")]
struct Unsupported;

fn explain(error: Error) -> VaultError {
    match error {
        Error::NoStorageAccess(_) => VaultError::Locked,
        // These two carry the secret, and would print it.
        Error::BadEncoding(bytes) | Error::BadDataFormat(bytes, _) => {
            drop(Zeroizing::new(bytes));
            VaultError::failed(Malformed)
        }
        error => VaultError::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use keyring_core::api::CredentialStoreApi as _;
    use keyring_core::mock;

    use super::*;
    use crate::error::Explain;

    fn name() -> ItemName {
        ItemName::new("v", 1, 1, "SHA256:x")
    }

    fn keyring() -> (Native, Arc<mock::Store>) {
        let store = mock::Store::new().unwrap();
        (Native { store: store.clone(), modifiers: &[], search_by: "service" }, store)
    }

    fn next_call_fails(store: &mock::Store, error: Error) {
        let entry = store.build(SERVICE, name().as_str(), None).unwrap();
        entry.as_any().downcast_ref::<mock::Cred>().unwrap().set_error(error);
    }

    #[tokio::test]
    async fn stores_reads_and_removes() {
        let (keyring, _store) = keyring();
        keyring.check().await.unwrap();
        assert!(keyring.read(&name()).await.unwrap().is_none(), "a missing item is not an error");
        keyring.store(&name(), b"a\0b\xff").await.unwrap();
        assert_eq!(keyring.read(&name()).await.unwrap().unwrap().as_slice(), b"a\0b\xff");
        keyring.remove(&name()).await.unwrap();
        keyring.remove(&name()).await.unwrap();
        assert!(keyring.read(&name()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn finds_the_items_of_one_version() {
        let (keyring, _store) = keyring();
        let names = [name(), ItemName::new("v", 1, 2, "SHA256:x"), ItemName::new("v", 1, 2, "SHA256:y")];
        for name in &names {
            keyring.store(name, b"x").await.unwrap();
        }
        assert_eq!(keyring.find(&names[1].version()).await.unwrap(), names[1..]);
        assert_eq!(keyring.find(&ItemName::new("v", 1, 3, "-").version()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn never_overwrites() {
        let (keyring, _store) = keyring();
        keyring.store(&name(), b"first").await.unwrap();
        assert_eq!(keyring.store(&name(), b"second").await.unwrap_err().code(), "keyring-item-exists");
        assert_eq!(keyring.read(&name()).await.unwrap().unwrap().as_slice(), b"first");
    }

    #[tokio::test]
    async fn replaces_the_anchor() {
        let (keyring, _store) = keyring();
        let anchor = AnchorName::new("v");
        for text in [b"1", b"2"] {
            keyring.replace(&anchor, text).await.unwrap();
            assert_eq!(keyring.read(anchor.item()).await.unwrap().unwrap().as_slice(), text);
        }
    }

    #[tokio::test]
    async fn a_store_without_access_is_locked_and_one_that_fails_has_failed() {
        let (keyring, store) = keyring();
        next_call_fails(&store, Error::NoStorageAccess("no".into()));
        assert_eq!(keyring.read(&name()).await.unwrap_err().code(), "keyring-locked");
        next_call_fails(&store, Error::PlatformFailure("no".into()));
        let error = keyring.store(&name(), b"x").await.unwrap_err();
        assert_eq!(error.code(), "keyring-failed");
        assert!(keyring.read(&name()).await.unwrap().is_none(), "nothing may be stored when the look-up failed");
    }

    #[tokio::test]
    async fn an_error_never_prints_the_secret() {
        let (keyring, store) = keyring();
        next_call_fails(&store, Error::BadDataFormat(b"hunter2".to_vec(), "no".into()));
        let error = keyring.read(&name()).await.unwrap_err();
        assert!(!format!("{error:?}").contains("104, 117"), "the secret's bytes are in {error:?}");
    }
}
