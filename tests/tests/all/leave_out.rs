//! Devices that a person leaves out of a change, and changes of several credentials at the same time.

use keywheel_core::{
    catalogue::DeviceId,
    device::EditDevice,
    error::Explain,
    journal::{ChangeId, ChangeState, DeviceState},
    rotation::{
        ConnectWith, OnFailure, Rotate, Stage, Strategy,
        changes::Step,
        decide::Outcome,
        event::{StageState, What},
    },
};
use keywheel_fleet::{Account, ClientKey, Desk, Fleet, Sshd, Trouble, available, watch};

/// Devices that hold the key of the credential "deploy".
struct Scene {
    fleet: Fleet,
    desk: Desk,
    key: ClientKey,
    ids: Vec<DeviceId>,
}

impl Scene {
    async fn new(count: usize) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start(count))? else { return Ok(None) };
        let desk = Desk::open()?;
        let key = desk.client.key("deploy", "ed25519")?;
        let mut ids = Vec::new();
        for (index, sshd) in fleet.devices.iter().enumerate() {
            sshd.write_authorized_keys(format!("{}\n", key.public).as_bytes())?;
            ids.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
        }
        desk.credential("deploy", fleet.devices[0].account(), &key.file, &ids).await?;
        Ok(Some(Self { fleet, desk, key, ids }))
    }

    fn without(&self, left_out: &[usize]) -> Rotate {
        let leave_out = left_out.iter().map(|index| self.ids[*index]).collect();
        Rotate { credential: "deploy".into(), leave_out, ..Rotate::default() }
    }

    /// Asserts which devices accept the new key alone; the others accept the old key alone.
    async fn assert_changed(&self, changed: &[usize]) -> Result<(), Trouble> {
        let new = self.desk.key_file("deploy", 2).await?;
        for (index, sshd) in self.fleet.devices.iter().enumerate() {
            let is_changed = changed.contains(&index);
            let name = format!("web-{}", index + 1);
            assert_eq!(sshd.ssh_logs_in(&new, sshd.account())?, is_changed, "the new key on {name}");
            assert_eq!(sshd.ssh_logs_in(&self.key.file, sshd.account())?, !is_changed, "the old key on {name}");
        }
        Ok(())
    }

    async fn states(&self, change: ChangeId) -> Result<Vec<(DeviceState, Option<String>)>, Trouble> {
        let records = self.desk.keywheel.change_details(change).await?.records;
        Ok(records.into_iter().map(|record| (record.state, record.error.map(|error| error.code))).collect())
    }
}

fn left_out() -> (DeviceState, Option<String>) {
    (DeviceState::Unchanged, Some("left-out".to_owned()))
}

