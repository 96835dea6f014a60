use proptest::prelude::*;

use super::*;
use crate::audit::Outcome;
use crate::report::ProofFormat;
use crate::report::tests::Changed;
use crate::vault::AnchorName;

#[tokio::test]
async fn a_proof_that_nobody_touched_is_right_in_both_forms_and_however_it_is_laid_out() {
    let changed = Changed::new().await;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let page = changed.proven(ProofFormat::Html, "proof.html").await;
    let value: Value = serde_json::from_slice(&json).unwrap();
    for bytes in [&json, &page, &serde_json::to_vec(&value).unwrap()] {
        let verdict = changed.verdict(bytes).await;
        let Verdict::Right { change, gone_on, outcome, .. } = &verdict else { panic!("{verdict:?}") };
        assert_eq!((*change, *gone_on, outcome.as_str()), (changed.change, false, "partly-changed"));
    }
    // What comes later in the audit and for the credential is no part of it.
    changed.keywheel.set_setting("theme", "dark").await.unwrap();
    assert!(matches!(changed.verdict(&json).await, Verdict::Right { .. }));
}

#[tokio::test]
async fn a_proof_says_whether_the_keyring_vouches_for_it_and_is_nothing_beside_a_chain_written_anew() {
    let changed = Changed::new().await;
    let keywheel = &changed.keywheel;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let verdict = changed.verdict(&json).await;
    assert!(matches!(verdict, Verdict::Right { anchored: false, .. }), "nobody has anchored it yet: {verdict:?}");
    keywheel.anchor_audit().await;
    let verdict = changed.verdict(&json).await;
    let Verdict::Right { anchored: true, row, .. } = verdict else { panic!("{verdict:?}") };
    // As after somebody has written journal and chain anew: the row is there, and is not the one that was anchored.
    let name = AnchorName::new(&keywheel.database().vault_id());
    keywheel.vault().replace(&name, format!("{row} {}", "ab".repeat(32)).as_bytes()).await.unwrap();
    assert_eq!(changed.verdict(&json).await, Verdict::ChainBroken { first: BadRow::Rewritten { id: row } });
}

#[tokio::test]
async fn whatever_value_is_altered_is_found_and_named() {
    let changed = Changed::new().await;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let whole: Value = serde_json::from_slice(&json).unwrap();
    let mut leaves = Vec::new();
    list(&whole, String::new(), &mut leaves);
    assert!(leaves.len() > 150, "{} values are too few for two devices", leaves.len());
    for (pointer, at) in leaves {
        let mut altered = whole.clone();
        let value = altered.pointer_mut(&pointer).unwrap();
        *value = other(value);
        let verdict = changed.keywheel.verify_proof(altered.to_string().into_bytes()).await;
        match (at.as_str(), verdict) {
            ("format", verdict) => assert_eq!(
                verdict.unwrap_err().to_string(),
                "The proof has the format \
                \"keywheel-proof-1x\", which this version does not know."
            ),
            ("vault", verdict) => assert_eq!(verdict.unwrap(), Verdict::OtherVault),
            ("change.id", verdict) => assert_eq!(verdict.unwrap(), Verdict::NoSuchChange { change: ChangeId(2) }),
            (at, Ok(verdict)) if at.starts_with("written") => {
                assert_eq!(verdict, Verdict::NotRecorded { change: changed.change }, "{at}");
            }
            // Rows beyond the altered head are left out, or looked for where there are none.
            (at, Ok(Verdict::Altered { first, .. })) if at.starts_with("audit.head") => {
                assert!(first.at.starts_with("audit."), "{at}: {first:?}");
            }
            // The attempts tell how far the facts can be compared at all.
            ("change.attempts", Ok(verdict)) => assert!(!matches!(verdict, Verdict::Right { .. }), "{verdict:?}"),
            // Where there is nothing, a word can't stand for what has several parts.
            (_, Err(error)) if whole.pointer(&pointer) == Some(&Value::Null) => {
                assert_eq!(crate::error::Explain::code(&error), "proof-unreadable");
            }
            (at, verdict) => {
                let verdict = verdict.unwrap();
                let Verdict::Altered { first, .. } = verdict else { panic!("{at}: {verdict:?}") };
                assert!(at == first.at || at.starts_with(&format!("{}.", first.at)), "{at}: {first:?}");
            }
        }
    }
}

