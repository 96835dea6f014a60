use rusqlite::Connection;

use super::*;
use crate::{
    error::Report,
    journal::{
        Effect, EffectResult, Place, Write, WriteKind, device, effect,
        schema::{JOURNAL, SCHEDULED},
    },
    remote::{files::FileError, program::WriteError},
    rotation::{Rotate, Stage},
};

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(JOURNAL).unwrap();
    // Of the version in between, which `SCHEDULED` replaces.
    connection.execute_batch("CREATE INDEX change_newest ON change (credential, kind, id, state);").unwrap();
    connection.execute_batch(SCHEDULED).unwrap();
    connection
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn snapshot() -> Snapshot {
    let device = |id: i64, name: &str| SnapshotDevice {
        id: DeviceId(id),
        name: name.into(),
        address: "127.0.0.1".into(),
        port: 22,
        jump: None,
        authorized_keys_path: None,
        enabled: true,
    };
    Snapshot {
        credential: "deploy".into(),
        username: "deploy".into(),
        auth_with: None,
        options: None,
        devices: vec![device(7, "web-1"), device(3, "db-1")],
    }
}

fn to_begin(snapshot: &Snapshot, origin: Origin) -> Begin<'_> {
    Begin {
        credential: CredentialId(1),
        kind: Kind::Rotate,
        strategy: Strategy::TwoPhase,
        on_failure: OnFailure::RollBack,
        at_once: 1,
        from_version: Some(1),
        to_version: Some(2),
        snapshot,
        requested_by: "ana@desk",
        origin,
        now: now(),
    }
}

fn begun_as(connection: &mut Connection, origin: Origin) -> Result<ChangeId, JournalError> {
    let transaction = connection.transaction().unwrap();
    let id = begin(&transaction, &to_begin(&snapshot(), origin))?;
    transaction.commit().unwrap();
    Ok(id)
}

fn begun(connection: &mut Connection) -> Result<ChangeId, JournalError> {
    begun_as(connection, Origin::REQUEST)
}

fn waiting(connection: &mut Connection) -> Result<ChangeId, JournalError> {
    let transaction = connection.transaction().unwrap();
    let choices = Rotate { credential: "deploy".into(), at_once: Some(3), ..Rotate::default() };
    let id = scheduled::schedule(&transaction, &to_begin(&snapshot(), Origin::REQUEST), &choices)?;
    transaction.commit().unwrap();
    Ok(id)
}

fn place(change: ChangeId, epoch: u32) -> Place {
    Place { change, epoch, device: Some(DeviceId(7)), direction: Direction::Forward }
}

fn write(before: &[u8], after: &[u8]) -> Effect {
    Effect::Write(Write {
        write: WriteKind::Add,
        path: "~/.ssh/authorized_keys".into(),
        resolved: "/home/deploy/.ssh/authorized_keys".into(),
        before: effect::hash(before),
        after: effect::hash(after),
        added: vec![crate::journal::Bytes(b"\xff\0line".to_vec())],
        removed: vec![],
        stood_before: 0,
    })
}

#[test]
fn a_change_reads_back_as_it_was_begun() {
    let mut connection = database();
    let id = begun(&mut connection).unwrap();
    let change = find(&connection, id).unwrap();
    assert_eq!(change.snapshot, snapshot(), "the snapshot is what a change goes by");
    assert_eq!((change.state, change.epoch, change.direction), (ChangeState::Running, 1, Direction::Forward));
    let devices: Vec<_> = device::list(&connection, id).unwrap().into_iter().map(|record| record.device).collect();
    assert_eq!(devices, [DeviceId(7), DeviceId(3)], "the order of change is kept, whatever the numbers");
}

