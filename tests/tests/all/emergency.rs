//! Changes of a compromised key: past every failure, never back, and in the end the key is nowhere any more.

use std::time::Duration;

use keywheel_core::{
    Keywheel,
    catalogue::{DeviceId, VersionState},
    error::Explain,
    journal::{self, ChangeState, DeviceState, Effect, EffectResult, Place},
    rotation::{
        ConnectWith, Destroyed, Finished, Patience, Rotate, Seen, Stage, Strategy,
        changes::Step,
        decide::{Direction, Outcome},
        event::{StageState, What},
    },
    vault::{Fault as VaultFault, Vault},
};
use keywheel_fleet::{
    Embedded, Trouble,
    embedded::{Event, Fault, Moment, Record, Which},
    watch,
};

use crate::faults::{LIKE_OPENSSH, OTHERS, OURS, Scene};

/// So long after a write a key may be destroyed.
const LATER: Duration = Duration::from_secs(61);

fn request() -> Rotate {
    Rotate { credential: "deploy".into(), strategy: Some(Strategy::Emergency), ..Rotate::default() }
}

async fn emergency(scene: &Scene) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    Ok(scene.desk.keywheel.rotate(&request(), watch).await?)
}

async fn retry(scene: &Scene, finished: &Finished) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    Ok(scene.desk.keywheel.retry(finished.change, watch).await?)
}

async fn destroy(keywheel: &Keywheel) -> Result<Vec<Destroyed>, Trouble> {
    let (_nobody, stop) = tokio::sync::watch::channel(false);
    Ok(keywheel.destroy_compromised(Patience::Leaves, &stop).await?)
}

async fn state_of(scene: &Scene, version: u32) -> Result<VersionState, Trouble> {
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    Ok(credential.key_version(version).ok_or("no such version")?.state)
}

/// Whether the private half of a version lies in the keyring.
async fn is_kept(scene: &Scene, version: u32) -> Result<bool, Trouble> {
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    let known = credential.key_version(version).ok_or("no such version")?;
    Ok(scene.desk.vault.read(&known.item).await?.is_some())
}

