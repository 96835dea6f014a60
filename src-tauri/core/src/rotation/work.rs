//! What all devices of one change share: the keys, the way to authenticate, the journal, the watchers.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    OtherKey, RotationError, Seen, Stage, Strategy,
    decide::Direction,
    event::{Event, Said, StageState, What},
};
use crate::{
    audit::Action,
    catalogue::{CredentialId, DeviceId, VersionState, device, key_version, key_version::Happening},
    clock::rfc3339,
    error::{Error, Explain, Report},
    journal::{
        self, ChangeId, DeviceRecord, Effect, EffectId, EffectResult, JournalError, Kind, LoginProof, Place, Proof,
        SnapshotDevice,
    },
    key::{Fingerprint, PrivateKey, PublicKey},
    keywheel::Keywheel,
    remote::{Connector, Jump, Route, Secret, Target, Unknown, program::Elevation},
};

/// A key version that a change works with.
#[derive(Debug, Clone)]
pub(super) struct VersionKey {
    pub(super) version: u32,
    pub(super) public: PublicKey,
    pub(super) private: Arc<PrivateKey>,
}

impl VersionKey {
    pub(super) fn secret(&self) -> Secret {
        Secret::Key(Arc::clone(&self.private))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }
}

/// How the devices are entered for the writing.
#[derive(Clone)]
pub(super) enum Authentication {
    /// With the key itself, in whichever version the device accepts.
    Itself,
    /// With another credential.
    Other { username: String, secret: Secret, password: Option<SecretString> },
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => formatter.write_str("Itself"),
            Self::Other { username, secret, .. } => {
                formatter.debug_struct("Other").field("username", username).field("secret", secret).finish()
            }
        }
    }
}

/// What all devices of one change share.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) keywheel: Keywheel,
    /// The change, and the epoch this process works under; none for a mere check.
    pub(super) change: Option<(ChangeId, u32)>,
    pub(super) kind: Kind,
    pub(super) credential: CredentialId,
    pub(super) credential_name: String,
    pub(super) username: String,
    /// The version to reach.
    pub(super) new: Option<VersionKey>,
    /// The version to leave.
    pub(super) old: Option<VersionKey>,
    /// The other versions whose private halves the vault holds, the newest first: a device may have missed a change, or seen
    /// one that this database does not know.
    pub(super) others: Vec<VersionKey>,
    /// All other versions' public keys, whose lines must not stay.
    pub(super) older: Vec<PublicKey>,
    pub(super) options: Option<String>,
    pub(super) authentication: Authentication,
    /// Credentials that enter jump devices: account and secrets.
    pub(super) jumps: Vec<(CredentialId, String, Vec<Secret>)>,
    pub(super) connector: Connector,
    pub(super) events: Option<UnboundedSender<Event>>,
    /// Whether an earlier process has worked on this change, so that any version may be met.
    pub(super) resumed: bool,
    /// The strategy of the change; none for a mere look.
    pub(super) strategy: Option<Strategy>,
    /// Whether the catalogue gets to know what the devices accept.
    pub(super) noting: Noting,
}

/// Whether the catalogue gets to know which keys the devices accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noting {
    /// It does.
    Noted,
    /// It does not: what is looked at is not what is saved.
    NotNoted,
}

impl Work {
    pub(super) fn now(&self) -> Timestamp {
        self.keywheel.now()
    }

    /// Whether the old key is compromised, so that it is never put back.
    pub(super) fn is_emergency(&self) -> bool {
        self.strategy == Some(Strategy::Emergency)
    }

    /// All versions of the credential's key.
    pub(super) fn our_keys(&self) -> Vec<&PublicKey> {
        self.older.iter().chain(self.new.as_ref().map(|new| &new.public)).collect()
    }

    pub(super) fn id(&self) -> ChangeId {
        self.change.map_or(ChangeId(0), |(id, _)| id)
    }

    /// The pauses between the tries of what gave no answer; never longer than a stage may take.
    pub(super) fn pauses(&self) -> [Duration; 3] {
        let stage = self.connector.timeouts().stage;
        [1, 5, 20].map(|seconds| Duration::from_secs(seconds).min(stage))
    }

    /// The pause after a server turned us away before its version line, as some do for a while.
    pub(super) fn turned_away_pauses(&self) -> [Duration; 2] {
        let stage = self.connector.timeouts().stage;
        [20, 60].map(|seconds| Duration::from_secs(seconds).min(stage * 2))
    }

    /// Stands in the names of temporary files.
    pub(super) fn mark(&self) -> String {
        let vault: String = self.keywheel.database().vault_id().chars().take(8).collect();
        format!("{vault}-{}", self.id())
    }

    /// The versions to enter an account of the credential with, in the order to try them.
    ///
    /// Where the new key may stand already it comes first: a device is entered with the newest version it accepts. Where it
    /// can't stand yet, asking for it would only cost the account a refusal. The others come last for the same reason.
    pub(super) fn own_keys(&self, may_have_new: bool) -> Vec<VersionKey> {
        let new = self.new.iter().filter(|_| may_have_new || self.old.is_none());
        new.chain(&self.old).chain(&self.others).cloned().collect()
    }

