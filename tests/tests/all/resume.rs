//! Key changes that are broken off, in whatever way, and taken up again by another process.

use std::time::Duration;

use keywheel_core::{
    Keywheel,
    catalogue::VersionState,
    error::Explain,
    journal::{self, Change, ChangeId, ChangeState, DeviceState},
    rotation::{
        ConnectWith, Finished, Install, OnFailure, Rotate, Stage, Strategy, Uninstall,
        decide::Outcome,
        event::{StageState, What},
    },
};
use keywheel_fleet::{
    Trouble,
    embedded::{Fault, Moment, Which},
    watch,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::faults::{LIKE_OPENSSH, OTHERS, OURS, Scene};

fn request(strategy: Strategy, on_failure: OnFailure) -> Rotate {
    Rotate { credential: "deploy".into(), strategy: Some(strategy), on_failure: Some(on_failure), ..Rotate::default() }
}

async fn newest_change(keywheel: &Keywheel) -> Result<Option<Change>, Trouble> {
    let changes = keywheel.database().run_read(journal::change::list).await?;
    Ok(changes.into_iter().next())
}

async fn resume(keywheel: &Keywheel, id: ChangeId) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    Ok(keywheel.resume(id, watch).await?)
}

async fn roll_back(keywheel: &Keywheel, id: ChangeId) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    Ok(keywheel.roll_back(id, watch).await?)
}

/// Runs a change and does something when a stage of a device comes to a state.
async fn when(
    scene: &Scene,
    request: Rotate,
    name: &str,
    wanted: (Stage, StageState),
    act: impl FnOnce(&Scene),
) -> Result<Finished, Trouble> {
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&request, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { device, stage, state, .. } = &event.what
            && device == name
            && (*stage, *state) == wanted
        {
            act(scene);
            break;
        }
    }
    let finished = running.await??;
    Ok(finished)
}

