//! Whether a proof says what this vault's journal and audit say.
//!
//! Two things must hold. What the journal and the audit say now of the change, read up to where the proof was written, must be
//! what the proof says, fact by fact. And the audit's chain must have a row in which the SHA-256 of these facts was noted when
//! the proof was written: it also covers what no table keeps (when and by whom it was written), and what has changed since
//! because the change was taken up again.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use super::proof::{self, FORMAT};
use super::{Proof, ReportError, html};
use crate::audit::{self, BadRow, Kept, Record};
use crate::error::Error;
use crate::journal::{self, ChangeId, JournalError};
use crate::keywheel::Keywheel;

/// What a proof is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(tag = "proof", rename_all = "kebab-case")]
#[ts(rename = "ProofVerdict")]
pub enum Verdict {
    /// Every fact is as the journal and the audit have it.
    Right {
        /// The change.
        change: ChangeId,
        /// The credential's name.
        credential: String,
        /// How the change had ended.
        outcome: String,
        /// When the proof was written, in RFC 3339.
        written: String,
        /// The row of the audit that tells of it.
        #[ts(type = "number")]
        row: i64,
        /// Whether the keyring vouches for that row. Until it does, whoever can write the database could have written it.
        anchored: bool,
        /// Whether the change was taken up again since, so that it stands otherwise by now.
        gone_on: bool,
    },
    /// Something is not as the journal and the audit have it.
    Altered {
        /// The change.
        change: ChangeId,
        /// The first difference.
        first: Difference,
    },
    /// No fact is found to differ, but the audit does not know the proof as one that was written: what no table keeps may be
    /// altered, or the vault was restored from a time before.
    NotRecorded {
        /// The change.
        change: ChangeId,
    },
    /// Another vault's audit stands behind it.
    OtherVault,
    /// This vault has no such change.
    NoSuchChange {
        /// Its number.
        change: ChangeId,
    },
    /// The audit itself can't be trusted, so that it proves nothing.
    ChainBroken {
        /// The first bad row.
        first: BadRow,
    },
}

/// Where a proof and the vault say two things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "ProofDifference")]
pub struct Difference {
    /// The place, as a path through the JSON (`devices[0].writes[1].after`), or `page` for what a page shows around its facts.
    pub at: String,
    /// What the proof says there; none where it says nothing.
    pub proof: Option<String>,
    /// What is recorded; none where nothing is.
    pub recorded: Option<String>,
}

/// Compares a proof in either form with the journal and the audit.
pub(super) fn verify(keywheel: &Keywheel, conn: &Connection, kept: &Kept, bytes: &[u8]) -> Result<Verdict, Error> {
    let given = Given::read(bytes)?;
    let proof = &given.proof;
    if proof.vault != audit::identity(conn)? {
        return Ok(Verdict::OtherVault);
    }
    let anchored_row = match audit::verify(conn, kept)? {
        audit::Verdict::Broken { first } => return Ok(Verdict::ChainBroken { first }),
        audit::Verdict::Whole { anchored_row, .. } => anchored_row,
    };
    let id = ChangeId(proof.change.id);
    let change = match journal::change::find(conn, id) {
        Err(JournalError::NoSuchChange { .. }) => return Ok(Verdict::NoSuchChange { change: id }),
        found => found?,
    };
    let state = keywheel.state_now(&change, &change.snapshot.credential)?;
    let now = proof::read(conn, &change, state, Some(proof.audit.head.row), proof.written.clone())?;
    let notes = audit::reports_on(conn, id.0)?;
    Ok(judge(&given, now, &notes, anchored_row))
}

/// A proof as it was given.
#[derive(Debug)]
struct Given<'a> {
    proof: Proof,
    /// The page, where the proof came as one.
    page: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ReportError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ReportError::NotAProof)?;
        let (json, page) = match html::facts_of(text) {
            Some(json) => (json, Some(text)),
            None => (text.to_owned(), None),
        };
        let value: Value = serde_json::from_str(&json).map_err(|_| ReportError::NotAProof)?;
        let format = value.get("format").and_then(Value::as_str).ok_or(ReportError::NotAProof)?;
        if format != FORMAT {
            return Err(ReportError::UnknownFormat { format: format.to_owned() });
        }
        let proof = serde_json::from_str(&json).map_err(|source| ReportError::Unreadable { source })?;
        Ok(Self { proof, page })
    }
}

