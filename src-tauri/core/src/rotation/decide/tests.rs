use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

fn device() -> DeviceFacts {
    DeviceFacts { standing: Standing::Waiting, checked: false, trouble: None, busy: false }
}

fn facts(count: usize) -> Facts {
    Facts {
        strategy: Strategy::TwoPhase,
        on_failure: OnFailure::RollBack,
        direction: Direction::Forward,
        phases: Phases::Both,
        at_once: 1,
        stored: false,
        past_no_return: false,
        stop: false,
        devices: vec![device(); count],
    }
}

/// What a task comes to in a simulated change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Fails,
    KeepsOldKey,
}

/// Performs a whole change against simulated devices, asserting the protocol's promises at every step.
struct Simulation {
    facts: Facts,
    log: Vec<Task>,
    fates: Vec<Fate>,
    step: usize,
    running: Vec<Task>,
}

impl Simulation {
    fn new(facts: Facts, fates: Vec<Fate>) -> Self {
        Self { facts, log: Vec::new(), fates, step: 0, running: Vec::new() }
    }

    fn fate(&mut self) -> Fate {
        let fate = self.fates.get(self.step).copied().unwrap_or(Fate::Well);
        self.step += 1;
        fate
    }

    fn run(&mut self) -> Outcome {
        for _ in 0..10_000 {
            match next(&self.facts) {
                Next::Start(tasks) => {
                    assert!(!tasks.is_empty(), "starting nothing would turn for ever");
                    for task in tasks {
                        self.begin(task);
                    }
                }
                Next::Wait => {
                    assert!(!self.running.is_empty(), "waiting with nothing under way would hang for ever");
                    let index = self.step % self.running.len();
                    let task = self.running.remove(index);
                    self.finish(task);
                }
                Next::Store => {
                    assert!(!self.facts.stored, "the new key is stored once");
                    self.facts.stored = true;
                }
                Next::PassNoReturn => {
                    let accepts =
                        |device: &DeviceFacts| matches!(device.standing, Standing::Proven | Standing::Changed);
                    let proven = match self.facts.strategy {
                        Strategy::Emergency => self.facts.devices.iter().any(accepts),
                        _ => accepts(&self.facts.devices[0]),
                    };
                    assert!(proven, "the new key becomes the current one only after the original device accepted it");
                    if self.facts.strategy == Strategy::TwoPhase {
                        for device in &self.facts.devices {
                            assert!(
                                matches!(device.standing, Standing::Proven | Standing::LeftOut)
                                    || device.trouble.is_some(),
                                "the last device must be proven before the old key is taken out anywhere"
                            );
                        }
                    }
                    self.facts.past_no_return = true;
                }
                Next::TurnBack => {
                    assert!(
                        !self.facts.past_no_return,
                        "nothing is rolled back by itself after the point of no return"
                    );
                    self.facts.direction = Direction::Back;
                }
                Next::End(outcome) => {
                    assert!(self.running.is_empty(), "a change ends only when nothing is under way");
                    return outcome;
                }
            }
        }
        panic!("the change does not come to an end: {:?}", self.facts);
    }

    fn begin(&mut self, task: Task) {
        let index = task.device();
        assert_ne!(self.facts.devices[index].standing, Standing::LeftOut, "nothing is done where a person said so");
        assert!(!self.facts.devices[index].busy, "one task a device");
        let writing = self.running.iter().filter(|task| !matches!(task, Task::Check(_))).count();
        if matches!(task, Task::Check(_)) {
            assert!(
                !self.log.iter().any(|task| matches!(task, Task::Add(_) | Task::Remove(_))),
                "all checks come first"
            );
        } else {
            assert!(writing < self.facts.at_once.max(1), "no more than at-once devices are written at once");
        }
        match task {
            Task::Add(index) => {
                assert!(self.facts.stored, "no device is touched before the new key is stored and read back");
                self.assert_order(index, |device| {
                    !matches!(device.standing, Standing::Checked | Standing::Waiting | Standing::Touched)
                });
            }
            Task::TakeBack(_) => {
                assert_ne!(self.facts.strategy, Strategy::Emergency, "a compromised key is never put back");
            }
            Task::Remove(index) => {
                let accepts = matches!(self.facts.devices[index].standing, Standing::Proven | Standing::Removing);
                assert!(accepts || self.facts.phases != Phases::Both, "no removal where the new key is not proven");
                let needs_no_return = self.facts.strategy == Strategy::TwoPhase && self.facts.phases == Phases::Both;
                assert!(!needs_no_return || self.facts.past_no_return, "no removal before the point of no return");
                self.assert_order(index, |device| device.standing == Standing::Changed);
            }
            Task::Check(_) => {}
        }
        self.facts.devices[index].busy = true;
        self.log.push(task);
        self.running.push(task);
    }

