//! When the private half of a retired key goes, and what holds it up (rotation.md, invariant 2).
//!
//! As long as a device may accept a key and nothing newer, its private half is the only way in there. What is judged here
//! is what the catalogue and the journal know; before a key is destroyed each device is asked once more.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde::Serialize;

use super::{Problem, accepts};
use crate::{
    catalogue::{
        Credential, CredentialId, DeviceId, KeyVersion, VersionState, credential, device, key_version,
        key_version::Installed,
    },
    clock::rfc3339,
    error::{Error, Report},
    journal::{self, Change, ChangeId},
    key::Fingerprint,
    keywheel::Keywheel,
};

/// A device that loses power may come back with the file of so long ago.
pub(super) const SETTLING: SignedDuration = SignedDuration::from_secs(60);

/// A retired version of a credential's key.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct RetiredVersion {
    /// Its number.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When it was replaced or taken back, in RFC 3339.
    pub retired_at: Option<String>,
    /// When its private half goes by itself, should nothing hold it up, in RFC 3339.
    pub goes_at: String,
    /// Whether that time has come.
    pub due: bool,
    /// What holds it up, by what is known: the devices that may still need it.
    pub held_by: Vec<Held>,
}

/// Something that holds a key up.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct Held {
    /// The device; none where it is no device.
    pub device_id: Option<DeviceId>,
    /// The device's name.
    pub device: Option<String>,
    /// Why.
    pub reason: Report,
}

impl Held {
    pub(super) fn by_device(id: DeviceId, name: &str, reason: Report) -> Self {
        Self { device_id: Some(id), device: Some(name.to_owned()), reason }
    }

    fn by(problem: &Problem) -> Self {
        Self { device_id: None, device: None, reason: Report::of(problem) }
    }
}

/// Why a device may still need a key.
pub(super) fn still_accepts(device: &str) -> Report {
    Report::of(&Problem::RetiredAccepted { device: device.to_owned() })
}

fn not_proven(device: &str) -> Report {
    Report::of(&Problem::NotSeenRefused { device: device.to_owned() })
}

impl Keywheel {
    /// Lists the retired versions of a credential's key, oldest first, with when each goes and what holds it up.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn retired(&self, id: CredentialId) -> Result<Vec<RetiredVersion>, Error> {
        let (days, now) = (self.settings().await?.days_of_undo, self.now());
        self.database()
            .run_read(move |connection| {
                let history = History::read(connection, id, now)?;
                let retired = history.credential.key_versions.iter();
                let retired = retired.filter(|version| version.state == VersionState::Retired);
                Ok(retired.map(|version| history.retired(version, days, now)).collect())
            })
            .await
    }

    /// When the next retired key of all credentials falls due that is not yet.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn next_to_go(&self) -> Result<Option<Timestamp>, Error> {
        let (days, now) = (self.settings().await?.days_of_undo, self.now());
        self.database()
            .run_read(move |connection| {
                let mut next: Option<Timestamp> = None;
                for credential in credential::all(connection)?.iter().filter(|credential| has_retired(credential)) {
                    let history = History::read(connection, credential.id, now)?;
                    let retired = history.credential.key_versions.iter();
                    let retired = retired.filter(|version| version.state == VersionState::Retired);
                    let later = retired.map(|version| history.goes_at(version, days)).filter(|at| *at > now);
                    next = next.into_iter().chain(later).min();
                }
                Ok(next)
            })
            .await
    }
}

impl Keywheel {
    /// When no device can come back any more with a file from before the last write of a version's lines.
    pub(super) async fn settled_at(&self, id: CredentialId, version: u32) -> Result<Option<Timestamp>, Error> {
        let now = self.now();
        self.database()
            .run_read(move |connection| {
                let history = History::read(connection, id, now)?;
                Ok(history.credential.key_version(version).map(|known| history.settled_at(known)))
            })
            .await
    }
}

/// Whether a credential's key has retired versions.
pub(super) fn has_retired(credential: &Credential) -> bool {
    credential.key_versions.iter().any(|version| version.state == VersionState::Retired)
}

/// What is known of a credential's key, its devices and changes.
pub(super) struct History {
    pub(super) credential: Credential,
    pub(super) installed: Vec<Installed>,
    /// The names of all devices there ever were.
    pub(super) names: HashMap<DeviceId, String>,
    /// Those that may be connected to: enabled, or deleted while they were.
    connected: HashSet<DeviceId>,
    /// Its changes, newest first.
    pub(super) changes: Vec<Change>,
    /// The last write of a file that had to do with each version.
    written: HashMap<u32, Timestamp>,
}

impl History {
    pub(super) fn read(connection: &Connection, id: CredentialId, now: Timestamp) -> Result<Self, Error> {
        // Also of a program whose answer never came: it goes on for no longer than a stage.
        let recently = now.checked_sub(10 * SETTLING).unwrap_or(Timestamp::MIN);
        let credential = credential::by_id(connection, id)?;
        let mut written = HashMap::new();
        for version in &credential.key_versions {
            let last = journal::effect::last_write_of(connection, id, &version.public_key, recently)?;
            written.extend(last.map(|at| (version.version, at)));
        }
        Ok(Self {
            installed: key_version::installed(connection, id)?,
            names: device::names(connection)?,
            connected: device::connected(connection)?,
            changes: journal::change::list_of(connection, id)?,
            written,
            credential,
        })
    }

