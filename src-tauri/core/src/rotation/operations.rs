//! What the shells ask for: check, rotate, install, uninstall, resume, roll back, retry, undo.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet, time::sleep};

use super::{
    Driver, Finding, Finished, RotationError, Watch, Work,
    decide::{Direction, Outcome, Standing},
    device::DeviceRun,
    event::{Event, What},
    plan::{WorkPlan, algorithm_like, jump_credentials},
    work::VersionKey,
};
use crate::{
    audit::{self, Action},
    authorized_keys,
    catalogue::{Credential, CredentialId, OnFailure, Strategy, key_version},
    error::{Error, Explain, Report},
    journal::{self, Begin, Change, ChangeId, ChangeState, JournalError, Kind, Snapshot},
    key::Algorithm,
    keywheel::Keywheel,
    lock::{CredentialLock, LockError, Sharing},
};

/// How many devices are looked at at once by a mere check.
const CHECKS_AT_ONCE: usize = 8;

/// A key change to begin.
#[derive(Debug, Clone, Default)]
pub struct Rotate {
    /// The credential's name.
    pub credential: String,
    /// The credential to authenticate with; none: as the credential says.
    pub auth_with: Option<String>,
    /// The new key's algorithm; none: as the current key's.
    pub algorithm: Option<Algorithm>,
    /// The strategy; none: two-phase.
    pub strategy: Option<Strategy>,
    /// What a failing device leads to; none: roll back.
    pub on_failure: Option<OnFailure>,
    /// How many devices' files may be written at once; none: one.
    pub at_once: Option<usize>,
}

/// An installation to begin.
#[derive(Debug, Clone, Default)]
pub struct Install {
    /// The credential's name.
    pub credential: String,
    /// The credential to authenticate with.
    pub auth_with: String,
    /// Options for the line, byte for byte.
    pub options: Option<String>,
}

