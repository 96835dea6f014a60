use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection as Raw;

use super::*;
use crate::audit::{Anchored, BadRow, Entry, Lost, Outcome, Verdict};
use crate::database::Database;
use crate::keywheel::Keywheel;
use crate::keywheel::testing::with_parts;
use crate::vault::{AnchorName, Fault, MemoryVault, Vault};

/// A data directory whose rows are written and anchored as a process does it.
struct Desk {
    keywheel: Keywheel,
    vault: MemoryVault,
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let (keywheel, dir, vault, _) = with_parts();
        Self { keywheel, vault, dir }
    }

    /// With this many rows, all anchored.
    async fn anchored(rows: usize) -> Self {
        let desk = Self::new();
        desk.rows(rows);
        desk.keywheel.anchor_audit().await;
        assert_eq!(desk.kept().await.map(|anchor| anchor.row), i64::try_from(rows).ok());
        desk
    }

    /// The same data directory, opened by another process.
    fn process(&self) -> Keywheel {
        Keywheel::open(
            self.keywheel.database().dir(),
            Arc::new(self.vault.clone()),
            Arc::clone(self.keywheel.clock()),
            Actor::named("bea@desk"),
        )
        .unwrap()
    }

    fn rows(&self, count: usize) {
        for _ in 0..count {
            write(&self.keywheel);
        }
    }

    async fn kept(&self) -> Option<Anchor> {
        self.keywheel.audit_anchor().await.unwrap()
    }

    async fn verdict(&self) -> Verdict {
        self.keywheel.verify_audit().await.unwrap()
    }

    async fn assert_holds(&self, until: i64, later: i64) {
        let Verdict::Whole { rows, anchor, anchored_row, not_yet_anchored, lost, unread, .. } = self.verdict().await
        else {
            panic!("{:?}", self.verdict().await)
        };
        assert_eq!((anchor, anchored_row, not_yet_anchored), (Anchored::Holds, Some(until), Some(later)));
        assert_eq!((rows, lost, unread), (until + later, Vec::new(), None));
    }

    async fn assert_broken(&self, first: BadRow) {
        assert_eq!(self.verdict().await, Verdict::Broken { first });
    }

    /// Works on the file as somebody would who has it and another program.
    fn tamper(&self, sql: &str) {
        let raw = Raw::open(self.file()).unwrap();
        raw.execute_batch("DROP TRIGGER IF EXISTS audit_stays; DROP TRIGGER IF EXISTS audit_is_kept;").unwrap();
        raw.execute_batch(sql).unwrap();
    }

    /// Takes rows off the end without a trace.
    fn cut_behind(&self, row: i64) {
        self.tamper(&format!(
            "DELETE FROM audit WHERE id > {row}; UPDATE sqlite_sequence SET seq = {row} WHERE name = 'audit';"
        ));
    }

    fn file(&self) -> std::path::PathBuf {
        self.keywheel.database().dir().join(Database::FILE_NAME)
    }

    /// Copies the database as it is now.
    fn copy(&self, to: &Path) {
        Raw::open(self.file()).unwrap().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    }

    /// Puts a copy in its place; what was open is closed.
    fn put_back(self, copy: &Path) -> Self {
        let (file, data) = (self.file(), self.keywheel.database().dir().to_owned());
        let (clock, vault, dir) = (Arc::clone(self.keywheel.clock()), self.vault.clone(), self.dir);
        drop(self.keywheel);
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", file.display()));
        }
        fs::copy(copy, &file).unwrap();
        let keywheel = Keywheel::open(&data, Arc::new(vault.clone()), clock, Actor::named("ana@desk")).unwrap();
        Self { keywheel, vault, dir }
    }
}

fn write(keywheel: &Keywheel) {
    let entry = Entry {
        at: "2026-11-24T08:00:00Z".parse().unwrap(),
        actor: Actor::named("ana@desk"),
        action: "device-add",
        subject_kind: "device",
        subject: Some("web-1".to_owned()),
        result: Outcome::Ok,
        code: None,
        detail: serde_json::Value::Null,
    };
    keywheel.database().write(|tx| append(tx, &entry)).unwrap();
}

