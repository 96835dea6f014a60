use std::fs;
use std::path::Path;

use rusqlite::Connection as Raw;
use serde_json::json;

use super::*;
use crate::database::Database;
use crate::keywheel::Keywheel;
use crate::keywheel::testing::{keywheel, with_parts};

fn entry(number: usize) -> Entry {
    Entry {
        at: "2026-11-24T08:00:00Z".parse().unwrap(),
        actor: Actor::named("ana@desk"),
        action: "device-add",
        subject_kind: "device",
        subject: Some(format!("web-{number}")),
        result: Outcome::Ok,
        code: None,
        detail: json!({ "number": number }),
    }
}

fn with_rows(count: usize) -> (Keywheel, tempfile::TempDir) {
    let (keywheel, dir) = keywheel();
    for number in 1..=count {
        keywheel.database().write(|tx| append(tx, &entry(number))).unwrap();
    }
    (keywheel, dir)
}

fn verdict(keywheel: &Keywheel) -> Verdict {
    keywheel.database().read(|conn| verify(conn, &Kept::Nothing)).unwrap()
}

/// Changes the file as somebody would who has the database and another program.
fn tamper(keywheel: &Keywheel, sql: &str) {
    let raw = Raw::open(keywheel.database().dir().join(Database::FILE_NAME)).unwrap();
    raw.execute_batch("DROP TRIGGER audit_stays; DROP TRIGGER audit_is_kept;").unwrap();
    raw.execute_batch(sql).unwrap();
}

#[test]
fn an_untouched_chain_is_whole_and_its_head_moves_with_each_row() {
    let (keywheel, _dir) = with_rows(0);
    assert!(matches!(verdict(&keywheel), Verdict::Whole { rows: 0, head: None, .. }));
    let mut heads = std::collections::BTreeSet::new();
    for number in 1..=5 {
        keywheel.database().write(|tx| append(tx, &entry(1))).unwrap();
        let Verdict::Whole { rows, head: Some(head), .. } = verdict(&keywheel) else { panic!("the chain is broken") };
        assert_eq!(rows, number);
        assert!(heads.insert(head), "equal rows must not have equal hashes");
    }
}

#[test]
fn a_changed_row_is_found_exactly_whatever_was_changed() {
    for change in [
        "at = '2026-11-24T08:00:00.001Z'",
        "actor = 'bea@desk'",
        "action = 'device-edit'",
        "subject_kind = 'person'",
        "subject = 'web-9'",
        "subject = NULL",
        "result = 'failed'",
        "code = 'x'",
        "code = ''",
        "detail = NULL",
        "detail = detail || ' '",
        "hash = zeroblob(32)",
        "actor = 'ana@deskd', action = 'evice-add'",
    ] {
        let (keywheel, _dir) = with_rows(5);
        let sql = format!("UPDATE audit SET {change} WHERE id = 3;");
        tamper(&keywheel, &sql);
        assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Changed { id: 3 } }, "{change}");
    }
}

#[test]
fn a_row_taken_out_is_missed_also_the_first_and_the_last() {
    for id in [1, 3, 5] {
        let (keywheel, _dir) = with_rows(5);
        tamper(&keywheel, &format!("DELETE FROM audit WHERE id = {id}"));
        assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Missing { id } });
    }
    let (keywheel, _dir) = with_rows(5);
    tamper(&keywheel, "DELETE FROM audit");
    assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Missing { id: 1 } });
}

#[test]
fn rows_that_changed_places_or_were_put_in_are_found() {
    let (keywheel, _dir) = with_rows(5);
    tamper(
        &keywheel,
        "UPDATE audit SET id = 99 WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 4; UPDATE audit SET id = 4 WHERE id = 99;",
    );
    assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Changed { id: 3 } });

    let (keywheel, _dir) = with_rows(5);
    tamper(
        &keywheel,
        "INSERT INTO audit SELECT 6, at, actor, action, subject_kind, subject, result, code, detail, hash
         FROM audit WHERE id = 5",
    );
    assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Changed { id: 6 } });

    let (keywheel, _dir) = with_rows(2);
    tamper(
        &keywheel,
        "INSERT INTO audit SELECT 0, at, actor, action, subject_kind, subject, result, code, detail, hash
         FROM audit WHERE id = 1",
    );
    assert_eq!(verdict(&keywheel), Verdict::Broken { first: BadRow::Changed { id: 0 } });
}

#[test]
fn the_chain_of_another_data_directory_does_not_fit() {
    let (one, _one_dir) = with_rows(3);
    let (two, _two_dir) = with_rows(3);
    let rows = |keywheel: &Keywheel| keywheel.database().read(|conn| list(conn, &Filter::default())).unwrap();
    assert_ne!(rows(&one).last().unwrap().hash, rows(&two).last().unwrap().hash);
}

#[test]
fn a_mistake_of_ours_can_not_change_or_delete_a_row() {
    let (keywheel, _dir) = with_rows(2);
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
        let done = keywheel.database().write(|tx| -> Result<(), DatabaseError> {
            tx.execute(sql, [])?;
            Ok(())
        });
        assert!(done.is_err(), "{sql}");
    }
    assert!(matches!(verdict(&keywheel), Verdict::Whole { rows: 2, .. }));
}

#[test]
fn lists_oldest_first_and_filters() {
    let (keywheel, _dir) = with_rows(5);
    let ids = |filter: Filter| -> Vec<i64> {
        keywheel.database().read(|conn| list(conn, &filter)).unwrap().into_iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(Filter::default()), [1, 2, 3, 4, 5]);
    assert_eq!(ids(Filter { newest: Some(2), ..Filter::default() }), [4, 5]);
    assert_eq!(ids(Filter { after: Some(3), ..Filter::default() }), [4, 5]);
    assert_eq!(ids(Filter { subject: Some("web-2".to_owned()), ..Filter::default() }), [2]);
}

