//! An administrator's desk for tests: a data directory, a vault in memory, and the devices of a fleet, pinned.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use keywheel_core::{
    Keywheel,
    audit::Actor,
    catalogue::{Credential, DeviceId},
    clock::{Clock, SystemClock, Timestamp},
    credential::{NewCredential, NewSecret},
    device::{NewDevice, Pinned},
    key::{PrivateKey, PublicKey},
    rotation::{Watch, event::Event},
    vault::{MemoryVault, Vault},
};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::{Client, Sshd};

/// A desk with an opened data directory.
pub struct Desk {
    /// What the shells work with.
    pub keywheel: Keywheel,
    /// Its vault.
    pub vault: MemoryVault,
    /// The client that asks the devices from outside.
    pub client: Client,
    dir: TempDir,
    clock: Arc<dyn Clock>,
}

/// A problem of the desk itself, which no test is about.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// The events of a change, and the switch that stops it.
pub struct Watching {
    /// Gets the events.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// Stops the change when set to true.
    pub stop: watch::Sender<bool>,
}

/// A watch for a change, with its other ends.
pub fn watch() -> (Watch, Watching) {
    let (sender, events) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    (Watch { events: sender, stop: stopped }, Watching { events, stop })
}

impl Watching {
    /// All events so far.
    pub fn drain(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

impl Desk {
    /// Opens a fresh data directory.
    ///
    /// # Errors
    ///
    /// No folder or no client.
    pub fn open() -> Result<Self, Trouble> {
        Self::open_in(tempfile::tempdir()?, Arc::new(SystemClock))
    }

    /// Opens a fresh data directory in this folder, by this clock.
    ///
    /// # Errors
    ///
    /// As for [`Self::open`].
    pub fn open_in(dir: TempDir, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let vault = MemoryVault::new();
        let keywheel = open(&dir.path().join("data"), &vault, &clock)?;
        Ok(Self { keywheel, vault, client: Client::new()?, dir, clock })
    }

    /// Opens the same data directory anew, as another process would.
    ///
    /// # Errors
    ///
    /// The database can't be opened.
    pub fn reopen(&self) -> Result<Keywheel, Trouble> {
        self.open_copy(&self.data_dir())
    }

    /// Opens another data directory, a copy of this one, with the same vault.
    ///
    /// # Errors
    ///
    /// The database can't be opened.
    pub fn open_copy(&self, dir: &Path) -> Result<Keywheel, Trouble> {
        open(dir, &self.vault, &self.clock)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Opens the same data directory anew, so much later.
    ///
    /// # Errors
    ///
    /// The database can't be opened.
    pub fn reopen_later(&self, by: Duration) -> Result<Keywheel, Trouble> {
        self.reopen_at(Arc::new(Ahead(by)))
    }

    /// Opens the same data directory anew, at another time.
    ///
    /// # Errors
    ///
    /// The database can't be opened.
    pub fn reopen_at(&self, clock: Arc<dyn Clock>) -> Result<Keywheel, Trouble> {
        open(&self.data_dir(), &self.vault, &clock)
    }

    /// Copies the database as it is now.
    ///
    /// # Errors
    ///
    /// The files can't be copied.
    pub fn copy_database(&self) -> Result<DatabaseCopy, Trouble> {
        let copy = tempfile::tempdir()?;
        let data = copy.path().join("data");
        std::fs::create_dir(&data)?;
        for entry in std::fs::read_dir(self.dir.path().join("data"))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), data.join(entry.file_name()))?;
            }
        }
        Ok(DatabaseCopy { dir: copy })
    }

    /// Opens a copy of the database that was made before, with the vault as it is now.
    ///
    /// # Errors
    ///
    /// The database can't be opened.
    pub fn restore(&self, copy: &DatabaseCopy) -> Result<Keywheel, Trouble> {
        self.open_copy(&copy.dir.path().join("data"))
    }

    /// Adds a device and pins the host keys it really has.
    ///
    /// # Errors
    ///
    /// The device can't be added.
    pub async fn device(&self, name: &str, sshd: &Sshd) -> Result<DeviceId, Trouble> {
        self.device_at(name, sshd.port(), &sshd.host_keys_public()?).await
    }

    /// Adds a device at a port of this machine, with these host keys.
    ///
    /// # Errors
    ///
    /// The device can't be added.
    pub async fn device_at(&self, name: &str, port: u16, host_keys: &[String]) -> Result<DeviceId, Trouble> {
        let new = NewDevice { port: port.into(), ..NewDevice::new(name, "127.0.0.1") };
        let device = self.keywheel.add_device(new).await?;
        let keys = host_keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<Vec<_>, _>>()?;
        self.keywheel.pin_host_keys(device.id, keys, Pinned::Keep).await?;
        Ok(device.id)
    }

    /// Adds a credential with a key that is imported from a file; the first device is the original one.
    ///
    /// # Errors
    ///
    /// The credential can't be added.
    pub async fn credential(
        &self,
        name: &str,
        username: &str,
        key_file: &Path,
        devices: &[DeviceId],
    ) -> Result<Credential, Trouble> {
        let key = PrivateKey::import(&std::fs::read(key_file)?, None)?;
        self.add(name, username, devices, NewSecret::Imported { key, from: Some(key_file.to_owned()) }).await
    }

    /// Adds a credential with a password.
    ///
    /// # Errors
    ///
    /// The credential can't be added.
    pub async fn password(
        &self,
        name: &str,
        username: &str,
        password: &str,
        devices: &[DeviceId],
    ) -> Result<Credential, Trouble> {
        self.add(name, username, devices, NewSecret::Password(SecretString::from(password))).await
    }

    async fn add(
        &self,
        name: &str,
        username: &str,
        devices: &[DeviceId],
        secret: NewSecret,
    ) -> Result<Credential, Trouble> {
        let original = devices.first().copied().ok_or("a credential needs a device")?;
        let mut new = NewCredential::new(name, username, original, secret);
        new.devices = devices.to_vec();
        Ok(self.keywheel.add_credential(new).await?)
    }

    /// Writes a version of a credential's private key to a file for the OpenSSH client.
    ///
    /// # Errors
    ///
    /// There is no such version, or it is not in the vault.
    pub async fn key_file(&self, credential: &str, version: u32) -> Result<PathBuf, Trouble> {
        let credential = self.keywheel.find_credential(credential).await?;
        let known = credential.key_version(version).ok_or("no such version")?;
        let key = self.keywheel.read_key(&credential, known).await?;
        let text = key.write_openssh(None)?;
        Ok(self.client.key_file(&format!("{}-{version}", credential.id), &text)?)
    }
}

/// A clock that is ahead of this machine's.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

/// A copy of a desk's database.
pub struct DatabaseCopy {
    dir: TempDir,
}

fn open(dir: &Path, vault: &MemoryVault, clock: &Arc<dyn Clock>) -> Result<Keywheel, Trouble> {
    let vault: Arc<dyn Vault> = Arc::new(vault.clone());
    Ok(Keywheel::open(dir, vault, Arc::clone(clock), Actor::named("tester"))?)
}
