//! Performs what [`decide`](super::decide) answers, and notes what came of it.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use tokio::{
    sync::{Mutex, mpsc::UnboundedSender, watch},
    task::JoinSet,
};

use super::{
    RotationError, Stage, Work,
    decide::{self, DeviceFacts, Direction, Facts, Next, Outcome, Phases, Standing, Task, Trouble},
    device::{DeviceRun, Failure},
    event::{DeviceEnd, Event, StageState, What},
};
use crate::{
    audit::{self, Action},
    catalogue::{DeviceId, key_version},
    error::{Error, Report},
    journal::{self, Change, ChangeId, ChangeState, DeviceRecord, DeviceState, Effect, EffectResult, Kind},
};

/// What a caller gives a change to tell its events to, and to be stopped by.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Gets every event.
    pub events: UnboundedSender<Event>,
    /// Turns true when a person asks to stop: the device in hand is finished, then the change is left resumable.
    pub stop: watch::Receiver<bool>,
}

/// How a change ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The change.
    pub change: ChangeId,
    /// How.
    pub outcome: Outcome,
    /// Every device's end.
    pub devices: Vec<DeviceEnd>,
}

/// Runs a change to its end.
pub(super) struct Driver {
    work: Arc<Work>,
    change: Change,
    facts: Facts,
    devices: Vec<Arc<Mutex<DeviceRun>>>,
    stop: Option<watch::Receiver<bool>>,
    started: Instant,
}

type Done = (Task, DeviceFacts, Result<(), Error>);

impl Driver {
    /// Sets a change up; devices that were given up, by taking them off the credential, are no longer worked on.
    pub(super) fn new(
        work: Arc<Work>,
        change: Change,
        given_up: &[DeviceId],
        stop: Option<watch::Receiver<bool>>,
    ) -> Self {
        let phases = match change.kind {
            Kind::Rotate | Kind::Undo => Phases::Both,
            Kind::Install => Phases::AddOnly,
            Kind::Uninstall => Phases::RemoveOnly,
        };
        let fresh = DeviceFacts { standing: Standing::Waiting, checked: false, trouble: None, busy: false };
        let snapshots = change.snapshot.devices.iter().cloned().enumerate();
        let snapshots = snapshots.filter(|(_, device)| !given_up.contains(&device.id));
        let devices: Vec<_> = snapshots
            .map(|(position, snapshot)| Arc::new(Mutex::new(DeviceRun::new(Arc::clone(&work), snapshot, position))))
            .collect();
        let facts = Facts {
            strategy: change.strategy,
            on_failure: change.on_failure,
            direction: change.direction,
            phases,
            at_once: change.at_once,
            stored: change.stored.is_some() || work.kind != Kind::Rotate,
            past_no_return: change.no_return.is_some(),
            stop: false,
            devices: vec![fresh; devices.len()],
        };
        Self { work, change, facts, devices, stop, started: Instant::now() }
    }

    /// Takes up what the journal says of each device.
    ///
    /// A device that had got through is left as it is. One that was proven is proven anew, since what another process saw
    /// says nothing about now.
    pub(super) async fn take_up(&mut self) -> Result<(), Error> {
        let id = self.change.id;
        let records = self.work.journal(move |connection| journal::device::list(connection, id)).await?;
        for (facts, device) in self.facts.devices.iter_mut().zip(&self.devices) {
            let mut device = device.lock().await;
            let Some(record) = records.iter().find(|record| record.device == device.snapshot.id) else { continue };
            let standing = match record.standing {
                Standing::Checked | Standing::Back if self.change.direction == Direction::Forward => Standing::Waiting,
                Standing::Proven if !self.facts.past_no_return => Standing::Touched,
                standing => standing,
            };
            facts.standing = standing;
            device.standing = standing;
            device.accepts = record.accepts.clone();
            device.state = record.state;
            if standing == Standing::LeftOut {
                device.cause = record.cause.clone();
                device.failed_at = record.stage.filter(|_| record.cause.is_some());
            }
        }
        Ok(())
    }

