//! The truth on demand: which versions of a credential's key each device accepts now, by asking the device.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    task::JoinSet,
};

use super::{
    Problem, RotationError, Work,
    plan::{Outline, WorkPlan},
    work::{Noting, VersionKey},
};
use crate::{
    audit::Action,
    catalogue::{Credential, DeviceId, KeyVersion, VersionState, key_version, key_version::Installed},
    clock::rfc3339,
    error::{Error, Explain, Report},
    journal::{ChangeId, ChangeState, JournalError, Kind, Proof, Snapshot, SnapshotDevice},
    key::Fingerprint,
    keywheel::Keywheel,
    remote::{Answer, Connection, LogIn, RemoteError},
};

/// At most this many refusals on one connection: more look like an attack.
const QUESTIONS_AT_ONCE: usize = 2;

/// How many devices are asked at once; asking is not changing.
const DEVICES_AT_ONCE: usize = 8;

/// What one device answered about the versions of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct Accepts {
    /// The device's number.
    pub device_id: DeviceId,
    /// The device's name.
    pub device: String,
    /// What it answered, the newest version first.
    pub versions: Vec<AcceptsVersion>,
    /// Why it could not be asked.
    pub error: Option<Report>,
}

/// What a device answered about one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct AcceptsVersion {
    /// The version's number.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// `accepted`, `refused` or `unknown`.
    pub answer: String,
    /// How it was asked: by a real `login`, or by the `question` alone ("would be offered").
    pub by: Option<Proof>,
    /// Where it was not asked now: what it answered last.
    pub last: Option<LastAnswer>,
}

/// What a device answered when it was last asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct LastAnswer {
    /// Whether it accepted the version.
    pub accepted: bool,
    /// When, in RFC 3339.
    pub at: String,
}

impl Keywheel {
    /// Asks every device of a credential which versions of its key it accepts now.
    ///
    /// # Errors
    ///
    /// The credential or the vault can't be used. A device that can't be asked says why in its own entry.
    pub async fn accepts(&self, credential: &str) -> Result<Vec<Accepts>, Error> {
        let action = Action::new("credential-accepts", "credential", credential);
        let answers = self.accepts_now(credential).await;
        self.record(action, answers.as_ref().err().map(|error| error as &(dyn Explain + Sync))).await;
        answers
    }

    async fn accepts_now(&self, credential: &str) -> Result<Vec<Accepts>, Error> {
        let credential = self.key_credential(credential).await?;
        let snapshot = self.snapshot(&Outline::of(&credential), None, None, None).await?;
        self.vault().check().await?;
        let credential = self.take_newer_keys(credential).await?;
        self.ask_devices(&credential, &snapshot, None).await
    }

    /// Asks every device of a change which versions of the key it accepts now.
    ///
    /// Where a device can't be asked, or must not be, its entry has what it answered last, and the reason.
    ///
    /// # Errors
    ///
    /// There is no such change; the database's own failure.
    pub async fn change_accepts(&self, id: ChangeId) -> Result<Vec<Accepts>, Error> {
        self.change_accepts_audited(id, None).await
    }

    /// As [`Keywheel::change_accepts`], with each device's answer told as it comes, and with a way to stop.
    ///
    /// No further device is asked once `stop` turns true, or nobody wants the answers any more.
    ///
    /// # Errors
    ///
    /// As [`Keywheel::change_accepts`].
    pub async fn ask_change(
        &self,
        id: ChangeId,
        answers: UnboundedSender<Accepts>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        self.change_accepts_audited(id, Some(&Listener { answers, stop })).await.map(drop)
    }

    async fn change_accepts_audited(&self, id: ChangeId, listener: Option<&Listener>) -> Result<Vec<Accepts>, Error> {
        let action = Action::new("change-accepts", "change", id.to_string());
        let answers = self.change_accepts_now(id, listener).await;
        self.record(action, answers.as_ref().err().map(|error| error as &(dyn Explain + Sync))).await;
        answers
    }

    async fn change_accepts_now(&self, id: ChangeId, listener: Option<&Listener>) -> Result<Vec<Accepts>, Error> {
        let change = self.find_change(id).await?;
        let credential = self.credential_of_change(change.credential).await?;
        match self.may_ask(id, self.state_now(&change, &credential.name)?, &credential).await {
            Ok(()) => {
                let credential = self.take_newer_keys(credential).await?;
                self.ask_devices(&credential, &change.snapshot, listener).await
            }
            Err(reason) => {
                let recorded = self.recorded(&credential, &change.snapshot, &Report::of(&reason)).await?;
                listener.into_iter().for_each(|listener| recorded.iter().for_each(|answer| listener.tell(answer)));
                Ok(recorded)
            }
        }
    }

    /// Whether the devices of a change can be asked.
    async fn may_ask(&self, id: ChangeId, state: ChangeState, credential: &Credential) -> Result<(), Error> {
        if state == ChangeState::Running {
            return Err(JournalError::TakenOver { id }.into());
        }
        if !credential.enabled {
            return Err(RotationError::Disabled { credential: credential.name.clone() }.into());
        }
        if credential.removed_at.is_some() || credential.current_key().is_none() {
            return Err(RotationError::NoCurrentKey { credential: credential.name.clone() }.into());
        }
        Ok(self.vault().check().await?)
    }

