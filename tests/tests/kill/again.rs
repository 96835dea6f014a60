//! SIGKILL while a change is resumed, rolled back or undone, and while a key is installed.

use keywheel_fleet::Trouble;
use keywheel_fleet::kill::{Effect, Moment, Point};

use crate::scene::{Ending, Scene};
use crate::steps::{Tally, commits, share, torture, with_endings};

const ROTATE: [&str; 2] = ["rotate", "deploy"];

/// One in so many places is enough of what works as a change does, but for a torture.
const STEP: usize = 5;

fn coarsely(points: Vec<Point>) -> Vec<Point> {
    // What has few places is gone through whole.
    let step = if torture().is_some() || points.len() < 5 * STEP { 1 } else { STEP };
    points.into_iter().step_by(step).collect()
}

/// Leaves a change interrupted in its middle, with the old key's removal begun on the first device.
fn interrupted(scene: &Scene) -> Result<String, Trouble> {
    interrupted_at(scene, 28)
}

/// Leaves a change interrupted before its key was stored.
fn begun(scene: &Scene) -> Result<String, Trouble> {
    interrupted_at(scene, 4)
}

fn interrupted_at(scene: &Scene, commit: u32) -> Result<String, Trouble> {
    let point = Point { effect: Effect::Sync, number: commit, moment: Moment::After };
    let ran = scene.killed_at(&ROTATE, point)?;
    assert!(ran.killed, "the change ended before {point}");
    let change = scene.newest_change()?.filter(|change| change["state"] == "interrupted");
    Ok(change.ok_or("no change is interrupted")?["id"].to_string())
}

/// Leaves a change that is ended, and can be undone.
fn changed(scene: &Scene) -> Result<String, Trouble> {
    scene.done(&ROTATE)?;
    Ok(scene.newest_change()?.ok_or("a change")?["id"].to_string())
}

/// Kills a command on a change at some of its steps, and takes it up again.
fn killed_while(
    command: &str,
    prepare: fn(&Scene) -> Result<String, Trouble>,
    outcomes: &[&str],
) -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2)? else { return Ok(()) };
    let id = prepare(&scene)?;
    let points = coarsely(commits(&scene.effects(&["change", command, &id])?));
    drop(scene);
    let list = with_endings(points.clone(), Ending::Resume);
    let tally = share(2, &list, |scene, (point, ending)| {
        let at = format!("{command} killed at {point}, then {ending:?}");
        let id = prepare(scene)?;
        let ran = scene.killed_at(&["change", command, &id], *point)?;
        assert!(ran.killed || ran.status == Some(0), "{at}: {ran:?}");
        let outcomes = [outcomes, &[ending.outcome()]].concat();
        let ended = scene.end_change(*ending, &outcomes, &at)?;
        scene.assert_whole(&at)?;
        Ok(ended)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("{command}: {} kill points, {runs} runs, {ended} of them interrupted it", points.len());
    tally.assert_met(33);
    Ok(())
}

#[test]
fn a_resume_that_is_killed_loses_nothing() -> Result<(), Trouble> {
    killed_while("resume", interrupted, &[])
}

#[test]
fn a_roll_back_that_is_killed_is_gone_on_with() -> Result<(), Trouble> {
    // Once it has turned round, a resume goes on backwards.
    killed_while("roll-back", interrupted, &["rolled-back"])
}

#[test]
fn a_roll_back_of_what_has_not_begun_that_is_killed_leaves_no_device_waiting() -> Result<(), Trouble> {
    killed_while("roll-back", begun, &[])
}

#[test]
fn an_undo_that_is_killed_loses_nothing() -> Result<(), Trouble> {
    killed_while("undo", changed, &[])
}

#[test]
fn an_installation_that_is_killed_loses_nothing() -> Result<(), Trouble> {
    let install = ["install", "guest", "--auth-with", "deploy"];
    let Some(scene) = Scene::new(2)? else { return Ok(()) };
    scene.add_guest()?;
    let points = coarsely(commits(&scene.effects(&install)?));
    drop(scene);
    let list = with_endings(points.clone(), Ending::Resume);
    let tally = share(2, &list, |scene, (point, ending)| {
        let at = format!("installation killed at {point}, then {ending:?}");
        scene.add_guest()?;
        let ran = scene.killed_at(&install, *point)?;
        assert!(ran.killed || ran.status == Some(0), "{at}: {ran:?}");
        let ended = scene.end_change(*ending, &[ending.outcome()], &at)?;
        if scene.newest_change()?.is_some_and(|change| change["kind"] == "install" && change["state"] == "changed") {
            scene.assert_guest(&at)?;
            scene.done(&["uninstall", "guest"])?;
        }
        scene.assert_whole(&at)?;
        Ok(ended)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("install: {} kill points, {runs} runs, {ended} of them interrupted it", points.len());
    tally.assert_met(50);
    Ok(())
}
