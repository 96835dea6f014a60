//! The truth on demand: which versions of a credential's key each device accepts now, by asking the device.

use serde::{Deserialize, Serialize};

use super::{
    Work,
    plan::{Outline, WorkPlan},
    work::{Noting, VersionKey},
};
use crate::{
    audit::Action,
    catalogue::{Credential, VersionState},
    error::{Error, Explain, Report},
    journal::{Kind, Proof, SnapshotDevice},
    key::{Fingerprint, PublicKey},
    keywheel::Keywheel,
    remote::{Answer, Connection, LogIn, RemoteError},
};

/// At most this many refusals on one connection: more look like an attack.
const QUESTIONS_AT_ONCE: usize = 2;

/// What one device answered about the versions of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct Accepts {
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
        let outline = Outline::of(&credential);
        let snapshot = self.snapshot(&outline, None, None, None).await?;
        self.vault().check().await?;
        let current = match credential.current_key() {
            Some(current) => Some(self.version_key(&credential, current.version).await?),
            None => None,
        };
        let work = self
            .work(WorkPlan {
                change: None,
                kind: Kind::Rotate,
                credential: &outline,
                snapshot: &snapshot,
                old: current,
                new: None,
                events: None,
                resumed: false,
                noting: Noting::Noted,
            })
            .await?;
        let mut answers = Vec::new();
        for device in &snapshot.devices {
            answers.push(self.ask_device(&work, &credential, device).await?);
        }
        Ok(answers)
    }

    async fn ask_device(
        &self,
        work: &Work,
        credential: &Credential,
        device: &SnapshotDevice,
    ) -> Result<Accepts, Error> {
        let current = work.old.as_ref();
        let others: Vec<_> = credential
            .key_versions
            .iter()
            .rev()
            .filter(|version| Some(version.version) != current.map(|current| current.version))
            .collect();
        let mut versions = Vec::new();
        let mut error = None;
        let mut groups: Vec<&[_]> = others.chunks(QUESTIONS_AT_ONCE).collect();
        if groups.is_empty() {
            groups.push(&[]);
        }
        for (number, group) in groups.into_iter().enumerate() {
            let questions: Vec<(u32, &PublicKey)> =
                group.iter().map(|version| (version.version, &version.public_key)).collect();
            match ask(work, device, &questions, current).await? {
                Ok((answers, login)) => {
                    // A refusal does not say that no line of the key stands there; only a login says something for good.
                    if let Some(login) = login.iter().find(|login| login.answer == "accepted") {
                        work.note_entered(device.id, login.version).await?;
                    }
                    versions.extend(answers);
                    if number == 0
                        && let Some(login) = login
                    {
                        versions.insert(0, login);
                    }
                }
                Err(cause) => {
                    error = Some(Report::of(&cause));
                    break;
                }
            }
        }
        for version in &others {
            // What a destroyed version's key is said to do matters only where it is still accepted.
            let known = versions.iter().any(|answer| answer.version == version.version);
            if !known && version.state != VersionState::Destroyed {
                versions.push(answer(version.version, &version.public_key, None));
            }
        }
        versions.retain(|answer| {
            answer.answer == "accepted"
                || credential.key_version(answer.version).is_none_or(|known| known.state != VersionState::Destroyed)
        });
        versions.sort_by_key(|answer| std::cmp::Reverse(answer.version));
        Ok(Accepts { device: device.name.clone(), versions, error })
    }
}

type Asked = (Vec<AcceptsVersion>, Option<AcceptsVersion>);

/// Asks for some versions on one connection, which ends in a login with the current one.
async fn ask(
    work: &Work,
    device: &SnapshotDevice,
    questions: &[(u32, &PublicKey)],
    current: Option<&VersionKey>,
) -> Result<Result<Asked, RemoteError>, Error> {
    let route = work.route(device).await?;
    let mut connection: Option<Connection> = match work.connector.connect(&route).await {
        Ok(connection) => Some(connection),
        Err(error) => return Ok(Err(error)),
    };
    let mut answers = Vec::new();
    for (version, public) in questions {
        // After a goodbye or an open question the connection is not asked again; a new one is.
        let asked = match connection.take() {
            Some(open) => open,
            None => match work.connector.connect(&route).await {
                Ok(open) => open,
                Err(error) => return Ok(Err(error)),
            },
        };
        let (said, rest) = asked.ask(&work.username, public).await;
        connection = rest;
        answers.push(answer(*version, public, Some((said, Proof::Question))));
    }
    let Some(current) = current else { return Ok(Ok((answers, None))) };
    let open = match connection {
        Some(open) => open,
        None => match work.connector.connect(&route).await {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        },
    };
    let said = match open.log_in(&work.username, &current.secret()).await {
        LogIn::Accepted(session) => {
            session.close().await;
            Answer::Accepted
        }
        LogIn::Not(said, _) => said,
    };
    Ok(Ok((answers, Some(answer(current.version, &current.public, Some((said, Proof::Login)))))))
}

fn answer(version: u32, public: &PublicKey, said: Option<(Answer, Proof)>) -> AcceptsVersion {
    let word = match said {
        Some((Answer::Accepted, _)) => "accepted",
        Some((Answer::Partial, _)) => "partial",
        Some((Answer::Refused, _)) => "refused",
        Some((Answer::Unknown(_), _)) | None => "unknown",
    };
    AcceptsVersion { version, fingerprint: public.fingerprint(), answer: word.to_owned(), by: said.map(|(_, by)| by) }
}
