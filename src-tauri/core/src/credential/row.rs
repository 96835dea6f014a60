//! Credentials as a window lists and shows them: with the numbers that it works with.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use super::view::{CredentialView, Names, Views};
use crate::catalogue::credential::{self, Authentication, Credential};
use crate::catalogue::{CredentialId, DeviceId, Installed, KeyVersion, PersonId, PolicyId, VersionState, words};
use crate::catalogue::{device, key_version};
use crate::clock::rfc3339;
use crate::error::Error;
use crate::keywheel::Keywheel;

/// A credential as the window lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct CredentialRow {
    /// What every shell shows.
    #[serde(flatten)]
    pub view: CredentialView,
    /// The owner.
    pub owner_id: Option<PersonId>,
    /// The original device.
    pub original_device_id: DeviceId,
    /// The devices in the order of change.
    pub device_ids: Vec<DeviceId>,
    /// The other credential that a change connects with.
    pub auth_with_id: Option<CredentialId>,
    /// The policy.
    pub policy_id: PolicyId,
}

/// A credential with all that its page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct CredentialDetails {
    /// What lists show of it.
    #[serde(flatten)]
    pub row: CredentialRow,
    /// The picture that `ssh-keygen -lv` draws of the current key's fingerprint.
    pub randomart: Option<String>,
    /// The devices on which a key of it stands, because of which the username is fixed.
    pub username_fixed: Vec<String>,
    /// What each device is known to accept: its devices in the order of change, then others on which a key still stands.
    pub truth: Vec<DeviceTruth>,
    /// The other credentials that have the current key.
    pub others_with_key: Vec<String>,
}

/// What is known of a credential's key versions on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct DeviceTruth {
    /// The device.
    pub device_id: DeviceId,
    /// Its name.
    pub device: String,
    /// Whether it is connected to.
    pub enabled: bool,
    /// Whether it is one of the credential's devices still.
    pub listed: bool,
    /// The versions of which something is known there, and the current one, oldest first.
    pub versions: Vec<VersionTruth>,
}

/// What is known of one key version on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct VersionTruth {
    /// Its number.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Where in its life it stands.
    pub state: VersionState,
    /// What the device last answered.
    pub answer: KeyAnswer,
    /// When it did, in RFC 3339; none while the answer is unknown.
    pub at: Option<String>,
}

words! {
    /// What a device last answered about a key.
    KeyAnswer {
        /// It accepted a login, or said that it would.
        Accepted = "accepted",
        /// It refused it.
        Refused = "refused",
        /// It was never asked, gave no clear answer, or was given up.
        Unknown = "unknown",
    }
}

impl Keywheel {
    /// Lists the credentials as the window lists them: the worst state first, then by name.
    ///
    /// # Errors
    /// The database's own failure; the lock of a running change can't be asked.
    pub async fn credential_rows(&self) -> Result<Vec<CredentialRow>, Error> {
        let this = self.clone();
        self.database()
            .run_read(move |conn| {
                let views = Views::read(&this, conn, None)?;
                let mut rows: Vec<CredentialRow> =
                    credential::all(conn)?.into_iter().map(|credential| row(credential, &views)).collect();
                rows.sort_by(|one, other| {
                    let place = |row: &CredentialRow| row.view.state.place();
                    place(one).cmp(&place(other)).then_with(|| one.view.name.cmp(&other.view.name))
                });
                Ok(rows)
            })
            .await
    }

    /// Shows a credential with all that its page shows.
    ///
    /// # Errors
    /// There is none; as [`Keywheel::credential_rows`].
    pub async fn credential_details(&self, id: CredentialId) -> Result<CredentialDetails, Error> {
        let this = self.clone();
        self.database()
            .run_read(move |conn| {
                let credential = credential::by_id(conn, id)?;
                let views = Views::read(&this, conn, Some(id))?;
                let current = credential.current_key();
                let others_with_key = match current {
                    Some(current) => key_version::others_with(conn, &current.fingerprint(), Some(id))?,
                    None => Vec::new(),
                };
                Ok(CredentialDetails {
                    randomart: current.map(|current| current.public_key.randomart()),
                    username_fixed: key_version::stands_on(conn, id)?.into_iter().map(|(_, name)| name).collect(),
                    truth: truth(conn, &credential, &views.names)?,
                    others_with_key,
                    row: row(credential, &views),
                })
            })
            .await
    }
}

