//! SIGKILL at random moments, of changes and of what takes them up again.

use std::time::Duration;

use keywheel_fleet::Trouble;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::scene::{Ending, Scene};
use crate::steps::{Tally, number, share, torture};

/// How many changes `make test` kills.
const RUNS: usize = 200;
/// The longest time that is let pass behind an event: two events are seldom further apart.
const PAUSE: Duration = Duration::from_millis(40);

fn killed_at_random(devices: usize, runs: usize) -> Result<(), Trouble> {
    let seed: u64 = number("KEYWHEEL_SEED").unwrap_or_else(rand::random);
    eprintln!("seed {seed}: KEYWHEEL_SEED={seed} chooses the same again");
    let list: Vec<u64> = (0..runs as u64).collect();
    let tally = share(devices, &list, |scene, run| killed_once(scene, seed, *run))?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("{devices} devices: {runs} changes killed at random moments, {ended} of them left interrupted");
    tally.assert_met(50);
    Ok(())
}

fn killed_once(scene: &Scene, seed: u64, run: u64) -> Result<bool, Trouble> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(run));
    let strategy = if random.random() { "two-phase" } else { "device-by-device" };
    // Somewhere behind one of its events, so that a fast machine and a slow one are killed at the same places. A change has
    // two events for each of a device's five stages, one before them and one behind.
    let last = 10 * scene.devices.len();
    let (events, pause) = (random.random_range(0..=last), random.random_range(Duration::ZERO..PAUSE));
    let ending = if random.random() { Ending::Resume } else { Ending::RollBack };
    let mut at = format!("seed {seed}, run {run}: {strategy} killed {pause:?} behind event {events}");
    scene.killed_behind(&["rotate", "deploy", "--strategy", strategy], events, pause)?;
    let mut outcomes = vec![ending.outcome()];
    let open = scene.newest_change()?.filter(|change| change["state"] == "interrupted");
    if let Some(change) = &open
        && random.random()
    {
        // Who takes it up is killed, too.
        let first = if random.random() { Ending::Resume } else { Ending::RollBack };
        let (events, pause) = (random.random_range(0..=last), random.random_range(Duration::ZERO..PAUSE));
        at += &format!(", {first:?} killed {pause:?} behind event {events}");
        scene.killed_behind(&["change", first.command(), &change["id"].to_string()], events, pause)?;
        // A way back that was begun is gone on with by a resume.
        outcomes.push(first.outcome());
    }
    at += &format!(", then {ending:?}");
    scene.end_change(ending, &outcomes, &at)?;
    scene.assert_whole(&at)?;
    Ok(open.is_some())
}

#[test]
fn a_change_of_one_device_killed_at_random_loses_nothing() -> Result<(), Trouble> {
    killed_at_random(1, torture().unwrap_or(RUNS) / 2)
}

#[test]
fn a_change_of_two_devices_killed_at_random_loses_nothing() -> Result<(), Trouble> {
    killed_at_random(2, torture().unwrap_or(RUNS) / 2)
}
