//! One trial: a key change with a fault at one stage, what must hold then, and what must hold when the fault is gone.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use keywheel_core::{
    Keywheel,
    catalogue::DeviceId,
    clock::{Clock, Timestamp},
    device::Pinned,
    error::{Error, Explain as _},
    journal::{self, Change, ChangeState},
    key::PublicKey,
    rotation::{
        Finished, OnFailure, Rotate, Strategy, Watch,
        decide::{Direction, Outcome},
    },
};
use keywheel_fleet::{
    ClientKey, Desk, Embedded, Trouble,
    embedded::{Config, Edge, Fault as Wrong, KeyIs, Point},
    matrix::{Ends, Fault, Stage, Variant},
    watch,
};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinError, JoinSet},
};

use crate::{
    effect::{Effect, after_writes, writes_before},
    place::{Place, mounts},
};

/// What stands in each file besides our line: a foreign key with options, comments, and no end of the last line.
pub(crate) const FOREIGN: [&str; 2] = [
    "# theirs\ncommand=\"true\",no-pty ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other\n\n",
    "# end",
];
/// The options of our line, which the new key's line gets too.
pub(crate) const OPTIONS: &str = "no-agent-forwarding,environment=\"A=b c\" ";

/// The clock of this machine, and by how many seconds it was set back.
#[derive(Debug, Default)]
struct OffClock {
    behind: AtomicU64,
}

impl Clock for OffClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() - Duration::from_secs(self.behind.load(Ordering::SeqCst))
    }
}

/// Two devices with the key "deploy", and a change of it that a fault will hit.
pub(crate) struct Trial {
    pub(crate) stage: Stage,
    pub(crate) variant: Variant,
    pub(crate) desk: Desk,
    pub(crate) devices: Vec<Arc<Embedded>>,
    /// Which device is hit.
    pub(crate) target: usize,
    pub(crate) old: ClientKey,
    pub(crate) place: Place,
    ids: Vec<DeviceId>,
    pub(crate) shared: Arc<Shared>,
    keywheel: Mutex<Keywheel>,
}

/// What hooks reach.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    hit: AtomicBool,
    lies: AtomicBool,
    /// Whether the target is away, and comes back by itself.
    away: AtomicBool,
    running: Mutex<Option<AbortHandle>>,
    clock: Arc<OffClock>,
    /// What another writer has appended to the target's file.
    pub(crate) appended: Mutex<String>,
    /// A copy of the data directory, which the next process works on.
    copy: Mutex<Option<PathBuf>>,
}

impl Shared {
    /// Notes that the fault has hit.
    pub(crate) fn hit(&self) {
        self.hit.store(true, Ordering::SeqCst);
    }

    /// Takes a device away for a moment: nothing listens there until it is back.
    pub(crate) fn restart(self: &Arc<Self>, runtime: &tokio::runtime::Handle, device: &Arc<Embedded>) {
        self.away.store(true, Ordering::SeqCst);
        device.stop();
        let (shared, device) = (Arc::clone(self), Arc::clone(device));
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            device.restart().await.unwrap();
            shared.away.store(false, Ordering::SeqCst);
        });
    }

    /// Ends the process that makes the change.
    pub(crate) fn end_process(&self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.abort();
        }
    }

    /// Lets the next process work on this copy of the data directory.
    pub(crate) fn go_on_with(&self, copy: PathBuf) {
        *self.copy.lock().unwrap() = Some(copy);
    }

    /// Sets the clock of this machine back.
    pub(crate) fn set_clock_back(&self, seconds: u64) {
        self.clock.behind.store(seconds, Ordering::SeqCst);
    }

    /// Notes what another writer has put at the end of the target's file.
    pub(crate) fn appended(&self, text: &str) {
        self.appended.lock().unwrap().push_str(text);
    }
}

/// What became of the change.
#[derive(Debug)]
pub(crate) enum Run {
    /// It came to an end.
    Ended(Finished),
    /// It was broken off with an error.
    Error(Error),
    /// Its process ended.
    Died,
}