    /// What the devices answered when they were last asked.
    async fn recorded(
        &self,
        credential: &Credential,
        snapshot: &Snapshot,
        reason: &Report,
    ) -> Result<Vec<Accepts>, Error> {
        let id = credential.id;
        let installed = self.read(move |connection| key_version::installed(connection, id)).await?;
        let known = |device: &SnapshotDevice| Accepts {
            device_id: device.id,
            device: device.name.clone(),
            versions: not_asked(credential, &installed, device.id, &[]),
            error: Some(reason.clone()),
        };
        Ok(snapshot.devices.iter().map(known).collect())
    }

    async fn ask_devices(
        &self,
        credential: &Credential,
        snapshot: &Snapshot,
        listener: Option<&Listener>,
    ) -> Result<Vec<Accepts>, Error> {
        let id = credential.id;
        let installed: Arc<Vec<Installed>> =
            Arc::new(self.read(move |connection| key_version::installed(connection, id)).await?);
        let work = Arc::new(self.asking(credential, snapshot).await?);
        let credential = Arc::new(credential.clone());
        let mut waiting = snapshot.devices.clone().into_iter().enumerate();
        let mut asking = JoinSet::new();
        let mut answers = Vec::new();
        loop {
            while asking.len() < DEVICES_AT_ONCE
                && listener.is_none_or(Listener::goes_on)
                && let Some((place, device)) = waiting.next()
            {
                let (work, credential, installed) =
                    (Arc::clone(&work), Arc::clone(&credential), Arc::clone(&installed));
                asking.spawn(async move { (place, ask_device(&work, &credential, &installed, &device).await) });
            }
            match asking.join_next().await {
                None => break,
                Some(Ok((place, answer))) => {
                    let answer = answer?;
                    listener.into_iter().for_each(|listener| listener.tell(&answer));
                    answers.push((place, answer));
                }
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => {}
            }
        }
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// What asking the devices of a credential shares: nothing is changed, and no other credential involved.
    pub(super) async fn asking(&self, credential: &Credential, snapshot: &Snapshot) -> Result<Work, Error> {
        let current = match credential.current_key() {
            Some(current) => Some(self.version_key(credential, current.version).await?),
            None => None,
        };
        let snapshot = Snapshot { auth_with: None, ..snapshot.clone() };
        self.work(WorkPlan {
            change: None,
            kind: Kind::Rotate,
            credential: &Outline::of(credential),
            snapshot: &snapshot,
            old: current,
            new: None,
            events: None,
            resumed: false,
            noting: Noting::Noted,
        })
        .await
    }
}

/// Somebody who is told each answer as it comes, and may want no more.
struct Listener {
    answers: UnboundedSender<Accepts>,
    stop: watch::Receiver<bool>,
}

impl Listener {
    fn goes_on(&self) -> bool {
        !*self.stop.borrow() && !self.answers.is_closed()
    }

