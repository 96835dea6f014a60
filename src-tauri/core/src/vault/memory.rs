//! A vault in memory, with faults to switch on, for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{AnchorName, ItemName, ItemVersion, OsKeyring, Vault, VaultError};

/// A vault that forgets everything when it is dropped; its clones are the same vault.
///
/// Tests keep a clone, to switch faults on while the vault is in use and to look at what it holds, also after the
/// "program" under test was dropped and started again.
#[derive(Clone)]
pub struct MemoryVault {
    state: Arc<Mutex<State>>,
    limit: Duration,
}

#[derive(Default)]
struct State {
    items: BTreeMap<ItemName, Zeroizing<Vec<u8>>>,
    fault: Option<Fault>,
}

/// What a [`MemoryVault`] does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Every call ends with `keyring-locked`.
    Locked,
    /// Every call ends with `keyring-missing`.
    Missing,
    /// Every call ends with `keyring-failed`.
    Failing,
    /// Every call takes this long; from the limit on it ends with `keyring-timeout`.
    Slow(Duration),
    /// A secret that is stored is kept, but the answer is lost: `keyring-timeout`.
    LosesTheAnswer,
    /// What is read back or read differs from what was stored in one bit.
    Lies,
}

#[derive(Debug, thiserror::Error)]
#[error("this fault was switched on")]
struct SwitchedOn;

impl MemoryVault {
    /// Makes an empty vault without a fault.
    pub fn new() -> Self {
        Self { state: Arc::default(), limit: OsKeyring::LIMIT }
    }

    /// Sets how long a call may take.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Switches a fault on, or with `None` all faults off.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Lists the names of the secrets that it holds, whatever fault is on; an anchor is none.
    pub fn names(&self) -> Vec<ItemName> {
        self.state().items.keys().filter(|name| name.as_str().parse::<ItemName>().is_ok()).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self) -> Result<Option<Fault>, VaultError> {
        let fault = self.state().fault;
        match fault {
            Some(Fault::Locked) => Err(VaultError::Locked),
            Some(Fault::Missing) => Err(VaultError::missing(SwitchedOn)),
            Some(Fault::Failing) => Err(VaultError::failed(SwitchedOn)),
            Some(Fault::Slow(delay)) => {
                tokio::time::sleep(delay.min(self.limit)).await;
                if delay < self.limit { Ok(fault) } else { Err(VaultError::Timeout { limit: self.limit }) }
            }
            Some(Fault::LosesTheAnswer | Fault::Lies) | None => Ok(fault),
        }
    }
}

impl Default for MemoryVault {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryVault").field("items", &state.items.keys()).field("fault", &state.fault).finish()
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn check(&self) -> Result<(), VaultError> {
        self.answer().await.map(drop)
    }

    async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError> {
        let fault = self.answer().await?;
        let mut state = self.state();
        if state.items.contains_key(name) {
            return Err(VaultError::ItemExists { name: name.clone() });
        }
        match fault {
            // As the keyring of the system does it: what was read back wrong is taken out again.
            Some(Fault::Lies) => return Err(VaultError::Mismatch { name: name.clone() }),
            _ => drop(state.items.insert(name.clone(), Zeroizing::new(secret.to_vec()))),
        }
        match fault {
            Some(Fault::LosesTheAnswer) => Err(VaultError::Timeout { limit: self.limit }),
            _ => Ok(()),
        }
    }

    async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError> {
        let fault = self.answer().await?;
        self.state().items.insert(name.item().clone(), Zeroizing::new(anchor.to_vec()));
        match fault {
            Some(Fault::LosesTheAnswer) => Err(VaultError::Timeout { limit: self.limit }),
            Some(Fault::Lies) => Err(VaultError::Mismatch { name: name.item().clone() }),
            _ => Ok(()),
        }
    }

