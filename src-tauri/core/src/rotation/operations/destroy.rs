//! Letting a compromised key go: giving devices up by name, and destroying what no device accepts any more.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    audit::Action,
    catalogue::{CredentialId, DeviceId, KeyVersion, Strategy, VersionState, key_version, key_version::Happening},
    error::{Error, Report},
    journal::{self, Change, ChangeId, ChangeState, Effect, EffectResult, SnapshotDevice},
    key::Fingerprint,
    keywheel::Keywheel,
    lock::LockError,
    rotation::{
        NotGivable, RotationError,
        decide::Direction,
        device::{DeviceRun, Failure},
        plan::{Outline, WorkPlan},
        work::{Noting, Work},
    },
};

/// A device that loses power may come back with the file as it was; so long after a write no key is destroyed.
const QUIET: SignedDuration = SignedDuration::from_secs(60);

/// How many devices are asked at once.
const QUESTIONS_AT_ONCE: usize = 8;

/// Whether to wait until a key may be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Waits, at most a minute, unless somebody asks to stop.
    Waits,
    /// Leaves to the next time what may not go yet.
    Leaves,
}

/// What became of a compromised key that was to be destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destruction {
    /// The credential's name.
    pub credential: String,
    /// The version.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The emergency change that replaced it.
    pub change: ChangeId,
    /// What keeps it; nothing: it is destroyed.
    pub held: Vec<Held>,
}

/// What keeps a key from being destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The device that must refuse it first; none where it is merely too early.
    pub device: Option<String>,
    /// Why.
    pub cause: Report,
}

impl Keywheel {
    /// Gives a device up: a compromised key is destroyed though that device could not be seen to refuse it, and the change
    /// no longer works on it.
    ///
    /// # Errors
    ///
    /// [`RotationError::NotGivenUp`]; [`RotationError::NotItsDevice`]; another process works on the change.
    pub async fn give_up_device(&self, id: ChangeId, device: &str) -> Result<(), Error> {
        let action = Action::new("device-give-up", "device", device).with(json!({ "change": id.0 }));
        let done = self.give_up_device_now(id, device, action.clone()).await;
        if let Err(error) = &done {
            self.record(action, Some(error)).await;
        }
        done
    }

    async fn give_up_device_now(&self, id: ChangeId, device: &str, action: Action) -> Result<(), Error> {
        let change = self.find_change(id).await?;
        let refused = |reason| RotationError::NotGivenUp { device: device.to_owned(), id, reason };
        let (Strategy::Emergency, Some(version)) = (change.strategy, change.from_version) else {
            return Err(refused(NotGivable::NoEmergency).into());
        };
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        let change = self.find_change(id).await?;
        // Without a device on the new key the vault's current one would be the compromised one, and stay so.
        if change.no_return.is_none() {
            return Err(refused(NotGivable::NoneChanged).into());
        }
        let known = change.snapshot.devices.iter().find(|known| known.name == device || known.id.to_string() == device);
        let Some(known) = known else {
            return Err(RotationError::NotItsDevice { device: device.to_owned() }.into());
        };
        let (of, device, now) = (change.credential, known.id, self.now());
        self.change(action, move |transaction, _| {
            Ok(key_version::note(transaction, of, version, device, Happening::GivenUp, now)?)
        })
        .await
    }

    /// The devices of a change that were given up.
    pub(super) async fn given_up(&self, change: &Change) -> Result<Vec<DeviceId>, Error> {
        let (of, version) = (change.credential, change.from_version);
        let installed = self.read(move |connection| key_version::installed(connection, of)).await?;
        let given_up = installed.iter().filter(|known| Some(known.version) == version && known.given_up_at.is_some());
        Ok(given_up.map(|known| known.device).collect())
    }

