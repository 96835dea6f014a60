//! What to do next, given what is known of each device: the pure heart of a key change.
//!
//! The driver performs what [`next`] answers, notes the result in the [`Facts`], and asks again. A change that was broken
//! off is asked about in the same way, with the facts read from the journal.

use super::{OnFailure, Stage, Strategy};
use crate::catalogue::words;

words! {
    /// Which way a change goes.
    Direction {
        /// Towards the new key.
        Forward = "forward",
        /// Back to the old one.
        Back = "back",
    }
}

/// Which of the two writing phases a change has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phases {
    /// `add`+`prove`, then `remove`+`refuse`: a key change and an undo.
    Both,
    /// `add`+`prove` only: an installation.
    AddOnly,
    /// `remove`+`refuse` only: taking a key off its devices.
    RemoveOnly,
}

words! {
    /// How far a device has come.
    Standing {
        /// Not looked at yet in this run.
        Waiting = "waiting",
        /// A person left it out: nothing is done there until the change is retried.
        LeftOut = "left-out",
        /// Checked; nothing was written.
        Checked = "checked",
        /// A write of the new line was begun, so it may stand there.
        Touched = "touched",
        /// The new key's line stands there and logged in; so does the old one's.
        Proven = "proven",
        /// The removal of the old line was begun.
        Removing = "removing",
        /// The device accepts the new key and refuses the old one.
        Changed = "changed",
        /// It was put back on the old key, which logged in.
        Back = "back",
    }
}

impl Standing {
    /// Whether something of this change may stand in the device's files.
    pub fn is_touched(self) -> bool {
        matches!(self, Self::Touched | Self::Proven | Self::Removing | Self::Changed)
    }
}

/// What is known of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// How far it has come.
    pub standing: Standing,
    /// Whether it was checked in this run.
    pub checked: bool,
    /// The stage at which it failed in this run, all tries exhausted.
    pub trouble: Option<Trouble>,
    /// Whether a task of this device is under way.
    pub busy: bool,
}

/// A device's failure, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It failed at this stage.
    At(Stage),
    /// Its way back failed too: nothing more can be done for it in this run.
    Stuck,
    /// It still accepts the old key after the removal; nothing is rolled back by itself.
    OldKeyAccepted,
}

/// What is known of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The strategy chosen.
    pub strategy: Strategy,
    /// What a failing device leads to.
    pub on_failure: OnFailure,
    /// Which way the change goes.
    pub direction: Direction,
    /// Which writing phases it has.
    pub phases: Phases,
    /// How many devices' files may be written at once.
    pub at_once: usize,
    /// Whether the new key is stored and read back.
    pub stored: bool,
    /// Whether the new version has become the current one.
    pub past_no_return: bool,
    /// Whether a person asked to stop.
    pub stop: bool,
    /// The devices in the order of change; the first is the original device.
    pub devices: Vec<DeviceFacts>,
}

/// One device's next task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Look at the device; nothing is written.
    Check(usize),
    /// `add` and `prove`.
    Add(usize),
    /// `remove` and `refuse`.
    Remove(usize),
    /// Put the device back on the old key.
    TakeBack(usize),
}

impl Task {
    /// The device's place in the order of change.
    pub fn device(self) -> usize {
        match self {
            Self::Check(device) | Self::Add(device) | Self::Remove(device) | Self::TakeBack(device) => device,
        }
    }
}

words! {
    /// How a change ends.
    Outcome {
        /// Every device is proven on the new key and refuses the old.
        Changed = "changed",
        /// At least one device changed, at least one did not.
        PartlyChanged = "partly-changed",
        /// Every device is proven as before.
        RolledBack = "rolled-back",
        /// It ended before anything was written.
        Failed = "failed",
        /// It was broken off and can be resumed.
        Interrupted = "interrupted",
    }
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Start these tasks.
    Start(Vec<Task>),
    /// Wait for a task that is under way.
    Wait,
    /// Store the new key in the keyring and read it back.
    Store,
    /// Make the new version the current one.
    PassNoReturn,
    /// Turn round: from here on everything touched goes back.
    TurnBack,
    /// The change ends like this.
    End(Outcome),
}

/// How many devices are looked at at once; looking is not changing.
const CHECKS_AT_ONCE: usize = 8;

/// Tells what to do next.
///
/// The order is the protocol's: the original device first and alone, then by ascending ID, `at_once` at a time; no file
/// is written before all devices before it are through with the phase.
pub fn next(facts: &Facts) -> Next {
    let busy = facts.devices.iter().filter(|device| device.busy).count();
    let next = match facts.direction {
        Direction::Back => back(facts, busy),
        Direction::Forward => forward(facts, busy),
    };
    match next {
        Next::Start(_) | Next::Store | Next::PassNoReturn | Next::TurnBack if facts.stop => {
            if busy > 0 {
                Next::Wait
            } else {
                Next::End(stopped(facts))
            }
        }
        next => next,
    }
}

