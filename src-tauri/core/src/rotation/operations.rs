//! What the shells ask for: rotate, install and uninstall here; `look` has check and dry run, `again` what goes on with a
//! change that is there, `destroy` what ends a retired key, `compromised` a compromised one.

mod again;
mod compromised;
mod destroy;
mod due;
mod look;
mod request;
mod scheduled;

pub use self::compromised::Patience;
pub use self::destroy::{Destroy, Destroyed};
pub use self::due::{Due, DueRun};
pub use self::look::{DeviceFinding, Draft, DraftKey, FileDiff, Look, Purpose, Subject};
pub use self::request::{ConnectWith, Install, Rotate, Uninstall};

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::{
    Driver, Finished, RotationError, Watch, Work,
    decide::{Outcome, Standing},
    event::What,
    plan::{Outline, WorkPlan, algorithm_like, jump_credentials},
    work::{Noting, VersionKey},
};
use crate::{
    audit::{self, Action},
    catalogue::{Credential, CredentialId, DeviceId, OnFailure, Strategy, key_version},
    credential::refuse_compromised,
    error::{Class, Error, Explain, Report},
    journal::{
        self, Begin, Change, ChangeId, ChangeState, DeviceRecord, DeviceState, JournalError, Kind, Origin, Snapshot,
        SnapshotDevice,
    },
    keywheel::Keywheel,
    lock::{CredentialLock, LockError, Sharing},
};

/// What is held while a change runs: nobody else changes the credential, and those that authenticate stay as they are.
struct Locks {
    _locks: Vec<CredentialLock>,
}

impl Keywheel {
    fn locks(&self, credential: &Credential, snapshot: &Snapshot) -> Result<Locks, LockError> {
        let dir = self.database().dir();
        let mut locks = vec![CredentialLock::take(dir, credential.id, &credential.name, Sharing::Exclusive)?];
        let others = snapshot.auth_with.into_iter().chain(jump_credentials(snapshot));
        let mut others: Vec<CredentialId> = others.filter(|id| *id != credential.id).collect();
        others.sort_unstable();
        others.dedup();
        for id in others {
            locks.push(CredentialLock::take(dir, id, "used to authenticate", Sharing::Shared)?);
        }
        Ok(Locks { _locks: locks })
    }

    async fn current(&self, credential: &Credential) -> Result<VersionKey, Error> {
        let current = credential
            .current_key()
            .ok_or_else(|| RotationError::NoCurrentKey { credential: credential.name.clone() })?;
        self.version_key(credential, current.version).await
    }

    /// Changes a credential's key on all its devices.
    ///
    /// # Errors
    ///
    /// It could not be begun, or was broken off because the journal, the keyring or the disk failed; then
    /// [`RotationError::Interrupted`] names the change. A device that fails is no error of the change: the outcome says it.
    pub async fn rotate(&self, request: &Rotate, watch: Watch) -> Result<Finished, Error> {
        let action = Action::new("credential-rotate", "credential", &request.credential);
        let done = match self.prepare(request, &Asked::Now).await {
            Ok(prepared) => self.run_prepared(prepared, watch).await,
            Err(error) => Err(error),
        };
        self.audited_end(action, &done).await;
        done
    }

    /// Makes sure that a key change can begin, and makes its key; nothing is written down yet.
    async fn prepare(&self, request: &Rotate, asked: &Asked) -> Result<Prepared, Error> {
        let emergency = request.strategy == Some(Strategy::Emergency);
        if emergency && request.on_failure.is_some() {
            return Err(RotationError::EmergencyGoesOn.into());
        }
        let credential = self.key_credential(&request.credential).await?;
        if !emergency {
            // Any other strategy may put the old key back.
            refuse_compromised(&credential)?;
        }
        let outline = Outline::of(&credential);
        let auth = self.authenticating(&outline, &request.connect_with).await?;
        let snapshot = self.snapshot(&outline, auth.as_ref(), None, None).await?;
        refuse_leaving_out(&credential, &snapshot, &request.leave_out)?;
        let locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        let (origin, requested_by) = self.origin(asked).await?;
        self.vault().check().await?;
        let credential = self.take_newer_keys(credential).await?;
        let outline = Outline::of(&credential);
        let old = self.current(&credential).await?;
        let algorithm = request.algorithm.unwrap_or_else(|| algorithm_like(old.public.algorithm()));
        let made = self.generate(algorithm, old.public.comment().to_owned()).await?;
        let id = credential.id;
        let version = self.read(move |connection| key_version::next_number(connection, id)).await?;
        let new = VersionKey { version, public: made.public_key().clone(), private: Arc::new(made) };
        let begin = Begun {
            kind: Kind::Rotate,
            strategy: request.strategy.unwrap_or(Strategy::TwoPhase),
            on_failure: match request.on_failure {
                Some(on_failure) => on_failure,
                None if emergency => OnFailure::Continue,
                None => OnFailure::RollBack,
            },
            at_once: request.at_once.unwrap_or(1),
            left_out: request.leave_out.clone(),
            origin,
            requested_by,
        };
        Ok(Prepared { outline, snapshot, begin, old, new, _locks: locks })
    }

