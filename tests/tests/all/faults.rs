//! Key changes against devices that cut, hang, lose answers and lie, each at an exactly chosen moment.

use std::time::Duration;

use keywheel_core::{
    catalogue::DeviceId,
    error::Explain,
    journal::{ChangeState, DeviceState},
    rotation::{Finished, OnFailure, Rotate, Strategy, decide::Outcome},
};
use keywheel_fleet::{
    ClientKey, Desk, Embedded, Trouble,
    embedded::{Config, Event, Fault, Moment, Which, With},
    watch,
};

pub(crate) const OTHERS: &str = "# theirs\ncommand=\"true\",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other\n";

/// Embedded devices under one credential "deploy", with timeouts of a second.
pub(crate) struct Scene {
    pub(crate) desk: Desk,
    pub(crate) devices: Vec<Embedded>,
    pub(crate) ids: Vec<DeviceId>,
    pub(crate) key: ClientKey,
    pub(crate) text: Vec<u8>,
}

impl Scene {
    pub(crate) async fn new(versions: &[&str]) -> Result<Self, Trouble> {
        let desk = Desk::open()?;
        for name in ["connection-timeout", "stage-timeout"] {
            desk.keywheel.set_setting(name, "1").await?;
        }
        let key = desk.client.key("deploy", "ed25519")?;
        let text = format!("{OTHERS}{}\n# end", key.public).into_bytes();
        let (mut devices, mut ids) = (Vec::new(), Vec::new());
        for (index, version) in versions.iter().enumerate() {
            let device = Embedded::start(Config { version: (*version).to_owned(), ..Config::default() }).await?;
            device.write_authorized_keys(&text)?;
            let name = format!("web-{}", index + 1);
            ids.push(desk.device_at(&name, device.port(), &device.host_keys_public()?).await?);
            devices.push(device);
        }
        desk.credential("deploy", devices[0].account(), &key.file, &ids).await?;
        Ok(Self { desk, devices, ids, key, text })
    }

    pub(crate) async fn rotate(&self, on_failure: OnFailure, strategy: Strategy) -> Result<Finished, Trouble> {
        let (watch, _watching) = watch();
        let request = Rotate {
            credential: "deploy".into(),
            on_failure: Some(on_failure),
            strategy: Some(strategy),
            ..Rotate::default()
        };
        Ok(self.desk.keywheel.rotate(&request, watch).await?)
    }

    pub(crate) async fn take_back_all(&self) -> Result<Finished, Trouble> {
        self.rotate(OnFailure::RollBack, Strategy::TwoPhase).await
    }

    /// Asserts that a device is on the new key (version 2), and that no other byte of its file is changed.
    pub(crate) async fn assert_changed(&self, index: usize) -> Result<(), Trouble> {
        let device = &self.devices[index];
        let credential = self.desk.keywheel.find_credential("deploy").await?;
        let new = credential.key_version(2).ok_or("version 2")?.public_key.to_openssh();
        let expected = format!("{OTHERS}{new}\n# end");
        assert_eq!(String::from_utf8_lossy(&device.authorized_keys()?), expected, "device {index}");
        let file = self.desk.key_file("deploy", 2).await?;
        assert!(self.desk.client.logs_in(&device.target()?, &file)?, "the new key must log in on device {index}");
        Ok(())
    }

    /// Asserts that a device is as it was before.
    pub(crate) fn assert_as_before(&self, index: usize) -> Result<(), Trouble> {
        let device = &self.devices[index];
        assert_eq!(
            String::from_utf8_lossy(&device.authorized_keys()?),
            String::from_utf8_lossy(&self.text),
            "device {index} must be as before, to the byte"
        );
        assert!(self.desk.client.logs_in(&device.target()?, &self.key.file)?, "the old key must log in on {index}");
        Ok(())
    }

    pub(crate) fn assert_no_temporaries(&self) -> Result<(), Trouble> {
        for device in &self.devices {
            for entry in std::fs::read_dir(device.home().join(".ssh"))? {
                let name = entry?.file_name();
                assert_eq!(name, "authorized_keys", "a temporary file stayed");
            }
        }
        Ok(())
    }
}

pub(crate) const OURS: &str = "SSH-2.0-KeywheelFleet_1";
pub(crate) const LIKE_OPENSSH: &str = "SSH-2.0-OpenSSH_9.9";

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_written_before_its_predecessors_are_through_with_the_phase() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH, OURS]).await?;
    scene.devices.iter().for_each(Embedded::clear_records);
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let mut writes: Vec<(u64, usize)> = Vec::new();
    for (index, device) in scene.devices.iter().enumerate() {
        for record in device.records() {
            if let Event::Wrote { path, .. } = &record.event
                && path.ends_with("authorized_keys")
            {
                writes.push((record.sequence, index));
            }
        }
        scene.assert_changed(index).await?;
    }
    writes.sort_unstable();
    let order: Vec<usize> = writes.into_iter().map(|(_, index)| index).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2], "the devices' own records show another order");
    scene.assert_no_temporaries()
}

