//! The changes that this process runs, and what they have told so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use keywheel_core::Error;
use keywheel_core::error::Report;
use keywheel_core::journal::{ChangeId, Kind};
use keywheel_core::rotation::decide::Outcome;
use keywheel_core::rotation::event::{Event, StageState, What};
use keywheel_core::rotation::{Finished, Stage, Watch};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use super::lock;
use crate::error::{DeskError, report};

/// Of how many changes that have ended the events are kept.
const ENDED_AT_MOST: usize = 16;

/// What those outside the window are told of a change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happened {
    /// It told something.
    Told(Event),
    /// It ended.
    Ended {
        /// The credential's name.
        credential: String,
        /// How; none where it was broken off without a word about it.
        outcome: Option<Outcome>,
    },
    /// What was due has not begun; whoever lists changes asks again.
    NotBegun,
    /// What is due waits for the keyring from now on.
    Waits,
    /// It waits no longer.
    WaitsNoLonger,
}

/// A change as the tray tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The change.
    pub(crate) change: ChangeId,
    /// The credential's name.
    pub(crate) credential: String,
    /// How many devices are done.
    pub(crate) done: usize,
    /// How many there are.
    pub(crate) devices: usize,
}

struct Run {
    credential: String,
    kind: Kind,
    devices: usize,
    done: BTreeSet<String>,
    events: Vec<Event>,
    /// How it told that it ended; an operation that fails answers only why.
    outcome: Option<Outcome>,
    /// None once it has ended.
    stop: Option<watch::Sender<bool>>,
}

/// The changes of this process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Running {
    runs: Arc<Mutex<Runs>>,
    outside: UnboundedSender<Happened>,
    /// How many run or are being begun; those who wait for the end watch it.
    count: Arc<watch::Sender<usize>>,
    /// Whether something is due that waits for the keyring.
    waits: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Runs {
    known: BTreeMap<ChangeId, Run>,
    /// Whether the program ends, so that what begins only now stops at once.
    ending: bool,
}

impl Running {
    /// Nothing runs yet. What happens is told to the receiver, too.
    pub(crate) fn new() -> (Self, UnboundedReceiver<Happened>) {
        let (outside, happened) = unbounded_channel();
        let (count, waits) = (Arc::new(watch::channel(0).0), Arc::new(watch::channel(false).0));
        let running = Self { runs: Arc::default(), outside, count, waits };
        (running, happened)
    }

    /// Starts an operation of the core and answers the change's ID as soon as it is begun; the operation goes on by itself.
    ///
    /// # Errors
    /// It could not be begun.
    pub(crate) async fn begin<F>(&self, operation: impl FnOnce(Watch) -> F) -> Result<ChangeId, Report>
    where
        F: Future<Output = Result<Finished, Error>> + Send + 'static,
    {
        let (events, heard) = unbounded_channel();
        let (stop, asked) = watch::channel(false);
        let (tell_begun, begun) = oneshot::channel();
        let operation = operation(Watch { events, stop: asked });
        // From here on the program does not end without asking, though it may take seconds until there is an ID.
        self.count.send_modify(|count| *count += 1);
        tokio::spawn(self.clone().follow(operation, heard, stop, tell_begun));
        match begun.await {
            Ok(begun) => begun,
            Err(_) => Err(report(DeskError::Broken)),
        }
    }