    async fn run_prepared(&self, prepared: Prepared, watch: Watch) -> Result<Finished, Error> {
        let Prepared { outline, snapshot, begin, old, new, _locks } = prepared;
        self.begin_and_run(&outline, snapshot, begin, Some(old), Some(new), watch).await
    }

    /// Puts a credential's public key on its devices for the first time, through another credential.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`].
    pub async fn install(&self, request: &Install, watch: Watch) -> Result<Finished, Error> {
        let action = Action::new("credential-install", "credential", &request.credential);
        let done = self.install_now(request, watch).await;
        self.audited_end(action, &done).await;
        done
    }

    async fn install_now(&self, request: &Install, watch: Watch) -> Result<Finished, Error> {
        let credential = self.key_credential(&request.credential).await?;
        refuse_compromised(&credential)?;
        let outline = Outline::of(&credential);
        let auth = self.authenticating(&outline, &ConnectWith::Credential(request.auth_with.clone())).await?;
        let snapshot = self.snapshot(&outline, auth.as_ref(), None, request.options.as_deref()).await?;
        let _locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        self.vault().check().await?;
        let new = self.current(&credential).await?;
        let begin = Begun::in_order(Kind::Install, OnFailure::RollBack);
        self.begin_and_run(&outline, snapshot, begin, None, Some(new), watch).await
    }

    /// Takes a credential's key off devices: the stages `remove` and `refuse`.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`].
    pub async fn uninstall(&self, request: &Uninstall, watch: Watch) -> Result<Finished, Error> {
        let action = Action::new("credential-uninstall", "credential", &request.credential);
        let done = self.uninstall_now(request, watch).await;
        self.audited_end(action, &done).await;
        done
    }

    async fn uninstall_now(&self, request: &Uninstall, watch: Watch) -> Result<Finished, Error> {
        let credential = self.key_credential(&request.credential).await?;
        let mut chosen = Vec::new();
        for name in &request.devices {
            let device = self.find_device(name).await?;
            if !credential.devices.contains(&device.id) {
                return Err(RotationError::NotItsDevice { device: device.name }.into());
            }
            chosen.push(device.id);
        }
        let chosen = (!chosen.is_empty()).then_some(chosen);
        let outline = Outline::of(&credential);
        let auth = self.authenticating(&outline, &ConnectWith::AsStored).await?;
        let snapshot = self.snapshot(&outline, auth.as_ref(), chosen.as_deref(), None).await?;
        let _locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        self.vault().check().await?;
        let credential = self.take_newer_keys(credential).await?;
        let outline = Outline::of(&credential);
        let old = self.current(&credential).await?;
        let begin = Begun::in_order(Kind::Uninstall, OnFailure::Continue);
        self.begin_and_run(&outline, snapshot, begin, Some(old), None, watch).await
    }