    /// The original device is through first; the others follow by their place, at most at-once apart.
    fn assert_order(&self, index: usize, through: impl Fn(&DeviceFacts) -> bool) {
        for (earlier, device) in self.facts.devices.iter().enumerate().take(index) {
            let is_through = through(device) || device.trouble.is_some() || device.standing == Standing::LeftOut;
            assert!(
                is_through || (device.busy && self.facts.at_once > 1 && earlier > 0),
                "device {index} begins before device {earlier} is through"
            );
        }
    }

    fn finish(&mut self, task: Task) {
        let fate = self.fate();
        let device = &mut self.facts.devices[task.device()];
        device.busy = false;
        match (task, fate) {
            (Task::Check(_), Fate::Well) => {
                device.checked = true;
                if device.standing == Standing::Waiting {
                    device.standing = Standing::Checked;
                }
            }
            (Task::Check(_), _) => device.trouble = Some(Trouble::At(Stage::Check)),
            (Task::Add(_), Fate::Well) => device.standing = Standing::Proven,
            (Task::Add(_), _) => {
                device.standing = Standing::Touched;
                device.trouble = Some(Trouble::At(Stage::Prove));
            }
            (Task::Remove(_), Fate::Well) => device.standing = Standing::Changed,
            (Task::Remove(_), Fate::KeepsOldKey) => {
                device.standing = Standing::Removing;
                device.trouble = Some(Trouble::OldKeyAccepted);
            }
            (Task::Remove(_), Fate::Fails) => {
                device.standing = Standing::Removing;
                device.trouble = Some(Trouble::At(Stage::Refuse));
            }
            (Task::TakeBack(_), Fate::Well) => device.standing = Standing::Back,
            (Task::TakeBack(_), _) => device.trouble = Some(Trouble::Stuck),
        }
    }

    fn standings(&self) -> Vec<Standing> {
        self.facts.devices.iter().map(|device| device.standing).collect()
    }
}

#[test]
fn a_good_two_phase_change_adds_everywhere_before_it_removes_anywhere() {
    let mut simulation = Simulation::new(facts(3), vec![]);
    assert_eq!(simulation.run(), Outcome::Changed);
    let writes: Vec<Task> = simulation.log.iter().copied().filter(|task| !matches!(task, Task::Check(_))).collect();
    let expected = [Task::Add(0), Task::Add(1), Task::Add(2), Task::Remove(0), Task::Remove(1), Task::Remove(2)];
    assert_eq!(writes, expected, "the order of a two-phase change");
}

#[test]
fn device_by_device_takes_each_device_through_before_the_next() {
    let mut simulation = Simulation::new(Facts { strategy: Strategy::DeviceByDevice, ..facts(2) }, vec![]);
    assert_eq!(simulation.run(), Outcome::Changed);
    let writes: Vec<Task> = simulation.log.iter().copied().filter(|task| !matches!(task, Task::Check(_))).collect();
    assert_eq!(writes, [Task::Add(0), Task::Remove(0), Task::Add(1), Task::Remove(1)]);
}

#[test]
fn a_device_that_fails_a_check_stops_everything_before_anything_is_written() {
    let mut simulation = Simulation::new(facts(3), vec![Fate::Well, Fate::Fails, Fate::Well]);
    assert_eq!(simulation.run(), Outcome::Failed);
    assert!(simulation.log.iter().all(|task| matches!(task, Task::Check(_))), "nothing may be written");
}

#[test]
fn a_device_that_fails_in_the_first_phase_takes_all_back_in_reverse_order() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::Fails];
    let mut simulation = Simulation::new(facts(3), fates);
    assert_eq!(simulation.run(), Outcome::RolledBack);
    let back: Vec<Task> = simulation.log.iter().copied().filter(|task| matches!(task, Task::TakeBack(_))).collect();
    assert_eq!(back, [Task::TakeBack(2), Task::TakeBack(1), Task::TakeBack(0)]);
}