    fn tell(&self, answer: &Accepts) {
        // Whoever has gone away wants no more answers, and `goes_on` says so.
        let _ = self.answers.send(answer.clone());
    }
}

async fn ask_device(
    work: &Work,
    credential: &Credential,
    installed: &[Installed],
    device: &SnapshotDevice,
) -> Result<Accepts, Error> {
    let current = work.old.as_ref();
    let others: Vec<_> = credential
        .key_versions
        .iter()
        .rev()
        .filter(|version| Some(version.version) != current.map(|current| current.version))
        .collect();
    let mut versions: Vec<AcceptsVersion> = Vec::new();
    let mut error = None;
    let mut groups: Vec<&[_]> = others.chunks(QUESTIONS_AT_ONCE).collect();
    if groups.is_empty() {
        groups.push(&[]);
    }
    if !work.is_enabled(device.id).await? {
        error = Some(disabled(&device.name));
        groups.clear();
    }
    for (number, group) in groups.into_iter().enumerate() {
        match ask(work, device, group, current).await? {
            Ok(answers) => {
                // A refusal does not say that no line of the key stands there; only a login says something for good.
                for login in answers.iter().filter(|answer| answer.by == Some(Proof::Login)) {
                    if login.answer == "accepted" {
                        work.note_entered(device.id, login.version).await?;
                    }
                }
                let is_again = |answer: &AcceptsVersion| {
                    number > 0 && Some(answer.version) == current.map(|current| current.version)
                };
                versions.extend(answers.into_iter().filter(|answer| !is_again(answer)));
            }
            Err(cause) => {
                error = Some(Report::of(&cause));
                break;
            }
        }
    }
    // What a destroyed version's key is said to do matters only where it is still accepted.
    versions.retain(|answer| {
        answer.answer == "accepted"
            || credential.key_version(answer.version).is_none_or(|known| known.state != VersionState::Destroyed)
    });
    let asked: Vec<u32> = versions.iter().map(|answer| answer.version).collect();
    versions.extend(not_asked(credential, installed, device.id, &asked));
    versions.sort_by_key(|answer| std::cmp::Reverse(answer.version));
    Ok(Accepts { device_id: device.id, device: device.name.clone(), versions, error })
}

/// The versions that were not asked for, with what the device answered last.
fn not_asked(credential: &Credential, installed: &[Installed], device: DeviceId, asked: &[u32]) -> Vec<AcceptsVersion> {
    let missing = credential
        .key_versions
        .iter()
        .rev()
        .filter(|version| version.state != VersionState::Destroyed && !asked.contains(&version.version));
    let known = |version: &KeyVersion| {
        let last = installed.iter().find(|known| known.device == device && known.version == version.version);
        let last = last.and_then(|known| {
            let answered = |accepted| move |at| LastAnswer { accepted, at: rfc3339(at) };
            known.accepted_at.map(answered(true)).or(known.refused_at.map(answered(false)))
        });
        AcceptsVersion { last, ..answer(version.version, version.fingerprint(), None) }
    };
    missing.map(known).collect()
}

/// Says that a device is not connected to.
pub(super) fn disabled(device: &str) -> Report {
    Report::of(&Problem::Disabled { device: device.to_owned() })
}

/// Asks for some versions on one connection, which ends in a login with the current one or, where that is refused, with
/// another that the device would accept.
async fn ask(
    work: &Work,
    device: &SnapshotDevice,
    questions: &[&KeyVersion],
    current: Option<&VersionKey>,
) -> Result<Result<Vec<AcceptsVersion>, RemoteError>, Error> {
    let route = work.route(device).await?;
    let mut connection: Option<Connection> = match work.connector.connect(&route).await {
        Ok(connection) => Some(connection),
        Err(error) => return Ok(Err(error)),
    };
    let mut answers = Vec::new();
    for version in questions {
        // After a goodbye or an open question the connection is not asked again; a new one is.
        let open = match connection.take() {
            Some(open) => open,
            None => match work.connector.connect(&route).await {
                Ok(open) => open,
                Err(error) => return Ok(Err(error)),
            },
        };
        let (said, by, rest) = match work.others.iter().find(|other| other.version == version.version) {
            Some(key) => ask_truly(open, &work.username, key).await,
            None => {
                let (said, rest) = open.ask(&work.username, &version.public_key).await;
                (said, Proof::Question, rest)
            }
        };
        connection = rest;
        answers.push(answer(version.version, version.fingerprint(), Some((said, by))));
    }
    let offered = |answers: &[AcceptsVersion]| {
        let accepted = |key: &&VersionKey| {
            answers.iter().any(|answer| answer.version == key.version && answer.answer == "accepted")
        };
        work.others.iter().find(accepted).cloned()
    };
    let mut logins: Vec<VersionKey> = current.into_iter().cloned().collect();
    logins.extend(offered(&answers));
    for key in logins {
        let open = match connection.take() {
            Some(open) => open,
            None => match work.connector.connect(&route).await {
                Ok(open) => open,
                Err(error) => return Ok(Err(error)),
            },
        };
        let (said, rest) = match open.log_in(&work.username, &key.secret()).await {
            LogIn::Accepted(session) => {
                session.close().await;
                (Answer::Accepted, None)
            }
            LogIn::Not(said, rest) => (said, rest.map(|rest| *rest)),
        };
        connection = rest;
        answers.retain(|answer| answer.version != key.version);
        answers.push(answer(key.version, key.fingerprint(), Some((said, Proof::Login))));
        if said == Answer::Accepted {
            break;
        }
    }
    Ok(Ok(answers))
}

/// Asks for a key where the server is known to answer the question truly, else by a login: tinysshd says yes to every key.
pub(super) async fn ask_truly(
    connection: Connection,
    username: &str,
    key: &VersionKey,
) -> (Answer, Proof, Option<Connection>) {
    let server = connection.server_version();
    if server.contains("OpenSSH") || server.contains("dropbear") {
        let (answer, rest) = connection.ask(username, &key.public).await;
        return (answer, Proof::Question, rest);
    }
    match connection.log_in(username, &key.secret()).await {
        LogIn::Accepted(session) => {
            session.close().await;
            (Answer::Accepted, Proof::Login, None)
        }
        LogIn::Not(answer, rest) => (answer, Proof::Login, rest.map(|rest| *rest)),
    }
}

fn answer(version: u32, fingerprint: Fingerprint, said: Option<(Answer, Proof)>) -> AcceptsVersion {
    let word = match said {
        Some((Answer::Accepted, _)) => "accepted",
        Some((Answer::Partial, _)) => "partial",
        Some((Answer::Refused, _)) => "refused",
        Some((Answer::Unknown(_), _)) | None => "unknown",
    };
    AcceptsVersion { version, fingerprint, answer: word.to_owned(), by: said.map(|(_, by)| by), last: None }
}
