//! A power cut at every commit: the kill, and then the database and its log cut back to what had been synced.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywheel_fleet::Trouble;
use keywheel_fleet::kill::power::Disk;
use keywheel_fleet::kill::{Effect, Moment, Point};

use crate::scene::{Ending, Scene};
use crate::steps::{Tally, effects_of, share, torture, with_endings};

/// All that the program says of the changes of a data directory.
fn said(scene: &Scene, data: &Path) -> Result<String, Trouble> {
    let mut said = scene.output_on(data, &["credential", "show", "deploy"])?;
    let list = scene.output_on(data, &["change", "list"])?;
    if let Some(newest) = list.lines().next() {
        let newest: serde_json::Value = serde_json::from_str(newest)?;
        said += &scene.output_on(data, &["change", "show", "--recorded", &newest["id"].to_string()])?;
    }
    Ok(said + &list)
}

/// Every commit in a torture; else every other one, beginning with this.
fn cut_everywhere(strategy: &str, begin: usize, first: Ending) -> Result<(), Trouble> {
    let rotate = ["rotate", "deploy", "--strategy", strategy];
    let Some(effects) = effects_of(2, &rotate)? else { return Ok(()) };
    let syncs = effects.iter().filter(|done| done.effect == Effect::Sync);
    let (begin, step) = if torture().is_some() { (0, 1) } else { (begin, 2) };
    let points: Vec<Point> = syncs
        .map(|done| Point { effect: Effect::Sync, number: done.number, moment: Moment::Before })
        .skip(begin)
        .step_by(step)
        .collect();
    let list = with_endings(points, first);
    let cuts = AtomicUsize::new(0);
    let tally = share(2, &list, |scene, (point, ending)| {
        let at = format!("{strategy}, the power cut at {point}, then {ending:?}");
        let disk = Disk::of(&scene.data())?;
        let ran = scene.killed_at(&rotate, *point)?;
        assert!(ran.killed || ran.status == Some(0), "{at}: {ran:?}");
        let done = scene.killer.done()?;
        let ends = disk.ends(&done)?;
        let mut views = Vec::new();
        for end in &ends {
            let copy = scene.folder("copy");
            disk.after_cut(&done, *end, &copy)?;
            views.push(said(scene, &copy)?);
            std::fs::remove_dir_all(&copy)?;
        }
        cuts.fetch_add(ends.len(), Ordering::Relaxed);
        // A commit is lost whole or kept whole; half of one is never seen.
        let (lost, kept) = (views.first(), views.last());
        let between = views.iter().find(|view| Some(*view) != lost && Some(*view) != kept);
        assert_eq!(between, None, "{at}: of {ends:?} an end shows neither {lost:?} nor {kept:?}");
        disk.after_cut(&done, ends[0], &scene.data())?;
        scene.recover(*ending, &at)
    })?;
    let Some(tally) = tally else { return Ok(()) };
    let Tally { runs, ended, .. } = tally;
    let cuts = cuts.into_inner();
    eprintln!("{strategy}: {runs} power cuts recovered from, {ended} of them in a change; {cuts} ends of the log read");
    tally.assert_met(75);
    assert!(cuts >= runs * 2, "the log ended at {cuts} places only: it is not cut where it was written");
    Ok(())
}

#[test]
fn a_power_cut_at_any_commit_of_a_two_phase_change_loses_nothing_else() -> Result<(), Trouble> {
    cut_everywhere("two-phase", 0, Ending::Resume)
}

#[test]
fn a_power_cut_at_any_commit_of_a_device_by_device_change_loses_nothing_else() -> Result<(), Trouble> {
    cut_everywhere("device-by-device", 1, Ending::RollBack)
}
