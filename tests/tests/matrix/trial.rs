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
    catalogue::{Credential, DeviceId},
    clock::{Clock, Timestamp},
    device::Pinned,
    error::{Error, Explain as _},
    journal::{self, Change, ChangeState, DeviceState},
    key::{Fingerprint, PublicKey},
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

use crate::place::{Place, mounts};

/// What stands in each file besides our line: a foreign key with options, comments, and no end of the last line.
const FOREIGN: [&str; 2] = [
    "# theirs\ncommand=\"true\",no-pty ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other\n\n",
    "# end",
];
/// The options of our line, which the new key's line gets too.
const OPTIONS: &str = "no-agent-forwarding,environment=\"A=b c\" ";

/// What a stage does on the device.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// A command whose text contains this.
    Command(String),
    /// An SFTP request whose text contains this.
    Request(String),
    /// A login with such a key, or the question before it.
    Login(KeyIs),
}

impl Effect {
    /// What a stage does on its device, where this is the old key.
    pub(crate) fn of(stage: Stage, variant: Variant, old: &str) -> Self {
        match stage {
            Stage::Check if variant == Variant::Sftp => Self::Request(String::new()),
            Stage::Check => Self::Command(String::new()),
            Stage::Add | Stage::Remove | Stage::TakeBack => Self::write(variant),
            Stage::Prove => Self::Login(KeyIs::Other(old.to_owned())),
            Stage::Refuse => Self::Login(KeyIs::This(old.to_owned())),
        }
    }

    /// What a write ends with: its rename.
    fn write(variant: Variant) -> Self {
        match variant {
            Variant::Sftp => Self::Request("posix-rename@openssh.com".to_owned()),
            Variant::Shell | Variant::OneByOne => Self::Command("mv -f".to_owned()),
        }
    }

    pub(crate) fn point(&self) -> Point {
        match self.clone() {
            Self::Command(part) => Point::Command(part),
            Self::Request(part) => Point::Request(part),
            Self::Login(key) => Point::Key(key),
        }
    }
}

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
    running: Mutex<Option<AbortHandle>>,
    clock: Arc<OffClock>,
    /// What another writer has appended to the target's file.
    appended: Mutex<String>,
    /// A copy of the data directory, which the next process works on.
    copy: Mutex<Option<PathBuf>>,
}

