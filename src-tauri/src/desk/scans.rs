//! Scans and checks under way, and the host keys that were shown.

use std::collections::HashMap;
use std::sync::Mutex;

use keywheel_core::catalogue::DeviceId;
use keywheel_core::device::OfferedKey;
use keywheel_core::key::PublicKey;
use tokio::sync::watch;

use super::lock;
use crate::error::DeskError;

/// What stops the newest of something of which one is under way at a time.
#[derive(Default)]
pub(crate) struct Stops(Mutex<Option<watch::Sender<bool>>>);

impl Stops {
    /// A new one begins, and stops the one before. What it is asked turns true when it is to stop.
    pub(crate) fn begin(&self) -> watch::Receiver<bool> {
        let (stop, asked) = watch::channel(false);
        if let Some(before) = lock(&self.0).replace(stop) {
            let _ = before.send(true);
        }
        asked
    }

    /// Stops what is under way, if anything is.
    pub(crate) fn stop(&self) {
        if let Some(stop) = lock(&self.0).as_ref() {
            let _ = stop.send(true);
        }
    }
}

/// The host keys that devices offered when they were last scanned: only what was shown can be pinned.
#[derive(Default)]
pub(crate) struct Scans {
    offered: Mutex<HashMap<DeviceId, Vec<OfferedKey>>>,
    /// What stops a scan under way.
    pub(crate) stops: Stops,
}

impl Scans {
    /// Remembers what a device offered last, and nothing of before; nothing where it could not be asked.
    pub(crate) fn remember(&self, device: DeviceId, offered: Vec<OfferedKey>) {
        lock(&self.offered).insert(device, offered);
    }

    /// The key that was shown with this fingerprint.
    pub(crate) fn offered(&self, device: DeviceId, fingerprint: &str) -> Result<PublicKey, DeskError> {
        let offered = lock(&self.offered);
        let mut keys = offered.get(&device).into_iter().flatten();
        let found = keys.find(|offered| offered.key.fingerprint().to_string() == fingerprint);
        found
            .map(|offered| offered.key.clone())
            .ok_or_else(|| DeskError::NotOffered { fingerprint: fingerprint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use keywheel_core::device::HostKeyState;
    use keywheel_core::key::{Algorithm, PrivateKey};

    use super::*;

    #[test]
    fn a_new_one_stops_the_one_before() {
        let stops = Stops::default();
        let first = stops.begin();
        let second = stops.begin();
        assert!(*first.borrow(), "two would run at once");
        assert!(!*second.borrow());
        stops.stop();
        assert!(*second.borrow());
    }

    #[test]
    fn only_what_the_last_scan_showed_can_be_pinned() {
        let key = PrivateKey::generate(Algorithm::Ed25519, "host").unwrap().public_key().clone();
        let fingerprint = key.fingerprint().to_string();
        let (state, instead_of) = (HostKeyState::New, Vec::new());
        let offered = OfferedKey { key: key.clone(), state, instead_of, matches_known_hosts: false };
        let scans = Scans::default();
        scans.remember(DeviceId(1), vec![offered]);
        assert_eq!(scans.offered(DeviceId(1), &fingerprint).unwrap(), key);
        assert!(scans.offered(DeviceId(2), &fingerprint).is_err(), "another device's key would be pinned");
        scans.remember(DeviceId(1), Vec::new());
        assert!(scans.offered(DeviceId(1), &fingerprint).is_err(), "the key of an older scan would be pinned");
    }

    #[test]
    fn a_key_that_was_not_shown_is_not_pinned() {
        let error = Scans::default().offered(DeviceId(1), "SHA256:x").unwrap_err();
        assert!(matches!(error, DeskError::NotOffered { .. }));
    }
}