#[tokio::test]
async fn exports_every_row_as_csv_and_as_json() {
    let (keywheel, dir) = with_rows(0);
    let mut odd = entry(1);
    odd.subject = Some("a \"b\", c\nd".to_owned());
    keywheel.database().write(|tx| append(tx, &odd)).unwrap();
    let mut failed = entry(2);
    (failed.result, failed.code, failed.detail) =
        (Outcome::Failed, Some("keyring-locked".to_owned()), serde_json::Value::Null);
    keywheel.database().write(|tx| append(tx, &failed)).unwrap();

    let json = dir.path().join("audit.json");
    assert_eq!(keywheel.export_audit(Format::Json, &json).await.unwrap(), 2);
    let rows: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(rows[0]["subject"], "a \"b\", c\nd");
    assert_eq!(rows[0]["detail"]["number"], 1);
    assert_eq!((rows[1]["result"].as_str(), rows[1]["code"].as_str()), (Some("failed"), Some("keyring-locked")));

    let csv = dir.path().join("audit.csv");
    assert_eq!(keywheel.export_audit(Format::Csv, &csv).await.unwrap(), 3, "the first export is a row by now");
    let mut reader = csv::Reader::from_path(&csv).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(&rows[0][5], "a \"b\", c\nd");
    assert_eq!(&rows[2][3], "audit-export");
    assert_mode_0600(&json);
    assert_mode_0600(&csv);
}

#[tokio::test]
async fn an_export_never_replaces_a_file_and_the_refusal_is_recorded() {
    let (keywheel, dir) = with_rows(1);
    let path = dir.path().join("audit.json");
    fs::write(&path, "mine").unwrap();
    assert_eq!(keywheel.export_audit(Format::Json, &path).await.unwrap_err().code(), "file-exists");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let rows = keywheel.audit_rows(Filter::default()).await.unwrap();
    assert_eq!(rows.last().unwrap().code.as_deref(), Some("file-exists"));
}

#[tokio::test]
async fn what_is_done_failed_and_refused_all_stand_in_the_record() {
    let (keywheel, _dir, vault, _clock) = with_parts();
    let device = keywheel.add_device(crate::device::NewDevice::new("web-1", "10.0.0.5")).await.unwrap();
    keywheel.add_device(crate::device::NewDevice::new("web-1", "10.0.0.6")).await.unwrap_err();
    vault.set_fault(Some(crate::vault::Fault::Locked));
    let key = crate::key::PrivateKey::generate(crate::key::Algorithm::Ed25519, "c").unwrap();
    let new = crate::credential::NewCredential::new(
        "deploy",
        "deploy",
        device.id,
        crate::credential::NewSecret::Generated(key),
    );
    keywheel.add_credential(new).await.unwrap_err();
    let rows = keywheel.audit_rows(Filter::default()).await.unwrap();
    let told: Vec<_> =
        rows.iter().map(|row| (row.action.as_str(), row.subject.as_deref(), row.result, row.code.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("device-add", Some("web-1"), Outcome::Ok, None),
            ("device-add", Some("web-1"), Outcome::Refused, Some("name-taken")),
            ("credential-add", Some("deploy"), Outcome::Failed, Some("keyring-locked")),
        ]
    );
    assert!(rows.iter().all(|row| row.actor == "ana@desk"));
}

#[test]
fn the_current_actor_is_a_user_at_a_host() {
    let actor = Actor::current();
    let (user, host) = actor.as_str().split_once('@').unwrap();
    assert!(!user.is_empty() && !host.is_empty(), "{actor}");
}

fn assert_mode_0600(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest_without_gap_or_double() {
    let (keywheel, _dir) = with_rows(25);
    let mut seen = Vec::new();
    let mut page = Page { limit: 10, ..Page::default() };
    loop {
        let rows = keywheel.audit_page(page.clone()).await.unwrap();
        let Some(last) = rows.last() else { break };
        page.before = Some(last.id);
        seen.extend(rows.iter().map(|row| row.id));
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>(), "a row would be shown twice or never");
}

#[tokio::test]
async fn a_search_takes_every_character_as_itself() {
    let (keywheel, _dir) = with_rows(3);
    for subject in ["100%", "a_b", r"c\d", "Ана <b>'", "acb"] {
        let mut odd = entry(9);
        odd.subject = Some(subject.to_owned());
        odd.code = Some("name-taken".to_owned());
        keywheel.database().write(|tx| append(tx, &odd)).unwrap();
    }
    let found = async |search: &str| -> Vec<i64> {
        let page = Page { limit: 100, search: search.to_owned(), ..Page::default() };
        keywheel.audit_page(page).await.unwrap().iter().map(|row| row.id).collect()
    };
    assert_eq!(found("%").await, [4], "% would find everything");
    assert_eq!(found("a_b").await, [5], "_ would stand for any character");
    assert_eq!(found(r"\").await, [6]);
    assert_eq!(found("<b>'").await, [7]);
    assert_eq!(found(" WEB-2 ").await, [2], "the subject is not searched");
    assert_eq!(found("ana@desk").await.len(), 8, "the actor is not searched");
    assert_eq!(found("device-add").await.len(), 8, "the action is not searched");
    assert_eq!(found("name-taken").await.len(), 5, "the code is not searched");
    assert_eq!(found("\"number\":3").await, [3], "the detail is not searched");
    assert!(found("nothing").await.is_empty());
}