    async fn follow<F>(
        self,
        operation: F,
        mut heard: UnboundedReceiver<Event>,
        stop: watch::Sender<bool>,
        tell_begun: oneshot::Sender<Result<ChangeId, Report>>,
    ) where
        F: Future<Output = Result<Finished, Error>> + Send + 'static,
    {
        // A task of its own, so that a panic in it is found here and does not leave a change that seems to run for ever.
        let mut operation = tokio::spawn(operation);
        let mut begun = Begun { stop: Some(stop), tell: Some(tell_begun), change: None };
        let done = loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => self.hear(event, &mut begun),
                done = &mut operation => break done,
            }
        };
        while let Ok(event) = heard.try_recv() {
            self.hear(event, &mut begun);
        }
        let (outcome, told) = match done {
            Ok(Ok(finished)) => (Some(finished.outcome), Ok(finished.change)),
            Ok(Err(error)) => (None, Err(report(error))),
            Err(_) => (None, Err(report(DeskError::Broken))),
        };
        if let Some(change) = begun.change {
            self.end(change, outcome);
        }
        self.count.send_modify(|count| *count = count.saturating_sub(1));
        if let Some(tell) = begun.tell {
            let _ = tell.send(told);
        }
    }

    fn hear(&self, event: Event, begun: &mut Begun) {
        let id = ChangeId(event.change);
        {
            let mut runs = lock(&self.runs);
            if let What::Started { credential, devices, kind, .. } = &event.what
                && let Some(stop) = begun.stop.take()
            {
                if runs.ending {
                    let _ = stop.send(true);
                }
                // A change that is resumed or retried goes on with its earlier events.
                let events = runs.known.remove(&id).map(|before| before.events).unwrap_or_default();
                let (credential, kind, devices) = (credential.clone(), *kind, devices.len());
                let (done, outcome) = (BTreeSet::new(), None);
                runs.known.insert(id, Run { credential, kind, devices, done, events, outcome, stop: Some(stop) });
                begun.change = Some(id);
            }
            if let Some(run) = runs.known.get_mut(&id) {
                run.note(&event.what);
                run.events.push(event.clone());
            }
        }
        let _ = self.outside.send(Happened::Told(event));
        if let Some(change) = begun.change
            && let Some(tell) = begun.tell.take()
        {
            // The window may have been closed while it waited; the change goes on all the same.
            let _ = tell.send(Ok(change));
        }
    }

    fn end(&self, change: ChangeId, outcome: Option<Outcome>) {
        let ended = {
            let runs = &mut lock(&self.runs).known;
            let ended: Vec<ChangeId> = runs.iter().filter(|(_, run)| run.stop.is_none()).map(|(id, _)| *id).collect();
            for oldest in ended.iter().take((ended.len() + 1).saturating_sub(ENDED_AT_MOST)) {
                runs.remove(oldest);
            }
            let run = runs.get_mut(&change);
            run.map(|run| {
                run.stop = None;
                (run.credential.clone(), outcome.or(run.outcome))
            })
        };
        if let Some((credential, outcome)) = ended {
            let _ = self.outside.send(Happened::Ended { credential, outcome });
        }
    }

    /// Tells that a change which was due has not begun; where that is its own failure, as one that failed.
    pub(crate) fn not_begun(&self, credential: String, failed: bool) {
        let happened = match failed {
            true => Happened::Ended { credential, outcome: Some(Outcome::Failed) },
            false => Happened::NotBegun,
        };
        let _ = self.outside.send(happened);
    }

    /// Notes whether something is due that waits for the keyring; tells it when that changes, so once for each time it is locked.
    pub(crate) fn wait_for_keyring(&self, waits: bool) {
        if self.waits.send_replace(waits) != waits {
            let _ = self.outside.send(if waits { Happened::Waits } else { Happened::WaitsNoLonger });
        }
    }

    /// Whether something is due that waits for the keyring.
    pub(crate) fn waits_for_keyring(&self) -> bool {
        *self.waits.borrow()
    }

    /// Asks a change to finish the device in hand and to leave the rest for later.
    ///
    /// # Errors
    /// It does not run here.
    pub(crate) fn stop(&self, change: ChangeId) -> Result<(), DeskError> {
        let runs = lock(&self.runs);
        let stop =
            runs.known.get(&change).and_then(|run| run.stop.as_ref()).ok_or(DeskError::NotHere { id: change.0 })?;
        let _ = stop.send(true);
        Ok(())
    }

    /// Asks all changes to stop, those too that are just being begun, and waits until they have: the program ends then.
    pub(crate) async fn stop_all(&self) {
        {
            let mut runs = lock(&self.runs);
            runs.ending = true;
            for stop in runs.known.values().filter_map(|run| run.stop.as_ref()) {
                let _ = stop.send(true);
            }
        }
        let mut count = self.count.subscribe();
        // It ends with an error only when nobody could send any more, and we hold a sender.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Whether a change runs here.
    pub(crate) fn runs(&self, change: ChangeId) -> bool {
        lock(&self.runs).known.get(&change).is_some_and(|run| run.stop.is_some())
    }

    /// Whether any change runs here, or is being begun.
    pub(crate) fn any(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// How many changes run or are being begun, for those who wait for their end.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// What a change has told so far, if it ran here.
    pub(crate) fn events(&self, change: ChangeId) -> Vec<Event> {
        lock(&self.runs).known.get(&change).map(|run| run.events.clone()).unwrap_or_default()
    }

    /// The changes that run, oldest first.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        let runs = lock(&self.runs);
        let running = runs.known.iter().filter(|(_, run)| run.stop.is_some());
        running
            .map(|(id, run)| Progress {
                change: *id,
                credential: run.credential.clone(),
                done: run.done.len(),
                devices: run.devices,
            })
            .collect()
    }
}

/// What is left to be told of a change that begins.
struct Begun {
    stop: Option<watch::Sender<bool>>,
    tell: Option<oneshot::Sender<Result<ChangeId, Report>>>,
    change: Option<ChangeId>,
}

impl Run {
    /// A device is done with the last stage of what the change does.
    fn note(&mut self, what: &What) {
        let last = match self.kind {
            Kind::Install => Stage::Prove,
            Kind::Rotate | Kind::Uninstall | Kind::Undo => Stage::Refuse,
        };
        match what {
            What::Stage { device, stage, state: StageState::Done, .. } if *stage == last => {
                self.done.insert(device.clone());
            }
            What::RolledBack { device, .. } => drop(self.done.remove(device)),
            What::Finished { outcome, .. } => self.outcome = Some(*outcome),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
