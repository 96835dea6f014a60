//! A desk for tests: a data directory of its own and a vault in memory.

use keywheel_core::catalogue::{CredentialId, DeviceId};
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::device::NewDevice;
use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_core::vault::MemoryVault;
use tempfile::TempDir;

use super::*;

pub(crate) struct Table {
    pub(crate) desk: Arc<Desk>,
    pub(crate) vault: MemoryVault,
    pub(crate) dir: TempDir,
    pub(crate) happened: UnboundedReceiver<Happened>,
}

impl Table {
    /// An open desk with nothing on it.
    pub(crate) fn laid() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = MemoryVault::new();
        let (desk, happened) = Desk::new(Some(dir.path().join("data")), Arc::new(vault.clone()));
        assert_eq!(desk.open(), None);
        Self { desk: Arc::new(desk), vault, dir, happened }
    }

    pub(crate) fn keywheel(&self) -> Keywheel {
        self.desk.keywheel().unwrap()
    }

    /// A device on a port of loopback where nobody listens.
    pub(crate) async fn device(&self, name: &str) -> DeviceId {
        let new = NewDevice { port: 1, ..NewDevice::new(name, "127.0.0.1") };
        self.keywheel().add_device(new).await.unwrap().id
    }

    pub(crate) async fn credential(&self, name: &str, on: DeviceId) -> CredentialId {
        let key = PrivateKey::generate(Algorithm::Ed25519, name).unwrap();
        let new = NewCredential::new(name, "root", on, NewSecret::Generated(key));
        self.keywheel().add_credential(new).await.unwrap().id
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_opened_is_told_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::write(&data, "a file").unwrap();
    let (desk, _happened) = Desk::new(Some(data.clone()), Arc::new(MemoryVault::new()));
    let problem = desk.open().unwrap();
    assert_eq!(desk.keywheel().unwrap_err(), problem, "commands must answer the same cause");
    std::fs::remove_file(&data).unwrap();
    assert_eq!(desk.open(), None, "the window would have to be closed and opened again");
    assert!(desk.keywheel().is_ok());
}
