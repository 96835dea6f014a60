//! Real devices under one credential, and a window on them.

use keywheel_core::Keywheel;
use keywheel_core::catalogue::DeviceId;
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::device::{NewDevice, Pinned};
use keywheel_core::key::{PrivateKey, PublicKey};
use keywheel_fleet::embedded::{Config, Event, Fault, Moment, Which};
use keywheel_fleet::sshd::SshdBuilder;
use keywheel_fleet::window::{PATIENCE, Page, Place};
use keywheel_fleet::{Account, Client, ClientKey, Embedded, Fleet, FleetError, Sshd, Target, Trouble};

/// The account on every device.
pub(crate) const ACCOUNT: &str = "deploy";

/// What a scene has to know of its devices.
pub(crate) trait Device {
    fn port(&self) -> u16;
    fn host_keys(&self) -> Result<Vec<String>, FleetError>;
    fn target(&self) -> Result<Target, FleetError>;
    fn write_keys(&self, bytes: &[u8]) -> Result<(), FleetError>;
}

impl Device for Sshd {
    fn port(&self) -> u16 {
        (**self).port()
    }

    fn host_keys(&self) -> Result<Vec<String>, FleetError> {
        self.host_keys_public()
    }

    fn target(&self) -> Result<Target, FleetError> {
        self.target()
    }

    fn write_keys(&self, bytes: &[u8]) -> Result<(), FleetError> {
        self.write_authorized_keys(bytes)
    }
}

impl Device for Embedded {
    fn port(&self) -> u16 {
        self.port()
    }

    fn host_keys(&self) -> Result<Vec<String>, FleetError> {
        self.host_keys_public()
    }

    fn target(&self) -> Result<Target, FleetError> {
        self.target()
    }

    fn write_keys(&self, bytes: &[u8]) -> Result<(), FleetError> {
        self.write_authorized_keys(bytes)
    }
}

/// Devices web-1, web-2, … with the key of the credential "deploy", all in the vault of a place.
pub(crate) struct Scene<D = Sshd> {
    pub(crate) place: Place,
    pub(crate) keywheel: Keywheel,
    pub(crate) devices: Vec<D>,
    pub(crate) key: ClientKey,
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) async fn new(count: usize) -> Result<Self, Trouble> {
        Self::like(count, &Sshd::builder().account(Account::new(ACCOUNT))).await
    }

    pub(crate) async fn like(count: usize, builder: &SshdBuilder) -> Result<Self, Trouble> {
        Self::of(Fleet::start_like(count, builder)?.devices).await
    }
}

impl Scene<Embedded> {
    /// Two devices whose commands can be held.
    pub(crate) async fn embedded() -> Result<Self, Trouble> {
        let mut devices = Vec::new();
        for _ in 0..2 {
            devices.push(Embedded::start(Config { account: ACCOUNT.to_owned(), ..Config::default() }).await?);
        }
        Self::of(devices).await
    }

    /// Begins the change in a window, and holds it where the second device's file is to be written for the first time.
    pub(crate) async fn held_while_adding(&self, page: &Page) -> Result<(), Trouble> {
        self.open_change(page).await?;
        page.sees("2 of 2 ready").await?;
        hold_writes(&self.devices[1]);
        page.button("Change key on 2 devices").await?;
        held(&self.devices[1]).await?;
        page.sees("1 of 2 proven on the new key").await
    }

    /// Begins the change in a window, and holds it where the first device's file is to lose the old key.
    pub(crate) async fn held_while_removing(&self, page: &Page) -> Result<(), Trouble> {
        self.held_while_adding(page).await?;
        hold_writes(&self.devices[0]);
        self.devices[1].clear_faults();
        held(&self.devices[0]).await
    }

    /// Lets go what is held.
    pub(crate) fn release(&self) {
        self.devices.iter().for_each(Embedded::clear_faults);
    }
}

/// From now on the device does not begin what would change a file.
fn hold_writes(device: &Embedded) {
    device.clear_records();
    device.set_fault(Fault::Exec(Which::Containing("mv -f".to_owned()), Moment::Held));
}

/// Waits until something is held.
async fn held(device: &Embedded) -> Result<(), Trouble> {
    let begun = std::time::Instant::now();
    let writes = |event: &Event| matches!(event, Event::Command { text, .. } if text.contains("mv -f"));
    while !device.records().iter().any(|record| writes(&record.event)) {
        if begun.elapsed() > PATIENCE {
            return Err("the change never came to the device that holds it".into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(())
}

impl<D: Device> Scene<D> {
    async fn of(devices: Vec<D>) -> Result<Self, Trouble> {
        let place = Place::new()?;
        let keywheel = place.keywheel()?;
        for name in ["connection-timeout", "stage-timeout"] {
            keywheel.set_setting(name, "5").await?;
        }
        let client = Client::new()?;
        let key = client.key(ACCOUNT, "ed25519")?;
        let mut ids = Vec::new();
        for (index, device) in devices.iter().enumerate() {
            device.write_keys(format!("# theirs\n{}\n", key.public).as_bytes())?;
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

    /// Goes to "Change key now" of the credential.
    pub(crate) async fn open_change(&self, page: &Page) -> Result<(), Trouble> {
        page.link("Changes").await?;
        page.button("New change").await?;
        // The list behind it has a filter of the same name.
        page.find("dialog", "New change").await?;
        page.choose("Credential", ACCOUNT).await?;
        page.button("Continue").await?;
        page.find("heading", "Change key now").await?;
        Ok(())
    }

    /// Asserts from outside that this device accepts the vault's current key, and the one from before no more.
    pub(crate) async fn assert_changed(&self, index: usize) -> Result<(), Trouble> {
        assert!(self.current_key_logs_in(index).await?, "device {index} refuses the key that the vault holds");
        assert!(!self.old_key_logs_in(index)?, "device {index} still accepts the old key");
        Ok(())
    }

    /// Asserts from outside that this device accepts the key from before, which is the vault's current one.
    pub(crate) async fn assert_as_before(&self, index: usize) -> Result<(), Trouble> {
        assert!(self.old_key_logs_in(index)?, "device {index} refuses the key from before");
        assert!(self.current_key_logs_in(index).await?, "the vault's current key is not the one on device {index}");
        Ok(())
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
pub(crate) async fn add(keywheel: &Keywheel, name: &str, device: &impl Device) -> Result<DeviceId, Trouble> {
    let new = NewDevice { port: device.port().into(), ..NewDevice::new(name, "127.0.0.1") };
    let added = keywheel.add_device(new).await?;
    let keys = device.host_keys()?;
    let keys = keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<Vec<_>, _>>()?;
    keywheel.pin_host_keys(added.id, keys, Pinned::Keep).await?;
    Ok(added.id)
}