/// A removal of a credential's key from devices.
#[derive(Debug, Clone, Default)]
pub struct Uninstall {
    /// The credential's name.
    pub credential: String,
    /// The devices, by name or number; none: all.
    pub devices: Vec<String>,
}

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

    /// Looks at every device of a credential as it would be entered, and changes nothing.
    ///
    /// # Errors
    ///
    /// The credential or the vault can't be used. What is wrong on a device is in its finding.
    pub async fn check(&self, credential: &str, auth_with: Option<&str>) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-check", "credential", credential);
        let findings = self.look(credential, auth_with, None, None).await;
        self.audited(action, &findings).await;
        Ok(findings?.into_iter().map(|(finding, _)| finding).collect())
    }

    /// Checks every device and tells, by events, what a change would write; changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::check`].
    pub async fn plan(&self, request: &Rotate, events: &UnboundedSender<Event>) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-dry-run", "credential", &request.credential);
        let auth_with = request.auth_with.as_deref();
        let findings = self.look(&request.credential, auth_with, Some(request.algorithm), Some(events.clone())).await;
        self.audited(action, &findings).await;
        let findings = findings?;
        for (finding, plans) in &findings {
            for (file, diff) in plans {
                let what = What::Plan { device: finding.device.clone(), file: file.clone(), diff: diff.clone() };
                let _ = events.send(Event { change: 0, at: crate::clock::rfc3339(self.now()), what });
            }
        }
        Ok(findings.into_iter().map(|(finding, _)| finding).collect())
    }

    /// Looks at the devices with a key of the algorithm that a change would make; for a mere check, with the one that is
    /// made fastest.
    async fn look(
        &self,
        credential: &str,
        auth_with: Option<&str>,
        algorithm: Option<Option<Algorithm>>,
        events: Option<UnboundedSender<Event>>,
    ) -> Result<Vec<(Finding, Vec<(String, String)>)>, Error> {
        let credential = self.key_credential(credential).await?;
        let auth = self.authenticating(&credential, auth_with).await?;
        let snapshot = self.snapshot(&credential, auth.as_ref(), None, None).await?;
        self.vault().check().await?;
        let old = self.current(&credential).await?;
        // The key that a change would make; it is never stored, and only the plan of each file is made with it.
        let public = old.public.clone();
        let algorithm = match algorithm {
            None => Algorithm::Ed25519,
            Some(None) => algorithm_like(public.algorithm()),
            Some(Some(asked)) => asked,
        };
        let throwaway = self.generate(algorithm, public.comment().to_owned()).await?;
        let new = VersionKey { version: 0, public: throwaway.public_key().clone(), private: Arc::new(throwaway) };
        let work = self
            .work(WorkPlan {
                change: None,
                kind: Kind::Rotate,
                credential: &credential,
                snapshot: &snapshot,
                old: Some(old),
                new: Some(new),
                events,
                resumed: false,
            })
            .await?;
        let work = Arc::new(work);
        let twins = twins(&snapshot.devices);
        let mut waiting = snapshot.devices.into_iter().enumerate();
        let mut running = JoinSet::new();
        let mut findings = Vec::new();
        loop {
            while running.len() < CHECKS_AT_ONCE {
                let Some((position, device)) = waiting.next() else { break };
                let work = Arc::clone(&work);
                running.spawn(async move { (position, look_at(work, device, position).await) });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((position, finding))) => findings.push((position, finding?)),
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        for (position, (finding, _)) in &mut findings {
            if let Some((_, twin)) = twins.iter().find(|(at, _)| at == position) {
                finding.warnings.push(Report {
                    code: "same-device".into(),
                    message: format!("\"{}\" has the same address and port as \"{twin}\".", finding.device),
                    hint: "Both are one device for the change; take one of them off the credential.".into(),
                    subject: Some(finding.device.clone()),
                });
            }
        }
        findings.sort_by_key(|(position, _)| *position);
        Ok(findings.into_iter().map(|(_, finding)| finding).collect())
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
        let done = self.rotate_now(request, watch).await;
        self.audited_end(action, &done).await;
        done
    }

    async fn rotate_now(&self, request: &Rotate, watch: Watch) -> Result<Finished, Error> {
        if request.strategy == Some(Strategy::Emergency) {
            return Err(RotationError::NoEmergency.into());
        }
        let credential = self.key_credential(&request.credential).await?;
        let auth = self.authenticating(&credential, request.auth_with.as_deref()).await?;
        let snapshot = self.snapshot(&credential, auth.as_ref(), None, None).await?;
        let _locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        self.vault().check().await?;
        let old = self.current(&credential).await?;
        let algorithm = request.algorithm.unwrap_or_else(|| algorithm_like(old.public.algorithm()));
        let made = self.generate(algorithm, old.public.comment().to_owned()).await?;
        let id = credential.id;
        let version = self.read(move |connection| key_version::next_number(connection, id)).await?;
        let new = VersionKey { version, public: made.public_key().clone(), private: Arc::new(made) };
        let begin = Begun {
            kind: Kind::Rotate,
            strategy: request.strategy.unwrap_or(Strategy::TwoPhase),
            on_failure: request.on_failure.unwrap_or(OnFailure::RollBack),
            at_once: request.at_once.unwrap_or(1),
        };
        self.begin_and_run(&credential, snapshot, begin, Some(old), Some(new), watch).await
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
        let auth = self.authenticating(&credential, Some(&request.auth_with)).await?;
        let snapshot = self.snapshot(&credential, auth.as_ref(), None, request.options.as_deref()).await?;
        let _locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        self.vault().check().await?;
        let new = self.current(&credential).await?;
        let begin =
            Begun { kind: Kind::Install, strategy: Strategy::TwoPhase, on_failure: OnFailure::RollBack, at_once: 1 };
        self.begin_and_run(&credential, snapshot, begin, None, Some(new), watch).await
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
        let auth = self.authenticating(&credential, None).await?;
        let snapshot = self.snapshot(&credential, auth.as_ref(), chosen.as_deref(), None).await?;
        let _locks = self.locks(&credential, &snapshot)?;
        self.refuse_open_change(&credential).await?;
        self.vault().check().await?;
        let old = self.current(&credential).await?;
        let begin =
            Begun { kind: Kind::Uninstall, strategy: Strategy::TwoPhase, on_failure: OnFailure::Continue, at_once: 1 };
        self.begin_and_run(&credential, snapshot, begin, Some(old), None, watch).await
    }

    /// Goes on with a change that was broken off.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`]; [`JournalError::StateForbids`].
    pub async fn resume(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::Interrupted);
        self.again(id, "change-resume", "resumed", allowed, None, watch).await
    }

    /// Goes on with the devices of a change that did not get through, with the same new key.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::resume`].
    pub async fn retry(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::PartlyChanged);
        self.again(id, "change-retry", "retried", allowed, Some(Direction::Forward), watch).await
    }

    /// Puts every device of a change back on the old key.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::resume`].
    pub async fn roll_back(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::Interrupted | ChangeState::PartlyChanged);
        self.again(id, "change-roll-back", "rolled back", allowed, Some(Direction::Back), watch).await
    }

    async fn again(
        &self,
        id: ChangeId,
        action: &'static str,
        participle: &'static str,
        allowed: impl Fn(ChangeState) -> bool + Send,
        direction: Option<Direction>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let done = self.again_now(id, participle, allowed, direction, watch).await;
        self.audited_end(Action::new(action, "change", id.to_string()), &done).await;
        done
    }

    async fn again_now(
        &self,
        id: ChangeId,
        participle: &'static str,
        allowed: impl Fn(ChangeState) -> bool + Send,
        direction: Option<Direction>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let change = self.find_change(id).await?;
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        // Whoever held the lock is gone; only now its state is certain.
        let change = self.find_change(id).await?;
        let state = if change.state == ChangeState::Running { ChangeState::Interrupted } else { change.state };
        if !allowed(state) {
            return Err(JournalError::StateForbids { id, state, action: participle }.into());
        }
        let back = direction == Some(Direction::Back);
        if back && change.kind == Kind::Uninstall && change.snapshot.auth_with.is_none() {
            // Going back would fail where the key is off, and bar the way forward.
            let devices = self.database().run_read(move |connection| journal::device::list(connection, id)).await?;
            if devices.iter().any(|device| device.standing == Standing::Changed) {
                return Err(RotationError::NoWayBack { id }.into());
            }
        }
        self.vault().check().await?;
        self.wait_for_late_writes(&change).await?;
        let old = match change.from_version {
            Some(version) => Some(self.version_key(&credential, version).await?),
            None => None,
        };
        let new = self.candidate(&change, &credential).await?;
        let stored = new.is_some() || change.to_version.is_none();
        let direction = match direction {
            // A new key that never reached the keyring is on no device either.
            _ if !stored => Direction::Back,
            Some(direction) => direction,
            None => change.direction,
        };
        let now = self.now();
        let epoch = self
            .database()
            .run_write(move |transaction| -> Result<u32, JournalError> {
                let epoch = journal::change::take_up(transaction, id, direction)?;
                if stored {
                    journal::change::set_stored(transaction, id, epoch, now)?;
                }
                Ok(epoch)
            })
            .await?;
        let change = self.find_change(id).await?;
        let snapshot = change.snapshot.clone();
        let work = self
            .work(WorkPlan {
                change: Some((id, epoch)),
                kind: change.kind,
                credential: &credential,
                snapshot: &snapshot,
                old,
                new,
                events: Some(watch.events.clone()),
                resumed: true,
            })
            .await?;
        let work = Arc::new(work);
        self.tell_started(&work, &change);
        let mut driver = Driver::new(work, change, Some(watch.stop));
        driver.take_up().await?;
        driver.run().await
    }

    /// The key that a change leads to, if it reached the keyring: by its name in the journal, not by what was noted last.
    async fn candidate(&self, change: &Change, credential: &Credential) -> Result<Option<VersionKey>, Error> {
        let Some(version) = change.to_version else { return Ok(None) };
        let Some(known) = credential.key_version(version) else { return Ok(None) };
        if change.stored.is_none() && change.kind == Kind::Rotate && self.vault().read(&known.item).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.version_key(credential, version).await?))
    }

    /// Waits until no program of a dead connection can still write.
    async fn wait_for_late_writes(&self, change: &Change) -> Result<(), Error> {
        let id = change.id;
        let last =
            self.database().run_read(move |connection| journal::effect::unanswered_write(connection, id, None)).await?;
        let Some(last) = last else { return Ok(()) };
        let limit = self.settings().await?.stage_timeout;
        let since = self.now().duration_since(last);
        // A clock that was set back says nothing; then the whole time is waited.
        let since = Duration::try_from(since).unwrap_or(Duration::ZERO);
        sleep(limit.saturating_sub(since)).await;
        Ok(())
    }

    /// Changes the key back to the version before the credential's newest change.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`]; [`RotationError::NoUndo`].
    pub async fn undo(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let done = self.undo_now(id, watch).await;
        self.audited_end(Action::new("change-undo", "change", id.to_string()), &done).await;
        done
    }

    async fn undo_now(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let change = self.find_change(id).await?;
        let forbidden = |reason| RotationError::NoUndo { id, reason };
        if change.state != ChangeState::Changed || !matches!(change.kind, Kind::Rotate | Kind::Undo) {
            return Err(forbidden("it is no key change that has ended with every device changed").into());
        }
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        let of = change.credential;
        let newest = self
            .database()
            .run_read(move |connection| journal::change::list_of(connection, of))
            .await?
            .into_iter()
            .find(|other| {
                // What ended with every device as before does not stand.
                let stands =
                    !matches!(other.state, ChangeState::Failed | ChangeState::RolledBack | ChangeState::Cancelled);
                stands && matches!(other.kind, Kind::Rotate | Kind::Undo)
            });
        if newest.is_some_and(|newest| newest.id != id) {
            return Err(forbidden("a newer change stands").into());
        }
        self.refuse_open_change(&credential).await?;
        let (Some(from), Some(to)) = (change.from_version, change.to_version) else {
            return Err(forbidden("it has no version before").into());
        };
        let days = self.settings().await?.days_of_undo;
        let ended = change.ended.unwrap_or(change.started);
        let limit = jiff::SignedDuration::from_hours(24 * i64::from(days));
        if days == 0 || self.now().duration_since(ended) > limit {
            return Err(forbidden("its days of undo are over").into());
        }
        self.vault().check().await?;
        let new = self.version_key(&credential, from).await?;
        let old = self.version_key(&credential, to).await?;
        let auth = match change.snapshot.auth_with {
            Some(id) => Some(self.credential(id).await?),
            None => None,
        };
        let snapshot = self.snapshot(&credential, auth.as_ref(), None, None).await?;
        let begin = Begun {
            kind: Kind::Undo,
            strategy: change.strategy,
            on_failure: change.on_failure,
            at_once: change.at_once,
        };
        self.begin_and_run(&credential, snapshot, begin, Some(old), Some(new), watch).await
    }

    async fn begin_and_run(
        &self,
        credential: &Credential,
        snapshot: Snapshot,
        begin: Begun,
        old: Option<VersionKey>,
        new: Option<VersionKey>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let (from, to) = (old.as_ref().map(|old| old.version), new.as_ref().map(|new| new.version));
        let (of, actor, now, taken) = (credential.id, self.actor().clone(), self.now(), snapshot.clone());
        let name = credential.name.clone();
        let id = self
            .database()
            .run_write(move |transaction| -> Result<ChangeId, Error> {
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
                        requested_by: actor.as_str(),
                        now,
                    },
                )?;
                let devices: Vec<&str> = taken.devices.iter().map(|device| device.name.as_str()).collect();
                let action = Action::new("change-begin", "credential", name)
                    .with(json!({ "change": id.0, "kind": begin.kind.as_str(), "devices": devices }));
                audit::append(transaction, &action.entry(now, &actor, None))?;
                Ok(id)
            })
            .await?;
        let work = self
            .work(WorkPlan {
                change: Some((id, 1)),
                kind: begin.kind,
                credential,
                snapshot: &snapshot,
                old,
                new,
                events: Some(watch.events.clone()),
                resumed: false,
            })
            .await;
        let change = self.find_change(id).await?;
        let work = match work {
            Ok(work) => Arc::new(work),
            Err(error) => {
                self.give_up(id, &error).await?;
                return Err(error);
            }
        };
        self.tell_started(&work, &change);
        Driver::new(work, change, Some(watch.stop)).run().await
    }

    /// Ends a change that could not even be set up.
    async fn give_up(&self, id: ChangeId, error: &Error) -> Result<(), Error> {
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
    }
}

