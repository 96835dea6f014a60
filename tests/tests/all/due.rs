//! Changes that nobody stands beside: at a time, by a policy, again after a failure, and by whichever process is first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywheel_core::{
    Keywheel,
    audit::Filter,
    catalogue::DeviceId,
    clock::{Clock, TimeZone, Timestamp},
    credential::{Automatic, EditCredential, Standing},
    database::DatabaseError,
    error::{Error, Explain},
    journal::{ChangeReason, ChangeState},
    key::Algorithm,
    lock::LockError,
    person::{EditPerson, NewPerson},
    rotation::{
        DueRun, Rotate, Stage,
        changes::{ChangeView, Step},
        decide::Outcome,
        event::{StageState, What},
    },
    schedule::ScheduleError,
    vault::Fault,
};
use keywheel_fleet::{ClientKey, Desk, Fleet, Trouble, available, watch};

/// A clock that stands until it is moved.
#[derive(Debug)]
struct Hands(Mutex<Timestamp>);

impl Hands {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Devices with the key of the credential "deploy", which changes by itself under "Standard".
struct Scene {
    fleet: Fleet,
    desk: Desk,
    key: ClientKey,
    ids: Vec<DeviceId>,
    clock: Arc<Hands>,
    keywheel: Keywheel,
}

impl Scene {
    async fn new(count: usize) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start(count))? else { return Ok(None) };
        let clock = Arc::new(Hands(Mutex::new("2026-03-03T12:00:00Z".parse()?)));
        let desk = Desk::open_in(tempfile::tempdir()?, Arc::<Hands>::clone(&clock))?;
        let key = desk.client.key("deploy", "ed25519")?;
        let mut ids = Vec::new();
        for (index, sshd) in fleet.devices.iter().enumerate() {
            sshd.write_authorized_keys(format!("{}\n", key.public).as_bytes())?;
            ids.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
        }
        let credential = desk.credential("deploy", fleet.devices[0].account(), &key.file, &ids).await?;
        let automatic = Some(Automatic { change: true, use_itself: true, auth_with: None });
        let edit = EditCredential { automatic, ..EditCredential::default() };
        desk.keywheel.edit_credential(credential.id, edit, Standing::Refuse).await?;
        let keywheel = desk.reopen()?;
        Ok(Some(Self { fleet, desk, key, ids, clock, keywheel }))
    }

    async fn run_due(&self) -> Result<DueRun, Trouble> {
        let (watch, _watching) = watch();
        Ok(self.keywheel.run_due(&TimeZone::UTC, watch.stop, |_| watch.events.clone()).await?)
    }

    /// Runs what is due, which is one change, and answers it.
    async fn one_due(&self) -> Result<ChangeView, Trouble> {
        let run = self.run_due().await?;
        assert_eq!((run.ended.len(), &run.waits), (1, &None), "{run:?}");
        self.newest().await
    }

    async fn none_due(&self) -> Result<(), Trouble> {
        let run = self.run_due().await?;
        assert!(run.ended.is_empty() && run.waits.is_none(), "{run:?}");
        Ok(())
    }

    async fn newest(&self) -> Result<ChangeView, Trouble> {
        Ok(self.keywheel.change_views().await?.into_iter().next().ok_or("a change")?)
    }

    async fn assert_only(&self, version: u32) -> Result<(), Trouble> {
        let new = self.desk.key_file("deploy", version).await?;
        for sshd in &self.fleet.devices {
            assert!(sshd.ssh_logs_in(&new, sshd.account())?, "the version {version} must log in: {}", sshd.log()?);
            assert!(!sshd.ssh_logs_in(&self.key.file, sshd.account())?, "the old key must be refused");
        }
        Ok(())
    }
}