/// A change whose process ends at some moment is taken up, or taken back, by another process, and nothing is lost.
async fn dies(strategy: Strategy, seed: u64) -> Result<(), Trouble> {
    let mut random = StdRng::seed_from_u64(seed);
    let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
    let mut version = 1;
    let mut expected = scene.text.clone();
    let mut interrupted = 0;
    for round in 0..10 {
        let (watch, mut watching) = watch();
        let keywheel = scene.desk.reopen()?;
        let running =
            tokio::spawn(async move { keywheel.rotate(&request(strategy, OnFailure::RollBack), watch).await });
        // Somewhere behind one of its events, so that a fast machine and a slow one are killed at the same places.
        let (events, pause) = (random.random_range(0..=18), random.random_range(0..40));
        for _ in 0..events {
            watching.events.recv().await.ok_or("the change ended before it could be killed")?;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running.abort();
        let _ = running.await;
        let other = scene.desk.reopen()?;
        let change = newest_change(&other).await?;
        let at = format!("{strategy:?}, seed {seed}, round {round}, killed {pause} ms behind event {events}");
        let credential = other.find_credential("deploy").await?;
        let newest = credential.key_versions.last().ok_or("a version")?.version;
        if let Some(change) = change
            && matches!(change.state, ChangeState::Running | ChangeState::Interrupted)
        {
            interrupted += 1;
            let back = random.random_bool(0.5);
            if random.random_bool(0.5) {
                // The process that takes it up dies too.
                let (watch, _watching) = keywheel_fleet::watch();
                let second = scene.desk.reopen()?;
                let id = change.id;
                let running = tokio::spawn(async move {
                    if back { second.roll_back(id, watch).await } else { second.resume(id, watch).await }
                });
                tokio::time::sleep(Duration::from_millis(random.random_range(40..1600))).await;
                running.abort();
                if let Ok(done) = running.await {
                    done?;
                }
            }
            let state = other.find_change(change.id).await?.state;
            let stored = other.find_change(change.id).await?.stored.is_some();
            let wanted = if back || !stored { Outcome::RolledBack } else { Outcome::Changed };
            if matches!(state, ChangeState::Running | ChangeState::Interrupted) {
                let ended = if back { roll_back(&other, change.id).await? } else { resume(&other, change.id).await? };
                assert_eq!(ended.outcome, wanted, "{at}: {ended:?}");
            } else {
                assert_eq!(state.as_str(), wanted.as_str(), "{at}");
            }
        }
        let credential = other.find_credential("deploy").await?;
        let current = credential.current_key().ok_or("a current key")?;
        let (from, to) = (credential.key_version(version).ok_or("from")?, current);
        assert!(current.version == version || current.version == newest, "{at}: version {}", current.version);
        let text =
            String::from_utf8_lossy(&expected).replace(&from.public_key.to_openssh(), &to.public_key.to_openssh());
        expected = text.into_bytes();
        version = current.version;
        for other in &credential.key_versions {
            assert_ne!(other.state, VersionState::Candidate, "{at}: version {} stays a candidate", other.version);
        }
        let file = scene.desk.key_file("deploy", version).await?;
        for (index, device) in scene.devices.iter().enumerate() {
            assert_eq!(
                String::from_utf8_lossy(&device.authorized_keys()?),
                String::from_utf8_lossy(&expected),
                "{at}: device {index}"
            );
            assert!(scene.desk.client.logs_in(&device.target()?, &file)?, "{at}: device {index} is locked");
        }
        scene.assert_no_temporaries()?;
    }
    assert!(interrupted > 2, "the test kills too late to be of use: {interrupted} of 10");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_anywhere_loses_nothing() -> Result<(), Trouble> {
    let seed = rand::random();
    dies(Strategy::TwoPhase, seed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_anywhere_device_by_device_loses_nothing() -> Result<(), Trouble> {
    let seed = rand::random();
    dies(Strategy::DeviceByDevice, seed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_rolls_back_an_account_with_sftp_only() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    scene.devices[0].set_fault(Fault::SftpOnly);
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { stage: Stage::Prove, state: StageState::Done, .. } = &event.what {
            watching.stop.send(true)?;
            break;
        }
    }
    let stopped = running.await??;
    assert_eq!(stopped.outcome, Outcome::Interrupted, "{stopped:?}");
    let ended = roll_back(&scene.desk.reopen()?, stopped.change).await?;
    assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
    scene.assert_as_before(0)?;
    scene.assert_as_before(1)?;
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_removes_what_a_power_cut_left() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    // The second device loses its power in the middle of the first write, with the temporary file made, and is dead then.
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { stage: Stage::Prove, state: StageState::Done, .. } = &event.what {
            watching.stop.send(true)?;
            break;
        }
    }
    let stopped = running.await??;
    let vault: String = scene.desk.keywheel.database().vault_id().chars().take(8).collect();
    let left = scene.devices[0].home().join(format!(".ssh/.kw-{vault}-{}-1-99.new", stopped.change));
    std::fs::write(&left, b"half a file")?;
    let ended = roll_back(&scene.desk.reopen()?, stopped.change).await?;
    assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
    scene.assert_as_before(0)?;
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_that_removed_puts_the_old_lines_back() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    // All sessions of the check are gone when the removal begins; in the first answers after it the new key is refused.
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    let mut new = String::new();
    while let Some(event) = watching.events.recv().await {
        match &event.what {
            What::Stage { device, stage: Stage::Prove, state: StageState::Done, .. } if device == "web-1" => {
                scene.devices[0].cut_all();
                scene.devices[0].set_fault(Fault::Slow(Duration::from_millis(50)));
                let credential = scene.desk.keywheel.find_credential("deploy").await?;
                new = credential.key_version(2).ok_or("version 2")?.public_key.to_openssh();
            }
            What::Stage { device, stage: Stage::Remove, state: StageState::Done, .. } if device == "web-1" => {
                scene.devices[0].add_fault(Fault::RefuseKey(new.clone()));
                break;
            }
            _ => {}
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    let end = &finished.devices[0];
    assert_eq!(end.error.as_ref().map(|cause| cause.code.as_str()), Some("key-refused"), "{end:?}");
    assert!(
        scene.desk.client.logs_in(&scene.devices[0].target()?, &scene.key.file)?,
        "nobody gets in any more: {finished:?}"
    );
    let old = keywheel_core::key::PublicKey::from_openssh(&scene.key.public)?.fingerprint();
    assert_eq!(end.accepts, [old], "the device refuses the new key and accepts the old one: {end:?}");
    scene.devices[0].clear_faults();
    let (watch, _watching) = keywheel_fleet::watch();
    let retried = scene.desk.keywheel.retry(finished.change, watch).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    scene.assert_changed(0).await?;
    scene.assert_changed(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_fails_is_told_as_failed() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let (watch, mut watching) = watch();
    scene.devices[0].set_fault(Fault::Exec(Which::Containing("mv -f".into()), Moment::Refuse));
    let finished = scene.desk.keywheel.rotate(&request(Strategy::TwoPhase, OnFailure::RollBack), watch).await?;
    assert_ne!(finished.outcome, Outcome::Changed, "{finished:?}");
    let mut open = Vec::new();
    for event in watching.drain() {
        if let What::Stage { device, stage, state, .. } = event.what {
            open.retain(|known| *known != (device.clone(), stage));
            if state == StageState::Running {
                open.push((device, stage));
            }
        }
    }
    assert_eq!(open, [], "who watches sees these stages running for ever");
    scene.assert_as_before(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_away_after_the_point_of_no_return_keeps_both_keys() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let wanted = (Stage::Refuse, StageState::Done);
    let ended = when(&scene, change, "web-1", wanted, |scene| scene.devices[1].stop()).await?;
    assert_eq!(ended.outcome, Outcome::PartlyChanged, "{ended:?}");
    scene.devices[1].restart().await?;
    let both = scene.devices[1].authorized_keys()?;
    // The retry finds a second name of the file, from which a rename would part it: a problem of the check.
    let path = scene.devices[1].authorized_keys_path();
    let second = path.with_extension("second");
    std::fs::hard_link(&path, &second)?;
    let (watch, _watching) = watch();
    let retried = scene.desk.keywheel.retry(ended.change, watch).await?;
    assert_eq!(retried.outcome, Outcome::PartlyChanged, "{retried:?}");
    assert_eq!(scene.devices[1].authorized_keys()?, both, "nothing goes back by itself after the point of no return");
    std::fs::remove_file(&second)?;
    let (watch, _watching) = keywheel_fleet::watch();
    let retried = scene.desk.keywheel.retry(ended.change, watch).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    scene.assert_changed(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_absence_between_the_stages_is_waited_out() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { device, stage: Stage::Check, state: StageState::Done, .. } = &event.what
            && device == "web-2"
        {
            scene.devices[1].stop();
            break;
        }
    }
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { device, stage: Stage::Add, state: StageState::Running, .. } = &event.what
            && device == "web-2"
        {
            tokio::time::sleep(Duration::from_millis(300)).await;
            scene.devices[1].restart().await?;
            break;
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::Changed, "one second's absence takes a whole fleet back: {finished:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_is_for_the_newest_change_and_its_days() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let keywheel = &scene.desk.keywheel;
    let first = scene.take_back_all().await?;
    let second = scene.take_back_all().await?;
    let undo = async |id| {
        let (watch, _watching) = watch();
        keywheel.undo(id, watch).await
    };
    let error = undo(first.change).await.expect_err("a newer change stands");
    assert_eq!(error.code(), "no-undo");
    // A change that was rolled back does not stand, and is no reason against the undo of the one before.
    scene.devices[0].set_fault(Fault::Exec(Which::Containing("mv -f".into()), Moment::Refuse));
    let third = scene.take_back_all().await?;
    assert_eq!(third.outcome, Outcome::RolledBack, "{third:?}");
    scene.devices[0].clear_faults();
    let undone = undo(second.change).await?;
    assert_eq!(undone.outcome, Outcome::Changed, "{undone:?}");
    let error = undo(second.change).await.expect_err("it was undone already");
    assert_eq!(error.code(), "no-undo");
    keywheel.set_setting("days-of-undo", "0").await?;
    let error = undo(undone.change).await.expect_err("no days of undo");
    assert_eq!(error.code(), "no-undo");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_go_back_as_one_at_once_does() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS, OURS, OURS]).await?;
    scene.devices[2].set_fault(Fault::Exec(Which::Containing("mv -f".into()), Moment::Refuse));
    for (strategy, on_failure) in [
        (Strategy::TwoPhase, OnFailure::RollBack),
        (Strategy::TwoPhase, OnFailure::Continue),
        (Strategy::DeviceByDevice, OnFailure::Continue),
    ] {
        let scene =
            if on_failure == OnFailure::RollBack { &scene } else { &Scene::new(&[OURS, OURS, OURS, OURS]).await? };
        scene.devices[2].set_fault(Fault::Exec(Which::Containing("mv -f".into()), Moment::Refuse));
        let (watch, _watching) = watch();
        let many = Rotate { at_once: Some(3), ..request(strategy, on_failure) };
        let finished = scene.desk.keywheel.rotate(&many, watch).await?;
        if on_failure == OnFailure::RollBack {
            assert_eq!(finished.outcome, Outcome::RolledBack, "{finished:?}");
            for index in 0..4 {
                scene.assert_as_before(index)?;
            }
        } else {
            assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
            assert_eq!(finished.devices[2].state, DeviceState::RolledBack, "{finished:?}");
            scene.assert_as_before(2)?;
            for index in [0, 1, 3] {
                scene.assert_changed(index).await?;
            }
        }
        scene.assert_no_temporaries()?;
    }
    Ok(())
}

/// Takes the key off the scene's one device, and tells how that went.
async fn take_off(scene: &Scene) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    let request = Uninstall { credential: "deploy".into(), devices: Vec::new() };
    Ok(scene.desk.keywheel.uninstall(&request, watch).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_takes_itself_off_is_off_though_the_answer_is_lost() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    scene.devices[0].set_fault(Fault::Exec(Which::Number(3), Moment::CutUnanswered));
    let finished = take_off(&scene).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "the goal is reached: {finished:?}");
    assert_eq!(String::from_utf8_lossy(&scene.devices[0].authorized_keys()?), format!("{OTHERS}# end"));
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_while_a_key_takes_itself_off_is_taken_up() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    scene.devices[0].set_fault(Fault::Exec(Which::Number(3), Moment::HangAfter));
    let keywheel = scene.desk.reopen()?;
    let (watch, _watching) = watch();
    let request = Uninstall { credential: "deploy".into(), devices: Vec::new() };
    let running = tokio::spawn(async move { keywheel.uninstall(&request, watch).await });
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if !String::from_utf8_lossy(&scene.devices[0].authorized_keys()?).contains(&scene.key.public) {
            break;
        }
    }
    running.abort();
    let _ = running.await;
    let other = scene.desk.reopen()?;
    let change = newest_change(&other).await?.ok_or("a change")?;
    let ended = resume(&other, change.id).await?;
    assert_eq!(ended.outcome, Outcome::Changed, "else its credential gets no new change for ever: {ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_the_new_key_is_stored_leaves_no_candidate() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let keywheel = scene.desk.reopen()?;
    let (watch, mut watching) = watch();
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { stage: Stage::Check, state: StageState::Running, .. } = event.what {
            scene.desk.vault.set_fault(Some(keywheel_core::vault::Fault::Slow(Duration::from_secs(2))));
            break;
        }
    }
    let mut candidate = None;
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        candidate = scene.desk.keywheel.find_credential("deploy").await?.key_version(2).cloned();
        if candidate.is_some() {
            break;
        }
    }
    running.abort();
    let _ = running.await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.desk.vault.set_fault(None);
    let candidate = candidate.ok_or("the candidate's intent is written down before it is stored")?;
    // What a store that did not happen any more leaves: the intent alone.
    scene.desk.keywheel.vault().remove(&candidate.item).await?;
    let other = scene.desk.reopen()?;
    let change = newest_change(&other).await?.ok_or("a change")?;
    let ended = resume(&other, change.id).await?;
    assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
    let credential = other.find_credential("deploy").await?;
    let state = credential.key_version(2).ok_or("version 2")?.state;
    assert_eq!(state, VersionState::Retired, "a candidate that no change works on would wait for ever");
    scene.assert_as_before(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_rolled_back_leaves_every_byte() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let other = scene.desk.client.key("other", "ed25519")?;
    scene.desk.credential("other", scene.devices[0].account(), &other.file, &scene.ids).await?;
    // On the first device the key stands already; the second one refuses the write.
    let first = format!("{OTHERS}{}\n{}\n", scene.key.public, other.public);
    scene.devices[0].write_authorized_keys(first.as_bytes())?;
    scene.devices[1].set_fault(Fault::Exec(Which::Containing("mv -f".into()), Moment::Refuse));
    let (watch, _watching) = watch();
    let request = Install { credential: "other".into(), auth_with: "deploy".into(), options: None };
    let finished = scene.desk.keywheel.install(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::RolledBack, "{finished:?}");
    assert_eq!(String::from_utf8_lossy(&scene.devices[0].authorized_keys()?), first, "what stood there stays");
    assert!(scene.desk.client.logs_in(&scene.devices[0].target()?, &other.file)?, "it logged in before");
    let fingerprint = keywheel_core::key::PublicKey::from_openssh(&other.public)?.fingerprint();
    assert_eq!(finished.devices[0].accepts, [fingerprint], "the device accepts what stood there before: {finished:?}");
    scene.assert_as_before(1)?;
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_after_the_point_of_no_return_is_as_before() -> Result<(), Trouble> {
    for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
        let scene = Scene::new(&[OURS, LIKE_OPENSSH, OURS]).await?;
        scene.devices[1].set_fault(Fault::AcceptKey(scene.key.public.clone()));
        let partly = {
            let (watch, _watching) = watch();
            scene.desk.keywheel.rotate(&request(strategy, OnFailure::Continue), watch).await?
        };
        assert_eq!(partly.outcome, Outcome::PartlyChanged, "{partly:?}");
        scene.devices[1].clear_faults();
        // One device is away, so that the way back is broken off; it ends when the device is there again.
        scene.devices[0].stop();
        let other = scene.desk.reopen()?;
        let ended = roll_back(&other, partly.change).await?;
        assert_eq!(ended.outcome, Outcome::Interrupted, "{strategy:?}: {ended:?}");
        scene.devices[0].restart().await?;
        let ended = roll_back(&scene.desk.reopen()?, partly.change).await?;
        assert_eq!(ended.outcome, Outcome::RolledBack, "{strategy:?}: {ended:?}");
        let old = keywheel_core::key::PublicKey::from_openssh(&scene.key.public)?.fingerprint();
        for index in 0..3 {
            scene.assert_as_before(index)?;
            assert_eq!(ended.devices[index].accepts, std::slice::from_ref(&old), "{strategy:?}: {ended:?}");
        }
        let credential = other.find_credential("deploy").await?;
        assert_eq!(credential.current_key().map(|key| key.version), Some(1), "the old key is the current one again");
        assert_eq!(credential.key_version(2).ok_or("version 2")?.state, VersionState::Retired);
        scene.assert_no_temporaries()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_credentials_session_puts_the_old_lines_back() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let other = scene.desk.client.key("other", "ed25519")?;
    scene.desk.credential("other", scene.devices[0].account(), &other.file, &scene.ids).await?;
    let text = format!("{}\n{}\n", scene.key.public, other.public);
    scene.devices[0].write_authorized_keys(text.as_bytes())?;
    scene.devices[0].set_fault(Fault::Slow(Duration::from_millis(50)));
    let change = Rotate {
        connect_with: ConnectWith::Credential("other".into()),
        ..request(Strategy::TwoPhase, OnFailure::RollBack)
    };
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&change, watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { stage: Stage::Remove, state: StageState::Done, .. } = &event.what {
            let credential = scene.desk.keywheel.find_credential("deploy").await?;
            let new = credential.key_version(2).ok_or("version 2")?.public_key.to_openssh();
            scene.devices[0].add_fault(Fault::RefuseKey(new));
            break;
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    assert!(scene.desk.client.logs_in(&scene.devices[0].target()?, &scene.key.file)?, "{finished:?}");
    let ended = roll_back(&scene.desk.reopen()?, finished.change).await?;
    assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&scene.devices[0].authorized_keys()?), text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_under_two_names_is_changed_once() -> Result<(), Trouble> {
    for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
        let scene = Scene::new(&[OURS]).await?;
        let device = &scene.devices[0];
        let twin = scene.desk.device_at("twin", device.port(), &device.host_keys_public()?).await?;
        let ids = [scene.ids[0], twin];
        let key = scene.desk.client.key("twice", "ed25519")?;
        let text = format!("{}\n# end\n", key.public);
        device.write_authorized_keys(text.as_bytes())?;
        scene.desk.credential("twice", device.account(), &key.file, &ids).await?;
        let findings = scene.desk.keywheel.check("twice", &ConnectWith::AsStored).await?;
        let warned = findings[1].warnings.iter().any(|warning| warning.code == "same-device");
        assert!(warned, "the check says so: {findings:?}");
        let (watch, _watching) = watch();
        let twice = Rotate { credential: "twice".into(), ..request(strategy, OnFailure::RollBack) };
        let finished = scene.desk.keywheel.rotate(&twice, watch).await?;
        assert_eq!(finished.outcome, Outcome::Changed, "{strategy:?}: {finished:?}");
        let credential = scene.desk.keywheel.find_credential("twice").await?;
        let new = credential.current_key().ok_or("a key")?.public_key.to_openssh();
        assert_eq!(String::from_utf8_lossy(&device.authorized_keys()?), format!("{new}\n# end\n"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_connection_that_is_dead_is_opened_anew() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let edit = keywheel_core::device::EditDevice { jump: Some(Some(scene.ids[0])), ..Default::default() };
    scene.desk.keywheel.edit_device(scene.ids[1], edit).await?;
    let change = request(Strategy::TwoPhase, OnFailure::RollBack);
    let wanted = (Stage::Add, StageState::Done);
    let finished = when(&scene, change, "web-1", wanted, |scene| scene.devices[0].cut_all()).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    scene.assert_changed(0).await?;
    scene.assert_changed(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_took_itself_off_is_not_rolled_back_into_a_dead_end() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    scene.devices[1].stop();
    let partly = take_off(&scene).await?;
    assert_eq!(partly.outcome, Outcome::PartlyChanged, "{partly:?}");
    let error = roll_back(&scene.desk.keywheel, partly.change).await.expect_err("nothing logs in there any more");
    assert!(error.to_string().contains("can't be rolled back"), "{error}");
    scene.devices[1].restart().await?;
    let (watch, _watching) = watch();
    let retried = scene.desk.keywheel.retry(partly.change, watch).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "the way forward stays open: {retried:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_credential_uses_there_too_is_not_changed() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    scene.desk.credential("also", scene.devices[0].account(), &scene.key.file, &scene.ids).await?;
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Failed, "the other credential would be locked out: {finished:?}");
    assert_eq!(finished.devices[0].error.as_ref().map(|cause| cause.code.as_str()), Some("same-key-elsewhere"));
    scene.assert_as_before(0)
}
