//! Which host keys a device offers, set beside those that are pinned.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use super::KnownHosts;
use super::contact::Contact;
use crate::audit::Action;
use crate::catalogue::device::{self, Device};
use crate::catalogue::{Credential, DeviceId, Kind, words};
use crate::error::{Error, Explain};
use crate::key::{Fingerprint, PublicKey};
use crate::keywheel::Keywheel;
use crate::remote::{Connector, Jump, Route, Secret, Target, Timeouts, scan::scan};
use crate::rotation::RotationError;

words! {
    /// How an offered host key stands to the pinned ones.
    HostKeyState {
        /// Nothing speaks against it but that nobody has accepted it yet.
        New = "new",
        /// It is the pinned one.
        Pinned = "pinned",
        /// Another one is pinned, so that this may be another host.
        Changed = "changed",
    }
}

/// A host key that a device offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedKey {
    /// The key; the device has proven that it holds the private half.
    pub key: PublicKey,
    /// How it stands to the pinned ones.
    pub state: HostKeyState,
    /// The pinned keys that it would stand in for; empty unless it is changed.
    pub instead_of: Vec<Fingerprint>,
    /// Whether the `known_hosts` that were given name it for the device.
    pub matches_known_hosts: bool,
}

/// An offered host key as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct OfferedKeyView {
    /// The device's number.
    pub device_id: DeviceId,
    /// The device's name.
    pub device: String,
    /// The type, as in the protocol: `ssh-ed25519`.
    pub algorithm: String,
    /// The SHA-256 fingerprint.
    pub fingerprint: String,
    /// How it stands to the pinned ones.
    pub state: HostKeyState,
    /// The fingerprints of the pinned keys that it would stand in for.
    pub instead_of: Vec<Fingerprint>,
    /// The picture that `ssh-keygen -lv` draws of the fingerprint.
    pub randomart: String,
    /// Whether the `known_hosts` that were given name it for the device.
    pub matches_known_hosts: bool,
}

impl OfferedKey {
    /// The key as shells show it, with its device.
    pub fn view(&self, device: &Device) -> OfferedKeyView {
        OfferedKeyView {
            device_id: device.id,
            device: device.name.clone(),
            algorithm: self.key.key_type().to_owned(),
            fingerprint: self.key.fingerprint().to_string(),
            state: self.state,
            instead_of: self.instead_of.clone(),
            randomart: self.key.randomart(),
            matches_known_hosts: self.matches_known_hosts,
        }
    }
}

impl Keywheel {
    /// Asks a device which host keys it offers; pins nothing, and logs in nowhere but at jump devices.
    ///
    /// Where `known_hosts` are given, each key is looked up in them; it is no proof, but what another program trusts.
    ///
    /// # Errors
    /// The device or a jump device can't be reached; a jump device has no credential; there is no such device.
    pub async fn scan_device(&self, id: DeviceId, known_hosts: Option<&KnownHosts>) -> Result<Vec<OfferedKey>, Error> {
        let device = self.device(id).await?;
        let action = Action::new("device-scan", "device", device.name.clone());
        match self.offered(&device).await {
            Ok(mut offered) => {
                for offered in &mut offered {
                    offered.matches_known_hosts =
                        known_hosts.is_some_and(|known_hosts| known_hosts.names(&device, &offered.key));
                }
                let keys: Vec<_> = offered.iter().map(|offered| offered.key.fingerprint().to_string()).collect();
                self.record(action.with(json!({ "offered": keys })), None).await;
                Ok(offered)
            }
            Err(error) => {
                self.record(action, Some(&error as &(dyn Explain + Sync))).await;
                Err(error)
            }
        }
    }