    /// Performs the change.
    ///
    /// # Errors
    ///
    /// The journal, the keyring or the disk failed. [`RotationError::Interrupted`] where the change can be resumed; else it
    /// has ended `failed`, with nothing written.
    pub(super) async fn run(mut self) -> Result<Finished, Error> {
        let ended = self.perform().await;
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(error) => {
                let report = Report::of(&error);
                let touched = self.facts.devices.iter().any(|device| device.standing.is_touched());
                let outcome = if touched || self.facts.past_no_return { Outcome::Interrupted } else { Outcome::Failed };
                // The journal may be what failed; then the next start finds the change running without a lock.
                let outcome = match self.end(outcome, Some(report)).await {
                    Ok(()) => outcome,
                    Err(_) => Outcome::Interrupted,
                };
                self.end_devices(outcome).await;
                self.finish(outcome).await;
                return Err(if outcome == Outcome::Failed { error } else { self.interrupted(error) });
            }
        };
        if let Err(error) = self.end(outcome, None).await {
            return Err(self.interrupted(error));
        }
        Ok(self.finish(outcome).await)
    }

    fn interrupted(&self, source: Error) -> Error {
        RotationError::Interrupted { id: self.change.id, source: Box::new(source) }.into()
    }

    async fn perform(&mut self) -> Result<Outcome, Error> {
        let mut running: JoinSet<Done> = JoinSet::new();
        loop {
            self.facts.stop = self.stop.as_ref().is_some_and(|stop| *stop.borrow());
            match decide::next(&self.facts) {
                Next::Start(tasks) => {
                    for task in tasks {
                        self.start(task, &mut running);
                    }
                }
                Next::Wait => {
                    let Some(done) = running.join_next().await else { continue };
                    let (task, facts, result) = match done {
                        Ok(done) => done,
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        Err(_) => return Ok(Outcome::Interrupted),
                    };
                    if let Some(slot) = self.facts.devices.get_mut(task.device()) {
                        *slot = facts;
                    }
                    result?;
                }
                Next::Store => self.store().await?,
                Next::PassNoReturn => self.pass_no_return().await?,
                Next::TurnBack => self.turn_back().await?,
                Next::End(outcome) => return Ok(outcome),
            }
        }
    }

    fn start(&mut self, task: Task, running: &mut JoinSet<Done>) {
        let index = task.device();
        let (Some(facts), Some(device)) = (self.facts.devices.get_mut(index), self.devices.get(index)) else {
            return;
        };
        facts.busy = true;
        let (device, facts, work) = (Arc::clone(device), *facts, Arc::clone(&self.work));
        running.spawn(async move {
            let (facts, result) = perform_task(&work, &device, task, facts).await;
            (task, DeviceFacts { busy: false, ..facts }, result)
        });
    }

    /// Stores the new key: the intent is written down first, the key read back and compared, the result written down.
    async fn store(&mut self) -> Result<(), Error> {
        let work = Arc::clone(&self.work);
        let Some(new) = &work.new else {
            self.facts.stored = true;
            return Ok(());
        };
        let item = work.keywheel.item_name(work.credential, new.version, new.fingerprint());
        let effect = Effect::Candidate { item: item.to_string(), public_key: new.public.to_openssh() };
        let intent = work.intend(None, Direction::Forward, effect, Vec::new()).await?;
        let (credential, version, public, now) = (work.credential, new.version, new.public.clone(), work.now());
        let name = item.clone();
        work.write(move |transaction| {
            Ok(key_version::insert_candidate(transaction, credential, version, &public, &name, now)?)
        })
        .await?;
        let made = Action::new("key-generate", "credential", work.credential_name.clone()).with(json!({
            "version": new.version,
            "fingerprint": new.fingerprint(),
            "change": work.change.map(|(id, _)| id.0),
        }));
        let secret = new.private.to_secret_bytes();
        if let Err(error) = work.keywheel.vault().store(&item, &secret).await {
            let cause = Report::of(&error);
            work.keywheel.record(made, Some(&error)).await;
            work.conclude(intent, EffectResult::Failed { cause }).await?;
            return Err(error.into());
        }
        let (change, now) = (work.change, work.now());
        let made = made.entry(now, work.keywheel.actor(), None);
        work.write(move |transaction| {
            if let Some(intent) = intent {
                journal::effect::conclude(transaction, intent, &EffectResult::Done, now)?;
            }
            if let Some((id, epoch)) = change {
                journal::change::set_stored(transaction, id, epoch, now)?;
            }
            Ok(audit::append(transaction, &made)?)
        })
        .await?;
        self.facts.stored = true;
        Ok(())
    }

    /// The new version becomes the current one, in one transaction with the point of no return.
    async fn pass_no_return(&mut self) -> Result<(), Error> {
        let work = Arc::clone(&self.work);
        let (Some(new), Some((id, epoch))) = (&work.new, work.change) else {
            self.facts.past_no_return = true;
            return Ok(());
        };
        let (credential, version, now) = (work.credential, new.version, work.now());
        work.write(move |transaction| {
            key_version::make_current(transaction, credential, version, now)?;
            Ok(journal::change::set_no_return(transaction, id, epoch, Some(now))?)
        })
        .await?;
        self.facts.past_no_return = true;
        Ok(())
    }

    async fn turn_back(&mut self) -> Result<(), Error> {
        if let Some((id, epoch)) = self.work.change {
            self.work
                .write(move |transaction| Ok(journal::change::set_direction(transaction, id, epoch, Direction::Back)?))
                .await?;
        }
        self.facts.direction = Direction::Back;
        Ok(())
    }

    /// Writes the end down, with the states of the devices and of the versions that belong to it: a process that dies here
    /// must not leave an ended change with a device that waits.
    async fn end(&mut self, outcome: Outcome, error: Option<Report>) -> Result<(), Error> {
        let work = Arc::clone(&self.work);
        let Some((id, epoch)) = work.change else { return Ok(()) };
        let records = self.end_devices(outcome).await;
        let state = match outcome {
            Outcome::Changed => ChangeState::Changed,
            Outcome::PartlyChanged => ChangeState::PartlyChanged,
            Outcome::RolledBack => ChangeState::RolledBack,
            Outcome::Failed => ChangeState::Failed,
            Outcome::Interrupted => ChangeState::Interrupted,
        };
        let credential = work.credential;
        let (from, to) = (self.change.from_version, self.change.to_version);
        let goes_back = matches!(outcome, Outcome::RolledBack) && matches!(work.kind, Kind::Rotate | Kind::Undo);
        let (was_current, now) = (self.facts.past_no_return, work.now());
        let candidate = work.kind == Kind::Rotate && !was_current;
        let failed = outcome == Outcome::Failed;
        let stopped = self.facts.stop;
        work.write(move |transaction| {
            if goes_back {
                if was_current && let Some(from) = from {
                    key_version::make_current(transaction, credential, from, now)?;
                    journal::change::set_no_return(transaction, id, epoch, None)?;
                }
                if let Some(to) = to {
                    key_version::retire(transaction, credential, to, now)?;
                }
            } else if failed
                && candidate
                && let Some(to) = to
            {
                // Its item may be in the keyring, though no device was touched; so it stays known.
                key_version::retire(transaction, credential, to, now)?;
            }
            journal::change::end(transaction, id, epoch, state, error.as_ref(), now)?;
            if stopped && state == ChangeState::Interrupted {
                journal::change::set_stopped(transaction, id, epoch)?;
            }
            for record in &records {
                journal::device::update(transaction, id, record)?;
            }
            Ok(())
        })
        .await
    }

    /// Gives each device the state that people see when nothing more is done.
    async fn end_devices(&self, outcome: Outcome) -> Vec<DeviceRecord> {
        let mut records = Vec::new();
        for (device, facts) in self.devices.iter().zip(&self.facts.devices) {
            let mut device = device.lock().await;
            // A task that was broken off has not told its facts.
            let facts = DeviceFacts { standing: device.standing, ..*facts };
            device.state = end_state(&device, &facts, outcome, self.facts.phases);
            records.push(device.record(device.failed_at));
        }
        records
    }

    /// Tells the end, with what each device came to.
    async fn finish(&self, outcome: Outcome) -> Finished {
        let mut devices = Vec::new();
        for device in &self.devices {
            let mut device = device.lock().await;
            device.close().await;
            devices.push(DeviceEnd {
                device: device.name().to_owned(),
                state: device.state,
                accepts: device.accepts.clone(),
                error: device.cause.clone().filter(|_| device.state != DeviceState::Changed),
            });
        }
        let seconds = self.started.elapsed().as_secs_f64();
        self.work.tell(What::Finished { outcome, devices: devices.clone(), seconds });
        Finished { change: self.change.id, outcome, devices }
    }
}