fn changed() -> (DeviceState, Option<String>) {
    (DeviceState::Changed, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_left_out_is_brought_along_by_a_retry() -> Result<(), Trouble> {
    for (strategy, on_failure) in
        [(Strategy::TwoPhase, OnFailure::RollBack), (Strategy::DeviceByDevice, OnFailure::Continue)]
    {
        let Some(scene) = Scene::new(3).await? else { return Ok(()) };
        let keywheel = &scene.desk.keywheel;
        // It could not be connected to, and is not to be: under "roll back" that would stop everything.
        keywheel.edit_device(scene.ids[1], EditDevice { enabled: Some(false), ..EditDevice::default() }).await?;
        let (one, mut watching) = watch();
        let request = Rotate { strategy: Some(strategy), on_failure: Some(on_failure), ..scene.without(&[1]) };
        let finished = keywheel.rotate(&request, one).await?;
        assert_eq!(finished.outcome, Outcome::PartlyChanged, "one device is on the old key: {finished:?}");
        let touched = watching.drain().into_iter().any(|event| match event.what {
            What::Stage { device, .. } | What::RolledBack { device, .. } => device == "web-2",
            _ => false,
        });
        assert!(!touched, "no stage begins on a device that is left out");
        assert_eq!(scene.states(finished.change).await?, [changed(), left_out(), changed()]);
        scene.assert_changed(&[0, 2]).await?;
        let details = keywheel.change_details(finished.change).await?;
        assert_eq!(details.possible, [Step::Retry, Step::RollBack]);

        keywheel.edit_device(scene.ids[1], EditDevice { enabled: Some(true), ..EditDevice::default() }).await?;
        let (two, _watching) = watch();
        let retried = keywheel.retry(finished.change, two).await?;
        assert_eq!(retried.outcome, Outcome::Changed, "{strategy}: {retried:?}");
        assert_eq!(scene.states(finished.change).await?, [changed(), changed(), changed()]);
        scene.assert_changed(&[0, 1, 2]).await?;
        assert!(scene.desk.key_file("deploy", 3).await.is_err(), "a retry makes no third key");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_goes_back_leaves_a_device_that_is_left_out_alone() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(3).await? else { return Ok(()) };
    let (one, _watching) = watch();
    let finished = scene.desk.keywheel.rotate(&scene.without(&[2]), one).await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    scene.fleet.devices[2].stop()?;
    let (two, _watching) = watch();
    let back = scene.desk.keywheel.roll_back(finished.change, two).await?;
    assert_eq!(back.outcome, Outcome::RolledBack, "{back:?}");
    let rolled_back = (DeviceState::RolledBack, None);
    assert_eq!(scene.states(finished.change).await?, [rolled_back.clone(), rolled_back, left_out()]);
    scene.fleet.devices[2].start()?;
    scene.assert_changed(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_stays_left_out_when_its_change_is_resumed_and_comes_along_when_a_retry_is() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(4).await? else { return Ok(()) };
    // Another device is at work between the stage that is waited for and the next one of the same device.
    let stopped_at = async |stage: Stage, retried: Option<ChangeId>| -> Result<ChangeId, Trouble> {
        let (one, mut watching) = watch();
        let (keywheel, request) = (scene.desk.keywheel.clone(), scene.without(&[1, 2]));
        let running = tokio::spawn(async move {
            match retried {
                Some(change) => keywheel.retry(change, one).await,
                None => keywheel.rotate(&request, one).await,
            }
        });
        while let Some(event) = watching.events.recv().await {
            if matches!(event.what, What::Stage { stage: at, state: StageState::Done, .. } if at == stage) {
                watching.stop.send(true)?;
                break;
            }
        }
        let stopped = running.await??;
        assert_eq!(stopped.outcome, Outcome::Interrupted, "{stopped:?}");
        Ok(stopped.change)
    };
    let change = stopped_at(Stage::Prove, None).await?;
    assert_eq!(scene.states(change).await?[1..3], [left_out(), left_out()], "also while the change is interrupted");
    let (two, _watching) = watch();
    let resumed = scene.desk.reopen()?.resume(change, two).await?;
    assert_eq!(resumed.outcome, Outcome::PartlyChanged, "{resumed:?}");
    assert_eq!(scene.states(change).await?, [changed(), left_out(), left_out(), changed()]);

    let change = stopped_at(Stage::Prove, Some(change)).await?;
    let (three, _watching) = watch();
    let resumed = scene.desk.reopen()?.resume(change, three).await?;
    assert_eq!(resumed.outcome, Outcome::Changed, "the retry brought them into the change: {resumed:?}");
    scene.assert_changed(&[0, 1, 2, 3]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_original_device_nor_a_foreign_one_is_left_out() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(3).await? else { return Ok(()) };
    for left_out in [&[0][..], &[0, 1, 2]] {
        let (watch, _watching) = watch();
        let refused =
            scene.desk.keywheel.rotate(&scene.without(left_out), watch).await.expect_err("it is always first");
        assert_eq!((refused.code(), refused.subject().as_deref()), ("original-left-out", Some("web-1")));
    }
    let (watch, _watching) = watch();
    let foreign = Rotate { leave_out: vec![DeviceId(99)], ..scene.without(&[]) };
    let refused = scene.desk.keywheel.rotate(&foreign, watch).await.expect_err("it is none of the credential's");
    assert_eq!(refused.code(), "not-its-device");
    assert_eq!(scene.desk.keywheel.change_views().await?, [], "nothing is begun");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_credentials_are_changed_at_the_same_time_by_one_process() -> Result<(), Trouble> {
    let accounts = ["deploy", "backup"];
    let builder =
        Sshd::builder().account(Account::new("deploy")).account(Account::new("backup")).account(Account::new("root"));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let device = desk.device("web-1", &sshd).await?;
    let mut old = Vec::new();
    for account in ["root", "deploy", "backup"] {
        let key = desk.client.key(account, "ed25519")?;
        sshd.write_authorized_keys_of(account, format!("{}\n", key.public).as_bytes())?;
        desk.credential(account, account, &key.file, &[device]).await?;
        old.push(key);
    }
    let request = |credential: &str| Rotate {
        credential: credential.into(),
        // Both hold its lock, shared.
        connect_with: ConnectWith::Credential("root".into()),
        ..Rotate::default()
    };
    let ((one, _watching), (two, _watching_too)) = (watch(), watch());
    let (deploy, backup) = (request("deploy"), request("backup"));
    let (deploy, backup) = tokio::join!(desk.keywheel.rotate(&deploy, one), desk.keywheel.rotate(&backup, two));
    let (deploy, backup) = (deploy?, backup?);
    assert_ne!(deploy.change, backup.change);
    for (account, old, finished) in [(accounts[0], &old[1], &deploy), (accounts[1], &old[2], &backup)] {
        assert_eq!(finished.outcome, Outcome::Changed, "{account}: {finished:?}");
        let new = desk.key_file(account, 2).await?;
        assert!(sshd.ssh_logs_in(&new, account)?, "the new key of {account}: {}", sshd.log()?);
        assert!(!sshd.ssh_logs_in(&old.file, account)?, "the old key of {account} is refused");
        assert_eq!(desk.keywheel.find_change(finished.change).await?.state, ChangeState::Changed);
    }
    Ok(())
}