/// Asserts that a device accepts the new key and does not have the compromised one any more.
async fn assert_rid_of_it(scene: &Scene, index: usize) -> Result<(), Trouble> {
    scene.assert_changed(index).await?;
    let device = &scene.devices[index];
    assert!(!scene.desk.client.logs_in(&device.target()?, &scene.key.file)?, "device {index} lets the thief in");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_key_is_accepted_nowhere_in_the_end_and_gone_from_the_keyring() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH, OURS]).await?;
    let keywheel = &scene.desk.keywheel;
    let (watch, mut watching) = watch();
    let finished = keywheel.rotate(&Rotate { at_once: Some(2), ..request() }, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    for index in 0..3 {
        assert_rid_of_it(&scene, index).await?;
    }
    scene.assert_no_temporaries()?;

    let listed = watching.drain().into_iter().filter_map(|event| match event.what {
        What::OtherKeys { device, seen, keys } => Some((device, seen, keys)),
        _ => None,
    });
    let listed: Vec<_> = listed.collect();
    for seen in [Seen::Before, Seen::After] {
        let of = listed.iter().filter(|(_, when, _)| *when == seen);
        assert_eq!(of.count(), 3, "each device's other keys are listed {seen}");
    }
    let details = keywheel.change_details(finished.change).await?;
    for record in &details.records {
        let others = record.other_keys.as_ref().ok_or("the other keys are listed")?;
        assert_eq!(others.seen, Seen::After);
        let [other] = others.keys.as_slice() else { panic!("one foreign key: {others:?}") };
        assert_eq!((other.line, other.key_type.as_str(), other.comment.as_str()), (2, "ssh-ed25519", "other"));
        assert_eq!(other.options, "command=\"true\",no-pty", "what the key may do there");
    }
    assert_eq!(details.possible, [], "a compromised key is never put back");
    assert_eq!(details.undo_until, None);
    let (again, _watching) = keywheel_fleet::watch();
    let refused = keywheel.undo(finished.change, again).await.unwrap_err();
    assert_eq!(refused.code(), "never-put-back");

    let [early] = destroy(keywheel).await?.try_into().map_err(|other| format!("{other:?}"))?;
    assert_eq!(
        early.held_by[0].reason.code, "just-written",
        "a device that loses power may come back with the old file"
    );
    assert!(is_kept(&scene, 1).await?);
    let later = scene.desk.reopen_later(LATER)?;
    let [done] = destroy(&later).await?.try_into().map_err(|other| format!("{other:?}"))?;
    assert_eq!(done.held_by, [], "{done:?}");
    assert_eq!(state_of(&scene, 1).await?, VersionState::Destroyed);
    assert!(!is_kept(&scene, 1).await? && is_kept(&scene, 2).await?, "the old private half alone is gone");
    assert_eq!(destroy(&later).await?, [], "it is destroyed once");
    let rows = keywheel.audit_rows(Default::default()).await?;
    assert_eq!(rows.iter().filter(|row| row.action == "key-destroy").count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_accepts_the_compromised_key_again_keeps_it_from_being_destroyed() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
    let finished = emergency(&scene).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let changed = scene.devices[1].authorized_keys()?;
    scene.devices[1].write_authorized_keys(&[changed.as_slice(), b"\n", scene.key.public.as_bytes()].concat())?;
    let later = scene.desk.reopen_later(LATER)?;
    let [kept] = destroy(&later).await?.try_into().map_err(|other| format!("{other:?}"))?;
    assert_eq!(kept.held_by.len(), 1, "{kept:?}");
    assert_eq!(kept.held_by[0].device.as_deref(), Some("web-2"));
    assert_eq!(kept.held_by[0].reason.code, "old-key-accepted", "each device is asked just before");
    assert_eq!(state_of(&scene, 1).await?, VersionState::Retired);
    assert!(is_kept(&scene, 1).await?);
    scene.devices[1].write_authorized_keys(&changed)?;
    assert_eq!(destroy(&later).await?[0].held_by, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_that_was_broken_off_is_finished_the_next_time() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let finished = emergency(&scene).await?;
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    let item = credential.key_version(1).ok_or("version 1")?.item.clone();
    let (effect, now) = (Effect::Destroy { item: item.to_string() }, scene.desk.keywheel.now());
    let place = Place { change: finished.change, epoch: 1, device: None, direction: Direction::Forward };
    let database = scene.desk.keywheel.database();
    database.run_write(move |tx| journal::effect::intend(tx, place, &effect, now)).await?;
    scene.desk.vault.remove(&item).await?;

    // The key is gone, so that it is not too early either.
    let [done] = destroy(&scene.desk.reopen()?).await?.try_into().map_err(|other| format!("{other:?}"))?;
    assert_eq!(done.held_by, []);
    assert_eq!(state_of(&scene, 1).await?, VersionState::Destroyed);
    let id = finished.change;
    let effects = database.run_read(move |connection| journal::effect::list(connection, id)).await?;
    let destroyed = effects.iter().find(|effect| matches!(effect.effect, Effect::Destroy { .. }));
    assert_eq!(destroyed.and_then(|effect| effect.result.clone()), Some(EffectResult::Done));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_does_not_say_whether_the_key_is_gone_is_asked_the_next_time() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    emergency(&scene).await?;
    let later = scene.desk.reopen_later(LATER)?;
    scene.desk.vault.set_fault(Some(VaultFault::LosesTheAnswer));
    assert!(destroy(&later).await.is_err(), "the answer was lost");
    scene.desk.vault.set_fault(None);
    assert_eq!(state_of(&scene, 1).await?, VersionState::Retired, "nothing is told that is not known");
    assert_eq!(destroy(&later).await?[0].held_by, []);
    assert_eq!(state_of(&scene, 1).await?, VersionState::Destroyed);
    assert!(!is_kept(&scene, 1).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_device_that_is_dead_does_not_keep_the_others_on_a_compromised_key() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH, OURS]).await?;
    scene.devices[0].stop();
    let finished = emergency(&scene).await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    assert_eq!(finished.devices[0].state, DeviceState::Unchanged);
    for index in 1..3 {
        assert_rid_of_it(&scene, index).await?;
    }
    assert_eq!(state_of(&scene, 2).await?, VersionState::Current, "what logs in on the devices is the current key");
    let keywheel = &scene.desk.keywheel;
    assert_eq!(keywheel.change_details(finished.change).await?.possible, [Step::Retry]);
    let (back, _watching) = watch();
    assert_eq!(keywheel.roll_back(finished.change, back).await.unwrap_err().code(), "never-put-back");
    assert_eq!(destroy(&scene.desk.reopen_later(LATER)?).await?, [], "the dead device may still accept it");

    scene.devices[0].restart().await?;
    let retried = retry(&scene, &finished).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    assert_rid_of_it(&scene, 0).await?;
    assert_eq!(destroy(&scene.desk.reopen_later(LATER)?).await?[0].held_by, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_gone_for_good_is_given_up_by_name() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let keywheel = &scene.desk.keywheel;
    scene.devices[1].stop();
    let finished = emergency(&scene).await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    let unknown = keywheel.give_up_device(finished.change, "web-9").await.unwrap_err();
    assert_eq!(unknown.code(), "not-its-device");
    keywheel.give_up_device(finished.change, "web-2").await?;
    let retried = retry(&scene, &finished).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "the others are through: {retried:?}");
    let details = keywheel.change_details(finished.change).await?;
    let given_up: Vec<bool> = details.records.iter().map(|record| record.given_up).collect();
    assert_eq!(given_up, [false, true]);
    assert_eq!(details.records[1].state, DeviceState::Unchanged, "it is not told to be changed");
    assert_eq!(destroy(&scene.desk.reopen_later(LATER)?).await?[0].held_by, []);
    assert!(!is_kept(&scene, 1).await?);
    let rows = keywheel.audit_rows(Default::default()).await?;
    assert!(rows.iter().any(|row| row.action == "device-give-up"), "giving up stands in the record");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_reached_nobody_gives_nobody_up_and_leaves_the_key_unusable() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    let keywheel = &scene.desk.keywheel;
    let other = scene.desk.client.key("backup", "ed25519")?;
    let original: DeviceId = scene.ids[0];
    scene.desk.credential("backup", scene.devices[0].account(), &other.file, &[original]).await?;
    scene.devices[0].stop();
    let finished = emergency(&scene).await?;
    assert_eq!(finished.outcome, Outcome::Failed, "{finished:?}");
    let kept = keywheel.give_up_device(finished.change, "web-1").await.unwrap_err();
    assert_eq!(kept.code(), "not-given-up", "the vault would be left with the compromised key alone");
    assert_eq!(state_of(&scene, 1).await?, VersionState::Current);
    scene.devices[0].restart().await?;

    let ordinary = Rotate { credential: "deploy".into(), ..Rotate::default() };
    let through = Rotate {
        credential: "backup".into(),
        connect_with: ConnectWith::Credential("deploy".into()),
        ..Rotate::default()
    };
    for request in [ordinary, through] {
        let (watch, _watching) = watch();
        let refused = keywheel.rotate(&request, watch).await.unwrap_err();
        assert_eq!(refused.code(), "key-compromised", "{request:?}");
    }
    let deploy = keywheel.find_credential("deploy").await?;
    let file = tempfile::tempdir()?.path().join("key");
    let revealed = keywheel.reveal_key(deploy.id, &file, None).await.unwrap_err();
    assert_eq!(revealed.code(), "key-compromised");
    let again = emergency(&scene).await?;
    assert_eq!(again.outcome, Outcome::Changed, "an emergency may be tried anew: {again:?}");
    Ok(())
}

/// Runs an emergency, and does something when a stage of a device comes to a state.
async fn when(
    scene: &Scene,
    name: &str,
    wanted: (Stage, StageState),
    act: impl AsyncFnOnce(&Scene) -> Result<(), Trouble>,
) -> Result<Finished, Trouble> {
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&request(), watch).await });
    while let Some(event) = watching.events.recv().await {
        if let What::Stage { device, stage, state, .. } = &event.what
            && device == name
            && (*stage, *state) == wanted
        {
            act(scene).await?;
            break;
        }
    }
    Ok(running.await??)
}