/// Every value that is no list and no object, by pointer and by the path that a difference names.
fn list(value: &Value, pointer: String, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                list(value, format!("{pointer}/{name}"), leaves);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                list(value, format!("{pointer}/{place}"), leaves);
            }
        }
        _ => {
            let mut at = String::new();
            for part in pointer.split('/').skip(1) {
                match part.parse::<usize>() {
                    Ok(place) => at.push_str(&format!("[{place}]")),
                    Err(_) if at.is_empty() => at.push_str(part),
                    Err(_) => at.push_str(&format!(".{part}")),
                }
            }
            leaves.push((pointer, at));
        }
    }
}

/// Another value of the same type, as far as nothing has one.
fn other(value: &Value) -> Value {
    match value {
        Value::String(text) => format!("{text}x").into(),
        Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
        Value::Bool(truth) => (!truth).into(),
        _ => "x".into(),
    }
}

#[tokio::test]
async fn a_fact_that_is_left_out_or_put_in_is_found() {
    let changed = Changed::new().await;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let whole: Value = serde_json::from_slice(&json).unwrap();
    let mut altered = whole.clone();
    altered["devices"][0]["logins"].as_array_mut().unwrap().remove(3);
    let verdict = changed.verdict(altered.to_string().as_bytes()).await;
    let Verdict::Altered { first, .. } = &verdict else { panic!("{verdict:?}") };
    assert_eq!((first.at.as_str(), first.proof.as_ref()), ("devices[0].logins[3]", None));
    altered = whole.clone();
    altered["devices"].as_array_mut().unwrap().pop();
    assert!(matches!(changed.verdict(altered.to_string().as_bytes()).await, Verdict::Altered { .. }));
    altered = whole;
    altered["devices"][0]["note"] = "all is well".into();
    let error = changed.keywheel.verify_proof(altered.to_string().into_bytes()).await.unwrap_err();
    assert_eq!(crate::error::Explain::code(&error), "proof-unreadable");
}

#[tokio::test]
async fn a_page_that_shows_something_else_than_its_facts_is_found() {
    let changed = Changed::new().await;
    let page = String::from_utf8(changed.proven(ProofFormat::Html, "proof.html").await).unwrap();
    let (shown, facts) = page.split_once("<details>").unwrap();
    for (from, to) in [("partly-changed", "changed"), ("refused", "accepted"), ("ana@desk", "bob@desk")] {
        let altered = format!("{}<details>{facts}", shown.replacen(from, to, 1));
        let verdict = changed.verdict(altered.as_bytes()).await;
        let Verdict::Altered { first, .. } = &verdict else { panic!("{from}: {verdict:?}") };
        assert_eq!(first.at, "page");
        assert!(first.recorded.as_ref().unwrap().contains(from) || from == "refused", "{first:?}");
    }
}

#[tokio::test]
async fn a_journal_or_an_audit_that_was_altered_is_found() {
    let changed = Changed::new().await;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let alter = |sql: &str| {
        changed
            .keywheel
            .database()
            .write(|tx| tx.execute_batch(sql).map_err(crate::database::DatabaseError::from))
            .unwrap();
    };
    alter("UPDATE change SET requested_by = 'bob@desk'");
    let verdict = changed.verdict(&json).await;
    let Verdict::Altered { first, .. } = &verdict else { panic!("{verdict:?}") };
    let told = (first.at.as_str(), first.proof.as_deref(), first.recorded.as_deref());
    assert_eq!(told, ("change.requested_by", Some("ana@desk"), Some("bob@desk")));
    alter("UPDATE change SET requested_by = 'ana@desk'");
    assert!(matches!(changed.verdict(&json).await, Verdict::Right { .. }));
    alter("DROP TRIGGER audit_stays; UPDATE audit SET actor = 'bob@desk' WHERE id = 2");
    assert_eq!(changed.verdict(&json).await, Verdict::ChainBroken { first: BadRow::Changed { id: 2 } });
}

#[tokio::test]
async fn another_vault_says_that_it_is_not_its_own() {
    let (one, other) = (Changed::new().await, Changed::new().await);
    let json = one.proven(ProofFormat::Json, "proof.json").await;
    assert_eq!(other.verdict(&json).await, Verdict::OtherVault);
}