    async fn offered(&self, device: &Device) -> Result<Vec<OfferedKey>, Error> {
        let settings = self.settings().await?;
        let connector =
            Connector::new(Timeouts { connect: settings.connection_timeout, stage: settings.stage_timeout });
        let route = self.route_to(device).await?;
        let keys = match scan(&connector, &route).await {
            Ok(keys) => keys,
            Err(error) => {
                // The device's own key is not judged by a scan, so this is about a jump device.
                let way = self.way_to(device).await?;
                let way: Vec<(DeviceId, &str)> = way.iter().map(|jump| (jump.id, jump.name.as_str())).collect();
                self.note_contacts(Contact::of(&way, Some(&error))).await;
                return Err(error.into());
            }
        };
        let pinned: Vec<PublicKey> = device.host_keys.iter().map(|pinned| pinned.key.clone()).collect();
        let offered = compare(&pinned, keys);
        self.note_contacts(seen(device.id, &offered)).await;
        Ok(offered)
    }

    async fn way_to(&self, device: &Device) -> Result<Vec<Device>, Error> {
        let device = device.clone();
        self.read(move |conn| device::way_to(conn, &device)).await
    }

    /// The way to a device when no credential is being used.
    async fn route_to(&self, device: &Device) -> Result<Route, Error> {
        let target = Target {
            name: device.name.clone(),
            address: device.address.clone(),
            port: device.port,
            host_keys: device.host_keys.iter().map(|pinned| pinned.key.clone()).collect(),
        };
        let Some(jump) = device.jump else { return Ok(Route { target, jump: None }) };
        let jump = self.device(jump).await?;
        let credential = self.credential_for_jump(device, &jump).await?;
        let secret = match credential.kind {
            Kind::SshKey => Secret::Key(Arc::new(self.read_current_key(&credential).await?)),
            Kind::Password => {
                let bytes = self.read_password(&credential).await?;
                Secret::Password(Arc::new(SecretString::from(String::from_utf8_lossy(&bytes).into_owned())))
            }
        };
        let route = Box::pin(self.route_to(&jump)).await?;
        let jump = Jump { route, username: credential.username, secrets: vec![secret] };
        Ok(Route { target, jump: Some(Arc::new(jump)) })
    }

    /// The credential named for the jump device; else one that would enter both devices in a change.
    async fn credential_for_jump(&self, device: &Device, jump: &Device) -> Result<Credential, Error> {
        if let Some(id) = device.jump_with {
            return self.credential(id).await;
        }
        let on_both = |credential: &Credential| {
            credential.enabled && [device.id, jump.id].iter().all(|id| credential.devices.contains(id))
        };
        let found = self.credentials().await?.into_iter().find(on_both);
        let (device, jump) = (device.name.clone(), jump.name.clone());
        found.ok_or_else(|| RotationError::NoJumpCredential { device, jump }.into())
    }
}

/// What the offered keys tell of a device: that it was seen, and the first of them that stands in for a pinned one.
fn seen(id: DeviceId, offered: &[OfferedKey]) -> Vec<Contact> {
    let of = |state| offered.iter().find(move |offered| offered.state == state);
    let seen = of(HostKeyState::Pinned).map(|_| Contact::Seen(id));
    let changed = of(HostKeyState::Changed).map(|changed| Contact::Changed(id, Box::new(changed.key.clone())));
    seen.into_iter().chain(changed).collect()
}