#[test]
fn a_credential_with_an_open_change_gets_no_new_one() {
    let mut connection = database();
    let id = begun(&mut connection).unwrap();
    for state in [ChangeState::Running, ChangeState::Interrupted, ChangeState::PartlyChanged] {
        connection.execute("UPDATE change SET state = ?1", [state.as_str()]).unwrap();
        let refused = begun(&mut connection).unwrap_err();
        assert!(matches!(refused, JournalError::ChangeOpen { open, .. } if open == id), "{state}");
    }
    for state in [ChangeState::Changed, ChangeState::RolledBack, ChangeState::Failed, ChangeState::Cancelled] {
        connection.execute("UPDATE change SET state = ?1", [state.as_str()]).unwrap();
        begun(&mut connection).unwrap();
    }
}

#[test]
fn a_change_that_waits_bars_nothing_but_a_second_one() {
    let mut connection = database();
    let id = waiting(&mut connection).unwrap();
    assert!(!find(&connection, id).unwrap().state.is_open());
    let second = waiting(&mut connection).unwrap_err();
    assert!(matches!(second, JournalError::AlreadyScheduled { id: known, .. } if known == id), "{second}");
    begun(&mut connection).unwrap();
    let choices = scheduled::choices(&connection, id).unwrap().unwrap();
    assert_eq!(choices.at_once, Some(3), "what was asked for would be forgotten");
}

#[test]
fn a_change_that_waited_stands_where_it_began_and_not_where_it_was_asked_for() {
    let mut connection = database();
    let first = waiting(&mut connection).unwrap();
    let second = begun(&mut connection).unwrap();
    connection.execute("UPDATE change SET state = 'changed' WHERE id = ?1", [second.0]).unwrap();
    let order = |connection: &Connection| -> Vec<ChangeId> {
        list_of(connection, CredentialId(1)).unwrap().into_iter().map(|change| change.id).collect()
    };
    assert_eq!(order(&connection), [second, first]);
    begun_as(&mut connection, Origin { scheduled: Some(first), ..Origin::REQUEST }).unwrap();
    assert_eq!(order(&connection), [first, second], "an undo would go back past the newest change");
    let change = find(&connection, first).unwrap();
    assert_eq!((change.state, change.from_version), (ChangeState::Running, Some(1)));
    connection.execute("UPDATE change SET state = 'changed' WHERE id = ?1", [first.0]).unwrap();
    let third = begun(&mut connection).unwrap();
    assert_eq!(order(&connection), [third, first, second]);
}