fn stopped(facts: &Facts) -> Outcome {
    if facts.devices.iter().any(|device| device.standing.is_touched()) || facts.past_no_return {
        Outcome::Interrupted
    } else if facts.devices.iter().any(|device| device.standing == Standing::Back) {
        Outcome::RolledBack
    } else {
        Outcome::Failed
    }
}

/// Everything touched goes back, in reverse order, one at a time.
fn back(facts: &Facts, busy: usize) -> Next {
    if busy > 0 {
        return Next::Wait;
    }
    let touched = |device: &DeviceFacts| device.standing.is_touched();
    let waiting = facts
        .devices
        .iter()
        .enumerate()
        .rev()
        .find(|(_, device)| touched(device) && device.trouble != Some(Trouble::Stuck));
    match waiting {
        Some((index, _)) => Next::Start(vec![Task::TakeBack(index)]),
        None if facts.devices.iter().any(touched) => Next::End(Outcome::Interrupted),
        None => Next::End(Outcome::RolledBack),
    }
}

fn forward(facts: &Facts, busy: usize) -> Next {
    // A process that died between the two has left the original device on a key that is not the current one yet.
    let original_changed = facts.devices.first().is_some_and(|original| original.standing == Standing::Changed);
    if original_changed && !facts.past_no_return && facts.phases == Phases::Both && facts.strategy != Strategy::TwoPhase
    {
        return if busy > 0 { Next::Wait } else { Next::PassNoReturn };
    }
    if let Some(next) = checks(facts, busy) {
        return next;
    }
    if let Some(next) = failures(facts, busy) {
        return next;
    }
    if !facts.stored {
        return Next::Store;
    }
    match facts.strategy {
        Strategy::TwoPhase => two_phase(facts, busy),
        Strategy::DeviceByDevice | Strategy::Emergency => device_by_device(facts, busy),
    }
}

fn checks(facts: &Facts, busy: usize) -> Option<Next> {
    let unchecked = |device: &DeviceFacts| {
        let takes_part = device.standing != Standing::LeftOut && device.trouble.is_none();
        takes_part && !device.checked && !is_through(facts, device)
    };
    let start: Vec<Task> = facts
        .devices
        .iter()
        .enumerate()
        .filter(|(_, device)| unchecked(device) && !device.busy)
        .take(CHECKS_AT_ONCE.saturating_sub(busy))
        .map(|(index, _)| Task::Check(index))
        .collect();
    if !start.is_empty() {
        return Some(Next::Start(start));
    }
    facts.devices.iter().any(unchecked).then_some(Next::Wait)
}

/// What failing devices lead to, before anything else is begun.
fn failures(facts: &Facts, busy: usize) -> Option<Next> {
    let troubled = |device: &&DeviceFacts| device.trouble.is_some();
    if !facts.devices.iter().any(|device| troubled(&device)) {
        return None;
    }
    let touched = facts.devices.iter().any(|device| device.standing.is_touched());
    let original_failed = facts.devices.first().is_some_and(|original| original.trouble.is_some());
    let take_back_all = facts.on_failure == OnFailure::RollBack || original_failed;
    // Once the new key is the current one nothing is rolled back as a whole by itself.
    if take_back_all && !facts.past_no_return {
        if busy > 0 {
            return Some(Next::Wait);
        }
        if !touched {
            return Some(Next::End(stopped(facts)));
        }
        if facts.strategy == Strategy::TwoPhase || facts.phases != Phases::Both {
            return Some(Next::TurnBack);
        }
    }
    // The failing device alone goes back, where the old key has not been taken out for good.
    let goes_back = facts.devices.iter().position(|device| {
        !device.busy
            && device.standing.is_touched()
            && matches!(device.trouble, Some(Trouble::At(stage)) if facts.goes_back(device, stage))
    });
    if let Some(index) = goes_back {
        return Some(Next::Start(vec![Task::TakeBack(index)]));
    }
    let stops = facts.on_failure == OnFailure::RollBack && facts.strategy == Strategy::DeviceByDevice;
    if stops || (original_failed && !facts.past_no_return) {
        if busy > 0 {
            return Some(Next::Wait);
        }
        return Some(Next::End(ended(facts)));
    }
    None
}

