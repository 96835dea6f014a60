//! A credential in the shape that shells show.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use super::state::{CredentialState, States};
use super::upcoming::{Coming, Upcoming};
use crate::catalogue::credential::{self, Authentication, Credential, Kind};
use crate::catalogue::{
    CatalogueError, CredentialId, DeviceId, KeyVersion, PersonId, Policy, VersionState, device, person,
};
use crate::clock::rfc3339;
use crate::error::Error;
use crate::key::Algorithm;
use crate::keywheel::Keywheel;
use crate::schedule::{Reason, Standing as KeyStanding};

/// A credential as shells show it (cli.md, "JSON").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct CredentialView {
    /// The number.
    pub id: CredentialId,
    /// The name.
    pub name: String,
    /// The kind.
    pub kind: Kind,
    /// The account on the devices.
    pub username: String,
    /// The owner's name.
    pub owner: Option<String>,
    /// The original device's name.
    pub original_device: String,
    /// The devices' names in the order of change.
    pub devices: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// The current key's algorithm.
    pub algorithm: Option<Algorithm>,
    /// The current key's fingerprint.
    pub fingerprint: Option<String>,
    /// The current public key.
    pub public_key: Option<String>,
    /// The file that the first key was imported from.
    pub imported_from: Option<String>,
    /// Whether it changes by itself.
    pub automatic_change: bool,
    /// How a change connects.
    pub authentication: AuthenticationView,
    /// The policy's name.
    pub policy: String,
    /// After how many days the policy has a key changed.
    pub maximum_age_days: u32,
    /// When it changes by itself, in RFC 3339; none: not by itself.
    pub next_change: Option<String>,
    /// When that is due, before the policy's days and hours are looked at.
    pub next_change_due: Option<String>,
    /// Why then.
    pub next_change_reason: Option<Reason>,
    /// How the key stands towards its policy, whatever the state says.
    pub next_change_standing: Option<KeyStanding>,
    /// Whether it is changed and used to authenticate.
    pub status: &'static str,
    /// How it stands.
    pub state: CredentialState,
    /// When the current key was made, or the current password stored, in RFC 3339.
    pub key_created: Option<String>,
    /// The key versions, oldest first.
    pub key_versions: Vec<KeyVersionView>,
}

/// How a change connects, as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationView {
    /// With the key itself.
    Itself,
    /// With another credential, of that name.
    Credential(String),
}

/// A key version as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct KeyVersionView {
    /// Its number.
    pub version: u32,
    /// Where in its life it stands.
    pub state: VersionState,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// When it was made, in RFC 3339.
    pub created: String,
    /// Whether somebody else may have the private half.
    pub compromised: bool,
}

impl From<&KeyVersion> for KeyVersionView {
    fn from(version: &KeyVersion) -> Self {
        Self {
            version: version.version,
            state: version.state,
            fingerprint: version.fingerprint().to_string(),
            algorithm: version.algorithm(),
            created: rfc3339(version.created),
            compromised: version.compromised,
        }
    }
}

/// All that views are made of, read in a few queries for one credential or for all.
pub(super) struct Views {
    pub(super) names: Names,
    states: States,
    upcoming: Upcoming,
}

impl Views {
    pub(super) fn read(keywheel: &Keywheel, conn: &Connection, only: Option<CredentialId>) -> Result<Self, Error> {
        Ok(Self {
            names: Names::read(conn)?,
            states: States::read(keywheel, conn, only)?,
            upcoming: Upcoming::read(keywheel, conn, only)?,
        })
    }

    pub(super) fn of(&self, credential: Credential) -> CredentialView {
        let coming = self.upcoming.of(&credential);
        let state = self.states.of(&credential, coming.as_ref().map(|coming| coming.standing));
        let policy = self.upcoming.policy(credential.policy);
        self.names.view(credential, policy, state, coming)
    }
}

/// The names of what credentials refer to.
pub(super) struct Names {
    people: HashMap<PersonId, String>,
    devices: HashMap<DeviceId, String>,
    credentials: HashMap<CredentialId, String>,
}

impl Names {
    fn read(conn: &Connection) -> Result<Self, CatalogueError> {
        Ok(Self {
            people: person::all(conn)?.into_iter().map(|person| (person.id, person.name)).collect(),
            devices: device::names(conn)?,
            credentials: credential::names(conn)?,
        })
    }

    pub(super) fn device(&self, id: DeviceId) -> String {
        self.devices.get(&id).cloned().unwrap_or_default()
    }

    fn view(
        &self,
        credential: Credential,
        policy: Option<&Policy>,
        state: CredentialState,
        coming: Option<Coming>,
    ) -> CredentialView {
        let device = |id: &DeviceId| self.device(*id);
        let current = credential.current_key();
        CredentialView {
            owner: credential.owner.and_then(|id| self.people.get(&id).cloned()),
            original_device: device(&credential.original_device),
            devices: credential.devices_in_order().iter().map(device).collect(),
            algorithm: current.map(KeyVersion::algorithm),
            fingerprint: current.map(|version| version.fingerprint().to_string()),
            public_key: current.map(|version| version.public_key.to_openssh()),
            authentication: match credential.authentication {
                Authentication::Itself => AuthenticationView::Itself,
                Authentication::Credential(id) => {
                    AuthenticationView::Credential(self.credentials.get(&id).cloned().unwrap_or_default())
                }
            },
            policy: policy.map(|policy| policy.name.clone()).unwrap_or_default(),
            maximum_age_days: policy.map(|policy| policy.maximum_age_days).unwrap_or_default(),
            next_change: coming.as_ref().map(|coming| rfc3339(coming.next.at)),
            next_change_due: coming.as_ref().map(|coming| rfc3339(coming.next.due)),
            next_change_standing: coming.as_ref().map(|coming| coming.standing),
            next_change_reason: coming.map(|coming| coming.next.reason),
            state,
            key_created: current
                .map(|version| version.created)
                .or_else(|| credential.current_password().map(|version| version.created))
                .map(rfc3339),
            status: if credential.enabled { "enabled" } else { "disabled" },
            key_versions: credential.key_versions.iter().map(KeyVersionView::from).collect(),
            id: credential.id,
            kind: credential.kind,
            automatic_change: credential.automatic_change,
            name: credential.name,
            username: credential.username,
            tags: credential.tags,
            imported_from: credential.imported_from,
        }
    }
}

pub(super) fn all(keywheel: &Keywheel, conn: &Connection) -> Result<Vec<CredentialView>, Error> {
    let views = Views::read(keywheel, conn, None)?;
    Ok(credential::all(conn)?.into_iter().map(|credential| views.of(credential)).collect())
}

pub(super) fn one(keywheel: &Keywheel, conn: &Connection, id: CredentialId) -> Result<CredentialView, Error> {
    let credential = credential::by_id(conn, id)?;
    Ok(Views::read(keywheel, conn, Some(id))?.of(credential))
}
