use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_core::rotation::{RotationError, Strategy};

use super::*;

fn event(change: i64, what: What) -> Event {
    Event { change, at: "2026-11-24T08:00:00Z".to_owned(), what }
}

fn started(change: i64) -> Event {
    let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
    let what = What::Started {
        credential: "deploy".to_owned(),
        kind: Kind::Rotate,
        devices: vec!["web-1".to_owned(), "web-2".to_owned()],
        strategy: Strategy::TwoPhase,
        new_fingerprint: key.public_key().fingerprint(),
        old_fingerprint: None,
    };
    event(change, what)
}

fn refused(change: i64, device: &str) -> Event {
    let (device, detail) = (device.to_owned(), String::new());
    event(
        change,
        What::Stage { device, stage: Stage::Refuse, state: StageState::Done, detail, said: None, error: None },
    )
}

fn changed(change: i64) -> Finished {
    Finished { change: ChangeId(change), outcome: Outcome::Changed, devices: Vec::new() }
}

/// An operation that begins, waits until it is asked to stop, and is then interrupted.
async fn until_stopped(id: i64, mut watch: Watch) -> Result<Finished, Error> {
    watch.events.send(started(id)).unwrap();
    watch.stop.wait_for(|stop| *stop).await.unwrap();
    Ok(Finished { outcome: Outcome::Interrupted, ..changed(id) })
}

async fn end(happened: &mut UnboundedReceiver<Happened>) -> Option<Outcome> {
    loop {
        if let Happened::Ended { outcome, .. } = happened.recv().await.unwrap() {
            return outcome;
        }
    }
}

#[tokio::test]
async fn the_id_is_answered_while_the_change_goes_on() {
    let (running, mut happened) = Running::new();
    let (go_on, wait) = oneshot::channel::<()>();
    let operation = |watch: Watch| async move {
        watch.events.send(started(7)).unwrap();
        wait.await.unwrap();
        watch.events.send(refused(7, "web-1")).unwrap();
        Ok(changed(7))
    };
    let id = running.begin(operation).await.unwrap();
    assert_eq!(id, ChangeId(7));
    assert!(running.runs(id) && running.any());
    assert_eq!(running.progress()[0].done, 0);
    go_on.send(()).unwrap();
    assert_eq!(end(&mut happened).await, Some(Outcome::Changed));
    assert!(!running.runs(id), "the page would wait for ever");
    assert_eq!(running.events(id).len(), 2, "a page that opens late would miss what was told");
}

#[tokio::test]
async fn a_device_counts_as_done_after_its_last_stage_once() {
    let (running, _happened) = Running::new();
    let operation = |watch: Watch| async move {
        for event in [started(7), refused(7, "web-1"), refused(7, "web-1")] {
            watch.events.send(event).unwrap();
        }
        std::future::pending().await
    };
    let id = running.begin(operation).await.unwrap();
    while running.events(id).len() < 3 {
        tokio::task::yield_now().await;
    }
    let progress = running.progress();
    assert_eq!((progress[0].done, progress[0].devices), (1, 2), "the tray would tell more than is done");
}

#[tokio::test]
async fn what_cannot_be_begun_is_answered_and_does_not_run() {
    let (running, mut happened) = Running::new();
    let refused = running.begin(|_| async { Err(RotationError::EmergencyGoesOn.into()) }).await.unwrap_err();
    assert_eq!(refused.code, report(RotationError::EmergencyGoesOn).code);
    assert!(!running.any());
    assert!(happened.try_recv().is_err(), "the desktop would be told of a change that never began");
}

#[tokio::test]
async fn a_change_that_is_broken_off_or_panics_ends_for_those_who_watch() {
    let (running, mut happened) = Running::new();
    let broken_off = |watch: Watch| async move {
        watch.events.send(started(7)).unwrap();
        Err(RotationError::EmergencyGoesOn.into())
    };
    running.begin(broken_off).await.unwrap();
    assert_eq!(end(&mut happened).await, None);
    let panics = |watch: Watch| async move {
        watch.events.send(started(8)).unwrap();
        panic!("on purpose")
    };
    running.begin(panics).await.unwrap();
    assert_eq!(end(&mut happened).await, None);
    assert!(!running.runs(ChangeId(8)), "the program could never be closed");
}

#[tokio::test]
async fn each_change_is_stopped_by_its_own_id_and_all_when_the_program_ends() {
    let (running, mut happened) = Running::new();
    for id in [7, 8, 9] {
        running.begin(|watch| until_stopped(id, watch)).await.unwrap();
    }
    running.stop(ChangeId(8)).unwrap();
    assert_eq!(end(&mut happened).await, Some(Outcome::Interrupted));
    assert!(running.runs(ChangeId(7)) && !running.runs(ChangeId(8)) && running.runs(ChangeId(9)));
    assert!(matches!(running.stop(ChangeId(8)), Err(DeskError::NotHere { id: 8 })));
    running.stop_all().await;
    assert!(!running.any() && running.progress().is_empty(), "a change would be cut off by the end of the program");
}

