//! The disk under the database is full from some commit of a change on.

use keywheel_fleet::Trouble;
use keywheel_fleet::kill::{Effect, Moment, Point};

use crate::scene::Ending;
use crate::steps::{Tally, effects_of, share, torture, with_endings};

/// The exit status of what was interrupted and can be resumed.
const RESUMABLE: i32 = 4;

/// One in so many commits is enough of what each of them meets in the same way, but for a torture.
const STEP: usize = 3;

#[test]
fn a_disk_that_is_full_stops_a_change_with_its_cause_and_loses_nothing() -> Result<(), Trouble> {
    let rotate = ["rotate", "deploy"];
    let Some(effects) = effects_of(2, &rotate)? else { return Ok(()) };
    let syncs = effects.iter().filter(|done| done.effect == Effect::Sync);
    let step = if torture().is_some() { 1 } else { STEP };
    let points: Vec<Point> = syncs
        .map(|done| Point { effect: Effect::Sync, number: done.number, moment: Moment::Full })
        .step_by(step)
        .collect();
    let list = with_endings(points.clone(), Ending::Resume);
    let tally = share(2, &list, |scene, (point, ending)| {
        let at = format!("the disk is full from {point}, then {ending:?}");
        let ran = scene.killed_at(&rotate, *point)?;
        let change = scene.newest_change()?;
        let open = change.as_ref().is_some_and(|change| change["state"] == "interrupted");
        match ran.status {
            // The last row only says in the audit record what the change's own says.
            Some(0) => assert!(!open && change.is_some(), "{at}: a change that is not ended was called done: {ran:?}"),
            status => {
                assert!(ran.says("The disk that holds the database is full."), "{at}: the cause is not said: {ran:?}");
                assert!(!open || status == Some(RESUMABLE), "{at}: what can be resumed is not said to be so: {ran:?}");
            }
        }
        let told = ran.lines.iter().find(|line| line["event"] == "finished").map(|line| &line["outcome"]);
        assert!(!open || told.is_none_or(|outcome| outcome == "interrupted"), "{at}: it is open: {ran:?}");
        scene.recover(*ending, &at)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    eprintln!("full disk: {} commits, {runs} runs, {ended} of them interrupted a change", points.len());
    tally.assert_met(50);
    Ok(())
}