impl Shared {
    /// Notes that the fault has hit.
    pub(crate) fn hit(&self) {
        self.hit.store(true, Ordering::SeqCst);
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

#[derive(Debug)]
enum Run {
    Ended(Finished),
    Error(Error),
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

    fn keywheel(&self) -> Keywheel {
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

    async fn newest_change(&self) -> Result<Option<Change>, Trouble> {
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

    /// What was reported is what the devices do.
    async fn assert_true(&self, run: &Run) -> Result<(), Trouble> {
        let change = self.newest_change().await?;
        if let (Run::Ended(finished), Some(change)) = (run, &change) {
            assert_eq!(change.state.as_str(), finished.outcome.as_str(), "the journal says another end");
            let id = change.id;
            let records = self.keywheel().database().run_read(move |read| journal::device::list(read, id)).await?;
            let noted: Vec<_> = records.iter().map(|record| record.state).collect();
            let told: Vec<_> = finished.devices.iter().map(|device| device.state).collect();
            assert_eq!(noted, told, "{}: the journal says other states than were told", self.variant);
        }
        let credential = self.keywheel().find_credential("deploy").await?;
        for index in 0..self.devices.len() {
            let accepted = self.accepted(&credential, index).await?;
            let at = format!("{}: web-{} accepts {accepted:?}: {run:?}", self.variant, index + 1);
            assert!(!accepted.is_empty(), "nobody gets in any more: {at}");
            self.assert_foreign_bytes(&credential, index)?;
            let Run::Ended(finished) = run else { continue };
            let end = &finished.devices[index];
            let (new, old) = (credential.key_versions.last(), credential.key_version(1));
            let (new, old) = (new.ok_or("a version")?.fingerprint(), old.ok_or("version 1")?.fingerprint());
            let expected = match end.state {
                DeviceState::Changed => vec![new],
                DeviceState::RolledBack | DeviceState::Unchanged => vec![old],
                DeviceState::Proven => vec![old, new],
                DeviceState::OldKeyAccepted => {
                    assert!(accepted.contains(&old), "it is said to accept the old key: {at}");
                    continue;
                }
                DeviceState::Waiting | DeviceState::Running | DeviceState::NotProven | DeviceState::Failed => {
                    let wrong = end.accepts.iter().find(|told| !accepted.contains(told));
                    assert_eq!(wrong, None, "it is said to accept a key that it refuses: {at}");
                    continue;
                }
            };
            assert_eq!(accepted, expected, "it is said to be {}: {at}", end.state);
            // A line that another device's name has taken out of a shared file was there when it was last asked.
            if end.state != DeviceState::Unchanged && !self.place.is_shared() {
                let mut told = end.accepts.clone();
                told.sort_by_key(|key| expected.iter().position(|known| known == key));
                assert_eq!(told, expected, "it is said to accept other keys: {at}");
            }
        }
        Ok(())
    }

    /// Which versions of the key log in, by the OpenSSH client.
    async fn accepted(&self, credential: &Credential, index: usize) -> Result<Vec<Fingerprint>, Trouble> {
        let (device, mut accepted) = (&self.devices[index], Vec::new());
        for version in &credential.key_versions {
            let Some(secret) = self.desk.vault.names().into_iter().find(|name| *name == version.item) else { continue };
            let key =
                self.keywheel().read_key(credential, version).await.map_err(|error| format!("{secret}: {error}"))?;
            let name = format!("{}-{index}-{}", credential.id, version.version);
            let file = self.desk.client.key_file(&name, &key.write_openssh(None)?)?;
            let (client, target) = (&self.desk.client, device.target()?);
            if tokio::task::block_in_place(|| client.logs_in(&target, &file))? {
                accepted.push(version.fingerprint());
            }
        }
        Ok(accepted)
    }

    /// Every byte that is not ours is as it was, and each of our lines has the options it had.
    fn assert_foreign_bytes(&self, credential: &Credential, index: usize) -> Result<(), Trouble> {
        let text = String::from_utf8(self.devices[index].authorized_keys()?)?;
        let keys: Vec<String> = credential.key_versions.iter().map(|version| version.public_key.to_openssh()).collect();
        let mut foreign = String::new();
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_prefix(OPTIONS) {
                Some(key) => assert!(keys.iter().any(|known| known == key), "web-{}: whose line is {line}", index + 1),
                None => foreign.push_str(line),
            }
        }
        let appended = self.shared.appended.lock().unwrap().clone();
        let appended = if index == self.target || self.place.is_shared() { appended } else { String::new() };
        assert_eq!(
            foreign,
            format!("{}{}{appended}", FOREIGN[0], FOREIGN[1]),
            "web-{}: a foreign byte changed",
            index + 1
        );
        Ok(())
    }

    fn assert_no_temporaries(&self) -> Result<(), Trouble> {
        for device in &self.devices {
            for entry in std::fs::read_dir(device.home().join(".ssh"))? {
                assert_eq!(entry?.file_name(), "authorized_keys", "{}: a temporary file stayed", self.variant);
            }
        }
        Ok(())
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

    /// Every device accepts the current key, and no other of the credential's.
    async fn assert_settled(&self, outcome: Outcome, said: &str) -> Result<(), Trouble> {
        let credential = self.keywheel().find_credential("deploy").await?;
        let current = credential.current_key().ok_or("a current key")?;
        assert_eq!(current.version == 1, outcome == Outcome::RolledBack, "another version is the current one: {said}");
        for index in 0..self.devices.len() {
            let accepted = self.accepted(&credential, index).await?;
            assert_eq!(accepted, [current.fingerprint()], "{}: web-{}: {said}", self.variant, index + 1);
            self.assert_foreign_bytes(&credential, index)?;
        }
        Ok(())
    }
}

/// How many writes come before a stage.
pub(crate) fn writes_before(stage: Stage) -> u32 {
    match stage {
        Stage::Check | Stage::Add | Stage::Prove | Stage::TakeBack => 0,
        Stage::Remove => 1,
        Stage::Refuse => 2,
    }
}

/// Does something after so many writes, or at once.
pub(crate) fn after_writes(device: Arc<Embedded>, variant: Variant, count: u32, act: Box<dyn FnOnce() + Send>) {
    if count == 0 {
        return act();
    }
    let next = Arc::clone(&device);
    device.once(Edge::After, Effect::write(variant).point(), move || after_writes(next, variant, count - 1, act));
}