async fn new_key(scene: &Scene) -> Result<String, Trouble> {
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    let new = credential.key_version(2).ok_or("the candidate is known before the first write")?;
    Ok(new.public_key.to_openssh())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_refuses_the_new_key_keeps_what_it_has_and_the_others_go_on() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH, OURS]).await?;
    // Set while the original device is still at work.
    let finished = when(&scene, "web-1", (Stage::Add, StageState::Running), async |scene| {
        scene.devices[1].set_fault(Fault::RefuseKey(new_key(scene).await?));
        Ok(())
    })
    .await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    assert_eq!(finished.devices[1].state, DeviceState::Failed);
    assert_eq!(finished.devices[1].error.as_ref().map(|cause| cause.code.as_str()), Some("key-refused"));
    assert_rid_of_it(&scene, 0).await?;
    assert_rid_of_it(&scene, 2).await?;
    let text = String::from_utf8(scene.devices[1].authorized_keys()?)?;
    let expected = format!("{OTHERS}{}\n{}\n# end", scene.key.public, new_key(&scene).await?);
    assert_eq!(text, expected, "only the new key's line is added; nothing is taken out where it is not proven");
    scene.devices[1].clear_faults();
    let retried = retry(&scene, &finished).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    assert_rid_of_it(&scene, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_is_refused_after_all_does_not_bring_the_compromised_one_back() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    // The device is held until the test has seen it, however long that takes.
    scene.desk.keywheel.set_setting("stage-timeout", "30").await?;
    let device = &scene.devices[0];
    // Looking, reading and adding come first, then reading and taking out.
    device.clear_records();
    device.set_fault(Fault::Exec(Which::Number(5), Moment::Held));
    let (watch, _watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move { keywheel.rotate(&request(), watch).await });
    let removes = |record: &Record| match &record.event {
        Event::Command { number: 5, text } => text.contains("mv -f"),
        _ => false,
    };
    while !device.records().iter().any(removes) {
        assert!(!running.is_finished(), "the fifth command is not the one that takes the old line out");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    device.set_fault(Fault::RefuseKey(new_key(&scene).await?));
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    assert_eq!(finished.devices[0].error.as_ref().map(|cause| cause.code.as_str()), Some("key-refused"));
    let text = String::from_utf8(device.authorized_keys()?)?;
    assert_eq!(text, format!("{OTHERS}{}\n# end", new_key(&scene).await?), "the old line would let the thief in");
    device.clear_faults();
    let retried = retry(&scene, &finished).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    assert_rid_of_it(&scene, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_is_killed_goes_forward_when_it_is_taken_up() -> Result<(), Trouble> {
    for stage in [Stage::Add, Stage::Prove, Stage::Remove, Stage::Refuse] {
        let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
        let (watch, mut watching) = watch();
        let keywheel = scene.desk.reopen()?;
        let running = tokio::spawn(async move { keywheel.rotate(&request(), watch).await });
        while let Some(event) = watching.events.recv().await {
            if let What::Stage { device, stage: at, state: StageState::Running, .. } = &event.what
                && (device.as_str(), *at) == ("web-2", stage)
            {
                running.abort();
                break;
            }
        }
        // It may have been through before it was aborted.
        if let Ok(done) = running.await {
            done?;
        }
        let other = scene.desk.reopen()?;
        // A command that a device of this process starts has the lock's file open until it is another program.
        let mut changes = other.change_views().await?;
        while changes[0].state == ChangeState::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
            changes = other.change_views().await?;
        }
        let (back, _watching) = keywheel_fleet::watch();
        let (id, state) = (changes[0].id, changes[0].state);
        if state != ChangeState::Changed {
            assert_eq!(state, ChangeState::Interrupted, "{stage}");
            assert_eq!(other.change_details(id).await?.possible, [Step::Resume]);
            assert_eq!(other.roll_back(id, back).await.unwrap_err().code(), "never-put-back");
            let (forward, _watching) = keywheel_fleet::watch();
            let resumed = other.resume(id, forward).await?;
            assert_eq!(resumed.outcome, Outcome::Changed, "{stage}: {resumed:?}");
        }
        for index in 0..2 {
            assert_rid_of_it(&scene, index).await?;
        }
        scene.assert_no_temporaries()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_sftp_only_lists_the_other_keys_too() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    scene.devices.iter().for_each(|device: &Embedded| device.set_fault(Fault::SftpOnly));
    let finished = emergency(&scene).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let details = scene.desk.keywheel.change_details(finished.change).await?;
    let others = details.records[0].other_keys.clone().ok_or("listed")?;
    assert_eq!((others.seen, others.keys.len()), (Seen::After, 1));
    assert_rid_of_it(&scene, 0).await
}