    /// The versions that a device may have accepted before this change, the one to leave first.
    pub(super) fn before(&self) -> Vec<VersionKey> {
        self.old.iter().chain(&self.others).cloned().collect()
    }

    /// As which account the work on the files is done.
    pub(super) fn elevation(&self) -> (Elevation, Option<SecretString>) {
        let account = self.username.clone();
        match &self.authentication {
            Authentication::Itself => (Elevation::None, None),
            Authentication::Other { username, .. } if *username == account => (Elevation::None, None),
            Authentication::Other { username, .. } if username == "root" => (Elevation::RootSu { account }, None),
            Authentication::Other { password: Some(password), .. } => {
                let mark = format!("kw{}", hex::encode(rand::random::<[u8; 12]>()));
                (Elevation::SudoPassword { account, mark }, Some(password.clone()))
            }
            Authentication::Other { password: None, .. } => (Elevation::SudoNoPassword { account }, None),
        }
    }

    /// The way to a device, with the host keys that are pinned now.
    pub(super) async fn route(&self, snapshot: &SnapshotDevice) -> Result<Route, Error> {
        let target = self.target(snapshot).await?;
        let Some(jump) = &snapshot.jump else {
            return Ok(Route { target, jump: None });
        };
        let missing =
            || RotationError::NoJumpCredential { device: snapshot.name.clone(), jump: jump.device.name.clone() };
        let (username, secrets) = if jump.credential == self.credential {
            // The key of a mere look stands nowhere yet.
            let keys = self.own_keys(self.change.is_some());
            (self.username.clone(), keys.iter().map(VersionKey::secret).collect())
        } else {
            let found = self.jumps.iter().find(|(credential, ..)| *credential == jump.credential);
            let (_, username, secrets) = found.ok_or_else(missing)?;
            (username.clone(), secrets.clone())
        };
        let route = Box::pin(self.route(&jump.device)).await?;
        Ok(Route { target, jump: Some(Arc::new(Jump { route, username, secrets })) })
    }

    /// Whether a device may be connected to, as the catalogue says now.
    pub(super) async fn is_enabled(&self, id: DeviceId) -> Result<bool, Error> {
        Ok(self.keywheel.read(move |connection| device::by_id(connection, id)).await?.enabled)
    }

    async fn target(&self, snapshot: &SnapshotDevice) -> Result<Target, Error> {
        let id = snapshot.id;
        let found = self.keywheel.read(move |connection| device::by_id(connection, id)).await?;
        Ok(Target {
            name: snapshot.name.clone(),
            address: snapshot.address.clone(),
            port: snapshot.port,
            host_keys: found.host_keys.into_iter().map(|pinned| pinned.key).collect(),
        })
    }

    /// Tells the watchers.
    pub(super) fn tell(&self, what: What) {
        if let Some(events) = &self.events {
            // Nobody may be watching any more; the change goes on.
            let _ = events.send(Event { change: self.id().0, at: rfc3339(self.now()), what });
        }
    }

    /// Tells the watchers how a stage stands.
    pub(super) fn stage(&self, device: &str, stage: Stage, state: StageState, said: Said) {
        let (device, detail) = (device.to_owned(), said.to_string());
        self.tell(What::Stage { device, stage, state, detail, said: Some(said), error: None });
    }

    /// Tells the watchers what went wrong in a stage.
    pub(super) fn trouble(&self, device: &str, stage: Stage, state: StageState, cause: &Report) {
        let (device, detail) = (device.to_owned(), cause.message.clone());
        self.tell(What::Stage { device, stage, state, detail, said: None, error: Some(Box::new(cause.clone())) });
    }

    fn place(&self, device: Option<DeviceId>, direction: Direction) -> Option<Place> {
        self.change.map(|(change, epoch)| Place { change, epoch, device, direction })
    }

    /// Writes an intent down before its effect.
    pub(super) async fn intend(
        &self,
        device: Option<DeviceId>,
        direction: Direction,
        effect: Effect,
        texts: Vec<Vec<u8>>,
    ) -> Result<Option<EffectId>, Error> {
        let Some(place) = self.place(device, direction) else {
            return Ok(None);
        };
        let now = self.now();
        let installed = match (&effect, device, &self.new) {
            (Effect::Write(write), Some(device), Some(new)) if write.write == journal::WriteKind::Add => {
                Some((device, new.version))
            }
            _ => None,
        };
        let credential = self.credential;
        self.write(move |transaction| {
            for text in &texts {
                journal::effect::keep_text(transaction, place.change, text)?;
            }
            if let Some((device, version)) = installed {
                key_version::note(transaction, credential, version, device, Happening::Installed, now)?;
            }
            Ok(Some(journal::effect::intend(transaction, place, &effect, now)?))
        })
        .await
    }

    /// Writes an effect's result down.
    pub(super) async fn conclude(&self, effect: Option<EffectId>, result: EffectResult) -> Result<(), Error> {
        let Some(effect) = effect else {
            return Ok(());
        };
        let now = self.now();
        self.write(move |transaction| Ok(journal::effect::conclude(transaction, effect, &result, now)?)).await
    }