    /// Destroys the compromised keys that an emergency has replaced: each once every device of the change, just asked, has
    /// refused it, or was given up. The days of undo don't count, since it is never put back.
    ///
    /// What was broken off is done the next time. A credential that another process works on is left to it.
    ///
    /// # Errors
    ///
    /// The database or the vault can't be used.
    pub async fn destroy_compromised(
        &self,
        patience: Patience,
        stop: &watch::Receiver<bool>,
    ) -> Result<Vec<Destruction>, Error> {
        let left = self.read(key_version::compromised_left).await?;
        let mut came_to = Vec::new();
        let mut failed = None;
        for (credential, version) in left {
            match self.destroy_version(credential, version, patience, stop).await {
                Ok(done) => came_to.extend(done),
                Err(Error::Lock(LockError::Busy { .. })) => {}
                // What is wrong with one key keeps no other.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(came_to),
        }
    }

    /// One compromised version; nothing where its change has not ended with every device changed or given up.
    async fn destroy_version(
        &self,
        id: CredentialId,
        version: u32,
        patience: Patience,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Destruction>, Error> {
        let changes = self.database().run_read(move |connection| journal::change::list_of(connection, id)).await?;
        let replaced = |change: &Change| change.from_version == Some(version) && change.strategy == Strategy::Emergency;
        let Some(change) = changes.into_iter().find(replaced).filter(|change| change.state == ChangeState::Changed)
        else {
            return Ok(None);
        };
        let credential = self.credential_of_change(id).await?;
        // Nobody who wants to change something waits for who waits here.
        self.quiet(id, patience, stop).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        // Whoever held the lock may have done it, or have written somewhere.
        let credential = self.credential_of_change(id).await?;
        let known = credential.key_version(version).filter(|known| known.state == VersionState::Retired);
        let Some(known) = known else { return Ok(None) };
        self.vault().check().await?;
        let mut came_to = Destruction {
            credential: credential.name.clone(),
            version,
            fingerprint: known.fingerprint(),
            change: change.id,
            held: Vec::new(),
        };
        if self.was_removed(&change, known).await? {
            self.note_destroyed(&change, &came_to, known).await?;
            return Ok(Some(came_to));
        }
        if let Some(early) = self.quiet(id, Patience::Leaves, stop).await? {
            came_to.held.push(early);
            return Ok(Some(came_to));
        }
        let outline = Outline::of(&credential);
        let work = self
            .work(WorkPlan {
                change: Some((change.id, change.epoch)),
                kind: change.kind,
                credential: &outline,
                snapshot: &change.snapshot,
                old: Some(self.version_key(&credential, version).await?),
                new: Some(self.current(&credential).await?),
                events: None,
                resumed: true,
                noting: Noting::Noted,
            })
            .await?;
        came_to.held = self.ask_all(Arc::new(work), &change, version).await?;
        if came_to.held.is_empty() {
            self.remove_item(&change, &came_to, known).await?;
        }
        Ok(Some(came_to))
    }

    /// Waits until a minute has passed since the last write, or says that it is too early.
    async fn quiet(
        &self,
        id: CredentialId,
        patience: Patience,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Held>, Error> {
        let last = self.database().run_read(move |connection| journal::effect::last_write(connection, id)).await?;
        let Some(last) = last else { return Ok(None) };
        // A clock that was set back says nothing; then the whole time is waited.
        let since = self.now().duration_since(last).max(SignedDuration::ZERO);
        let left = Duration::try_from(QUIET.saturating_sub(since)).unwrap_or(Duration::ZERO);
        if left.is_zero() {
            return Ok(None);
        }
        if patience == Patience::Waits && waited(left, stop.clone()).await {
            return Ok(None);
        }
        let cause = Report::new(
            "too-early",
            "A device was written to less than a minute ago; one that loses power could come back with the old file."
                .into(),
            "It is destroyed the next time that Keywheel changes a key or is opened.",
        );
        Ok(Some(Held { device: None, cause }))
    }

    /// Asks every device of the change, but for those given up, whether it refuses the version; answers what holds it.
    async fn ask_all(&self, work: Arc<Work>, change: &Change, version: u32) -> Result<Vec<Held>, Error> {
        let id = change.credential;
        let installed = self.read(move |connection| key_version::installed(connection, id)).await?;
        let mut held = Vec::new();
        // Before this change it may have stood elsewhere, on devices that were taken off the credential since.
        let in_change = |device: DeviceId| change.snapshot.devices.iter().any(|known| known.id == device);
        for known in installed.iter().filter(|known| known.version == version && known.stands()) {
            if !in_change(known.device) {
                let device = known.device;
                let name = self.read(move |connection| crate::catalogue::device::by_id(connection, device)).await?.name;
                held.push(stands_elsewhere(&name));
            }
        }
        let given_up = self.given_up(change).await?;
        let asked = change.snapshot.devices.iter().filter(|device| !given_up.contains(&device.id));
        let mut waiting = asked.cloned().enumerate();
        let mut running: JoinSet<Result<Option<Held>, Error>> = JoinSet::new();
        loop {
            while running.len() < QUESTIONS_AT_ONCE {
                let Some((position, device)) = waiting.next() else { break };
                running.spawn(ask(Arc::clone(&work), device, position));
            }
            match running.join_next().await {
                None => return Ok(held),
                Some(Ok(answer)) => held.extend(answer?),
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }

    /// Whether the item was removed and that could not be noted: the process died, or the keyring's answer was lost.
    async fn was_removed(&self, change: &Change, known: &KeyVersion) -> Result<bool, Error> {
        let (id, item) = (change.id, known.item.to_string());
        let effects = self.database().run_read(move |connection| journal::effect::list(connection, id)).await?;
        let meant = Effect::Destroy { item };
        let intended = effects.iter().any(|effect| effect.effect == meant);
        Ok(intended && self.vault().read(&known.item).await?.is_none())
    }

    async fn remove_item(&self, change: &Change, came_to: &Destruction, known: &KeyVersion) -> Result<(), Error> {
        let (id, epoch, now) = (change.id, change.epoch, self.now());
        let effect = Effect::Destroy { item: known.item.to_string() };
        let place = journal::Place { change: id, epoch, device: None, direction: Direction::Forward };
        let intent = self
            .database()
            .run_write(move |transaction| journal::effect::intend(transaction, place, &effect, now))
            .await?;
        if let Err(error) = self.vault().remove(&known.item).await {
            let (cause, now) = (Report::of(&error), self.now());
            self.record(destroying(came_to), Some(&error)).await;
            self.database()
                .run_write(move |transaction| {
                    journal::effect::conclude(transaction, intent, &EffectResult::Failed { cause }, now)
                })
                .await?;
            return Err(error.into());
        }
        self.note_destroyed(change, came_to, known).await
    }

    /// The item is gone: that, the version's state and the record of it in one transaction.
    async fn note_destroyed(&self, change: &Change, came_to: &Destruction, known: &KeyVersion) -> Result<(), Error> {
        let (id, of, now, version) = (change.id, change.credential, self.now(), came_to.version);
        let item = known.item.to_string();
        self.change(destroying(came_to), move |transaction, _| {
            for effect in journal::effect::list(transaction, id)? {
                if effect.result.is_none() && effect.effect == (Effect::Destroy { item: item.clone() }) {
                    journal::effect::conclude(transaction, effect.id, &EffectResult::Done, now)?;
                }
            }
            Ok(key_version::destroyed(transaction, of, version, now)?)
        })
        .await
    }
}

fn destroying(came_to: &Destruction) -> Action {
    Action::new("key-destroy", "credential", came_to.credential.clone()).with(json!({
        "version": came_to.version,
        "fingerprint": came_to.fingerprint,
        "change": came_to.change.0,
    }))
}

fn stands_elsewhere(device: &str) -> Held {
    let cause = Report::new(
        "key-stands-elsewhere",
        format!("The key was left on the device \"{device}\", which the change did not include."),
        "Take it off there, then give the device up by name.",
    );
    Held { device: Some(device.to_owned()), cause }
}

/// Asks one device; nothing where it refuses the old key and accepts the new one.
async fn ask(work: Arc<Work>, device: SnapshotDevice, position: usize) -> Result<Option<Held>, Error> {
    let name = device.name.clone();
    let mut run = DeviceRun::new(work, device, position);
    let asked = run.refuses().await;
    run.close().await;
    match asked {
        Ok(()) => Ok(None),
        Err(Failure::Broken(error)) => Err(*error),
        Err(Failure::Cause(cause) | Failure::NotProven(cause) | Failure::OldKeyAccepted(cause)) => {
            Ok(Some(Held { device: Some(name), cause }))
        }
    }
}

/// Sleeps so long; not to the end where somebody asks to stop.
async fn waited(time: Duration, mut stop: watch::Receiver<bool>) -> bool {
    let stopped = async {
        if stop.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => false,
        () = sleep(time) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_its_time_is_over_or_somebody_asks() {
        let (ask, stop) = watch::channel(false);
        assert!(waited(Duration::from_millis(1), stop.clone()).await, "nobody has asked");
        ask.send(true).unwrap();
        assert!(!waited(Duration::from_secs(3600), stop).await, "a person would wait an hour");
        let (_, nobody) = watch::channel(false);
        assert!(waited(Duration::from_millis(1), nobody).await, "nobody is left who could ask");
    }
}