    async fn begin_and_run(
        &self,
        credential: &Outline,
        snapshot: Snapshot,
        begin: Begun,
        old: Option<VersionKey>,
        new: Option<VersionKey>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let kind = begin.kind;
        let (from, to) = (old.as_ref().map(|old| old.version), new.as_ref().map(|new| new.version));
        let (of, actor, now, taken) = (credential.id, self.actor().clone(), self.now(), snapshot.clone());
        let requested_by = begin.requested_by.clone().unwrap_or_else(|| actor.as_str().to_owned());
        let name = credential.name.clone();
        let undo = jiff::SignedDuration::from_hours(24 * i64::from(self.settings().await?.days_of_undo));
        let id = self
            .database()
            .run_write(move |transaction| -> Result<ChangeId, Error> {
                // Files hold foreign lines, which may be secret: their texts stay no longer than a change can be undone.
                if let Ok(undoable) = now.checked_sub(undo) {
                    journal::effect::drop_texts_before(transaction, undoable)?;
                }
                let id = journal::change::begin(
                    transaction,
                    &Begin {
                        credential: of,
                        kind: begin.kind,
                        strategy: begin.strategy,
                        on_failure: begin.on_failure,
                        at_once: begin.at_once,
                        from_version: from,
                        to_version: to,
                        snapshot: &taken,
                        requested_by: &requested_by,
                        origin: begin.origin,
                        now,
                    },
                )?;
                if begin.strategy == Strategy::Emergency
                    && let Some(from) = from
                {
                    key_version::compromised(transaction, of, from)?;
                }
                for record in left_out(&taken, &begin.left_out, now) {
                    journal::device::update(transaction, id, &record)?;
                }
                let named = |wanted: &dyn Fn(DeviceId) -> bool| -> Vec<&str> {
                    let devices = taken.devices.iter().filter(|device| wanted(device.id));
                    devices.map(|device| device.name.as_str()).collect()
                };
                let action = Action::new("change-begin", "credential", name).with(json!({
                    "change": id.0,
                    "kind": begin.kind.as_str(),
                    "strategy": begin.strategy.as_str(),
                    "devices": named(&|_| true),
                    "left_out": named(&|id| begin.left_out.contains(&id)),
                    "requested_by": requested_by,
                    "reason": begin.origin.reason.as_str(),
                }));
                audit::append(transaction, &action.entry(now, &actor, None))?;
                Ok(id)
            })
            .await?;
        let work = self
            .work(WorkPlan {
                change: Some((id, 1)),
                kind,
                credential,
                snapshot: &snapshot,
                old,
                new,
                events: Some(watch.events.clone()),
                resumed: false,
                noting: Noting::Noted,
            })
            .await;
        let change = self.find_change(id).await?;
        let driver = match work {
            Ok(work) => {
                let work = Arc::new(work);
                self.tell_started(&work, &change);
                let mut driver = Driver::new(work, change, &[], Some(watch.stop));
                driver.take_up().await.map(|()| driver)
            }
            Err(error) => Err(error),
        };
        let done = match driver {
            Ok(driver) => driver.run().await,
            Err(error) => {
                self.end_before_it_began(id, &error).await?;
                Err(error)
            }
        };
        self.programs().due_after(id);
        done
    }

    /// Ends a change that could not even be set up.
    async fn end_before_it_began(&self, id: ChangeId, error: &Error) -> Result<(), Error> {
        let (report, now) = (Report::of(error), self.now());
        Ok(self
            .database()
            .run_write(move |transaction| {
                journal::change::end(transaction, id, 1, ChangeState::Failed, Some(&report), now)
            })
            .await?)
    }

    fn tell_started(&self, work: &Work, change: &Change) {
        let fingerprint = work.new.as_ref().or(work.old.as_ref()).map(VersionKey::fingerprint);
        let Some(new_fingerprint) = fingerprint else { return };
        work.tell(What::Started {
            credential: work.credential_name.clone(),
            kind: change.kind,
            old_fingerprint: work.old.as_ref().map(VersionKey::fingerprint),
            devices: change.snapshot.devices.iter().map(|device| device.name.clone()).collect(),
            strategy: change.strategy,
            new_fingerprint,
        });
    }

    /// A credential whose last change is not ended gets no new one. A change that a dead process left is marked as such.
    async fn refuse_open_change(&self, credential: &Credential) -> Result<(), Error> {
        let (id, name) = (credential.id, credential.name.clone());
        Ok(self
            .database()
            .run_write(move |transaction| -> Result<(), JournalError> {
                let Some(open) = journal::change::open_of(transaction, id)? else { return Ok(()) };
                journal::change::mark_interrupted(transaction, open)?;
                Err(JournalError::ChangeOpen { credential: name, open })
            })
            .await?)
    }

    /// One change.
    ///
    /// # Errors
    ///
    /// [`JournalError::NoSuchChange`].
    pub async fn find_change(&self, id: ChangeId) -> Result<Change, Error> {
        Ok(self.database().run_read(move |connection| journal::change::find(connection, id)).await?)
    }