/// Judges a proof by the facts as they are now and by the audit's rows of the reports that were written on the change.
fn judge(given: &Given<'_>, mut now: Proof, notes: &[Record], anchored_row: Option<i64>) -> Verdict {
    let proof = &given.proof;
    let change = ChangeId(proof.change.id);
    // The name that another credential had then is kept nowhere; the noted SHA-256 covers it.
    if let (Some(then), Some(today)) = (&proof.change.authenticated_with, &mut now.change.authenticated_with)
        && then.id == today.id
    {
        today.name.clone_from(&then.name);
    }
    let facts = proof.sha256();
    let noted =
        |name: &str, sum: &str| notes.iter().find(|note| note.detail.get(name).and_then(Value::as_str) == Some(sum));
    let note = noted("facts_sha256", &facts);
    let gone_on = now.change.attempts > proof.change.attempts;
    if gone_on {
        keep_what_is_over(proof, &mut now);
    }
    let difference = match (serde_json::to_value(proof), serde_json::to_value(&now)) {
        (Ok(then), Ok(now)) => first_difference("", &then, &now),
        _ => None,
    };
    if let Some(first) = difference {
        return Verdict::Altered { change, first };
    }
    let Some(note) = note else { return Verdict::NotRecorded { change } };
    if let Some(page) = given.page {
        let meant = html::proof(proof);
        // Another version may have drawn the same facts otherwise; then the audit knows the file by its own sum.
        if page != meant && noted("sha256", &journal::effect::hash(page.as_bytes())).is_none() {
            return Verdict::Altered { change, first: difference_of_texts(page, &meant) };
        }
    }
    Verdict::Right {
        change,
        credential: proof.change.credential.clone(),
        outcome: proof.change.outcome.clone(),
        written: proof.written.at.clone(),
        row: note.id,
        anchored: anchored_row.is_some_and(|row| note.id <= row),
        gone_on,
    }
}

/// Takes from the proof what a later attempt has overwritten in the journal, so that only the rest is compared; the noted SHA-256
/// covers it.
fn keep_what_is_over(proof: &Proof, now: &mut Proof) {
    let (then, today) = (&proof.change, &mut now.change);
    today.attempts = then.attempts;
    today.outcome.clone_from(&then.outcome);
    today.ended.clone_from(&then.ended);
    today.cause.clone_from(&then.cause);
    today.key_stored.clone_from(&then.key_stored);
    today.point_of_no_return.clone_from(&then.point_of_no_return);
    today.new_key.clone_from(&then.new_key);
    for (then, today) in proof.devices.iter().zip(&mut now.devices) {
        today.state.clone_from(&then.state);
        today.left_out = then.left_out;
        today.stage.clone_from(&then.stage);
        today.cause.clone_from(&then.cause);
        today.accepts.clone_from(&then.accepts);
        today.recorded.clone_from(&then.recorded);
        // Effects are only ever added; what had no result then may have got one since.
        for (then, today) in then.writes.iter().zip(&mut today.writes) {
            if then.ended.is_none() {
                today.clone_from(then);
            }
        }
        today.writes.truncate(then.writes.len());
        today.logins.truncate(then.logins.len());
        today.stages.truncate(then.stages.len());
        let stages = then.stages.len();
        for (place, (then, today)) in then.stages.iter().zip(&mut today.stages).enumerate() {
            if then.ended.is_none() || place + 1 == stages {
                today.ended.clone_from(&then.ended);
            }
        }
        today.host_keys.truncate(then.host_keys.len());
        today.servers.truncate(then.servers.len());
    }
}

/// The first place where two values differ, going through objects by name and through lists in order.
fn first_difference(at: &str, proof: &Value, recorded: &Value) -> Option<Difference> {
    match (proof, recorded) {
        (Value::Object(one), Value::Object(other)) => {
            let inside = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            let null = &Value::Null;
            one.iter().find_map(|(name, value)| first_difference(&inside(name), value, other.get(name).unwrap_or(null)))
        }
        (Value::Array(one), Value::Array(other)) => {
            let inside = |place: usize| format!("{at}[{place}]");
            let pairs = one.iter().zip(other).enumerate();
            let differing = pairs.into_iter().find_map(|(at, (one, other))| first_difference(&inside(at), one, other));
            differing.or_else(|| {
                let place = one.len().min(other.len());
                (one.len() != other.len()).then(|| Difference {
                    at: inside(place),
                    proof: one.get(place).map(shown),
                    recorded: other.get(place).map(shown),
                })
            })
        }
        _ if proof == recorded => None,
        _ => Some(Difference { at: at.to_owned(), proof: said(proof), recorded: said(recorded) }),
    }
}

fn said(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| shown(value))
}

/// So much of a value is shown.
const MOST: usize = 160;

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Where two pages part, with some of what follows.
fn difference_of_texts(page: &str, meant: &str) -> Difference {
    const BEFORE: usize = 24;
    let same = page.chars().zip(meant.chars()).take_while(|(one, other)| one == other).count();
    let from = |text: &str| {
        let rest: String = text.chars().skip(same.saturating_sub(BEFORE)).take(MOST).collect();
        (!rest.is_empty()).then_some(rest)
    };
    Difference { at: "page".to_owned(), proof: from(page), recorded: from(meant) }
}

#[cfg(test)]
mod tests;