#[tokio::test]
async fn a_resumed_change_keeps_its_earlier_events() {
    let (running, mut happened) = Running::new();
    for _ in 0..2 {
        running
            .begin(|watch| async move {
                watch.events.send(started(7)).unwrap();
                Ok(changed(7))
            })
            .await
            .unwrap();
        end(&mut happened).await;
    }
    assert_eq!(running.events(ChangeId(7)).len(), 2);
}

#[tokio::test]
async fn only_the_newest_changes_that_ended_are_remembered() {
    let (running, mut happened) = Running::new();
    for id in 1..=20 {
        running
            .begin(|watch| async move {
                watch.events.send(started(id)).unwrap();
                Ok(changed(id))
            })
            .await
            .unwrap();
        end(&mut happened).await;
    }
    assert!(running.events(ChangeId(1)).is_empty(), "a window that stays open for months would collect events");
    assert!(!running.events(ChangeId(20)).is_empty());
    assert_eq!(lock(&running.runs).known.len(), ENDED_AT_MOST);
}

#[tokio::test]
async fn a_change_that_tells_something_before_it_starts_can_be_stopped_all_the_same() {
    let (running, mut happened) = Running::new();
    let operation = |mut watch: Watch| async move {
        watch.events.send(refused(7, "web-1")).unwrap();
        watch.events.send(started(7)).unwrap();
        watch.stop.wait_for(|stop| *stop).await.unwrap();
        Ok(Finished { outcome: Outcome::Interrupted, ..changed(7) })
    };
    let id = running.begin(operation).await.unwrap();
    running.stop(id).unwrap();
    assert_eq!(end(&mut happened).await, Some(Outcome::Interrupted));
}

#[tokio::test]
async fn the_program_does_not_end_past_a_change_that_is_being_begun() {
    let (running, mut happened) = Running::new();
    let (go_on, wait) = oneshot::channel::<()>();
    let slow = |watch: Watch| async move {
        wait.await.unwrap();
        until_stopped(7, watch).await
    };
    let begun = tokio::spawn({
        let running = running.clone();
        async move { running.begin(slow).await }
    });
    while !running.any() {
        tokio::task::yield_now().await;
    }
    assert!(running.progress().is_empty(), "it has no ID yet");
    let stopped = tokio::spawn({
        let running = running.clone();
        async move { running.stop_all().await }
    });
    while !lock(&running.runs).ending {
        tokio::task::yield_now().await;
    }
    go_on.send(()).unwrap();
    assert_eq!(begun.await.unwrap().unwrap(), ChangeId(7));
    stopped.await.unwrap();
    assert_eq!(end(&mut happened).await, Some(Outcome::Interrupted), "it would go on for hours while the person waits");
    assert!(!running.any());
}

#[tokio::test]
async fn a_change_that_failed_is_not_told_as_one_that_can_be_resumed() {
    let (running, mut happened) = Running::new();
    let fails = |watch: Watch| async move {
        watch.events.send(started(7)).unwrap();
        let what = What::Finished { outcome: Outcome::Failed, devices: Vec::new(), seconds: 0.1 };
        watch.events.send(event(7, what)).unwrap();
        Err(RotationError::EmergencyGoesOn.into())
    };
    running.begin(fails).await.unwrap();
    assert_eq!(end(&mut happened).await, Some(Outcome::Failed));
}

#[tokio::test]
async fn a_locked_keyring_is_told_once_for_each_time_that_something_waits_for_it() {
    let (running, mut happened) = Running::new();
    for waits in [false, true, true, true, false, false, true] {
        running.wait_for_keyring(waits);
    }
    let told = [happened.try_recv(), happened.try_recv(), happened.try_recv()];
    assert_eq!(told, [Ok(Happened::Waits), Ok(Happened::WaitsNoLonger), Ok(Happened::Waits)]);
    assert!(happened.try_recv().is_err(), "the desktop would be told every minute");
}

#[tokio::test]
async fn what_was_due_and_could_not_begin_is_told_as_failed_only_where_it_is_its_own_failure() {
    let (running, mut happened) = Running::new();
    running.not_begun("deploy".to_owned(), false);
    running.not_begun("deploy".to_owned(), true);
    assert_eq!(happened.recv().await, Some(Happened::NotBegun));
    assert_eq!(end(&mut happened).await, Some(Outcome::Failed));
}