/// Sets the offered keys beside the pinned ones.
///
/// A key of a type that is not pinned is new only where the device has shown one of its pinned keys as well, or has none:
/// a stranger in its place would otherwise be new in another type.
fn compare(pinned: &[PublicKey], offered: Vec<PublicKey>) -> Vec<OfferedKey> {
    let known = pinned.is_empty() || offered.iter().any(|key| pinned.contains(key));
    let judge = |key: PublicKey| {
        if pinned.contains(&key) {
            return OfferedKey { key, state: HostKeyState::Pinned, instead_of: Vec::new(), matches_known_hosts: false };
        }
        let same_type = pinned.iter().filter(|pinned| !known || pinned.key_type() == key.key_type());
        let instead_of: Vec<Fingerprint> = same_type.map(PublicKey::fingerprint).collect();
        let state = if instead_of.is_empty() { HostKeyState::New } else { HostKeyState::Changed };
        OfferedKey { key, state, instead_of, matches_known_hosts: false }
    };
    offered.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    fn key(algorithm: Algorithm) -> PublicKey {
        PrivateKey::generate(algorithm, "host").unwrap().public_key().clone()
    }

    fn states(pinned: &[PublicKey], offered: &[&PublicKey]) -> Vec<HostKeyState> {
        let offered = offered.iter().map(|key| (*key).clone()).collect();
        compare(pinned, offered).into_iter().map(|offered| offered.state).collect()
    }

    #[test]
    fn without_a_pin_every_key_is_new() {
        let (one, two) = (key(Algorithm::Ed25519), key(Algorithm::EcdsaP256));
        assert_eq!(states(&[], &[&one, &two]), [HostKeyState::New, HostKeyState::New]);
    }

    #[test]
    fn another_key_of_a_pinned_type_is_changed() {
        let (pinned, other) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        let offered = compare(std::slice::from_ref(&pinned), vec![other]);
        assert_eq!(offered[0].state, HostKeyState::Changed, "--yes would pin a stranger");
        assert_eq!(offered[0].instead_of, [pinned.fingerprint()], "old must stand beside new");
    }

    #[test]
    fn another_type_is_new_only_beside_a_pinned_key() {
        let (pinned, other) = (key(Algorithm::Ed25519), key(Algorithm::EcdsaP256));
        let pins = [pinned.clone()];
        assert_eq!(states(&pins, &[&pinned, &other]), [HostKeyState::Pinned, HostKeyState::New]);
        assert_eq!(states(&pins, &[&other]), [HostKeyState::Changed], "a stranger would be new in another type");
    }

    #[tokio::test]
    async fn what_a_scan_shows_is_noted_until_a_person_pins() {
        use crate::device::{HostKeyStanding, NewDevice, Pinned};
        let (keywheel, _dir) = crate::keywheel::testing::keywheel();
        let (pinned, other) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        let id = keywheel.add_device(NewDevice::new("web", "127.0.0.1")).await.unwrap().id;
        let row = async || keywheel.device_row(id).await.unwrap();
        assert_eq!((row().await.host_key_state, row().await.last_seen), (HostKeyStanding::None, None));
        keywheel.pin_host_keys(id, vec![pinned.clone()], Pinned::Keep).await.unwrap();

        let pins = [pinned.clone()];
        keywheel.note_contacts(seen(id, &compare(&pins, vec![other.clone()]))).await;
        let changed = row().await;
        assert_eq!(
            (changed.host_key_state, changed.last_seen),
            (HostKeyStanding::Changed, None),
            "a stranger was seen"
        );
        let offered = changed.changed_host_key.unwrap();
        assert_eq!((offered.algorithm.as_str(), offered.fingerprint), ("ssh-ed25519", other.fingerprint().to_string()));

        keywheel.note_contacts(seen(id, &compare(&pins, vec![pinned.clone()]))).await;
        assert_eq!(row().await.host_key_state, HostKeyStanding::Changed, "nobody has decided about the other key");
        assert_eq!(row().await.last_seen.as_deref(), Some("2026-11-24T08:00:00.000Z"));
        assert_eq!(keywheel.device_rows().await.unwrap(), [row().await], "the list says something else");

        keywheel.pin_host_keys(id, vec![pinned], Pinned::Keep).await.unwrap();
        assert_eq!((row().await.host_key_state, row().await.changed_host_key), (HostKeyStanding::Pinned, None));
    }

    #[tokio::test]
    async fn a_device_behind_a_jump_device_needs_a_credential_for_it() {
        let (keywheel, _dir) = crate::keywheel::testing::keywheel();
        let jump = keywheel.add_device(crate::device::NewDevice::new("hop", "127.0.0.1")).await.unwrap();
        let new = crate::device::NewDevice { jump: Some(jump.id), ..crate::device::NewDevice::new("web", "127.0.0.1") };
        let web = keywheel.add_device(new).await.unwrap();
        assert_eq!(keywheel.scan_device(web.id, None).await.unwrap_err().code(), "no-jump-credential");
        let rows = keywheel.audit_rows(Default::default()).await.unwrap();
        let last = rows.last().unwrap();
        assert_eq!((last.action.as_str(), last.code.as_deref()), ("device-scan", Some("no-jump-credential")));
    }
}
