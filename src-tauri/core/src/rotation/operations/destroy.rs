//! Destroying the private halves of retired keys, when nobody needs them any more (rotation.md, invariant 2).

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    audit::{self, Action},
    catalogue::{Credential, CredentialId, DeviceId, KeyVersion, VersionState, key_version, key_version::Happening},
    error::{Error, Explain, Report},
    journal::{self, ChangeId, Effect, EffectId, EffectResult, Place, Proof, Snapshot, SnapshotDevice},
    keywheel::Keywheel,
    lock::{CredentialLock, Sharing},
    remote::{Answer, LogIn},
    rotation::{
        Problem, RotationError, Work, accepts,
        accepts::ask_truly,
        decide::Direction,
        plan::Outline,
        retired::{Held, History, has_retired, still_accepts},
        work::{VersionKey, answered, unanswered},
    },
};

/// How many devices are asked at once; asking is not changing.
const DEVICES_AT_ONCE: usize = 8;

/// A key to destroy before its time.
#[derive(Debug, Clone)]
pub struct Destroy {
    /// The credential.
    pub credential: CredentialId,
    /// The version.
    pub version: u32,
    /// Devices, by name or number, that are given up: the key may stand there for good.
    pub give_up: Vec<String>,
}

/// Whether a key's item is still to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// It may be there.
    There,
    /// It was removed, and that could not be noted.
    Gone,
}

/// What became of a retired key whose time had come.
#[derive(Debug, Clone, PartialEq)]
pub struct Destroyed {
    /// The credential's name.
    pub credential: String,
    /// The version.
    pub version: u32,
    /// What holds it up; empty: its private half is gone.
    pub held_by: Vec<Held>,
}

impl Keywheel {
    /// Destroys the private halves of a credential's retired keys whose time has come, as far as every device on which they
    /// ever stood accepts a newer key and refuses them when asked once more.
    ///
    /// What a process that ended in between had begun is finished.
    ///
    /// # Errors
    ///
    /// The keyring or the database failed. A key that is held up is no error.
    pub async fn destroy_due(&self, id: CredentialId) -> Result<Vec<Destroyed>, Error> {
        let credential = self.credential(id).await?;
        if credential.removed_at.is_some() || !credential.enabled {
            return Ok(Vec::new());
        }
        let begun = self.begun_to_destroy(&credential).await?;
        let mut ended = Vec::new();
        for retired in self.retired(id).await? {
            let Some(known) = credential.key_version(retired.version) else { continue };
            let was_begun = begun.iter().any(|(_, item)| *item == known.item.as_str());
            if !was_begun && !retired.due {
                continue;
            }
            let held_by = self.destroy_retired(&credential, known).await?;
            ended.push(Destroyed { credential: credential.name.clone(), version: known.version, held_by });
        }
        Ok(ended)
    }

    /// As [`Keywheel::destroy_due`], for all credentials; one that fails keeps no other from its turn.
    ///
    /// # Errors
    ///
    /// The keyring can't be used; the database's own failure.
    pub async fn destroy_all_due(&self) -> Result<Vec<Destroyed>, Error> {
        self.vault().check().await?;
        let mut ended = Vec::new();
        for credential in self.credentials().await?.into_iter().filter(has_retired) {
            match self.destroy_due(credential.id).await {
                Ok(destroyed) => ended.extend(destroyed),
                Err(error) => tracing::info!(credential = credential.name, %error, "its retired keys stay for now"),
            }
        }
        Ok(ended)
    }

    /// Destroys the private half of a retired key before its time; undoing the change is no longer possible then.
    ///
    /// # Errors
    ///
    /// [`RotationError::KeyNeeded`] where a device may still need it; it is not retired; a device that is given up never had
    /// it; the keyring or the database failed.
    pub async fn destroy_version(&self, request: &Destroy) -> Result<(), Error> {
        let credential = self.credential(request.credential).await?;
        let done = self.destroy_version_now(&credential, request).await;
        if let Err(error) = &done {
            self.record(destroy_action(&credential.name, request.version), Some(error as &(dyn Explain + Sync))).await;
        }
        done
    }

    async fn destroy_version_now(&self, credential: &Credential, request: &Destroy) -> Result<(), Error> {
        let (name, version) = (credential.name.clone(), request.version);
        let Some(known) = credential.key_version(version) else {
            return Err(RotationError::NoSuchVersion { credential: name, version }.into());
        };
        if known.state != VersionState::Retired {
            return Err(RotationError::NotRetired { credential: name, version, state: known.state }.into());
        }
        if !credential.enabled {
            return Err(RotationError::Disabled { credential: name }.into());
        }
        self.vault().check().await?;
        self.give_up(credential, version, &request.give_up).await?;
        let held_by = self.destroy_retired(credential, known).await?;
        if held_by.is_empty() {
            Ok(())
        } else {
            Err(RotationError::KeyNeeded { credential: name, version, held_by }.into())
        }
    }

