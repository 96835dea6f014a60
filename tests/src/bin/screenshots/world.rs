//! A vault as a small team has it: real devices, real changes of the last months, and what went wrong in them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::catalogue::{CredentialId, DeviceId, OnFailure, PersonId};
use keywheel_core::clock::{Clock, SystemClock, Timestamp};
use keywheel_core::credential::{Automatic, NewCredential, NewSecret};
use keywheel_core::device::{NewDevice, Pinned};
use keywheel_core::journal::ChangeId;
use keywheel_core::key::{Algorithm, PrivateKey, PublicKey};
use keywheel_core::person::NewPerson;
use keywheel_core::rotation::{ConnectWith, Rotate};
use keywheel_core::vault::OsKeyring;
use keywheel_fleet::embedded::{Config, Embedded, Fault};
use keywheel_fleet::window::Place;
use keywheel_fleet::{Trouble, watch};
use secrecy::SecretString;

/// A day in nanoseconds.
const DAY: i128 = 24 * 60 * 60 * 1_000_000_000;

/// A clock that runs some days behind, so that keys can have an age.
#[derive(Debug, Clone)]
struct Behind(Arc<Mutex<i64>>);

impl Behind {
    fn set(&self, days: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = days;
    }
}

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        let days = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now();
        let behind = now.as_nanosecond() - i128::from(days) * DAY;
        Timestamp::from_nanosecond(behind).unwrap_or(now)
    }
}

/// The devices with their servers, and the vault.
pub(crate) struct World {
    pub(crate) keywheel: Keywheel,
    pub(crate) devices: Vec<(String, DeviceId, Embedded)>,
    clock: Behind,
}

/// Name, tags.
const DEVICES: &[(&str, &[&str])] = &[
    ("web-1", &["production", "web"]),
    ("web-2", &["production", "web"]),
    ("web-3", &["production", "web"]),
    ("web-4", &["production", "web"]),
    ("db-1", &["production", "database"]),
    ("db-2", &["production", "database"]),
    ("backup-1", &["backup"]),
    ("build-1", &["ci"]),
    ("staging-1", &["staging"]),
    ("edge-lisboa", &["edge"]),
    ("edge-são-paulo", &["edge"]),
    ("legacy-warehouse-controller-17.internal", &["legacy"]),
];

impl World {
    /// A small team's vault, which has seen some months.
    pub(crate) async fn team(place: &Place) -> Result<Self, Trouble> {
        let mut world = Self::nothing(place, 400)?;
        for (name, tags) in DEVICES {
            world.add(name, tags).await?;
        }
        world.fill().await?;
        Ok(world)
    }

    /// Five devices and one credential, which needs nothing.
    pub(crate) async fn five(place: &Place) -> Result<Self, Trouble> {
        let mut world = Self::nothing(place, 30)?;
        let names = ["web-1", "web-2", "web-3", "web-4", "web-5"];
        for name in names {
            world.add(name, &["web"]).await?;
        }
        let ana = world.person("Ana Souza", "ana@example.org").await?;
        world.credential("deploy", Algorithm::Ed25519, Some(ana), &names, true).await?;
        for days in [20, 3] {
            world.days_ago(days);
            world.change("deploy", OnFailure::RollBack).await?;
        }
        world.days_ago(0);
        Ok(world)
    }