impl Facts {
    /// Whether a device that failed at this stage is put back on the old key.
    fn goes_back(&self, device: &DeviceFacts, stage: Stage) -> bool {
        match (self.strategy, stage) {
            // A compromised key is never put back.
            (Strategy::Emergency, _) => false,
            // Nor does a check that fails, when the change is taken up again, undo what was proven.
            (Strategy::TwoPhase, _) if self.past_no_return && device.standing != Standing::Touched => false,
            (_, Stage::Check | Stage::Add | Stage::Prove) => true,
            // After the point of no return a device keeps both keys and is retried.
            (Strategy::TwoPhase, Stage::Remove | Stage::Refuse) => false,
            (Strategy::DeviceByDevice, Stage::Remove | Stage::Refuse) => self.phases == Phases::Both,
        }
    }
}

fn is_through(facts: &Facts, device: &DeviceFacts) -> bool {
    match facts.phases {
        Phases::AddOnly => matches!(device.standing, Standing::Proven | Standing::Changed) && device.checked,
        Phases::Both | Phases::RemoveOnly => device.standing == Standing::Changed,
    }
}

/// The devices of a phase that may begin now: the original device alone, then the next ones in order.
fn eligible(facts: &Facts, busy: usize, wants: impl Fn(&DeviceFacts) -> bool) -> Vec<usize> {
    let wanting = |device: &DeviceFacts| device.trouble.is_none() && wants(device);
    if let Some(original) = facts.devices.first()
        && wanting(original)
    {
        return if busy == 0 { vec![0] } else { Vec::new() };
    }
    let free = facts.at_once.max(1).saturating_sub(busy);
    let waiting = facts.devices.iter().enumerate().filter(|(_, device)| wanting(device) && !device.busy);
    waiting.take(free).map(|(index, _)| index).collect()
}

fn phase(
    facts: &Facts,
    busy: usize,
    wants: impl Fn(&DeviceFacts) -> bool,
    task: impl Fn(usize) -> Task,
) -> Option<Next> {
    let start: Vec<Task> = eligible(facts, busy, &wants).into_iter().map(task).collect();
    if !start.is_empty() {
        return Some(Next::Start(start));
    }
    (busy > 0).then_some(Next::Wait)
}

fn wants_add(facts: &Facts, device: &DeviceFacts) -> bool {
    facts.phases != Phases::RemoveOnly && matches!(device.standing, Standing::Checked | Standing::Touched)
}

fn wants_remove(facts: &Facts, device: &DeviceFacts) -> bool {
    match facts.phases {
        Phases::AddOnly => false,
        Phases::RemoveOnly => matches!(device.standing, Standing::Checked | Standing::Removing),
        Phases::Both => matches!(device.standing, Standing::Proven | Standing::Removing),
    }
}

fn two_phase(facts: &Facts, busy: usize) -> Next {
    if let Some(next) = phase(facts, busy, |device| wants_add(facts, device), Task::Add) {
        return next;
    }
    if facts.phases == Phases::Both && !facts.past_no_return {
        let any_proven = facts.devices.iter().any(|device| device.standing == Standing::Proven);
        return if any_proven { Next::PassNoReturn } else { Next::End(ended(facts)) };
    }
    if let Some(next) = phase(facts, busy, |device| wants_remove(facts, device), Task::Remove) {
        return next;
    }
    Next::End(ended(facts))
}

fn device_by_device(facts: &Facts, busy: usize) -> Next {
    // One device is taken through both phases before the next begins; the one already begun comes first.
    let under_way = facts.devices.iter().position(|device| {
        device.trouble.is_none() && !device.busy && wants_remove(facts, device) && facts.phases == Phases::Both
    });
    if let Some(index) = under_way {
        let original_busy = facts.devices.first().is_some_and(|original| original.busy);
        let may_begin = if index == 0 { busy == 0 } else { busy < facts.at_once.max(1) && !original_busy };
        return if may_begin { Next::Start(vec![Task::Remove(index)]) } else { Next::Wait };
    }
    let wants = |device: &DeviceFacts| wants_add(facts, device) || wants_remove(facts, device);
    let task = |index| if facts.phases == Phases::RemoveOnly { Task::Remove(index) } else { Task::Add(index) };
    phase(facts, busy, wants, task).unwrap_or_else(|| Next::End(ended(facts)))
}

/// How a change that has nothing more to do has ended.
fn ended(facts: &Facts) -> Outcome {
    let through = facts.devices.iter().filter(|device| is_through(facts, device)).count();
    let touched = facts.devices.iter().any(|device| device.standing.is_touched());
    if through == facts.devices.len() {
        Outcome::Changed
    } else if touched || facts.past_no_return {
        Outcome::PartlyChanged
    } else if facts.devices.iter().any(|device| device.standing == Standing::Back) {
        Outcome::RolledBack
    } else {
        Outcome::Failed
    }
}

#[cfg(test)]
#[path = "decide/tests.rs"]
mod tests;