    /// Notes that devices are given up by name: they hold this version up no longer.
    async fn give_up(&self, credential: &Credential, version: u32, devices: &[String]) -> Result<(), Error> {
        if devices.is_empty() {
            return Ok(());
        }
        let (id, name, now, actor) = (credential.id, credential.name.clone(), self.now(), self.actor().clone());
        let wanted: Vec<String> = devices.iter().map(|device| device.trim().to_owned()).collect();
        self.database()
            .run_write(move |transaction| -> Result<(), Error> {
                let history = History::read(transaction, id, now)?;
                for wanted in wanted {
                    let had = history.devices_of(version);
                    let is_wanted = |id: &DeviceId| {
                        id.to_string() == wanted || history.names.get(id).is_some_and(|name| *name == wanted)
                    };
                    let Some(device) = had.into_iter().find(is_wanted) else {
                        return Err(RotationError::NotOnDevice { version, device: wanted }.into());
                    };
                    key_version::note(transaction, id, version, device, Happening::GivenUp, now)?;
                    let action = Action::new("device-give-up", "device", wanted)
                        .with(json!({ "credential": name, "version": version }));
                    audit::append(transaction, &action.entry(now, &actor, None))?;
                }
                Ok(())
            })
            .await
    }

    /// Destroys a retired key, or tells what holds it up.
    pub(super) async fn destroy_retired(
        &self,
        credential: &Credential,
        known: &KeyVersion,
    ) -> Result<Vec<Held>, Error> {
        let (id, now) = (credential.id, self.now());
        let history = Arc::new(self.database().run_read(move |connection| History::read(connection, id, now)).await?);
        // Where only the note is missing that it is gone, nothing is left to be waited for.
        let begun = self.begun_to_destroy(credential).await?.iter().any(|(_, item)| *item == known.item.as_str());
        let there = self.vault().read(&known.item).await?.is_some();
        let is = if there || !begun { Item::There } else { Item::Gone };
        if is == Item::There
            && let Some(held) = history.held(known, now)
        {
            return Ok(vec![held]);
        }
        if there {
            let held = self.ask_once_more(credential, known, &history).await?;
            if !held.is_empty() {
                return Ok(held);
            }
        }
        let newest = history.changes.first().map(|change| change.id);
        self.destroy_item(credential, known, newest, is).await
    }

    /// Asks every device on which a version ever stood: it must accept a newer one by a login and refuse this one.
    async fn ask_once_more(
        &self,
        credential: &Credential,
        known: &KeyVersion,
        history: &Arc<History>,
    ) -> Result<Vec<Held>, Error> {
        let outline = Outline::of(credential);
        let mut devices = Vec::new();
        let mut held = Vec::new();
        for id in history.devices_of(known.version) {
            let name = history.names.get(&id).cloned().unwrap_or_default();
            if !history.is_connected_to(id) {
                held.push(Held::by_device(id, &name, accepts::disabled(&name)));
                continue;
            }
            match self.snapshot_device(id, &outline, None).await {
                Ok(device) => devices.push(device),
                Err(error) => held.push(Held::by_device(id, &name, Report::of(&error))),
            }
        }
        let snapshot = Snapshot {
            credential: credential.name.clone(),
            username: credential.username.clone(),
            auth_with: None,
            options: None,
            devices,
        };
        let work = Arc::new(self.asking(credential, &snapshot).await?);
        let old = self.version_key(credential, known.version).await?;
        let mut newer = work.before();
        newer.retain(|key| history.is_newer(key.version, known.version));
        let (old, newer) = (Arc::new(old), Arc::new(newer));
        let mut waiting = snapshot.devices.into_iter();
        let mut asking: JoinSet<Result<Option<Held>, Error>> = JoinSet::new();
        loop {
            while asking.len() < DEVICES_AT_ONCE
                && let Some(device) = waiting.next()
            {
                let (work, old, newer) = (Arc::clone(&work), Arc::clone(&old), Arc::clone(&newer));
                asking.spawn(async move {
                    let reason = ask(&work, &device, &old, &newer).await?;
                    Ok(reason.map(|reason| Held::by_device(device.id, &device.name, reason)))
                });
            }
            match asking.join_next().await {
                None => break,
                Some(Ok(reason)) => held.extend(reason?),
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => {}
            }
        }
        held.sort_by_key(|held| held.device_id);
        Ok(held)
    }