#[test]
fn continue_leaves_the_failing_device_on_the_old_key_and_goes_on() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::Fails, Fate::Well];
    let mut simulation = Simulation::new(Facts { on_failure: OnFailure::Continue, ..facts(3) }, fates);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert_eq!(simulation.standings(), [Standing::Changed, Standing::Back, Standing::Changed]);
}

#[test]
fn the_original_device_failing_stops_also_a_change_that_goes_on_with_the_others() {
    let mut simulation = Simulation::new(Facts { on_failure: OnFailure::Continue, ..facts(3) }, vec![Fate::Fails]);
    assert_eq!(simulation.run(), Outcome::Failed, "the original device is always changed first");
}

#[test]
fn device_by_device_keeps_what_is_through_when_a_later_device_goes_back() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::Fails];
    let mut simulation = Simulation::new(Facts { strategy: Strategy::DeviceByDevice, ..facts(3) }, fates);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert_eq!(simulation.standings(), [Standing::Changed, Standing::Back, Standing::Checked]);
}

#[test]
fn an_original_device_that_went_back_alone_leaves_a_change_that_is_rolled_back() {
    for fates in [vec![Fate::Well, Fate::Well, Fate::Fails], vec![Fate::Well, Fate::Well, Fate::Well, Fate::Fails]] {
        let mut simulation = Simulation::new(Facts { strategy: Strategy::DeviceByDevice, ..facts(2) }, fates);
        assert_eq!(simulation.run(), Outcome::RolledBack, "something was written, so it is not one that never began");
        assert_eq!(simulation.standings(), [Standing::Back, Standing::Checked]);
    }
}

#[test]
fn an_old_key_that_is_still_accepted_is_neither_changed_nor_rolled_back() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Well, Fate::KeepsOldKey, Fate::Well];
    let mut simulation = Simulation::new(facts(2), fates);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert!(simulation.log.iter().all(|task| !matches!(task, Task::TakeBack(_))), "nothing is rolled back");
}

#[test]
fn a_way_back_that_does_not_get_through_stays_resumable() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Fails, Fate::Fails, Fate::Well];
    let mut simulation = Simulation::new(facts(2), fates);
    assert_eq!(simulation.run(), Outcome::Interrupted);
    assert_eq!(simulation.standings(), [Standing::Back, Standing::Touched], "the others still go back");
}

#[test]
fn stopping_before_a_write_fails_and_after_one_interrupts() {
    let stopped = Facts { stop: true, ..facts(2) };
    assert_eq!(next(&stopped), Next::End(Outcome::Failed));
    let mut begun = Facts { stop: true, stored: true, ..facts(2) };
    for device in &mut begun.devices {
        device.checked = true;
        device.standing = Standing::Checked;
    }
    begun.devices[0].standing = Standing::Proven;
    assert_eq!(next(&begun), Next::End(Outcome::Interrupted));
}

/// A change with this device left out.
fn without(index: usize, facts: Facts) -> Facts {
    let mut facts = facts;
    facts.devices[index].standing = Standing::LeftOut;
    facts
}

#[test]
fn a_device_that_is_left_out_is_not_touched_and_the_change_is_partly_done() {
    for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
        for on_failure in [OnFailure::RollBack, OnFailure::Continue] {
            let mut simulation = Simulation::new(without(1, Facts { strategy, on_failure, ..facts(3) }), vec![]);
            assert_eq!(simulation.run(), Outcome::PartlyChanged, "one device is still on the old key");
            assert_eq!(simulation.standings(), [Standing::Changed, Standing::LeftOut, Standing::Changed]);
        }
    }
}

#[test]
fn a_device_that_is_left_out_does_not_keep_a_change_from_going_back() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Well, Fate::Fails];
    let mut simulation = Simulation::new(without(1, facts(3)), fates);
    assert_eq!(simulation.run(), Outcome::RolledBack);
    assert_eq!(simulation.standings(), [Standing::Back, Standing::LeftOut, Standing::Back]);
}

#[test]
fn a_device_that_was_left_out_is_brought_onto_the_key_by_a_retry() {
    for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
        let mut simulation = Simulation::new(without(2, Facts { strategy, ..facts(3) }), vec![]);
        simulation.run();
        let mut again = Simulation::new(simulation.facts, vec![]);
        for device in &mut again.facts.devices {
            device.checked = false;
        }
        again.facts.devices[2].standing = Standing::Waiting;
        assert_eq!(again.run(), Outcome::Changed);
        assert_eq!(again.log, [Task::Check(2), Task::Add(2), Task::Remove(2)], "the others are through");
    }
}

