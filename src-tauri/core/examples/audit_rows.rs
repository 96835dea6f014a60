//! Measures how long it takes to verify an audit of a million rows:
//! `cargo run --release -p keywheel-core --example audit_rows`.

#![allow(clippy::print_stdout, reason = "what it measures is what it tells")]

use std::error::Error;
use std::time::Instant;

use keywheel_core::audit::{self, Action, Actor, Kept};
use keywheel_core::clock::{Clock as _, SystemClock};
use keywheel_core::database::{Database, DatabaseError};
use serde_json::json;

const ROWS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let database = Database::open(&dir.path().join("data"), &SystemClock)?;
    let (actor, at) = (Actor::named("ana@desk.example.org"), SystemClock.now());
    let begun = Instant::now();
    for block in 0..ROWS / 10_000 {
        database.write(|tx| {
            for row in 0..10_000 {
                let action = Action::new("stage-prove", "device", format!("web-{row}.example.org"));
                let detail = json!({ "change": block, "stage": "prove", "fingerprint": "SHA256:0123456789abcdef0123456789abcdef" });
                audit::append(tx, &action.with(detail).entry(at, &actor, None))?;
            }
            Ok::<_, DatabaseError>(())
        })?;
    }
    println!("{ROWS} rows written in {:.1} s", begun.elapsed().as_secs_f64());
    for _ in 0..3 {
        let begun = Instant::now();
        let verdict = database.read(|conn| audit::verify(conn, &Kept::Nothing))?;
        println!("verified in {:.2} s: {verdict:?}", begun.elapsed().as_secs_f64());
    }
    Ok(())
}