    /// Removes the item from the keyring: the intent first, then the effect, then its result.
    async fn destroy_item(
        &self,
        credential: &Credential,
        known: &KeyVersion,
        newest: Option<ChangeId>,
        is: Item,
    ) -> Result<Vec<Held>, Error> {
        let _lock = CredentialLock::take(self.database().dir(), credential.id, &credential.name, Sharing::Exclusive)?;
        let begun = self.begun_to_destroy(credential).await?;
        let (id, version, item, now) = (credential.id, known.version, known.item.clone(), self.now());
        let intended = self
            .database()
            .run_write(move |transaction| -> Result<Result<Vec<EffectId>, Held>, Error> {
                let history = History::read(transaction, id, now)?;
                // Whoever changed the key meanwhile may have gone back to it.
                let known =
                    history.credential.key_version(version).filter(|known| known.state == VersionState::Retired);
                let is_as_asked = history.changes.first().map(|change| change.id) == newest;
                match known {
                    Some(known) if is_as_asked => {
                        if let Some(held) = history.held(known, now).filter(|_| is == Item::There) {
                            return Ok(Err(held));
                        }
                    }
                    _ => return Err(RotationError::KeyChanged { credential: history.credential.name }.into()),
                }
                let mut effects: Vec<EffectId> =
                    begun.into_iter().filter(|(_, begun)| *begun == item.as_str()).map(|(effect, _)| effect).collect();
                if let (Some(change), true) = (history.changes.first(), effects.is_empty()) {
                    let place =
                        Place { change: change.id, epoch: change.epoch, device: None, direction: Direction::Forward };
                    let effect = Effect::Destroy { item: item.to_string() };
                    effects.push(journal::effect::intend(transaction, place, &effect, now)?);
                }
                Ok(Ok(effects))
            })
            .await?;
        let effects = match intended {
            Ok(effects) => effects,
            Err(held) => return Ok(vec![held]),
        };
        let mut action = destroy_action(&credential.name, version);
        action = action.with(json!({ "version": version, "item": known.item.to_string() }));
        if let Err(error) = self.vault().remove(&known.item).await {
            self.record(action, Some(&error)).await;
            return Err(error.into());
        }
        self.change(action, move |transaction, _| {
            for effect in effects {
                journal::effect::conclude(transaction, effect, &EffectResult::Done, now)?;
            }
            Ok(key_version::destroyed(transaction, id, version, now)?)
        })
        .await?;
        Ok(Vec::new())
    }

    /// The items whose destruction was begun and not seen to its end.
    async fn begun_to_destroy(&self, credential: &Credential) -> Result<Vec<(EffectId, String)>, Error> {
        let id = credential.id;
        Ok(self.database().run_read(move |connection| journal::effect::open_destroys(connection, id)).await?)
    }
}

fn destroy_action(credential: &str, version: u32) -> Action {
    Action::new("key-destroy", "credential", credential).with(json!({ "version": version }))
}

/// Asks one device for the key that is to go, and logs in with a newer one; none where all is as it must be.
async fn ask(
    work: &Work,
    device: &SnapshotDevice,
    old: &VersionKey,
    newer: &[VersionKey],
) -> Result<Option<Report>, Error> {
    let route = match work.route(device).await {
        Ok(route) => route,
        Err(error) => return Ok(Some(Report::of(&error))),
    };
    let open = match work.connector.connect(&route).await {
        Ok(open) => open,
        Err(error) => return Ok(Some(Report::of(&error))),
    };
    let (host_key, server) = (open.host_key(), open.server_version());
    let (said, by, mut rest) = ask_truly(open, &work.username, old).await;
    note(work, device, old, by, said, (host_key.as_ref(), &server)).await?;
    let mut reason = match said {
        Answer::Refused => None,
        Answer::Accepted | Answer::Partial => Some(still_accepts(&device.name)),
        Answer::Unknown(cause) => return Ok(Some(unclear(work, device, cause))),
    };
    let mut refused = None;
    for key in newer {
        let open = match rest.take() {
            Some(open) => open,
            None => match work.connector.connect(&route).await {
                Ok(open) => open,
                Err(error) => return Ok(reason.or_else(|| Some(Report::of(&error)))),
            },
        };
        let (host_key, server) = (open.host_key(), open.server_version());
        let (said, left) = match open.log_in(&work.username, &key.secret()).await {
            LogIn::Accepted(session) => {
                session.close().await;
                (Answer::Accepted, None)
            }
            LogIn::Not(said, left) => (said, left.map(|left| *left)),
        };
        rest = left;
        note(work, device, key, Proof::Login, said, (host_key.as_ref(), &server)).await?;
        match said {
            Answer::Accepted => return Ok(reason),
            Answer::Unknown(cause) => return Ok(reason.or_else(|| Some(unclear(work, device, cause)))),
            Answer::Refused | Answer::Partial => refused = Some(nothing_newer(&device.name)),
        }
    }
    Ok(reason.take().or(refused).or_else(|| Some(nothing_newer(&device.name))))
}

async fn note(
    work: &Work,
    device: &SnapshotDevice,
    key: &VersionKey,
    by: Proof,
    said: Answer,
    server: (Option<&crate::key::PublicKey>, &str),
) -> Result<(), Error> {
    let result = match said {
        Answer::Unknown(cause) => unanswered(cause),
        said => answered(said != Answer::Refused, server.0, server.1.to_owned()),
    };
    work.note_answer(device.id, Direction::Forward, key, by, result).await
}

fn unclear(work: &Work, device: &SnapshotDevice, cause: crate::remote::Unknown) -> Report {
    Report::of(&crate::remote::RemoteError::Unclear {
        device: device.name.clone(),
        username: work.username.clone(),
        cause,
    })
}

fn nothing_newer(device: &str) -> Report {
    Report::of(&Problem::NothingNewer { device: device.to_owned() })
}