    /// Writes down that a version of the key logged in to enter its device.
    ///
    /// Of the versions that a change is about, what it meets stands in its journal.
    pub(super) async fn note_entered(&self, device: DeviceId, version: u32) -> Result<(), Error> {
        let is_other = self.others.iter().any(|other| other.version == version);
        if self.noting == Noting::NotNoted || (self.change.is_some() && !is_other) {
            return Ok(());
        }
        let (credential, now, in_change) = (self.credential, self.now(), self.change.is_some());
        self.write(move |transaction| {
            // A look holds no lock: what a change has replaced since may be refused by now.
            let versions = key_version::of(transaction, credential)?;
            let is_current =
                versions.iter().any(|known| known.version == version && known.state == VersionState::Current);
            let holds =
                in_change || is_current || (is_other && journal::change::open_of(transaction, credential)?.is_none());
            if holds {
                key_version::note(transaction, credential, version, device, Happening::Accepted, now)?;
            }
            Ok(())
        })
        .await
    }

    /// The versions that a device must refuse at the end: the one to leave, and whichever else it was seen to accept.
    pub(super) async fn to_refuse(&self, device: DeviceId) -> Result<Vec<VersionKey>, Error> {
        let credential = self.credential;
        let installed = self.keywheel.read(move |connection| key_version::installed(connection, credential)).await?;
        let accepted = |key: &&VersionKey| {
            installed.iter().any(|known| {
                known.device == device && known.version == key.version && known.stands() && known.accepted_at.is_some()
            })
        };
        Ok(self.old.iter().chain(self.others.iter().filter(accepted)).cloned().collect())
    }

    /// Writes down what a device answered about a version of the key.
    pub(super) async fn note_answer(
        &self,
        device: DeviceId,
        direction: Direction,
        key: &VersionKey,
        by: Proof,
        result: EffectResult,
    ) -> Result<(), Error> {
        let now = self.now();
        let place = self.place(Some(device), direction);
        let proof = LoginProof { version: key.version, fingerprint: key.fingerprint(), by };
        let (credential, version) = (self.credential, key.version);
        self.write(move |transaction| {
            if let EffectResult::Answered { accepted, .. } = &result {
                let happening = if *accepted { Happening::Accepted } else { Happening::Refused };
                key_version::note(transaction, credential, version, device, happening, now)?;
            }
            if let Some(place) = place {
                let effect = journal::effect::intend(transaction, place, &Effect::Login(proof), now)?;
                journal::effect::conclude(transaction, effect, &result, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down which other keys let somebody in on a device.
    pub(super) async fn note_other_keys(&self, device: DeviceId, seen: Seen, keys: Vec<OtherKey>) -> Result<(), Error> {
        let Some(place) = self.place(Some(device), Direction::Forward) else { return Ok(()) };
        let (now, effect) = (self.now(), Effect::OtherKeys { seen, keys });
        self.write(move |transaction| {
            let effect = journal::effect::intend(transaction, place, &effect, now)?;
            Ok(journal::effect::conclude(transaction, effect, &EffectResult::Done, now)?)
        })
        .await
    }

    /// Writes down how a device stands.
    pub(super) async fn record_device(&self, record: DeviceRecord) -> Result<(), Error> {
        let Some((change, epoch)) = self.change else {
            return Ok(());
        };
        self.write(move |transaction| {
            journal::change::assert_epoch(transaction, change, epoch)?;
            Ok(journal::device::update(transaction, change, &record)?)
        })
        .await
    }

    /// Writes to the database off the async threads.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.keywheel.database().run_write(work).await
    }

    /// Reads the journal off the async threads.
    pub(super) async fn journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.keywheel.database().run_read(work).await?)
    }

    /// Writes an audit row about what was done, or failed, on a device.
    pub(super) async fn audit(&self, action: &'static str, device: &str, error: Option<&(dyn Explain + Sync)>) {
        let action = Action::new(action, "device", device)
            .with(json!({ "credential": self.credential_name, "change": self.change.map(|(id, _)| id.0) }));
        self.keywheel.record(action, error).await;
    }

    /// Writes an audit row about a stage that failed on a device.
    pub(super) async fn audit_failure(&self, stage: Stage, device: &str, cause: &Report) {
        let action = match stage {
            Stage::Add | Stage::Prove => "stage-add",
            _ => "stage-remove",
        };
        let error = RotationError::StageFailed { stage, device: device.to_owned(), code: cause.code.clone() };
        self.audit(action, device, Some(&error)).await;
    }
}

/// The result of a login or question, for the journal.
pub(super) fn answered(accepted: bool, host_key: Option<&PublicKey>, server: String) -> EffectResult {
    EffectResult::Answered { accepted, host_key: host_key.map(PublicKey::fingerprint), server }
}

/// The result of a question that stayed open, for the journal.
pub(super) fn unanswered(cause: Unknown) -> EffectResult {
    EffectResult::Unknown { cause }
}