/// Tries a fault at a stage in each of these ways.
pub(crate) async fn run(
    name: &'static str,
    fault: Fault,
    place: fn(&Trial),
    stage: Stage,
    runs: &'static [(Variant, Ends)],
) -> Result<(), Trouble> {
    if matches!(fault, Fault::DiskFullHere | Fault::DiskFullThere) && !mounts::own(name)? {
        return Ok(());
    }
    let mut trials = JoinSet::new();
    for (variant, ends) in runs {
        trials.spawn(async move {
            let trial = Trial::new(fault, stage, *variant).await?;
            trial.hold(place, *ends).await.map_err(|trouble| Trouble::from(format!("{variant}: {trouble}")))
        });
    }
    // One that fails ends the devices of the others, which must not look like their failure.
    let mut ended = Vec::new();
    while let Some(done) = trials.join_next().await {
        ended.push(done);
    }
    for done in ended {
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    }
    Ok(())
}

impl Trial {
    async fn new(fault: Fault, stage: Stage, variant: Variant) -> Result<Self, Trouble> {
        let shared = Arc::<Shared>::default();
        let clock: Arc<dyn Clock> = Arc::<OffClock>::clone(&shared.clock);
        let place = Place::new(fault)?;
        let desk = Desk::open_in(place.desk()?, clock)?;
        let old = desk.client.key("deploy", "ed25519")?;
        let text = format!("{}{OPTIONS}{}\n{}", FOREIGN[0], old.public, FOREIGN[1]);
        let (mut devices, mut ids) = (Vec::new(), Vec::new());
        for (index, version) in ["SSH-2.0-KeywheelFleet_1", "SSH-2.0-OpenSSH_9.9"].into_iter().enumerate() {
            let home = Some(place.home(index)?);
            let shell = place.shell(index)?;
            let device =
                Embedded::start(Config { version: version.to_owned(), home, shell, ..Config::default() }).await?;
            device.write_authorized_keys(text.as_bytes())?;
            place.give(device.home())?;
            if variant == Variant::Sftp {
                device.set_fault(Wrong::SftpOnly);
            }
            let name = format!("web-{}", index + 1);
            ids.push(desk.device_at(&name, device.port(), &device.host_keys_public()?).await?);
            devices.push(Arc::new(device));
        }
        desk.credential("deploy", devices[0].account(), &old.file, &ids).await?;
        // Where both have one home, the first device is the one that writes.
        let target = usize::from(variant != Variant::OneByOne && !place.is_shared());
        let keywheel = Mutex::new(desk.keywheel.clone());
        let trial = Self { stage, variant, desk, devices, target, old, place, ids, shared, keywheel };
        for name in ["connection-timeout", "stage-timeout"] {
            trial.keywheel().set_setting(name, "4").await?;
        }
        Ok(trial)
    }

    pub(crate) fn keywheel(&self) -> Keywheel {
        self.keywheel.lock().unwrap().clone()
    }

    pub(crate) fn target(&self) -> &Arc<Embedded> {
        &self.devices[self.target]
    }

    /// What the stage does on the device, which a fault is meant for.
    pub(crate) fn effect(&self) -> Effect {
        Effect::of(self.stage, self.variant, &self.old.public)
    }

    /// Does something when nothing lies any more between now and the stage's effect.
    pub(crate) fn arm(&self, act: impl FnOnce(&Embedded, Effect) + Send + 'static) {
        let (device, effect, shared) = (Arc::clone(self.target()), self.effect(), Arc::clone(&self.shared));
        let act = move || {
            act(&device, effect.clone());
            device.once(Edge::Before, effect.point(), move || shared.hit());
        };
        after_writes(Arc::clone(self.target()), self.variant, writes_before(self.stage), Box::new(act));
    }

    /// Does something just before the stage's effect, or just after it, when it is not answered yet.
    pub(crate) fn at(&self, edge: Edge, act: impl FnOnce(&Arc<Embedded>) + Send + 'static) {
        let target = Arc::clone(self.target());
        self.arm(move |device, effect| device.once(edge, effect.point(), move || act(&target)));
    }