#[tokio::test]
async fn a_proof_stays_right_when_its_change_goes_on_and_nothing_else_passes_for_it() {
    let changed = Changed::new().await;
    let json = changed.proven(ProofFormat::Json, "proof.json").await;
    let now = changed.keywheel.now();
    let went_on = changed.keywheel.database().write(|tx| {
        let epoch = journal::change::take_up(tx, changed.change, crate::rotation::decide::Direction::Forward)?;
        let mut record = journal::device::list(tx, changed.change)?.remove(1);
        record.state = journal::DeviceState::Changed;
        record.cause = None;
        journal::device::update(tx, changed.change, &record)?;
        journal::change::end(tx, changed.change, epoch, journal::ChangeState::Changed, None, now)
    });
    went_on.unwrap();
    let verdict = changed.verdict(&json).await;
    assert!(matches!(verdict, Verdict::Right { gone_on: true, .. }), "{verdict:?}");
    let mut altered: Value = serde_json::from_slice(&json).unwrap();
    altered["devices"][1]["state"] = "changed".into();
    let verdict = changed.verdict(altered.to_string().as_bytes()).await;
    assert_eq!(
        verdict,
        Verdict::NotRecorded { change: changed.change },
        "what was overwritten is known by its sum alone"
    );
    altered = serde_json::from_slice(&json).unwrap();
    altered["devices"][0]["writes"][1]["after"] = "00".into();
    assert!(matches!(changed.verdict(altered.to_string().as_bytes()).await, Verdict::Altered { .. }));
}

#[tokio::test]
async fn a_proof_that_no_row_tells_of_is_not_taken_for_one_that_was_written() {
    let changed = Changed::new().await;
    let made = changed.keywheel.database().read(|conn| -> Result<_, Error> {
        let change = journal::change::find(conn, changed.change)?;
        proof::read(conn, &change, change.state, None, changed.keywheel.written())
    });
    let made = made.unwrap();
    let verdict = changed.verdict(made.to_json().as_bytes()).await;
    assert_eq!(verdict, Verdict::NotRecorded { change: changed.change });
}

#[tokio::test]
async fn what_is_no_proof_is_said_so() {
    let changed = Changed::new().await;
    for (bytes, code) in [
        (&b""[..], "not-a-proof"),
        (b"\xff\xfe", "not-a-proof"),
        (b"[]", "not-a-proof"),
        (b"{\"format\":1}", "not-a-proof"),
        (b"{\"format\":\"keywheel-fleet-1\"}", "proof-format"),
        (b"{\"format\":\"keywheel-proof-1\"}", "proof-unreadable"),
        (b"<!DOCTYPE html><p>hello", "not-a-proof"),
        (b"<!DOCTYPE html><pre id=\"facts\">{}</pre>", "not-a-proof"),
    ] {
        let error = changed.keywheel.verify_proof(bytes.to_vec()).await.unwrap_err();
        assert_eq!(crate::error::Explain::code(&error), code, "{}", String::from_utf8_lossy(bytes));
    }
}

/// A proof with the one row of the audit that tells of it.
fn written() -> (String, Proof, Vec<Record>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let changed = Changed::new().await;
        let json = changed.proven(ProofFormat::Json, "proof.json").await;
        let text = String::from_utf8(json).unwrap();
        let proof: Proof = serde_json::from_str(&text).unwrap();
        let notes = changed.keywheel.database().read(|conn| audit::reports_on(conn, changed.change.0)).unwrap();
        assert_eq!((notes.len(), notes[0].result), (1, Outcome::Ok));
        (text, proof, notes)
    })
}

#[test]
fn any_altered_byte_of_a_fact_is_found() {
    let (text, whole, notes) = written();
    let length = text.len();
    let runs = ProptestConfig { cases: 2000, ..ProptestConfig::default() };
    proptest!(runs, |(at in 0..length, flip in 1_u8..=255)| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= flip;
        if let Ok(given) = Given::read(&bytes) {
            let same = given.proof == whole;
            let right = matches!(judge(&given, whole.clone(), &notes, None), Verdict::Right { .. });
            // Where a byte between two facts became another blank, no fact is altered.
            prop_assert_eq!(right, same, "byte {}", at);
        }
    });
}

#[test]
fn what_is_added_to_or_cut_from_a_list_is_found() {
    let (_, whole, notes) = written();
    let devices = whole.devices.len();
    proptest!(|(device in 0..devices, which in 0..3_usize, twice: bool, place in 0..8_usize)| {
        let mut altered = whole.clone();
        let facts = &mut altered.devices[device];
        let edited = match which {
            0 => edit(&mut facts.writes, place, twice),
            1 => edit(&mut facts.logins, place, twice),
            _ => edit(&mut facts.stages, place, twice),
        };
        let verdict = judge(&Given { proof: altered, page: None }, whole.clone(), &notes, None);
        let right = matches!(verdict, Verdict::Right { .. });
        prop_assert_eq!(right, !edited, "{:?}", verdict);
    });
}

fn edit<T: Clone>(list: &mut Vec<T>, place: usize, twice: bool) -> bool {
    let Some(item) = list.get(place).cloned() else { return false };
    if twice {
        list.insert(place, item);
    } else {
        list.remove(place);
    }
    true
}