#[test]
fn an_installation_ends_when_every_device_is_proven() {
    let mut simulation = Simulation::new(Facts { phases: Phases::AddOnly, stored: true, ..facts(2) }, vec![]);
    assert_eq!(simulation.run(), Outcome::Changed);
    assert!(simulation.log.iter().all(|task| !matches!(task, Task::Remove(_))));
}

#[test]
fn a_failing_check_after_the_point_of_no_return_takes_nothing_back() {
    for standing in [Standing::Proven, Standing::Removing] {
        let mut facts = Facts { stored: true, past_no_return: true, ..facts(2) };
        facts.devices[0].standing = Standing::Changed;
        facts.devices[1].standing = standing;
        let mut simulation = Simulation::new(facts, vec![Fate::Fails]);
        assert_eq!(simulation.run(), Outcome::PartlyChanged);
        assert_eq!(simulation.log, [Task::Check(1)], "both keys stay until somebody decides");
    }
}

#[test]
fn an_original_device_that_is_through_makes_its_key_the_current_one_before_anything_can_fail() {
    let mut facts = Facts { strategy: Strategy::DeviceByDevice, stored: true, ..facts(2) };
    facts.devices[0].standing = Standing::Changed;
    let mut simulation = Simulation::new(facts, vec![Fate::Fails]);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert!(simulation.facts.past_no_return, "the current key would be one that the original device refuses");
}

#[test]
fn devices_that_wait_for_their_removal_begin_no_more_at_once_than_asked() {
    let mut facts = Facts { strategy: Strategy::DeviceByDevice, stored: true, past_no_return: true, ..facts(4) };
    for device in &mut facts.devices {
        device.standing = Standing::Removing;
        device.checked = true;
    }
    let mut simulation = Simulation::new(facts, vec![]);
    assert_eq!(simulation.run(), Outcome::Changed);
}

fn emergency(count: usize) -> Facts {
    Facts { strategy: Strategy::Emergency, ..facts(count) }
}

#[test]
fn an_emergency_goes_past_every_failure_also_that_of_the_original_device() {
    let mut simulation = Simulation::new(emergency(3), vec![Fate::Fails]);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert_eq!(simulation.standings(), [Standing::Waiting, Standing::Changed, Standing::Changed]);
    assert!(simulation.facts.past_no_return, "the vault's current key would log in nowhere where it was changed");
}

#[test]
fn an_emergency_begins_with_the_original_device_alone_and_goes_on_with_as_many_as_set() {
    let mut facts = Facts { at_once: 3, stored: true, ..emergency(4) };
    for device in &mut facts.devices {
        (device.checked, device.standing) = (true, Standing::Checked);
    }
    assert_eq!(next(&facts), Next::Start(vec![Task::Add(0)]));
    facts.devices[0].standing = Standing::Changed;
    assert_eq!(next(&facts), Next::PassNoReturn);
    facts.past_no_return = true;
    assert_eq!(next(&facts), Next::Start(vec![Task::Add(1), Task::Add(2), Task::Add(3)]));
}

#[test]
fn an_emergency_leaves_a_device_that_fails_as_it_is() {
    let fates = vec![Fate::Well, Fate::Well, Fate::Fails, Fate::Well];
    let mut simulation = Simulation::new(emergency(2), fates);
    assert_eq!(simulation.run(), Outcome::PartlyChanged);
    assert_eq!(simulation.standings(), [Standing::Touched, Standing::Changed], "nothing of it is taken back");
}

#[test]
fn an_emergency_that_reaches_no_device_makes_no_key() {
    let mut simulation = Simulation::new(emergency(2), vec![Fate::Fails, Fate::Fails]);
    assert_eq!(simulation.run(), Outcome::Failed);
    assert!(!simulation.facts.stored);
}

