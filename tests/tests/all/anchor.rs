//! The audit's anchor in a real keyring: what it vouches for, and what it tells of.

use keywheel_core::clock::SystemClock;
use keywheel_core::database::{Database, DatabaseError};
use keywheel_fleet::{Sshd, Trouble, available};
use serde_json::{Value, json};

use crate::cli::User;

impl User {
    /// The verdict of `audit verify`, with its exit status.
    fn verdict(&self) -> Result<(Option<i32>, Value), Trouble> {
        let ran = self.run(&["audit", "verify"])?;
        Ok((ran.status, ran.last().clone()))
    }

    /// Asserts that the chain holds up to its anchor, and how many rows come after that.
    fn assert_vouched(&self, later: i64) -> Result<i64, Trouble> {
        let (status, verdict) = self.verdict()?;
        assert_eq!((status, &verdict["anchor"]), (Some(0), &json!("holds")), "{verdict}");
        assert_eq!(verdict["not_yet_anchored"], later, "{verdict}");
        let rows = verdict["rows"].as_i64().ok_or("a number")?;
        assert_eq!(verdict["anchored_row"], rows - later, "{verdict}");
        Ok(rows)
    }
}

#[test]
fn each_command_and_change_is_anchored_and_rows_cut_off_the_end_are_named() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    user.assert_vouched(0)?;
    user.done(&["rotate", "deploy"])?;
    user.assert_vouched(0)?;

    user.keyring.lock()?;
    user.done(&["person", "add", "--name", "Ana"])?;
    let unread = user.refused(&["audit", "verify"], 5, "anchor-unread")?;
    assert!(unread.stderr.contains("keyring is locked"), "{}", unread.stderr);
    user.keyring.unlock()?;
    user.assert_vouched(1)?;
    user.done(&["person", "add", "--name", "Bea"])?;
    let rows = user.assert_vouched(0)?;

    Database::open(&user.path("data"), &SystemClock)?.write(|tx| -> Result<(), DatabaseError> {
        Ok(tx.execute_batch(&format!(
            "DROP TRIGGER audit_stays; DROP TRIGGER audit_is_kept; DELETE FROM audit WHERE id > {0};
             UPDATE sqlite_sequence SET seq = {0} WHERE name = 'audit';",
            rows - 2
        ))?)
    })?;
    let broken = json!({ "chain": "broken", "first": { "problem": "missing", "id": rows - 1 } });
    assert_eq!(user.verdict()?, (Some(1), broken));
    let told = user.done(&["person", "add", "--name", "Cid"])?;
    assert!(told.stderr.contains("keywheel audit verify"), "nobody is told: {}", told.stderr);
    let broken = json!({ "chain": "broken", "first": { "problem": "missing", "id": rows } });
    assert_eq!(user.verdict()?, (Some(1), broken), "what is written since hides what was cut off");
    user.done(&["person", "add", "--name", "Dora"])?;
    let broken = json!({ "chain": "broken", "first": { "problem": "rewritten", "id": rows } });
    assert_eq!(user.verdict()?, (Some(1), broken));
    Ok(())
}