#[test]
fn an_anchor_that_was_kept_is_read_back_and_nothing_else_is() {
    let anchor = Anchor { row: 12, hash: [0xab; 32] };
    assert_eq!(anchor.to_string(), format!("12 {}", "ab".repeat(32)), "anchors kept before could not be read");
    assert_eq!(anchor.to_string().parse::<Anchor>().unwrap(), anchor);
    let hash = "ab".repeat(32);
    for text in [
        String::new(),
        "12".to_owned(),
        format!("0 {hash}"),
        format!("-1 {hash}"),
        format!("1 {hash}ab"),
        format!("x {hash}"),
        format!("1  {hash}"),
        format!("1 {hash}\n"),
    ] {
        assert!(text.parse::<Anchor>().is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn rows_are_vouched_for_up_to_the_anchor_and_counted_behind_it() {
    let desk = Desk::new();
    let Verdict::Whole { anchor, not_yet_anchored, .. } = desk.verdict().await else { panic!() };
    assert_eq!((anchor, not_yet_anchored), (Anchored::NotYet, Some(0)));
    desk.rows(3);
    let Verdict::Whole { anchor, anchored_row, not_yet_anchored, .. } = desk.verdict().await else { panic!() };
    assert_eq!((anchor, anchored_row, not_yet_anchored), (Anchored::NotYet, None, Some(3)));
    desk.keywheel.anchor_audit().await;
    desk.assert_holds(3, 0).await;
    desk.rows(2);
    desk.assert_holds(3, 2).await;
    desk.keywheel.anchor_audit().await;
    desk.assert_holds(5, 0).await;
}

#[tokio::test]
async fn each_operation_of_a_desk_is_anchored_with_the_next_end() {
    let desk = Desk::new();
    desk.keywheel.add_device(crate::device::NewDevice::new("web-1", "10.0.0.5")).await.unwrap();
    desk.keywheel.add_device(crate::device::NewDevice::new("web-1", "10.0.0.5")).await.unwrap_err();
    desk.keywheel.anchor_audit().await;
    desk.assert_holds(2, 0).await;
}

#[tokio::test]
async fn a_process_that_wrote_nothing_leaves_the_keyring_alone() {
    let desk = Desk::new();
    desk.rows(2);
    let reader = desk.process();
    reader.anchor_audit().await;
    assert_eq!(desk.kept().await, None, "a list would have to wait for the keyring");
    desk.keywheel.anchor_audit().await;
    let kept = desk.kept().await.unwrap();
    desk.vault.replace(&AnchorName::new(&desk.keywheel.database().vault_id()), b"1 x").await.unwrap();
    desk.keywheel.anchor_audit().await;
    assert!(desk.keywheel.audit_anchor().await.is_err(), "nothing was written since {kept}, and it was anchored again");
}

#[tokio::test]
async fn rows_taken_off_the_end_without_a_trace_are_missed() {
    for left in [0, 2, 4] {
        let desk = Desk::anchored(5).await;
        desk.cut_behind(left);
        desk.assert_broken(BadRow::Missing { id: left + 1 }).await;
        let before = desk.kept().await;
        desk.rows(1);
        desk.keywheel.anchor_audit().await;
        assert_eq!(desk.kept().await, before, "the anchor was moved away from what it shows");
    }
}

#[tokio::test]
async fn a_chain_that_was_written_anew_is_not_the_one_that_was_anchored() {
    for (more, first) in
        [(1, BadRow::Missing { id: 5 }), (2, BadRow::Rewritten { id: 5 }), (9, BadRow::Rewritten { id: 5 })]
    {
        let desk = Desk::anchored(5).await;
        desk.cut_behind(2);
        desk.keywheel.add_device(crate::device::NewDevice::new("web-9", "10.0.0.9")).await.unwrap();
        desk.rows(more);
        desk.assert_broken(first.clone()).await;
        desk.keywheel.anchor_audit().await;
        desk.assert_broken(first).await;
    }
}

#[tokio::test]
async fn rows_that_come_back_byte_for_byte_are_the_ones_that_were_anchored() {
    let desk = Desk::anchored(5).await;
    desk.cut_behind(2);
    desk.rows(4);
    desk.assert_holds(5, 1).await;
}

#[tokio::test]
async fn a_changed_row_is_named_whatever_was_changed_and_whether_it_was_anchored_or_not() {
    for row in [2, 5] {
        for change in [
            "at = '2026-11-24T08:00:00.001Z'",
            "actor = 'bea@desk'",
            "action = 'segment-begin'",
            "subject_kind = 'person'",
            "subject = NULL",
            "result = 'failed'",
            "code = ''",
            "detail = '{}'",
            "hash = zeroblob(32)",
        ] {
            let desk = Desk::anchored(3).await;
            desk.rows(3);
            desk.tamper(&format!("UPDATE audit SET {change} WHERE id = {row}"));
            desk.assert_broken(BadRow::Changed { id: row }).await;
        }
    }
}

#[tokio::test]
async fn an_older_copy_in_the_place_of_the_database_is_found() {
    let desk = Desk::anchored(3).await;
    let copy = desk.dir.path().join("copy.db");
    desk.copy(&copy);
    desk.rows(4);
    desk.keywheel.anchor_audit().await;
    let desk = desk.put_back(&copy);
    desk.assert_broken(BadRow::Missing { id: 4 }).await;
    desk.keywheel.add_device(crate::device::NewDevice::new("web-9", "10.0.0.9")).await.unwrap();
    desk.keywheel.anchor_audit().await;
    desk.assert_broken(BadRow::Missing { id: 5 }).await;
    desk.rows(9);
    desk.keywheel.anchor_audit().await;
    desk.assert_broken(BadRow::Rewritten { id: 7 }).await;
}

#[tokio::test]
async fn a_restored_backup_tells_what_it_lost_and_goes_on() {
    let desk = Desk::anchored(3).await;
    let copy = desk.dir.path().join("copy.db");
    desk.copy(&copy);
    desk.rows(4);
    desk.keywheel.anchor_audit().await;
    let desk = desk.put_back(&copy);
    let old = desk.kept().await;
    let now = desk.keywheel.now();
    desk.keywheel.database().write(|tx| begin_segment(tx, now, &Actor::named("ana@desk"), old.as_ref())).unwrap();
    let lost_rows = vec![Lost { segment: 4, from: 4, to: 7 }];
    let Verdict::Whole { anchor, anchored_row, not_yet_anchored, lost, .. } = desk.verdict().await else { panic!() };
    assert_eq!((anchor, anchored_row, not_yet_anchored), (Anchored::BeforeRestore, None, Some(4)));
    assert_eq!(lost, lost_rows, "rows that are lost are told, and are no tampering");

    desk.keywheel.anchor_audit().await;
    let Verdict::Whole { anchor, anchored_row, lost, .. } = desk.verdict().await else { panic!() };
    assert_eq!((anchor, anchored_row, lost), (Anchored::Holds, Some(4), lost_rows), "it is told for ever");
    desk.cut_behind(3);
    desk.assert_broken(BadRow::Missing { id: 4 }).await;
}

#[tokio::test]
async fn a_segment_excuses_the_anchor_that_it_names_and_no_other() {
    let desk = Desk::anchored(7).await;
    let other = Anchor { row: 7, hash: [1; 32] };
    desk.cut_behind(3);
    let now = desk.keywheel.now();
    desk.keywheel.database().write(|tx| begin_segment(tx, now, &Actor::named("ana@desk"), Some(&other))).unwrap();
    desk.assert_broken(BadRow::Missing { id: 5 }).await;
    let before = desk.kept().await;
    desk.keywheel.anchor_audit().await;
    assert_eq!(desk.kept().await, before);
}

#[tokio::test]
async fn a_backup_that_has_every_anchored_row_lost_none() {
    let desk = Desk::anchored(3).await;
    desk.rows(2);
    let old = desk.kept().await;
    let now = desk.keywheel.now();
    desk.keywheel.database().write(|tx| begin_segment(tx, now, &Actor::named("ana@desk"), old.as_ref())).unwrap();
    desk.keywheel.database().write(|tx| begin_segment(tx, now, &Actor::named("ana@desk"), None)).unwrap();
    desk.assert_holds(3, 4).await;
    desk.keywheel.anchor_audit().await;
    desk.assert_holds(7, 0).await;
}

#[tokio::test]
async fn a_keyring_that_fails_harms_nothing_and_the_next_process_anchors() {
    for fault in [Fault::Locked, Fault::Missing, Fault::Failing] {
        let desk = Desk::anchored(2).await;
        desk.rows(1);
        desk.vault.set_fault(Some(fault));
        desk.keywheel.anchor_audit().await;
        let Verdict::Whole { rows, anchor, anchored_row, not_yet_anchored, unread, .. } = desk.verdict().await else {
            panic!("{fault:?} was taken for tampering")
        };
        assert_eq!((rows, anchor, anchored_row, not_yet_anchored), (3, Anchored::Unread, None, None), "{fault:?}");
        assert!(unread.is_some(), "{fault:?}: why it was not compared is not told");
        desk.vault.set_fault(None);
        desk.assert_holds(2, 1).await;
        let next = desk.process();
        write(&next);
        next.anchor_audit().await;
        desk.assert_holds(4, 0).await;
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_an_anchor_that_holds() {
    let desk = Desk::anchored(2).await;
    desk.rows(1);
    desk.vault.set_fault(Some(Fault::LosesTheAnswer));
    desk.keywheel.anchor_audit().await;
    desk.vault.set_fault(None);
    desk.assert_holds(3, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_none_sets_the_anchor_back() {
    let desk = Desk::new();
    let processes: Vec<Keywheel> = (0..4).map(|_| desk.process()).collect();
    let ends = processes.into_iter().map(|process| {
        tokio::spawn(async move {
            for _ in 0..10 {
                process.record(Action::unnamed("device-scan", "device"), None).await;
                process.anchor_audit().await;
            }
        })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.unwrap();
    }
    desk.assert_holds(40, 0).await;
}