fn deploy() -> Rotate {
    Rotate { credential: "deploy".into(), ..Rotate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_come_of_age_is_changed_once_as_its_policy_says() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    scene.none_due().await?;
    scene.clock.pass(91 * DAY);
    let change = scene.one_due().await?;
    assert_eq!((change.state, change.reason), (ChangeState::Changed, ChangeReason::Age));
    assert_eq!((change.requested_by.as_str(), change.attempt), ("policy Standard", Some(1)));
    assert!(change.scheduled_for.is_some_and(|at| at < change.started), "it was due a day before");
    scene.assert_only(2).await?;
    scene.none_due().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_policy_begins_nothing_and_what_a_person_asked_for_begins_all_the_same() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    scene.clock.pass(91 * DAY);
    scene.keywheel.set_setting("pause-automatic-changes", "on").await?;
    scene.none_due().await?;
    let id = scene.keywheel.request_change(deploy(), scene.keywheel.now()).await?;
    assert_eq!(scene.one_due().await?.id, id);
    scene.keywheel.set_setting("pause-automatic-changes", "off").await?;
    scene.none_due().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_away_is_tried_as_often_as_the_policy_says_and_then_proposed_to_be_left_out()
-> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    scene.clock.pass(91 * DAY);
    scene.fleet.devices[1].stop()?;
    let mut first = None;
    for attempt in 1..=4 {
        assert_eq!(scene.keywheel.held_up().await?, [], "a retry is left before the attempt {attempt}");
        let change = scene.one_due().await?;
        let first = *first.get_or_insert(change.id);
        assert_eq!((change.attempt, change.series), (Some(attempt), Some(first)), "{change:?}");
        assert!(matches!(change.state, ChangeState::Failed | ChangeState::RolledBack), "{change:?}");
        scene.none_due().await?;
        scene.clock.pass(14 * MINUTE);
        scene.none_due().await?;
        scene.clock.pass(MINUTE);
    }
    let held = scene.keywheel.held_up().await?;
    let devices: Vec<&str> = held[0].devices.iter().map(|held| held.device.as_str()).collect();
    assert_eq!((held.len(), devices, held[0].others), (1, vec!["web-2"], 1), "{held:?}");
    assert_eq!(held[0].devices[0].device_id, scene.ids[1]);

    scene.fleet.devices[1].start()?;
    scene.clock.pass(DAY);
    let change = scene.one_due().await?;
    assert_eq!((change.attempt, change.series, change.state), (Some(1), Some(change.id), ChangeState::Changed));
    assert_eq!(change.reason, ChangeReason::Age);
    assert_eq!(scene.keywheel.held_up().await?, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_can_not_even_begin_counts_as_an_attempt() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let admin = scene.desk.credential("admin", "admin", &scene.key.file, &scene.ids).await?;
    let deploy = scene.keywheel.find_credential("deploy").await?;
    let automatic = Some(Automatic { change: true, use_itself: false, auth_with: Some(admin.id) });
    let edit = EditCredential { automatic, ..EditCredential::default() };
    scene.keywheel.edit_credential(deploy.id, edit, Standing::Refuse).await?;
    let off = EditCredential { enabled: Some(false), ..EditCredential::default() };
    scene.keywheel.edit_credential(admin.id, off, Standing::Refuse).await?;
    scene.clock.pass(91 * DAY);
    let run = scene.run_due().await?;
    assert!(matches!(&run.ended[..], [(_, Err(error))] if error.code() == "credential-disabled"), "{run:?}");
    let change = scene.newest().await?;
    assert_eq!((change.state, change.attempt), (ChangeState::Failed, Some(1)));
    scene.none_due().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_keyring_is_waited_for_without_an_attempt_and_said_once() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    scene.clock.pass(91 * DAY);
    scene.desk.vault.set_fault(Some(Fault::Locked));
    for _ in 0..3 {
        let run = scene.run_due().await?;
        assert_eq!(run.waits.map(|report| report.code).as_deref(), Some("keyring-locked"));
        assert!(run.ended.is_empty(), "an attempt was made");
        scene.clock.pass(5 * MINUTE);
    }
    assert!(scene.keywheel.waiting_for_keyring().await?.is_some());
    assert_eq!(scene.keywheel.change_views().await?, [], "it would count as an attempt");
    let said = || async {
        let rows = scene.keywheel.audit_rows(Filter::default()).await?;
        Ok::<_, Trouble>(rows.iter().filter(|row| row.action == "keyring-wait").count())
    };
    assert_eq!(said().await?, 1, "it is said once");
    scene.desk.vault.set_fault(None);
    assert_eq!(scene.one_due().await?.state, ChangeState::Changed);
    assert_eq!((said().await?, scene.keywheel.waiting_for_keyring().await?), (2, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_changes_the_key_and_neither_fails() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    scene.clock.pass(91 * DAY);
    let other = scene.desk.reopen()?;
    let (watch, _watching) = watch();
    let zone = TimeZone::UTC;
    let (one, two) = tokio::join!(
        scene.keywheel.run_due(&zone, watch.stop.clone(), |_| watch.events.clone()),
        other.run_due(&zone, watch.stop.clone(), |_| watch.events.clone()),
    );
    let ended: Vec<_> = one?.ended.into_iter().chain(two?.ended).map(|(_, done)| done).collect();
    let changed = ended.iter().filter(|done| done.as_ref().is_ok_and(|done| done.outcome == Outcome::Changed)).count();
    assert_eq!(changed, 1, "{ended:?}");
    for error in ended.iter().filter_map(|done| done.as_ref().err()) {
        let faster =
            matches!(error, Error::Lock(LockError::Busy { .. }) | Error::Schedule(ScheduleError::NoLongerDue { .. }));
        assert!(faster, "{error}");
    }
    assert_eq!(scene.keywheel.change_views().await?.len(), 1, "one change was due");
    scene.assert_only(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_process_died_goes_on_by_itself() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    scene.keywheel.set_setting("stage-timeout", "1").await?;
    scene.clock.pass(91 * DAY);
    let (one, mut watching) = watch();
    let dying = scene.desk.reopen()?;
    let running =
        tokio::spawn(async move { dying.run_due(&TimeZone::UTC, one.stop, |_| one.events.clone()).await.map(drop) });
    while let Some(event) = watching.events.recv().await {
        let added = matches!(event.what, What::Stage { stage: Stage::Add, state: StageState::Done, .. });
        if added {
            break;
        }
    }
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()), "it ended before it could be killed");
    // What it had begun ends with it, and with that the lock is free.
    let id = scene.newest().await?.id;
    while scene.keywheel.change_details(id).await?.change.state == ChangeState::Running {
        tokio::task::yield_now().await;
    }
    let change = scene.one_due().await?;
    assert_eq!((change.id, change.state, change.attempts), (id, ChangeState::Changed, 2));
    scene.assert_only(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_a_time_bars_nothing_and_begins_with_what_was_asked_for() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let keywheel = &scene.keywheel;
    let hour = scene.clock.now() + 60 * MINUTE;
    let past = keywheel.request_change(deploy(), scene.clock.now() - MINUTE).await.unwrap_err();
    assert_eq!((past.code(), past.field()), ("time-passed", Some("at")));
    let unknown = keywheel.request_change(Rotate { credential: "nobody".into(), ..deploy() }, hour).await;
    assert!(unknown.is_err(), "what can't be done is found now and not at night");
    let request = Rotate { algorithm: Some(Algorithm::EcdsaP256), ..deploy() };
    let id = keywheel.request_change(request, hour).await?;
    assert_eq!(keywheel.request_change(deploy(), hour).await.unwrap_err().code(), "already-scheduled");
    let details = keywheel.change_details(id).await?;
    assert_eq!((details.change.state, details.possible), (ChangeState::Scheduled, vec![Step::Run, Step::Cancel]));
    assert_eq!(keywheel.due(&TimeZone::UTC).await?.next, Some(hour));
    scene.none_due().await?;

    let (one, _watching) = watch();
    let between = keywheel.rotate(&deploy(), one).await?;
    assert_eq!(between.outcome, Outcome::Changed, "it bars nothing");
    scene.clock.pass(60 * MINUTE);
    let change = scene.one_due().await?;
    assert_eq!((change.id, change.state, change.reason), (id, ChangeState::Changed, ChangeReason::Request));
    let credential = keywheel.find_credential("deploy").await?;
    assert_eq!(credential.current_key().map(|key| (key.version, key.algorithm())), Some((3, Algorithm::EcdsaP256)));
    assert_eq!(keywheel.change_details(between.change).await?.possible, [], "a newer change stands");
    assert_eq!(keywheel.change_details(id).await?.possible, [Step::Undo]);
    scene.assert_only(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revealed_key_is_changed_after_the_hours_of_its_policy() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    scene.keywheel.database().write(|tx| -> Result<(), DatabaseError> {
        tx.execute("UPDATE policy SET after_reveal_hours = 2", [])?;
        Ok(())
    })?;
    let deploy = scene.keywheel.find_credential("deploy").await?;
    scene.keywheel.reveal_key(deploy.id, &scene.desk.data_dir().join("revealed"), None).await?;
    scene.clock.pass(119 * MINUTE);
    scene.none_due().await?;
    scene.clock.pass(MINUTE);
    let change = scene.one_due().await?;
    assert_eq!((change.state, change.reason), (ChangeState::Changed, ChangeReason::Reveal));
    scene.none_due().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_owner_who_is_gone_are_proposed_until_they_are_changed() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let keywheel = &scene.keywheel;
    let ana = keywheel.add_person(NewPerson { name: "Ana".into(), email: String::new(), active: true }).await?;
    let deploy_id = keywheel.find_credential("deploy").await?.id;
    let owned = EditCredential { owner: Some(Some(ana.id)), ..EditCredential::default() };
    keywheel.edit_credential(deploy_id, owned, Standing::Refuse).await?;
    assert_eq!(keywheel.owners_gone().await?, []);
    scene.clock.pass(DAY);
    keywheel.edit_person(ana.id, EditPerson { active: Some(false), ..EditPerson::default() }).await?;
    let gone = keywheel.owners_gone().await?;
    assert_eq!((gone[0].person.as_str(), gone[0].credentials[0].credential.as_str()), ("Ana", "deploy"));
    scene.clock.pass(DAY);
    let (one, _watching) = watch();
    keywheel.rotate(&deploy(), one).await?;
    assert_eq!(keywheel.owners_gone().await?, [], "the new key is none of theirs");
    Ok(())
}