    /// Makes hopeless waits short.
    pub(crate) fn wait_a_second(&self) {
        let keywheel = self.keywheel();
        let set = async {
            for name in ["connection-timeout", "stage-timeout"] {
                keywheel.set_setting(name, "1").await.unwrap();
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(set));
    }

    /// What stands in the target's file before the change.
    pub(crate) fn text(&self) -> String {
        format!("{}{OPTIONS}{}\n{}", FOREIGN[0], self.old.public, FOREIGN[1])
    }

    /// Says that the server lies from now on, so that what it does is asked before the fault is gone.
    pub(crate) fn lies(&self) {
        self.shared.lies.store(true, Ordering::SeqCst);
    }

    /// Says that the fault has hit: for one that needs no moment.
    pub(crate) fn hit(&self) {
        self.shared.hit();
    }

    async fn hold(&self, place: fn(&Self), ends: Ends) -> Result<(), Trouble> {
        if self.stage == Stage::TakeBack {
            self.bring_forward().await?;
        }
        place(self);
        let run = self.first_run().await?;
        assert!(self.shared.hit.load(Ordering::SeqCst), "{}: the fault hit nothing: {run:?}", self.variant);
        assert_eq!(self.ended(&run).await?, ends, "{}: {run:?}", self.variant);
        let lies = self.shared.lies.load(Ordering::SeqCst);
        if lies {
            self.assert_true(&run).await?;
        }
        self.heal().await?;
        if !lies {
            self.assert_true(&run).await?;
        }
        self.settle().await?;
        self.assert_no_temporaries()
    }

    /// Runs a change so far that it can be taken back: to the proof, or through the first device.
    async fn bring_forward(&self) -> Result<(), Trouble> {
        let (watch, watching) = watch();
        let stop = move || watching.stop.send(true).unwrap();
        let target = Arc::clone(self.target());
        if self.variant == Variant::OneByOne {
            let old = Point::Key(KeyIs::This(self.old.public.clone()));
            let device = Arc::clone(&target);
            let act = move || device.once(Edge::After, old, stop);
            after_writes(target, self.variant, 2, Box::new(act));
        } else {
            target.once(Edge::After, Point::Key(KeyIs::Other(self.old.public.clone())), stop);
        }
        let stopped = self.keywheel().rotate(&self.request(), watch).await?;
        assert_eq!(stopped.outcome, Outcome::Interrupted, "it can't be taken back: {stopped:?}");
        Ok(())
    }

    fn request(&self) -> Rotate {
        let strategy = if self.variant == Variant::OneByOne { Strategy::DeviceByDevice } else { Strategy::TwoPhase };
        Rotate {
            credential: "deploy".to_owned(),
            strategy: Some(strategy),
            on_failure: Some(OnFailure::RollBack),
            ..Rotate::default()
        }
    }

    /// The change that the fault hits, or its way back.
    async fn first_run(&self) -> Result<Run, Trouble> {
        let change = self.newest_change().await?;
        let (keywheel, request) = (self.keywheel(), self.request());
        let back = self.stage == Stage::TakeBack;
        let (watch, _watching) = watch();
        let (go, may_go) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let _ = may_go.await;
            match change.filter(|_| back) {
                Some(change) => keywheel.roll_back(change.id, watch).await,
                None => keywheel.rotate(&request, watch).await,
            }
        });
        *self.shared.running.lock().unwrap() = Some(running.abort_handle());
        let _ = go.send(());
        let run = match running.await {
            Ok(Ok(finished)) => Run::Ended(finished),
            Ok(Err(error)) => Run::Error(error),
            Err(error) if JoinError::is_cancelled(&error) => Run::Died,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        // Whoever looks or goes on from here is another process.
        let copy = self.shared.copy.lock().unwrap().take();
        *self.keywheel.lock().unwrap() = match copy {
            Some(copy) => self.desk.open_copy(&copy)?,
            None => self.desk.reopen()?,
        };
        Ok(run)
    }