    async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let fault = self.answer().await?;
        let mut secret = self.state().items.get(name).cloned();
        if fault == Some(Fault::Lies)
            && let Some(byte) = secret.as_mut().and_then(|bytes| bytes.last_mut())
        {
            *byte ^= 1;
        }
        Ok(secret)
    }

    async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        self.answer().await?;
        Ok(self.state().items.keys().filter(|name| name.version() == *version).cloned().collect())
    }

    async fn remove(&self, name: &ItemName) -> Result<(), VaultError> {
        let fault = self.answer().await?;
        self.state().items.remove(name);
        match fault {
            Some(Fault::LosesTheAnswer) => Err(VaultError::Timeout { limit: self.limit }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    fn name(version: u32) -> ItemName {
        ItemName::new("v", 1, version, "SHA256:x")
    }

    #[tokio::test]
    async fn keeps_reads_and_removes() {
        let vault = MemoryVault::new();
        vault.store(&name(1), b"a\0b").await.unwrap();
        assert_eq!(vault.read(&name(1)).await.unwrap().unwrap().as_slice(), b"a\0b");
        assert!(vault.read(&name(2)).await.unwrap().is_none(), "a missing item is not an error");
        vault.remove(&name(1)).await.unwrap();
        vault.remove(&name(1)).await.unwrap();
        assert!(vault.names().is_empty());
    }

    #[tokio::test]
    async fn finds_the_items_of_one_version() {
        let vault = MemoryVault::new();
        let other = ItemName::new("v", 1, 2, "SHA256:y");
        for name in [&name(1), &name(2), &other, &name(22)] {
            vault.store(name, b"x").await.unwrap();
        }
        assert_eq!(vault.find(&name(2).version()).await.unwrap(), [name(2), other]);
        assert_eq!(vault.find(&name(3).version()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn never_overwrites() {
        let vault = MemoryVault::new();
        vault.store(&name(1), b"first").await.unwrap();
        let error = vault.store(&name(1), b"second").await.unwrap_err();
        assert_eq!(error.code(), "keyring-item-exists");
        assert_eq!(vault.read(&name(1)).await.unwrap().unwrap().as_slice(), b"first");
    }

    #[tokio::test]
    async fn an_anchor_takes_the_place_of_the_one_before_and_counts_as_no_secret() {
        let vault = MemoryVault::new();
        let anchor = AnchorName::new("v");
        for text in [b"1", b"2"] {
            vault.replace(&anchor, text).await.unwrap();
            assert_eq!(vault.read(anchor.item()).await.unwrap().unwrap().as_slice(), text);
        }
        assert_eq!(vault.names(), [], "it would be counted among the keys");
        vault.set_fault(Some(Fault::Locked));
        assert_eq!(vault.replace(&anchor, b"3").await.unwrap_err().code(), "keyring-locked");
        vault.set_fault(None);
        assert_eq!(vault.read(anchor.item()).await.unwrap().unwrap().as_slice(), b"2");
    }

    #[tokio::test]
    async fn each_fault_gives_its_error_and_leaves_what_is_kept() {
        let cases = [
            (Fault::Locked, "keyring-locked"),
            (Fault::Missing, "keyring-missing"),
            (Fault::Failing, "keyring-failed"),
            (Fault::Slow(Duration::from_secs(5)), "keyring-timeout"),
        ];
        let vault = MemoryVault::new().with_limit(Duration::from_millis(50));
        vault.store(&name(1), b"kept").await.unwrap();
        for (fault, code) in cases {
            vault.set_fault(Some(fault));
            assert_eq!(vault.check().await.unwrap_err().code(), code);
            assert_eq!(vault.store(&name(2), b"x").await.unwrap_err().code(), code);
            assert_eq!(vault.read(&name(1)).await.unwrap_err().code(), code);
            assert_eq!(vault.find(&name(1).version()).await.unwrap_err().code(), code);
            assert_eq!(vault.remove(&name(1)).await.unwrap_err().code(), code);
            assert_eq!(vault.names(), [name(1)], "{fault:?} must change nothing");
        }
        vault.set_fault(Some(Fault::Slow(Duration::from_millis(1))));
        assert!(vault.check().await.is_ok(), "slow but in time is fine");
    }

    #[tokio::test]
    async fn lies_and_lost_answers_show() {
        let vault = MemoryVault::new();
        vault.set_fault(Some(Fault::Lies));
        assert_eq!(vault.store(&name(1), b"x").await.unwrap_err().code(), "keyring-mismatch");
        assert!(vault.names().is_empty(), "a secret that was read back wrong must not stay");
        vault.set_fault(Some(Fault::LosesTheAnswer));
        assert_eq!(vault.store(&name(1), b"x").await.unwrap_err().code(), "keyring-timeout");
        assert_eq!(vault.names(), [name(1)], "it is stored all the same");
        vault.set_fault(Some(Fault::Lies));
        assert_ne!(vault.read(&name(1)).await.unwrap().unwrap().as_slice(), b"x");
    }

    #[test]
    fn does_not_print_secrets() {
        let vault = MemoryVault::new();
        vault.state().items.insert(name(1), Zeroizing::new(b"hunter2".to_vec()));
        let text = format!("{vault:?}");
        assert!(!text.contains("104, 117") && !text.contains("hunter2"), "{text}");
    }
}