fn row(credential: Credential, views: &Views) -> CredentialRow {
    CredentialRow {
        owner_id: credential.owner,
        original_device_id: credential.original_device,
        device_ids: credential.devices_in_order(),
        auth_with_id: match credential.authentication {
            Authentication::Itself => None,
            Authentication::Credential(id) => Some(id),
        },
        policy_id: credential.policy,
        view: views.of(credential),
    }
}

fn truth(conn: &Connection, credential: &Credential, names: &Names) -> Result<Vec<DeviceTruth>, Error> {
    let installed = key_version::installed(conn, credential.id)?;
    let known: HashMap<(DeviceId, u32), &Installed> =
        installed.iter().map(|known| ((known.device, known.version), known)).collect();
    let enabled = device::enabled(conn)?;
    let mut devices = credential.devices_in_order();
    let listed = devices.len();
    for known in installed.iter().filter(|known| known.stands()) {
        if !devices.contains(&known.device) {
            devices.push(known.device);
        }
    }
    let truth = |(place, device): (usize, DeviceId)| {
        let version = |version: &KeyVersion| {
            let known = known.get(&(device, version.version)).copied();
            (known.is_some() || version.state == VersionState::Current).then(|| version_truth(version, known))
        };
        DeviceTruth {
            device_id: device,
            device: names.device(device),
            enabled: enabled.contains(&device),
            listed: place < listed,
            versions: credential.key_versions.iter().filter_map(version).collect(),
        }
    };
    Ok(devices.into_iter().enumerate().map(truth).collect())
}