    /// So many devices under one credential.
    pub(crate) async fn many(place: &Place, count: usize) -> Result<Self, Trouble> {
        let mut world = Self::nothing(place, 100)?;
        let names: Vec<String> = (1..=count).map(|number| format!("node-{number:03}")).collect();
        for name in &names {
            world.add(name, &["rack"]).await?;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.credential("deploy", Algorithm::Ed25519, None, &names, true).await?;
        world.days_ago(0);
        Ok(world)
    }

    fn nothing(place: &Place, days_ago: i64) -> Result<Self, Trouble> {
        let clock = Behind(Arc::new(Mutex::new(days_ago)));
        let vault = Arc::new(OsKeyring::open_at(&place.keyring.address()));
        let keywheel = Keywheel::open(&place.data_dir(), vault, Arc::new(clock.clone()), Actor::named("ana@desk"))?;
        Ok(Self { keywheel, devices: Vec::new(), clock })
    }

    /// Adds a device whose host key nobody has accepted yet.
    async fn add_unknown(&mut self, name: &str, tags: &[&str]) -> Result<(), Trouble> {
        let server = Embedded::start(Config {
            account: "deploy".to_owned(),
            password: Some("correct horse".to_owned()),
            ..Config::default()
        })
        .await?;
        let new = NewDevice {
            port: server.port().into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..NewDevice::new(name, "127.0.0.1")
        };
        let device = self.keywheel.add_device(new).await?;
        self.devices.push((name.to_owned(), device.id, server));
        Ok(())
    }

    /// Adds a device with its host key.
    async fn add(&mut self, name: &str, tags: &[&str]) -> Result<(), Trouble> {
        self.add_unknown(name, tags).await?;
        let (_, id, server) = self.device(name)?;
        let keys = server.host_keys_public()?;
        let keys = keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<Vec<_>, _>>()?;
        self.keywheel.pin_host_keys(*id, keys, Pinned::Keep).await?;
        Ok(())
    }

    /// Adds three devices whose host keys nobody has accepted; one of them the user's known_hosts file knows.
    pub(crate) async fn newcomers(&mut self, home: &Path) -> Result<(), Trouble> {
        for name in ["mail-1", "mail-2", "mail-3"] {
            self.add_unknown(name, &["mail"]).await?;
        }
        let known = self.server("mail-1")?;
        let line = format!("[127.0.0.1]:{} {}\n", known.port(), known.host_key_public()?);
        std::fs::create_dir_all(home.join(".ssh"))?;
        std::fs::write(home.join(".ssh/known_hosts"), line)?;
        Ok(())
    }

    /// Sets how many days behind the clock runs.
    pub(crate) fn days_ago(&self, days: i64) {
        self.clock.set(days);
    }

    fn device(&self, name: &str) -> Result<&(String, DeviceId, Embedded), Trouble> {
        self.devices.iter().find(|(known, ..)| known == name).ok_or_else(|| format!("no device {name}").into())
    }

    /// A device's server.
    pub(crate) fn server(&self, name: &str) -> Result<&Embedded, Trouble> {
        Ok(&self.device(name)?.2)
    }

    /// Makes every device answer so slowly that a change can be watched.
    pub(crate) fn slow_down(&self) {
        for (_, _, server) in &self.devices {
            server.set_fault(Fault::Slow(Duration::from_millis(120)));
        }
    }

    /// Takes every fault away.
    pub(crate) fn speed_up(&self) {
        for (_, _, server) in &self.devices {
            server.clear_faults();
        }
    }

    async fn person(&self, name: &str, email: &str) -> Result<PersonId, Trouble> {
        let new = NewPerson { name: name.to_owned(), email: email.to_owned(), active: true };
        Ok(self.keywheel.add_person(new).await?.id)
    }

    /// Adds a credential whose key stands on these devices already.
    async fn credential(
        &self,
        name: &str,
        algorithm: Algorithm,
        owner: Option<PersonId>,
        devices: &[&str],
        automatic: bool,
    ) -> Result<CredentialId, Trouble> {
        let key = PrivateKey::generate(algorithm, &format!("{name}@example.org"))?;
        let mut ids = Vec::new();
        for device in devices {
            let (_, id, server) = self.device(device)?;
            let mut text = server.authorized_keys().unwrap_or_default();
            text.extend(format!("{}\n", key.public_key().to_openssh()).into_bytes());
            server.write_authorized_keys(&text)?;
            ids.push(*id);
        }
        let original = *ids.first().ok_or("a credential needs a device")?;
        let mut new = NewCredential::new(name, "deploy", original, NewSecret::Generated(key));
        new.devices = ids;
        new.owner = owner;
        new.automatic = Automatic { change: automatic, use_itself: automatic, auth_with: None };
        let id = self.keywheel.add_credential(new).await?.id;
        self.keywheel.check(name, &ConnectWith::AsStored).await?;
        Ok(id)
    }

    /// The newest change.
    pub(crate) async fn newest_change(&self) -> Result<ChangeId, Trouble> {
        let changes = self.keywheel.change_views().await?;
        Ok(changes.iter().map(|change| change.id).max().ok_or("there was no change yet")?)
    }

    /// Changes a credential's key.
    pub(crate) async fn change(&self, name: &str, on_failure: OnFailure) -> Result<(), Trouble> {
        let (watch, _watching) = watch();
        let request = Rotate { credential: name.to_owned(), on_failure: Some(on_failure), ..Rotate::default() };
        self.keywheel.rotate(&request, watch).await?;
        Ok(())
    }

    async fn fill(&self) -> Result<(), Trouble> {
        let ana = self.person("Ana Souza", "ana@example.org").await?;
        let ben = self.person("Ben Okafor", "ben@example.org").await?;
        self.person("Chioma Eze", "chioma@example.org").await?;
        let all: Vec<&str> = DEVICES.iter().map(|(name, _)| *name).collect();
        self.credential("legacy", Algorithm::Rsa(3072), Some(ben), &["legacy-warehouse-controller-17.internal"], false)
            .await?;
        self.days_ago(140);
        self.credential("backup", Algorithm::Ed25519, Some(ben), &["backup-1", "db-1", "db-2"], true).await?;
        self.credential("edge", Algorithm::EcdsaP256, None, &["edge-lisboa", "edge-são-paulo"], true).await?;
        for days in [70, 55, 41, 27, 20, 13] {
            self.days_ago(days);
            self.change("backup", OnFailure::RollBack).await?;
        }
        self.days_ago(34);
        self.credential("deploy", Algorithm::Ed25519, Some(ana), all.get(..9).unwrap_or_default(), true).await?;
        self.change("deploy", OnFailure::RollBack).await?;
        // One of its devices refuses every new key: it stays behind.
        self.days_ago(6);
        self.server("edge-são-paulo")?.set_fault(Fault::RefuseEveryKey);
        self.change("edge", OnFailure::Continue).await?;
        self.days_ago(2);
        self.credential("ci", Algorithm::Ed25519, Some(ana), &["build-1", "staging-1"], true).await?;
        self.server("staging-1")?.set_fault(Fault::RefuseEveryKey);
        self.change("ci", OnFailure::RollBack).await?;
        self.server("staging-1")?.clear_faults();
        self.days_ago(0);
        // Nobody has checked this one yet.
        let key = PrivateKey::generate(Algorithm::Ed25519, "monitoring@example.org")?;
        let mut new = NewCredential::new("monitoring", "deploy", self.device("web-1")?.1, NewSecret::Generated(key));
        new.devices = self.devices.iter().map(|(_, id, _)| *id).collect();
        self.keywheel.add_credential(new).await?;
        let secret = NewSecret::Password(SecretString::from("correct horse"));
        let mut admin = NewCredential::new("admin password", "deploy", self.device("web-1")?.1, secret);
        admin.devices = self.devices.iter().map(|(_, id, _)| *id).collect();
        self.keywheel.add_credential(admin).await?;
        Ok(())
    }
}
