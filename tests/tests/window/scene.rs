//! Real devices under one credential, and a window on them.

use keywheel_core::Keywheel;
use keywheel_core::catalogue::DeviceId;
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::device::{NewDevice, Pinned};
use keywheel_core::key::{PrivateKey, PublicKey};
use keywheel_fleet::sshd::SshdBuilder;
use keywheel_fleet::window::Place;
use keywheel_fleet::{Account, Client, ClientKey, Fleet, Sshd, Trouble};

/// The account on every device.
pub(crate) const ACCOUNT: &str = "deploy";

/// Devices web-1, web-2, … with the key of the credential "deploy", all in the vault of a place.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) keywheel: Keywheel,
    pub(crate) devices: Vec<Sshd>,
    pub(crate) key: ClientKey,
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) async fn new(count: usize) -> Result<Self, Trouble> {
        Self::like(count, &Sshd::builder().account(Account::new(ACCOUNT))).await
    }

    pub(crate) async fn like(count: usize, builder: &SshdBuilder) -> Result<Self, Trouble> {
        let devices = Fleet::start_like(count, builder)?.devices;
        let place = Place::new()?;
        let keywheel = place.keywheel()?;
        for name in ["connection-timeout", "stage-timeout"] {
            keywheel.set_setting(name, "5").await?;
        }
        let client = Client::new()?;
        let key = client.key(ACCOUNT, "ed25519")?;
        let mut ids = Vec::new();
        for (index, device) in devices.iter().enumerate() {
            device.write_authorized_keys(format!("# theirs\n{}\n", key.public).as_bytes())?;
            ids.push(add(&keywheel, &format!("web-{}", index + 1), device).await?);
        }
        let imported = PrivateKey::import(&std::fs::read(&key.file)?, None)?;
        let secret = NewSecret::Imported { key: imported, from: Some(key.file.clone()) };
        let original = *ids.first().ok_or("a scene has devices")?;
        let mut new = NewCredential::new(ACCOUNT, ACCOUNT, original, secret);
        new.devices = ids;
        keywheel.add_credential(new).await?;
        Ok(Self { place, keywheel, devices, key, client })
    }

    /// Whether the key from before logs in on a device.
    pub(crate) fn old_key_logs_in(&self, index: usize) -> Result<bool, Trouble> {
        Ok(self.client.logs_in(&self.devices[index].target()?, &self.key.file)?)
    }

    /// Whether the vault's current key logs in on a device.
    pub(crate) async fn current_key_logs_in(&self, index: usize) -> Result<bool, Trouble> {
        let credential = self.keywheel.find_credential(ACCOUNT).await?;
        let text = self.keywheel.read_current_key(&credential).await?.write_openssh(None)?;
        let file = self.client.key_file(&format!("current-{index}"), &text)?;
        Ok(self.client.logs_in(&self.devices[index].target()?, &file)?)
    }
}

/// Adds a device with the host keys that it really has.
pub(crate) async fn add(keywheel: &Keywheel, name: &str, device: &Sshd) -> Result<DeviceId, Trouble> {
    let new = NewDevice { port: device.port().into(), ..NewDevice::new(name, "127.0.0.1") };
    let added = keywheel.add_device(new).await?;
    let keys = device.host_keys_public()?;
    let keys = keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<Vec<_>, _>>()?;
    keywheel.pin_host_keys(added.id, keys, Pinned::Keep).await?;
    Ok(added.id)
}