/// What people see of a device when nothing more is done.
fn end_state(device: &DeviceRun, facts: &DeviceFacts, outcome: Outcome, phases: Phases) -> DeviceState {
    match facts.standing {
        Standing::Changed => DeviceState::Changed,
        Standing::Back => DeviceState::RolledBack,
        Standing::Proven if phases == Phases::AddOnly && outcome == Outcome::Changed => DeviceState::Changed,
        Standing::LeftOut => DeviceState::Unchanged,
        Standing::Waiting | Standing::Checked if outcome == Outcome::Interrupted => DeviceState::Waiting,
        // What failed before anything was written there is on the old key all the same; its cause stands beside it.
        Standing::Waiting | Standing::Checked => DeviceState::Unchanged,
        Standing::Proven => DeviceState::Proven,
        Standing::Touched | Standing::Removing => match device.state {
            DeviceState::Running | DeviceState::Waiting => DeviceState::NotProven,
            state => state,
        },
    }
}

async fn perform_task(
    work: &Work,
    device: &Mutex<DeviceRun>,
    task: Task,
    facts: DeviceFacts,
) -> (DeviceFacts, Result<(), Error>) {
    let mut device = device.lock().await;
    let mut facts = facts;
    let result = match task {
        Task::Check(_) => device.check().await,
        Task::Add(_) => device.add().await,
        Task::Remove(_) => device.remove().await,
        Task::TakeBack(_) => device.take_back().await,
    };
    facts.standing = device.standing;
    let failure = match result {
        Ok(()) => {
            facts.checked = true;
            if let Task::TakeBack(_) = task {
                work.tell(What::RolledBack { device: device.name().to_owned(), state: StageState::Done });
            } else {
                facts.trouble = None;
                device.cause = None;
                device.failed_at = None;
            }
            return (facts, Ok(()));
        }
        Err(failure) => failure,
    };
    let stage = match task {
        Task::Check(_) => Stage::Check,
        Task::Add(_) => Stage::Add,
        Task::Remove(_) => Stage::Remove,
        Task::TakeBack(_) => Stage::Refuse,
    };
    if let Task::TakeBack(_) = task {
        let state = match failure {
            Failure::NotProven(_) => StageState::Unknown,
            _ => StageState::Failed,
        };
        work.tell(What::RolledBack { device: device.name().to_owned(), state });
    }
    match device.note_failure(stage, failure).await {
        Ok(trouble) => {
            facts.trouble = Some(if let Task::TakeBack(_) = task { Trouble::Stuck } else { trouble });
            if let (Task::Add(_) | Task::Remove(_), Some(cause)) = (task, device.cause.clone()) {
                work.audit_failure(stage, device.name(), &cause).await;
            }
            (facts, Ok(()))
        }
        Err(error) => (facts, Err(error)),
    }
}
