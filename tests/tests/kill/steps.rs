//! SIGKILL at every step of a change, then resumed or rolled back.

use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keywheel_fleet::Trouble;
use keywheel_fleet::kill::{Done, Effect, Moment, Point};

use crate::scene::{Ending, Scene};

/// More bytes than anything but a program that is sent to a device.
const PROGRAM: u64 = 2000;

/// How many scenes are worked on at once in one test.
const WORKERS: usize = 3;

/// How many random kills are wanted beyond those that `make test` makes, with every place and ending; none there.
pub(crate) fn torture() -> Option<usize> {
    number("KEYWHEEL_TORTURE")
}

/// A number from the environment.
pub(crate) fn number<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What was done of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// How many runs were made; fewer than there are in the list where the time was up.
    pub(crate) runs: usize,
    /// After how many of them there was a change to end.
    pub(crate) ended: usize,
    is_whole: bool,
}

impl Tally {
    /// Asserts that so many in a hundred runs met a change: kills that all come too late would show nothing.
    pub(crate) fn assert_met(self, percent: usize) {
        let Self { runs, ended, is_whole } = self;
        assert!(!is_whole || ended * 100 >= runs * percent, "only {ended} of {runs} runs met a change");
    }
}

/// Works through a list, on a few scenes at once, since each waits much of its time; gives nothing if the machine can't.
pub(crate) fn share<T: Sync>(
    devices: usize,
    list: &[T],
    work: impl Fn(&Scene, &T) -> Result<bool, Trouble> + Sync,
) -> Result<Option<Tally>, Trouble> {
    let next = AtomicUsize::new(0);
    let minutes = number("KEYWHEEL_TORTURE_MINUTES").map(|minutes: u64| Duration::from_secs(60 * minutes));
    let deadline = minutes.and_then(|limit| Instant::now().checked_add(limit));
    let one = || -> Result<Option<Tally>, Trouble> {
        let Some(scene) = Scene::new(devices)? else { return Ok(None) };
        let mut tally = Tally::default();
        while deadline.is_none_or(|deadline| Instant::now() < deadline)
            && let Some(item) = list.get(next.fetch_add(1, Ordering::Relaxed))
        {
            match work(&scene, item) {
                Ok(ended) => {
                    tally.runs += 1;
                    tally.ended += usize::from(ended);
                }
                Err(trouble) => {
                    next.store(list.len(), Ordering::Relaxed);
                    return Err(trouble);
                }
            }
        }
        scene.assert_consistent()?;
        Ok(Some(tally))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS).map(|_| scope.spawn(one)).collect();
        let mut all = Some(Tally::default());
        for thread in threads {
            let mine = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all = all.zip(mine).map(|(all, mine)| {
                let runs = all.runs + mine.runs;
                Tally { runs, ended: all.ended + mine.ended, is_whole: runs == list.len() }
            });
        }
        Ok(all)
    })
}

/// The effects of one change that nobody kills; none if the machine can't run it.
pub(crate) fn effects_of(devices: usize, arguments: &[&str]) -> Result<Option<Vec<Done>>, Trouble> {
    let Some(scene) = Scene::new(devices)? else { return Ok(None) };
    Ok(Some(scene.effects(arguments)?))
}

/// In and after every commit of the journal.
pub(crate) fn commits(effects: &[Done]) -> Vec<Point> {
    let syncs = effects.iter().filter(|done| done.effect == Effect::Sync);
    syncs.flat_map(|done| [Moment::In, Moment::After].map(|moment| point(done, moment))).collect()
}

/// In and after all that is sent, in a torture; else in some programs on their way to a device, and in and after their data.
fn sendings(effects: &[Done]) -> Vec<Point> {
    let sends: Vec<&Done> = effects.iter().filter(|done| done.effect == Effect::Send).collect();
    if torture().is_some() {
        return sends.iter().flat_map(|done| [Moment::In, Moment::After].map(|moment| point(done, moment))).collect();
    }
    let mut points = Vec::new();
    for (index, program) in sends.iter().enumerate().filter(|(_, done)| done.size > PROGRAM) {
        points.push(point(program, Moment::In));
        if let Some(data) = sends.get(index + 1) {
            points.extend([Moment::In, Moment::After].map(|moment| point(data, moment)));
        }
    }
    points.into_iter().step_by(2).collect()
}

fn point(done: &Done, moment: Moment) -> Point {
    Point { effect: done.effect, number: done.number, moment }
}

/// Each place with the endings it gets: both, where there is time; else each commit is met with both, in and after it.
pub(crate) fn with_endings(points: Vec<Point>, first: Ending) -> Vec<(Point, Ending)> {
    let endings = |(index, point): (usize, Point)| {
        let ending = if index % 2 == 0 { first } else { first.other() };
        let both = torture().is_some().then_some((point, ending.other()));
        std::iter::once((point, ending)).chain(both)
    };
    points.into_iter().enumerate().flat_map(endings).collect()
}

fn killed_everywhere(strategy: &str, first: Ending) -> Result<(), Trouble> {
    let rotate = ["rotate", "deploy", "--strategy", strategy];
    let Some(effects) = effects_of(2, &rotate)? else { return Ok(()) };
    let points = [commits(&effects), sendings(&effects)].concat();
    let list = with_endings(points.clone(), first);
    let tally = share(2, &list, |scene, (point, ending)| {
        let at = format!("{strategy}, killed at {point}, then {ending:?}");
        let ran = scene.killed_at(&rotate, *point)?;
        assert!(ran.killed || ran.status == Some(0), "{at}: {ran:?}");
        scene.recover(*ending, &at)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("{strategy}: {} kill points, {runs} runs, {ended} of them interrupted a change", points.len());
    // The first commits come before a change has begun, and the last ones after it has ended.
    tally.assert_met(75);
    Ok(())
}

/// One in so many places of an emergency is enough for `make test`, since it works on a device as any change does; odd, so
/// that some are in a commit and some behind one.
const EMERGENCY_STEP: usize = 5;

#[test]
fn an_emergency_killed_at_any_step_goes_on_and_loses_nothing() -> Result<(), Trouble> {
    let rotate = ["rotate", "deploy", "--strategy", "emergency"];
    let Some(effects) = effects_of(2, &rotate)? else { return Ok(()) };
    let points = match torture() {
        Some(_) => [commits(&effects), sendings(&effects)].concat(),
        None => commits(&effects).into_iter().step_by(EMERGENCY_STEP).collect(),
    };
    let tally = share(2, &points, |scene, point| {
        let at = format!("emergency, killed at {point}");
        let ran = scene.killed_at(&rotate, *point)?;
        assert!(ran.killed || ran.status == Some(0), "{at}: {ran:?}");
        let ended = scene.end_change(Ending::Resume, &[Ending::Resume.outcome()], &at)?;
        // Where the new key was not stored yet there is nothing to go on with: it is begun once more.
        if scene.newest_change()?.is_some_and(|change| change["state"] != "changed") {
            scene.done(&rotate)?;
        }
        scene.assert_whole(&at)?;
        Ok(ended)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("emergency: {} kill points, {runs} runs, {ended} of them interrupted a change", points.len());
    tally.assert_met(60);
    Ok(())
}

#[test]
fn a_two_phase_change_killed_at_any_step_loses_nothing() -> Result<(), Trouble> {
    killed_everywhere("two-phase", Ending::Resume)
}

#[test]
fn a_device_by_device_change_killed_at_any_step_loses_nothing() -> Result<(), Trouble> {
    killed_everywhere("device-by-device", Ending::RollBack)
}