proptest! {
    #[test]
    fn an_emergency_tries_every_device_and_never_goes_back(
        count in 1usize..7,
        at_once in 1usize..5,
        goes_on in any::<bool>(),
        fates in proptest::collection::vec(
            prop_oneof![4 => Just(Fate::Well), 2 => Just(Fate::Fails), 1 => Just(Fate::KeepsOldKey)],
            0..40,
        ),
    ) {
        let on_failure = if goes_on { OnFailure::Continue } else { OnFailure::RollBack };
        let mut simulation = Simulation::new(Facts { at_once, on_failure, ..emergency(count) }, fates);
        let outcome = simulation.run();
        prop_assert_eq!(simulation.facts.direction, Direction::Forward);
        for (index, device) in simulation.facts.devices.iter().enumerate() {
            let failed_a_check = device.standing == Standing::Waiting && device.trouble.is_some();
            let tried = simulation.log.contains(&Task::Add(index));
            prop_assert!(tried || failed_a_check, "device {} was not tried", index);
            prop_assert!(device.standing == Standing::Changed || device.trouble.is_some(), "device {} was left", index);
        }
        let changed = simulation.standings().into_iter().filter(|standing| *standing == Standing::Changed).count();
        prop_assert_eq!(simulation.facts.past_no_return, changed > 0, "the current key is the one that logs in");
        prop_assert_eq!(outcome == Outcome::Changed, changed == count, "a false success");
    }

    #[test]
    fn every_change_ends_and_keeps_the_order(
        count in 1usize..7,
        device_by_device in any::<bool>(),
        goes_on in any::<bool>(),
        at_once in 1usize..4,
        phases in prop_oneof![Just(Phases::Both), Just(Phases::AddOnly), Just(Phases::RemoveOnly)],
        fates in proptest::collection::vec(
            prop_oneof![8 => Just(Fate::Well), 2 => Just(Fate::Fails), 1 => Just(Fate::KeepsOldKey)],
            0..40,
        ),
        left_out in proptest::collection::vec(proptest::bool::weighted(0.2), 6),
    ) {
        let strategy = if device_by_device { Strategy::DeviceByDevice } else { Strategy::TwoPhase };
        let on_failure = if goes_on { OnFailure::Continue } else { OnFailure::RollBack };
        let mut facts = Facts { strategy, on_failure, at_once, phases, ..facts(count) };
        for (device, left_out) in facts.devices.iter_mut().skip(1).zip(left_out) {
            device.standing = if left_out { Standing::LeftOut } else { Standing::Waiting };
        }
        let mut simulation = Simulation::new(facts, fates);
        let outcome = simulation.run();
        let standings = simulation.standings();
        let touched = standings.iter().any(|standing| standing.is_touched());
        match outcome {
            Outcome::Changed => {
                let through = if phases == Phases::AddOnly { Standing::Proven } else { Standing::Changed };
                prop_assert!(standings.iter().all(|standing| *standing == through), "a false success");
            }
            Outcome::RolledBack | Outcome::Failed => {
                prop_assert!(!touched, "nothing of the change may be left where it ends as rolled back or failed");
            }
            Outcome::PartlyChanged | Outcome::Interrupted => {}
        }
    }

    #[test]
    fn a_change_stopped_anywhere_and_resumed_ends_as_if_it_had_not_been_stopped(
        count in 1usize..6,
        strategy in prop_oneof![Just(Strategy::TwoPhase), Just(Strategy::DeviceByDevice), Just(Strategy::Emergency)],
        stop_at in 0usize..40,
    ) {
        let mut simulation = Simulation::new(Facts { strategy, ..facts(count) }, vec![]);
        for _ in 0..stop_at {
            match next(&simulation.facts) {
                Next::Start(tasks) => tasks.into_iter().for_each(|task| simulation.begin(task)),
                Next::Wait => {
                    let task = simulation.running.remove(0);
                    simulation.finish(task);
                }
                Next::Store => simulation.facts.stored = true,
                Next::PassNoReturn => simulation.facts.past_no_return = true,
                Next::TurnBack | Next::End(_) => break,
            }
        }
        simulation.facts.stop = true;
        simulation.run();
        // A new process knows what the journal says: nothing is busy, nothing is checked, proofs are done anew.
        let mut resumed = simulation.facts.clone();
        resumed.stop = false;
        for device in &mut resumed.devices {
            device.checked = false;
            if device.standing == Standing::Proven && !resumed.past_no_return {
                device.standing = Standing::Touched;
            }
        }
        let mut resumed = Simulation::new(resumed, vec![]);
        prop_assert_eq!(resumed.run(), Outcome::Changed);
    }
}
