//! Looking at the devices of a credential, and at what a change would write; nothing is changed.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
};

use super::{ConnectWith, Rotate};
use crate::{
    audit::Action,
    authorized_keys,
    catalogue::{Authentication, CredentialId, DeviceId, Strategy, credential::order_of_change, words},
    error::{Error, Report},
    journal::{Kind, SnapshotDevice},
    key::{Algorithm, PrivateKey},
    keywheel::Keywheel,
    rotation::{
        Conditions, Finding, Problem, Seen, Stage,
        conditions::{Entered, conditions},
        device::DeviceRun,
        event::{Event, What},
        finding::Target,
        newer::{newer_key, newer_than_known},
        plan::{Outline, WorkPlan, algorithm_like},
        work::{self, Noting, VersionKey, Work},
    },
};

/// How many devices are looked at at once.
const CHECKS_AT_ONCE: usize = 8;

/// What is looked at, and what for.
#[derive(Debug, Clone)]
pub struct Look {
    /// The credential.
    pub subject: Subject,
    /// What to connect with.
    pub connect_with: ConnectWith,
    /// What the devices are to be ready for.
    pub purpose: Purpose,
    /// The algorithm of the key that a change would make; none: as the current key's.
    pub algorithm: Option<Algorithm>,
    /// Options for the line that an installation would add, byte for byte.
    pub options: Option<String>,
    /// The devices to look at; none: all.
    pub only: Option<Vec<DeviceId>>,
}

impl Look {
    /// A look at all devices of a credential, for a change as it is set up.
    pub fn at(subject: Subject) -> Self {
        Self {
            subject,
            connect_with: ConnectWith::AsStored,
            purpose: Purpose::Rotate,
            algorithm: None,
            options: None,
            only: None,
        }
    }
}

/// The credential whose devices are looked at.
#[derive(Debug, Clone)]
pub enum Subject {
    /// As it is saved. Its devices' answers are noted.
    Saved(CredentialId),
    /// As a form has it that was not saved yet; as long as nothing else is said, the key itself connects. Nothing is noted.
    Unsaved(Draft),
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saved(id) => id.fmt(formatter),
            Self::Unsaved(draft) => draft.name.fmt(formatter),
        }
    }
}

/// A credential as a form has it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The name.
    pub name: String,
    /// The account on the devices.
    pub username: String,
    /// The device that is changed first.
    pub original_device: DeviceId,
    /// All devices, in any order.
    pub devices: Vec<DeviceId>,
    /// The key.
    pub key: DraftKey,
}

/// The key of a credential that was not saved yet.
#[derive(Debug, Clone)]
pub enum DraftKey {
    /// A pair that is in memory only.
    InMemory(Arc<PrivateKey>),
    /// The current key of the saved credential that is being edited.
    Of(CredentialId),
}

words! {
    /// What devices are to be ready for.
    Purpose {
        /// A change of the key.
        Rotate = "rotate",
        /// Putting the key there for the first time.
        Install = "install",
        /// Taking the key off.
        Uninstall = "uninstall",
    }
}

/// What was found on one device, and what would be written there.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct DeviceFinding {
    /// The device's number.
    pub device_id: DeviceId,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// What must hold there, and whether it does.
    pub conditions: Conditions,
    /// What would be written to each file: by a change, in its stage `add`.
    pub diffs: Vec<FileDiff>,
}

/// What would be written to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct FileDiff {
    /// The file's path, after all links.
    pub path: String,
    /// A unified diff of our lines and their neighbours; empty where nothing is to be written.
    pub diff: String,
    /// How many lines would be added.
    pub added: usize,
    /// How many lines would be taken out.
    pub removed: usize,
    /// How many lines stay as they are.
    pub untouched: usize,
}

impl FileDiff {
    fn of(target: &Target) -> Self {
        Self {
            path: target.path.clone(),
            diff: authorized_keys::diff(&target.plan, &target.path),
            added: target.plan.added.len(),
            removed: target.plan.removed.len(),
            untouched: authorized_keys::untouched_lines(&target.plan),
        }
    }
}

/// What a look goes by: the credential, and its key as the devices should accept it now.
struct Looked {
    outline: Outline,
    current: VersionKey,
    /// Versions that only the keyring knew.
    newer: Vec<u32>,
    noting: Noting,
}