    async fn audited<T>(&self, action: Action, done: &Result<T, Error>) {
        self.record(action, done.as_ref().err().map(|error| error as &(dyn Explain + Sync))).await;
    }

    /// Records how an operation ended. Only then does the user's program run after the change, if it has ended with it.
    async fn audited_end(&self, action: Action, done: &Result<Finished, Error>) {
        let action = match done {
            Ok(finished) => {
                let devices: Vec<_> = finished
                    .devices
                    .iter()
                    .map(|device| json!({ "device": device.device, "state": device.state.as_str() }))
                    .collect();
                action.with(json!({
                    "change": finished.change.0,
                    "outcome": finished.outcome.as_str(),
                    "devices": devices,
                }))
            }
            Err(_) => action,
        };
        let failed = match done {
            Ok(finished) if finished.outcome != Outcome::Changed => {
                Some(RotationError::NotEverywhere { id: finished.change, outcome: finished.outcome })
            }
            _ => None,
        };
        let error = match (done, &failed) {
            (Err(error), _) => Some(error as &(dyn Explain + Sync)),
            (Ok(finished), Some(failed)) => {
                let as_asked = finished.outcome == Outcome::RolledBack && action.name == "change-roll-back";
                (!as_asked).then_some(failed as &(dyn Explain + Sync))
            }
            _ => None,
        };
        self.record(action, error).await;
        self.anchor_audit().await;
        // A change that was broken off has a new key in the keyring as well.
        if done.as_ref().map_or_else(|error| error.class() == Class::Interrupted, |_| true) {
            self.back_up_by_itself().await;
        }
        self.begin_programs();
    }
}

/// How a change is to be done.
#[derive(Debug, Clone)]
struct Begun {
    kind: Kind,
    strategy: Strategy,
    on_failure: OnFailure,
    at_once: usize,
    left_out: Vec<DeviceId>,
    origin: Origin,
    /// Who asked for it, where that is not the one who acts.
    requested_by: Option<String>,
}

/// How a key change comes to begin.
#[derive(Debug, Clone)]
enum Asked {
    /// A person asks for it now.
    Now,
    /// It waits in this row for its time.
    Scheduled(ChangeId),
    /// Its policy asks for it.
    ByPolicy { credential: CredentialId, zone: TimeZone },
}

/// A key change that can begin, with its locks.
struct Prepared {
    outline: Outline,
    snapshot: Snapshot,
    begin: Begun,
    old: VersionKey,
    new: VersionKey,
    _locks: Locks,
}

impl Begun {
    /// One device after the other, all of them.
    fn in_order(kind: Kind, on_failure: OnFailure) -> Self {
        Self {
            kind,
            strategy: Strategy::TwoPhase,
            on_failure,
            at_once: 1,
            left_out: Vec::new(),
            origin: Origin::REQUEST,
            requested_by: None,
        }
    }
}

/// Refuses to leave out a device that the credential does not have, or the original one: it is always changed first, so
/// that leaving out all is refused, too.
fn refuse_leaving_out(
    credential: &Credential,
    snapshot: &Snapshot,
    left_out: &[DeviceId],
) -> Result<(), RotationError> {
    for id in left_out {
        let Some(device) = snapshot.devices.iter().find(|device| device.id == *id) else {
            return Err(RotationError::NotItsDevice { device: id.to_string() });
        };
        if device.id == credential.original_device {
            return Err(RotationError::OriginalLeftOut { device: device.name.clone() });
        }
    }
    Ok(())
}

/// What stands in the journal of the devices that are left out, from the beginning.
fn left_out(snapshot: &Snapshot, left_out: &[DeviceId], now: Timestamp) -> Vec<DeviceRecord> {
    let devices = snapshot.devices.iter().enumerate().filter(|(_, device)| left_out.contains(&device.id));
    let record = |(position, device): (usize, &SnapshotDevice)| DeviceRecord {
        device: device.id,
        position,
        state: DeviceState::Unchanged,
        standing: Standing::LeftOut,
        stage: None,
        cause: Some(Report::of(&RotationError::LeftOut { device: device.name.clone() })),
        accepts: Vec::new(),
        at: now,
    };
    devices.map(record).collect()
}