    /// The change that is not ended; until then any version may be gone back to.
    pub(super) fn open(&self) -> Option<ChangeId> {
        self.changes.iter().find(|change| change.state.is_open()).map(|change| change.id)
    }

    fn name(&self, device: DeviceId) -> String {
        self.names.get(&device).cloned().unwrap_or_else(|| device.to_string())
    }

    fn known(&self, version: u32, device: DeviceId) -> Option<&Installed> {
        self.installed.iter().find(|known| known.version == version && known.device == device)
    }

    pub(super) fn is_connected_to(&self, device: DeviceId) -> bool {
        self.connected.contains(&device)
    }

    /// The devices on which a version ever stood or may have, but for those that were given up by name: where it was
    /// written, accepted or refused, where a change went from it, and where no change has led to it, all of the credential's.
    pub(super) fn devices_of(&self, version: u32) -> Vec<DeviceId> {
        let mut devices: BTreeSet<DeviceId> =
            self.installed.iter().filter(|known| known.version == version).map(|known| known.device).collect();
        let from = self.changes.iter().filter(|change| change.from_version == Some(version));
        devices.extend(from.flat_map(|change| change.snapshot.devices.iter().map(|device| device.id)));
        if !self.changes.iter().any(|change| change.to_version == Some(version)) {
            devices.extend(self.credential.devices.iter().copied());
        }
        let given_up =
            |device: &DeviceId| self.known(version, *device).is_some_and(|known| known.given_up_at.is_some());
        devices.into_iter().filter(|device| !given_up(device)).collect()
    }

    /// The versions that count as newer than one that is to go: the current one, and those with a higher number.
    pub(super) fn is_newer(&self, version: u32, than: u32) -> bool {
        let known = self.credential.key_version(version);
        let counts = known.is_some_and(|known| !matches!(known.state, VersionState::Destroyed) && !known.compromised);
        let is_current = self.credential.current_key().is_some_and(|current| current.version == version);
        version != than && counts && (version > than || is_current)
    }

    /// When a version goes by itself: the days after it was retired, and after each change that can be undone to it or led
    /// to it.
    fn goes_at(&self, version: &KeyVersion, days: u32) -> Timestamp {
        let of_it = |change: &&Change| [change.from_version, change.to_version].contains(&Some(version.version));
        let ended = self.changes.iter().filter(of_it).map(|change| change.ended.unwrap_or(change.started));
        let last = ended.chain(version.retired_at).max().unwrap_or(version.created);
        // A compromised key is put back by no undo.
        let days = if version.compromised { 0 } else { days };
        let days = SignedDuration::from_hours(24 * i64::from(days));
        let after_days = last.checked_add(days).unwrap_or(Timestamp::MAX);
        after_days.max(self.settled_at(version))
    }

    /// When no device can come back any more with a file from before the last write of this version's lines.
    fn settled_at(&self, version: &KeyVersion) -> Timestamp {
        let last = self.written.get(&version.version).copied().into_iter().chain(version.retired_at).max();
        let last = last.unwrap_or(version.created);
        last.checked_add(SETTLING).unwrap_or(Timestamp::MAX)
    }

    /// What keeps a version from being destroyed at any wish, whatever the devices say.
    pub(super) fn held(&self, version: &KeyVersion, now: Timestamp) -> Option<Held> {
        if let Some(open) = self.open() {
            return Some(Held::by(&Problem::ChangeOpen { id: open }));
        }
        (now < self.settled_at(version)).then(|| Held::by(&Problem::JustWritten { version: version.version }))
    }

    fn retired(&self, version: &KeyVersion, days: u32, now: Timestamp) -> RetiredVersion {
        let goes_at = self.goes_at(version, days);
        let mut held_by: Vec<Held> = self.held(version, now).into_iter().collect();
        for device in self.devices_of(version.version) {
            let name = self.name(device);
            let known = self.known(version.version, device);
            let newer = self.installed.iter().any(|other| {
                other.device == device
                    && self.is_newer(other.version, version.version)
                    && other.stands()
                    && other.accepted_at.is_some()
            });
            let reason = if known.is_some_and(|known| known.stands() && known.accepted_at.is_some()) {
                Some(still_accepts(&name))
            } else if !self.is_connected_to(device) {
                Some(accepts::disabled(&name))
            } else if !newer || known.is_none_or(|known| known.refused_at.is_none()) {
                Some(not_proven(&name))
            } else {
                None
            };
            held_by.extend(reason.map(|reason| Held::by_device(device, &name, reason)));
        }
        RetiredVersion {
            version: version.version,
            fingerprint: version.fingerprint(),
            retired_at: version.retired_at.map(rfc3339),
            goes_at: rfc3339(goes_at),
            due: now >= goes_at,
            held_by,
        }
    }
}