/// Whom a look tells, besides whom it answers.
struct Watchers<'a> {
    events: Option<UnboundedSender<Event>>,
    found: &'a UnboundedSender<DeviceFinding>,
    stop: watch::Receiver<bool>,
}

impl Keywheel {
    /// Looks at devices as they would be entered, and sends each one's finding as soon as it is known, in whatever order
    /// they end. Nothing is changed, and no lock taken.
    ///
    /// It begins with no further device once `stop` turns true, or nobody wants the findings any more.
    ///
    /// # Errors
    ///
    /// The credential or the vault can't be used. What is wrong on a device is in its finding.
    pub async fn look(
        &self,
        look: &Look,
        found: &UnboundedSender<DeviceFinding>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let mut action = Action::new("credential-check", "credential", look.subject.to_string())
            .with(json!({ "for": look.purpose.as_str(), "saved": matches!(look.subject, Subject::Saved(_)) }));
        let done = match self.looked(&look.subject).await {
            Ok(looked) => {
                action.subject = Some(looked.outline.name.clone());
                self.look_through(looked, look, Watchers { events: None, found, stop }).await
            }
            Err(error) => Err(error),
        };
        self.audited(action, &done).await;
        done
    }

    /// Looks at every device of a credential as it would be entered, and changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::look`].
    pub async fn check(&self, credential: &str, connect_with: &ConnectWith) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-check", "credential", credential);
        let request = Rotate {
            credential: credential.to_owned(),
            connect_with: connect_with.clone(),
            // The plan is not shown, so that its key is the one which is made fastest.
            algorithm: Some(Algorithm::Ed25519),
            ..Rotate::default()
        };
        let findings = self.look_at_all(&request, None).await;
        self.audited(action, &findings).await;
        Ok(findings?.into_iter().map(|found| found.finding).collect())
    }

    /// Checks every device and tells, by events, what a change would write; changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::look`].
    pub async fn plan(&self, request: &Rotate, events: &UnboundedSender<Event>) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-dry-run", "credential", &request.credential);
        let findings = self.look_at_all(request, Some(events.clone())).await;
        self.audited(action, &findings).await;
        let findings = findings?;
        for found in &findings {
            if request.strategy == Some(Strategy::Emergency) {
                let (device, keys) = (found.finding.device.clone(), found.finding.other_keys.clone());
                let what = What::OtherKeys { device, seen: Seen::Before, keys };
                let _ = events.send(Event { change: 0, at: crate::clock::rfc3339(self.now()), what });
            }
            for file in &found.diffs {
                let device = found.finding.device.clone();
                let what = What::Plan { device, file: file.path.clone(), diff: file.diff.clone() };
                let _ = events.send(Event { change: 0, at: crate::clock::rfc3339(self.now()), what });
            }
        }
        Ok(findings.into_iter().map(|found| found.finding).collect())
    }

    /// Looks at the devices that a change would change; the findings are in its order.
    async fn look_at_all(
        &self,
        request: &Rotate,
        events: Option<UnboundedSender<Event>>,
    ) -> Result<Vec<DeviceFinding>, Error> {
        let subject = Subject::Saved(self.find_credential(&request.credential).await?.id);
        let looked = self.looked(&subject).await?;
        let mut order = looked.outline.devices.clone();
        order.retain(|id| !request.leave_out.contains(id));
        let look = Look {
            connect_with: request.connect_with.clone(),
            algorithm: request.algorithm,
            only: Some(order.clone()),
            ..Look::at(subject)
        };
        let (found, mut findings) = unbounded_channel();
        let (_nobody, stop) = watch::channel(false);
        self.look_through(looked, &look, Watchers { events, found: &found, stop }).await?;
        let mut all: Vec<DeviceFinding> = std::iter::from_fn(|| findings.try_recv().ok()).collect();
        all.sort_by_key(|found| order.iter().position(|id| *id == found.device_id));
        Ok(all)
    }

    /// Finds what a look goes by, with the private key.
    async fn looked(&self, subject: &Subject) -> Result<Looked, Error> {
        match subject {
            Subject::Saved(id) => {
                let credential = self.key_credential_of(*id).await?;
                self.vault().check().await?;
                let credential = self.take_newer_keys(credential).await?;
                let current = self.current(&credential).await?;
                let of = credential.clone();
                let newer = self.read(move |connection| newer_than_known(connection, &of)).await?;
                Ok(Looked { outline: Outline::of(&credential), current, newer, noting: Noting::Noted })
            }
            Subject::Unsaved(draft) => {
                let (id, versions, current) = match &draft.key {
                    DraftKey::InMemory(private) => {
                        let public = private.public_key().clone();
                        let current = VersionKey { version: 1, public: public.clone(), private: Arc::clone(private) };
                        (Outline::UNSAVED, vec![(1, public)], current)
                    }
                    DraftKey::Of(id) => {
                        let credential = self.key_credential_of(*id).await?;
                        self.vault().check().await?;
                        let current = self.current(&credential).await?;
                        (*id, Outline::of(&credential).versions, current)
                    }
                };
                let outline = Outline {
                    id,
                    name: draft.name.trim().to_owned(),
                    username: draft.username.trim().to_owned(),
                    devices: order_of_change(draft.original_device, &draft.devices),
                    authentication: Authentication::Itself,
                    versions,
                };
                Ok(Looked { outline, current, newer: Vec::new(), noting: Noting::NotNoted })
            }
        }
    }

    /// Looks at the devices; where a change would make a key, with a trial key that is never stored.
    async fn look_through(&self, looked: Looked, look: &Look, watchers: Watchers<'_>) -> Result<(), Error> {
        let Looked { outline, current, newer, noting } = looked;
        let auth = self.authenticating(&outline, &look.connect_with).await?;
        let snapshot = self.snapshot(&outline, auth.as_ref(), look.only.as_deref(), look.options.as_deref()).await?;
        if auth.is_some() {
            self.vault().check().await?;
        }
        let (kind, old, new) = match look.purpose {
            Purpose::Rotate => {
                let algorithm = look.algorithm.unwrap_or_else(|| algorithm_like(current.public.algorithm()));
                let trial = self.generate(algorithm, current.public.comment().to_owned()).await?;
                let new = VersionKey { version: 0, public: trial.public_key().clone(), private: Arc::new(trial) };
                (Kind::Rotate, Some(current), Some(new))
            }
            Purpose::Install => (Kind::Install, None, Some(current)),
            Purpose::Uninstall => (Kind::Uninstall, Some(current), None),
        };
        let Watchers { events, found, stop } = watchers;
        let work = self
            .work(WorkPlan {
                change: None,
                kind,
                credential: &outline,
                snapshot: &snapshot,
                old,
                new,
                events,
                resumed: false,
                noting,
            })
            .await?;
        let work = Arc::new(work);
        let twins = twins(&snapshot.devices);
        let mut waiting = snapshot.devices.into_iter().enumerate();
        let mut running: JoinSet<Result<DeviceFinding, Error>> = JoinSet::new();
        loop {
            while running.len() < CHECKS_AT_ONCE && !*stop.borrow() && !found.is_closed() {
                let Some((position, device)) = waiting.next() else { break };
                running.spawn(look_at(Arc::clone(&work), device, position));
            }
            match running.join_next().await {
                None => return Ok(()),
                Some(Ok(finding)) => {
                    let mut finding = finding?;
                    if let Some(twin) = twins.get(&finding.device_id) {
                        finding.finding.warnings.push(same_device(&finding.finding.device, twin));
                    }
                    finding.finding.warnings.extend(newer.iter().map(|version| newer_key(&outline.name, *version)));
                    // Nobody may want it any more.
                    let _ = found.send(finding);
                }
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }
}

fn same_device(device: &str, twin: &str) -> Report {
    Report::of(&Problem::SameDevice { device: device.to_owned(), twin: twin.to_owned() })
}

/// The devices that are reached just as an earlier one is, with that one's name.
fn twins(devices: &[SnapshotDevice]) -> HashMap<DeviceId, String> {
    let mut first = HashMap::new();
    let mut twins = HashMap::new();
    for device in devices {
        let jump = device.jump.as_deref().map(|jump| (jump.device.id, jump.credential));
        let way = (device.address.to_ascii_lowercase(), device.port, jump);
        match first.get(&way) {
            None => drop(first.insert(way, device.name.clone())),
            Some(earlier) => drop(twins.insert(device.id, String::clone(earlier))),
        }
    }
    twins
}

async fn look_at(work: Arc<Work>, device: SnapshotDevice, position: usize) -> Result<DeviceFinding, Error> {
    let device_id = device.id;
    let entered = match (&work.authentication, work.kind) {
        (work::Authentication::Itself, _) => Entered::Itself,
        (work::Authentication::Other { .. }, Kind::Rotate | Kind::Undo) => Entered::OtherThenItself,
        (work::Authentication::Other { .. }, Kind::Install | Kind::Uninstall) => Entered::Other,
    };
    let mut run = DeviceRun::new(work, device, position);
    if let Err(failure) = run.check().await {
        run.note_failure(Stage::Check, failure).await?;
    }
    let diffs = run.found.iter().flat_map(|found| &found.targets).map(FileDiff::of).collect();
    let finding = run.finding();
    run.close().await;
    let conditions = conditions(&finding, entered);
    Ok(DeviceFinding { device_id, finding, conditions, diffs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{NewCredential, NewSecret};
    use crate::device::{EditDevice, NewDevice};
    use crate::error::Explain;
    use crate::journal::SnapshotJump;
    use crate::keywheel::testing::keywheel;

    fn device(id: i64, address: &str, port: u16, jump: Option<i64>) -> SnapshotDevice {
        let jump = jump.map(|jump| {
            Box::new(SnapshotJump { device: device(jump, "192.0.2.1", 22, None), credential: CredentialId(1) })
        });
        SnapshotDevice {
            id: DeviceId(id),
            name: format!("web-{id}"),
            address: address.to_owned(),
            port,
            jump,
            authorized_keys_path: None,
            enabled: true,
        }
    }

    #[test]
    fn a_device_that_is_reached_as_an_earlier_one_is_its_twin() {
        let devices = [
            device(1, "Host.example", 22, None),
            device(2, "host.example", 22, None),
            device(3, "host.example", 2222, None),
            device(4, "host.example", 22, Some(9)),
            device(5, "host.example", 22, Some(8)),
            device(6, "host.example", 22, Some(9)),
        ];
        let mut found: Vec<_> = twins(&devices).into_iter().collect();
        found.sort();
        let expected = [(DeviceId(2), "web-1".to_owned()), (DeviceId(6), "web-4".to_owned())];
        assert_eq!(found, expected, "another port or another way in is another device");
    }

    #[tokio::test]
    async fn a_disabled_device_is_found_without_a_connection_and_the_look_stands_in_the_record() {
        let (keywheel, _dir) = keywheel();
        let device = keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await.unwrap();
        let edit = EditDevice { enabled: Some(false), ..EditDevice::default() };
        keywheel.edit_device(device.id, edit).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let new = NewCredential::new("deploy", "deploy", device.id, NewSecret::Generated(key));
        let deploy = keywheel.add_credential(new).await.unwrap();
        let (sender, mut found) = unbounded_channel();
        let (_nobody, stop) = watch::channel(false);
        keywheel.look(&Look::at(Subject::Saved(deploy.id)), &sender, stop.clone()).await.unwrap();
        let finding = found.try_recv().unwrap();
        assert_eq!(finding.device_id, device.id);
        assert_eq!(finding.finding.problems[0].code, "device-disabled");
        assert_eq!(finding.conditions, Conditions::default(), "nobody asked it");

        let nothing = Look::at(Subject::Saved(CredentialId(99)));
        let error = keywheel.look(&nothing, &sender, stop).await.unwrap_err();
        assert_eq!(error.class(), crate::error::Class::BadInput);
        let rows = keywheel.audit_rows(Default::default()).await.unwrap();
        let rows = rows.iter().filter(|row| row.action == "credential-check");
        let mut told: Vec<_> = rows.map(|row| (row.subject.clone().unwrap_or_default(), row.code.is_some())).collect();
        told.sort();
        assert_eq!(
            told,
            [("99".to_owned(), true), ("deploy".to_owned(), false)],
            "a look that failed and one that did not"
        );
    }
}