#[test]
fn a_change_begins_once_and_is_taken_back_only_before() {
    let mut connection = database();
    let id = waiting(&mut connection).unwrap();
    let origin = Origin { scheduled: Some(id), ..Origin::REQUEST };
    begun_as(&mut connection, origin).unwrap();
    connection.execute("UPDATE change SET state = 'changed'", []).unwrap();
    let again = begun_as(&mut connection, origin).unwrap_err();
    assert!(matches!(again, JournalError::StateForbids { state: ChangeState::Changed, .. }), "{again}");
    let transaction = connection.transaction().unwrap();
    assert!(scheduled::cancel(&transaction, id, now()).is_err(), "a change that was done would be called cancelled");
    drop(transaction);
    let id = waiting(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    scheduled::cancel(&transaction, id, now()).unwrap();
    transaction.commit().unwrap();
    assert!(begun_as(&mut connection, Origin { scheduled: Some(id), ..Origin::REQUEST }).is_err());
    waiting(&mut connection).unwrap();
}

#[test]
fn who_was_overtaken_can_no_longer_write_an_intent_but_still_a_result() {
    let mut connection = database();
    let id = begun(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    let effect = effect::intend(&transaction, place(id, 1), &write(b"a", b"b"), now()).unwrap();
    assert_eq!(take_up(&transaction, id, Direction::Back).unwrap(), 2);
    let late = effect::intend(&transaction, place(id, 1), &write(b"a", b"b"), now());
    assert!(matches!(late, Err(JournalError::TakenOver { .. })), "two processes would change one device");
    let result = EffectResult::Written { hash: effect::hash(b"b"), carried_over: false };
    effect::conclude(&transaction, effect, &result, now()).unwrap();
    let effects = effect::list(&transaction, id).unwrap();
    assert_eq!(effects[0].result, Some(result), "what happened is told under any epoch");
    assert_eq!(effects[0].effect, write(b"a", b"b"), "bytes of a file travel unchanged");
}

#[test]
fn a_write_without_an_answer_is_found_until_it_is_concluded() {
    let mut connection = database();
    let id = begun(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    let effect = effect::intend(&transaction, place(id, 1), &write(b"a", b"b"), now()).unwrap();
    assert_eq!(effect::unanswered_write(&transaction, id, None).unwrap(), Some(now()));
    assert_eq!(effect::unanswered_write(&transaction, id, Some(DeviceId(3))).unwrap(), None, "it was another device");
    let result = EffectResult::Written { hash: effect::hash(b"b"), carried_over: false };
    effect::conclude(&transaction, effect, &result, now()).unwrap();
    assert_eq!(effect::unanswered_write(&transaction, id, None).unwrap(), None);
}

#[test]
fn texts_are_kept_once_and_go_with_the_last_change_that_needs_them() {
    let mut connection = database();
    let first = begun(&mut connection).unwrap();
    connection.execute("UPDATE change SET state = 'changed'", []).unwrap();
    let second = begun(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    let shared = effect::keep_text(&transaction, first, b"both").unwrap();
    assert_eq!(effect::keep_text(&transaction, second, b"both").unwrap(), shared);
    let own = effect::keep_text(&transaction, second, b"own").unwrap();
    effect::drop_texts(&transaction, second).unwrap();
    assert_eq!(effect::text(&transaction, &shared).unwrap().as_deref(), Some(b"both".as_slice()), "still needed");
    assert_eq!(effect::text(&transaction, &own).unwrap(), None, "foreign lines may hold secrets: it must not stay");
}

#[test]
fn texts_go_when_the_days_of_undo_are_over_but_not_while_a_change_is_open() {
    let mut connection = database();
    let mut ids = Vec::new();
    for state in ["changed", "partly-changed", "changed"] {
        let id = begun(&mut connection).unwrap();
        let ended = if ids.len() == 2 { "2023-11-14T00:00:00.000Z" } else { "2023-11-01T00:00:00.000Z" };
        let transaction = connection.transaction().unwrap();
        effect::keep_text(&transaction, id, format!("text of {id}").as_bytes()).unwrap();
        transaction.execute("UPDATE change SET state = 'cancelled' WHERE id = ?1", [id.0]).unwrap();
        transaction.commit().unwrap();
        ids.push((id, state, ended));
    }
    for (id, state, ended) in &ids {
        connection
            .execute("UPDATE change SET state = ?2, ended_at = ?3 WHERE id = ?1", rusqlite::params![id.0, state, ended])
            .unwrap();
    }
    let transaction = connection.transaction().unwrap();
    effect::drop_texts_before(&transaction, "2023-11-10T00:00:00Z".parse().unwrap()).unwrap();
    let kept: Vec<bool> = ids
        .iter()
        .map(|(id, ..)| {
            let hash = effect::hash(format!("text of {id}").as_bytes());
            effect::text(&transaction, &hash).unwrap().is_some()
        })
        .collect();
    assert_eq!(kept, [false, true, true], "over, open, still to be undone");
}

#[test]
fn a_device_record_reads_back() {
    let mut connection = database();
    let id = begun(&mut connection).unwrap();
    let transaction = connection.transaction().unwrap();
    let mut record = device::list(&transaction, id).unwrap().remove(1);
    record.state = DeviceState::NotProven;
    record.standing = Standing::Touched;
    record.stage = Some(Stage::Prove);
    let cut = FileError::Write { device: "web-1".into(), path: "/root/keys".into(), source: WriteError::NoAnswer };
    record.cause = Some(Report::of(&cut));
    device::update(&transaction, id, &record).unwrap();
    assert_eq!(device::list(&transaction, id).unwrap()[1], record);
    assert!(touched(&transaction, id).unwrap());
    assert_eq!(progress(&transaction, id).unwrap(), (0, 2));
}