    pub(crate) async fn newest_change(&self) -> Result<Option<Change>, Trouble> {
        Ok(self.keywheel().database().run_read(journal::change::list).await?.into_iter().next())
    }

    async fn ended(&self, run: &Run) -> Result<Ends, Trouble> {
        let change = self.newest_change().await?;
        let open = change.is_some_and(|change| matches!(change.state, ChangeState::Running | ChangeState::Interrupted));
        Ok(match run {
            Run::Ended(finished) => {
                let told = finished.devices.iter().any(|device| device.error.is_some());
                match finished.outcome {
                    Outcome::Changed if self.stage != Stage::TakeBack => Ends::Done,
                    Outcome::RolledBack if self.stage == Stage::TakeBack => Ends::Done,
                    _ if !told => panic!("{}: no cause is told: {finished:?}", self.variant),
                    Outcome::RolledBack => Ends::Back,
                    Outcome::Failed => Ends::Refused,
                    Outcome::Changed | Outcome::PartlyChanged | Outcome::Interrupted => Ends::Stopped,
                }
            }
            Run::Error(error) => {
                assert!(!error.hint().is_empty(), "what to do is not told: {error}");
                if open { Ends::Stopped } else { Ends::Refused }
            }
            Run::Died => Ends::Stopped,
        })
    }

    /// Takes the fault away: all is as somebody leaves it who has looked at the cause.
    async fn heal(&self) -> Result<(), Trouble> {
        self.desk.vault.set_fault(None);
        for (device, id) in self.devices.iter().zip(&self.ids) {
            device.clear_hooks();
            device.clear_faults();
            if self.variant == Variant::Sftp {
                device.set_fault(Wrong::SftpOnly);
            }
            device.restart().await?;
            self.place.heal(device)?;
            let keys: Result<Vec<_>, _> =
                device.host_keys_public()?.iter().map(|line| PublicKey::from_openssh(line)).collect();
            self.keywheel().pin_host_keys(*id, keys?, Pinned::Replace).await?;
        }
        Ok(())
    }

    /// Takes up what was left, forwards or back, and makes the change anew where nothing was.
    async fn settle(&self) -> Result<(), Trouble> {
        // A change that does not wait for a device that is away ends before it is back.
        while self.shared.away.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let change = self.newest_change().await?;
        let state = change.as_ref().map_or(ChangeState::Failed, |change| change.state);
        let back = self.stage == Stage::TakeBack || self.variant == Variant::Sftp;
        let (watch, _watching) = watch();
        let (finished, wanted) = match (change, state) {
            (Some(change), ChangeState::Running | ChangeState::Interrupted | ChangeState::PartlyChanged) if back => {
                (self.keywheel().roll_back(change.id, watch).await?, Outcome::RolledBack)
            }
            (Some(change), ChangeState::Running | ChangeState::Interrupted) => {
                let stored = self.desk.vault.names().len() > 1;
                let back = change.direction == Direction::Back || !stored;
                let wanted = if back { Outcome::RolledBack } else { Outcome::Changed };
                (self.keywheel().resume(change.id, watch).await?, wanted)
            }
            (Some(change), ChangeState::PartlyChanged) => {
                (self.keywheel().retry(change.id, watch).await?, Outcome::Changed)
            }
            (Some(_), ChangeState::Changed) => {
                return self.assert_settled(Outcome::Changed, "it ended by itself").await;
            }
            _ => (self.again(watch).await?, Outcome::Changed),
        };
        let said = format!("{finished:?}");
        assert_eq!(finished.outcome, wanted, "{}: what was left can't be ended: {said}", self.variant);
        self.assert_settled(wanted, &said).await
    }

    async fn again(&self, watch: Watch) -> Result<Finished, Trouble> {
        Ok(self.keywheel().rotate(&self.request(), watch).await?)
    }
}