/// What happens to the program that writes, and which of the two devices it happens on.
async fn write_meets(moment: Moment) -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
    for device in &scene.devices {
        // The fourth command is the first that writes: probe, read, then it.
        device.set_fault(Fault::Exec(Which::Number(3), moment.clone()));
    }
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{moment:?} is retried and done: {finished:?}");
    for index in 0..2 {
        let hit = scene.devices[index].records().iter().any(|record| match &record.event {
            Event::Command { number: 3, text } => text.contains("mv -f"),
            _ => false,
        });
        assert!(hit, "the third command is not the one that writes; the fault hit something else");
        scene.assert_changed(index).await?;
    }
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_write_is_retried() -> Result<(), Trouble> {
    write_meets(Moment::CutBefore).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_the_middle_of_the_data_is_retried() -> Result<(), Trouble> {
    write_meets(Moment::CutAfterInput(200)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_the_write_is_not_taken_for_a_failure() -> Result<(), Trouble> {
    write_meets(Moment::CutUnanswered).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_not_taken_for_a_failure() -> Result<(), Trouble> {
    write_meets(Moment::AnswerLost).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_is_retried_after_the_stage_timeout() -> Result<(), Trouble> {
    write_meets(Moment::Hang).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_hangs_is_found_done() -> Result<(), Trouble> {
    write_meets(Moment::HangAfter).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_yes_and_refuses_the_login_takes_all_back() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move {
        keywheel.rotate(&Rotate { credential: "deploy".into(), ..Rotate::default() }, watch).await
    });
    while let Some(event) = watching.events.recv().await {
        if let keywheel_core::rotation::event::What::Stage { device, stage, .. } = &event.what
            && device == "web-1"
            && *stage == keywheel_core::rotation::Stage::Add
        {
            let credential = scene.desk.keywheel.find_credential("deploy").await?;
            let new = credential.key_version(2).ok_or("the candidate is known before the first write")?;
            scene.devices[1].set_fault(Fault::QuestionOnly(new.public_key.to_openssh()));
            break;
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::RolledBack, "a question proves nothing: {finished:?}");
    assert_eq!(finished.devices[1].error.as_ref().map(|cause| cause.code.as_str()), Some("key-refused"));
    scene.devices[1].clear_faults();
    for index in 0..2 {
        scene.assert_as_before(index)?;
    }
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_key_that_is_still_accepted_is_never_called_changed() -> Result<(), Trouble> {
    for version in [OURS, LIKE_OPENSSH] {
        let scene = Scene::new(&[version, OURS]).await?;
        scene.devices[0].set_fault(Fault::AcceptKey(scene.key.public.clone()));
        let finished = scene.take_back_all().await?;
        assert_eq!(finished.outcome, Outcome::PartlyChanged, "{version}: {finished:?}");
        let states: Vec<_> = finished.devices.iter().map(|device| device.state).collect();
        assert_eq!(states, [DeviceState::OldKeyAccepted, DeviceState::Changed], "{version}");
        let credential = scene.desk.keywheel.find_credential("deploy").await?;
        assert_eq!(credential.current_key().map(|key| key.version), Some(2), "the new key is proven everywhere");
        scene.devices[0].clear_faults();
        let (watch, _watching) = watch();
        let retried = scene.desk.keywheel.retry(finished.change, watch).await?;
        assert_eq!(retried.outcome, Outcome::Changed, "{version}: {retried:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_stops_before_any_authentication() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    scene.devices[1].replace_host_key()?;
    scene.devices[1].clear_records();
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Failed, "{finished:?}");
    let cause = finished.devices[1].error.as_ref().ok_or("a cause")?;
    assert_eq!(cause.code, "host-key-changed");
    let asked = scene.devices[1]
        .records()
        .into_iter()
        .any(|record| matches!(record.event, Event::Asked { .. } | Event::LoggedIn { .. } | Event::Refused { .. }));
    assert!(!asked, "nothing may be shown to a host that is not the pinned one");
    let stored = scene.desk.vault.names();
    assert_eq!(stored.len(), 1, "no candidate is stored for a change that ends before anything is written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_that_changes_between_the_stages_takes_all_back() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    // The second device is cut at its first write; when it is entered again it shows another host key.
    scene.devices[1].set_fault(Fault::Exec(Which::Number(2), Moment::CutBefore));
    scene.devices[1].replace_host_key()?;
    let pinned = scene.devices[1].host_keys_public()?;
    let key = keywheel_core::key::PublicKey::from_openssh(&pinned[0])?;
    scene.desk.keywheel.pin_host_keys(scene.ids[1], vec![key], keywheel_core::device::Pinned::Replace).await?;
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move {
        keywheel.rotate(&Rotate { credential: "deploy".into(), ..Rotate::default() }, watch).await
    });
    while let Some(event) = watching.events.recv().await {
        if let keywheel_core::rotation::event::What::Stage { device, stage, state, .. } = &event.what
            && device == "web-2"
            && *stage == keywheel_core::rotation::Stage::Check
            && *state == keywheel_core::rotation::event::StageState::Done
        {
            scene.devices[1].replace_host_key()?;
            break;
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::Interrupted, "its way back can't be shown either: {finished:?}");
    assert_eq!(finished.devices[0].state, DeviceState::RolledBack);
    scene.assert_as_before(0)?;
    // A person looks, pins what is right, and rolls back.
    let shown = scene.devices[1].host_keys_public()?;
    let key = keywheel_core::key::PublicKey::from_openssh(&shown[0])?;
    scene.desk.keywheel.pin_host_keys(scene.ids[1], vec![key], keywheel_core::device::Pinned::Replace).await?;
    let (watch, _watching) = keywheel_fleet::watch();
    let ended = scene.desk.keywheel.roll_back(finished.change, watch).await?;
    assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
    scene.assert_as_before(1)?;
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_sftp_only_is_changed_too() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, LIKE_OPENSSH]).await?;
    scene.devices[1].set_fault(Fault::SftpOnly);
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_device_is_waited_for() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    scene.devices[1].set_fault(Fault::Slow(Duration::from_millis(60)));
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    scene.assert_changed(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_dies_in_the_first_phase_is_left_for_its_return() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    // From its first write on, the second device answers nothing.
    scene.devices[1].set_fault(Fault::Exec(Which::Number(3), Moment::HangAfter));
    scene.devices[1].add_fault(Fault::Exec(Which::Number(4), Moment::Hang));
    let (watch, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move {
        keywheel.rotate(&Rotate { credential: "deploy".into(), ..Rotate::default() }, watch).await
    });
    while let Some(event) = watching.events.recv().await {
        if let keywheel_core::rotation::event::What::Stage { device, stage, .. } = &event.what
            && device == "web-2"
            && *stage == keywheel_core::rotation::Stage::Add
        {
            scene.devices[1].stop();
            break;
        }
    }
    let finished = running.await??;
    assert_eq!(finished.outcome, Outcome::Interrupted, "{finished:?}");
    scene.assert_as_before(0)?;
    assert_eq!(scene.desk.keywheel.find_change(finished.change).await?.state, ChangeState::Interrupted);
    scene.devices[1].clear_faults();
    scene.devices[1].restart().await?;
    let (watch, _watching) = keywheel_fleet::watch();
    let resumed = scene.desk.keywheel.resume(finished.change, watch).await?;
    assert_eq!(resumed.outcome, Outcome::RolledBack, "it was going back, and goes on so: {resumed:?}");
    scene.assert_as_before(1)?;
    scene.assert_no_temporaries()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_fails_before_the_first_write_leaves_every_device_untouched() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS]).await?;
    scene.desk.vault.set_fault(Some(keywheel_core::vault::Fault::LosesTheAnswer));
    let (watch, _watching) = watch();
    let request = Rotate { credential: "deploy".into(), ..Rotate::default() };
    let error = scene.desk.keywheel.rotate(&request, watch).await.expect_err("the candidate can't be stored");
    scene.desk.vault.set_fault(None);
    assert!(error.code().starts_with("keyring"), "{error}: {}", error.code());
    assert_ne!(error.class(), keywheel_core::error::Class::Interrupted, "there is nothing to resume: {error}");
    scene.assert_as_before(0)?;
    let wrote = scene.devices[0].records().into_iter().any(|record| match record.event {
        Event::Command { text, .. } => text.contains("mv -f"),
        _ => false,
    });
    assert!(!wrote, "no device is touched before the new key is stored, read back and compared");
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "the next try makes a key of its own: {finished:?}");
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    assert_eq!(credential.current_key().map(|key| key.version), Some(3), "no number is used twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_behind_a_jump_device_is_changed_through_it() -> Result<(), Trouble> {
    let scene = Scene::new(&[OURS, OURS]).await?;
    let edit = keywheel_core::device::EditDevice { jump: Some(Some(scene.ids[0])), ..Default::default() };
    scene.desk.keywheel.edit_device(scene.ids[1], edit).await?;
    scene.devices[0].clear_records();
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let forwarded = scene.devices[0]
        .records()
        .into_iter()
        .any(|record| matches!(record.event, Event::Forwarded { port } if port == scene.devices[1].port()));
    assert!(forwarded, "the device was reached past its jump device");
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proof_is_a_real_login() -> Result<(), Trouble> {
    let scene = Scene::new(&[LIKE_OPENSSH]).await?;
    let finished = scene.take_back_all().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let credential = scene.desk.keywheel.find_credential("deploy").await?;
    let new = credential.key_version(2).ok_or("version 2")?.fingerprint().to_string();
    let logins = scene.devices[0]
        .records()
        .into_iter()
        .filter(|record| matches!(&record.event, Event::LoggedIn { with: With::Key(key), .. } if *key == new));
    assert!(logins.count() >= 2, "the new key is proven after the add and after the removal");
    let old = credential.key_version(1).ok_or("version 1")?.fingerprint().to_string();
    let refused = scene.devices[0].records().into_iter().any(
        |record| matches!(&record.event, Event::Asked { fingerprint, accepted: false, .. } if *fingerprint == old),
    );
    assert!(refused, "the old key is seen refused");
    Ok(())
}