/// How a change is to be done.
#[derive(Debug, Clone, Copy)]
struct Begun {
    kind: Kind,
    strategy: Strategy,
    on_failure: OnFailure,
    at_once: usize,
}

/// The devices that are reached just as an earlier one is, by their places, with that one's name.
fn twins(devices: &[journal::SnapshotDevice]) -> Vec<(usize, String)> {
    let same = |one: &journal::SnapshotDevice, other: &journal::SnapshotDevice| {
        one.port == other.port && one.address.eq_ignore_ascii_case(&other.address) && one.jump == other.jump
    };
    let pairs = devices.iter().enumerate().filter_map(|(position, device)| {
        let earlier = devices.iter().take(position).find(|earlier| same(earlier, device))?;
        Some((position, earlier.name.clone()))
    });
    pairs.collect()
}

async fn look_at(
    work: Arc<Work>,
    device: journal::SnapshotDevice,
    position: usize,
) -> Result<(Finding, Vec<(String, String)>), Error> {
    let mut run = DeviceRun::new(work, device, position);
    if let Err(failure) = run.check().await {
        run.note_failure(super::Stage::Check, failure).await?;
    }
    let plans = run.found.iter().flat_map(|found| &found.targets);
    let plans = plans.map(|target| (target.path.clone(), authorized_keys::diff(&target.plan, &target.path))).collect();
    let finding = run.finding();
    run.close().await;
    Ok((finding, plans))
}