fn version_truth(version: &KeyVersion, known: Option<&Installed>) -> VersionTruth {
    let (answer, at) = match known {
        Some(Installed { given_up_at: Some(_), .. }) | None => (KeyAnswer::Unknown, None),
        Some(Installed { refused_at: Some(at), .. }) => (KeyAnswer::Refused, Some(*at)),
        Some(Installed { accepted_at: Some(at), .. }) => (KeyAnswer::Accepted, Some(*at)),
        Some(_) => (KeyAnswer::Unknown, None),
    };
    VersionTruth {
        version: version.version,
        fingerprint: version.fingerprint().to_string(),
        state: version.state,
        answer,
        at: at.map(rfc3339),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::key_version::Happening;
    use crate::credential::{Automatic, EditCredential, NewCredential, NewSecret, Standing};
    use crate::device::NewDevice;
    use crate::journal;
    use crate::key::{Algorithm, PrivateKey};
    use crate::keywheel::testing::keywheel;
    use crate::person::NewPerson;

    /// Names that break whatever takes them for something else.
    const ODD: [&str; 6] = [
        "<script>alert(\"1\")</script>",
        "🔑 chave ❤️ 🇧🇷",
        "مفتاح الخادم",
        "שרת־1",
        r#"it's "quoted" \n %s; DROP TABLE device --"#,
        "naïve ＷＩＤＥ e\u{301}",
    ];

    #[tokio::test]
    async fn names_pass_through_unchanged_whatever_characters_they_have() {
        let (keywheel, _dir) = keywheel();
        for name in ODD {
            let person = NewPerson { name: name.to_owned(), email: String::new(), active: true };
            let person = keywheel.save_person(None, person).await.unwrap();
            let device = NewDevice { tags: vec!["<b>&'🔑".to_owned()], ..NewDevice::new(name, "10.0.0.1") };
            let device = keywheel.save_device(None, device).await.unwrap();
            let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
            let mut new = NewCredential::new(name, "deploy", device.view.id, NewSecret::Generated(key));
            new.owner = Some(person.view.id);
            keywheel.add_credential(new).await.unwrap();
        }
        let mut rows = keywheel.credential_rows().await.unwrap();
        rows.sort_by_key(|row| row.view.id);
        let devices = keywheel.device_rows().await.unwrap();
        let people = keywheel.person_rows().await.unwrap();
        let records = keywheel.audit_rows(Default::default()).await.unwrap();
        for (at, name) in ODD.into_iter().enumerate() {
            let (row, device) = (&rows[at], &devices[at]);
            assert_eq!((row.view.name.as_str(), row.view.owner.as_deref()), (name, Some(name)));
            assert_eq!((row.view.original_device.as_str(), &row.view.devices), (name, &vec![name.to_owned()]));
            assert_eq!((device.view.name.as_str(), &device.credentials), (name, &vec![name.to_owned()]));
            assert_eq!(device.view.tags, ["<b>&'🔑"]);
            let person = people.iter().find(|person| person.view.name == name).unwrap();
            assert_eq!(person.credentials, [name]);
            let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap();
            assert_eq!(json["name"], name, "JSON would show another name");
            let told = records.iter().filter(|record| record.subject.as_deref() == Some(name)).count();
            assert!(told >= 3, "the audit knows {name:?} by another name");
            assert_eq!(keywheel.find_device(name).await.unwrap().id, device.view.id);
        }
    }

    #[tokio::test]
    async fn a_page_says_of_each_device_what_it_last_answered() {
        let (keywheel, _dir) = keywheel();
        let mut devices = Vec::new();
        for number in 1..=3 {
            let new = NewDevice::new(format!("web-{number}"), format!("10.0.0.{number}"));
            devices.push(keywheel.add_device(new).await.unwrap().id);
        }
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let mut new = NewCredential::new("deploy", "deploy", devices[1], NewSecret::Generated(key));
        new.devices = devices.clone();
        let id = keywheel.add_credential(new).await.unwrap().id;
        let note = |device: DeviceId, happening| {
            let now = keywheel.now();
            keywheel.database().write(|tx| key_version::note(tx, id, 1, device, happening, now)).unwrap();
        };
        note(devices[1], Happening::Accepted);
        note(devices[2], Happening::Installed);
        note(devices[0], Happening::Accepted);
        note(devices[0], Happening::Refused);
        let details = keywheel.credential_details(id).await.unwrap();
        assert_eq!(details.row.device_ids, [devices[1], devices[0], devices[2]], "the order of change is another");
        let told: Vec<_> = details
            .truth
            .iter()
            .map(|truth| (truth.device.as_str(), truth.versions[0].answer, truth.versions[0].at.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("web-2", KeyAnswer::Accepted, true),
                ("web-1", KeyAnswer::Refused, true),
                ("web-3", KeyAnswer::Unknown, false)
            ]
        );
        assert_eq!(details.username_fixed, ["web-2", "web-3"]);
        assert!(details.randomart.unwrap().contains("ED25519"));
        assert!(details.others_with_key.is_empty());

        let edit = EditCredential { devices: Some(vec![devices[1]]), ..EditCredential::default() };
        keywheel.edit_credential(id, edit, Standing::LeaveThere).await.unwrap();
        let truth = keywheel.credential_details(id).await.unwrap().truth;
        let listed: Vec<_> = truth.iter().map(|truth| (truth.device.as_str(), truth.listed)).collect();
        assert_eq!(listed, [("web-2", true), ("web-3", false)], "a key that was left would be forgotten");
    }

    #[tokio::test]
    async fn a_whole_form_that_only_has_another_tag_is_saved_while_a_change_is_open() {
        let (keywheel, _dir) = keywheel();
        let device = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let new = NewCredential::new("deploy", "deploy", device, NewSecret::Generated(key));
        let added = keywheel.add_credential(new).await.unwrap();
        let form = |enabled| EditCredential {
            name: Some("deploy".to_owned()),
            username: Some(" deploy ".to_owned()),
            original_device: Some(device),
            devices: Some(vec![device, device]),
            owner: Some(None),
            tags: Some(vec!["web".to_owned()]),
            enabled: Some(enabled),
            automatic: Some(Automatic::default()),
            policy: Some(added.policy),
        };
        let open = keywheel.database().write(|tx| -> Result<(), journal::JournalError> {
            tx.execute(
                "INSERT INTO change (credential, kind, state, direction, epoch, strategy, on_failure, at_once, snapshot,
                     requested_by, started_at)
                 VALUES (?1, 'rotate', 'interrupted', 'forward', 1, 'two-phase', 'roll-back', 1, '{}', 'ana@desk', '')",
                [added.id],
            )?;
            Ok(())
        });
        open.unwrap();
        let saved = keywheel.edit_credential(added.id, form(true), Standing::Refuse).await.unwrap();
        assert_eq!(saved.tags, ["web"]);
        let rows = keywheel.audit_rows(Default::default()).await.unwrap().len();
        keywheel.edit_credential(added.id, form(true), Standing::Refuse).await.unwrap();
        assert_eq!(keywheel.audit_rows(Default::default()).await.unwrap().len(), rows, "nothing was changed");
        let error = keywheel.edit_credential(added.id, form(false), Standing::Refuse).await.unwrap_err();
        assert_eq!(crate::error::Explain::code(&error), "change-open", "the change goes by the status");
    }
}
