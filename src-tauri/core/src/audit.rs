//! The hash-chained record of actions.
//!
//! Each row carries the SHA-256 of the row before and of itself, so that a row that was changed, put in or taken out
//! later is found. The last row of a process is kept in the keyring as well, so that rows taken off the end are missed. No secret is ever put in a row: `detail` holds names, fingerprints, numbers.

mod about;
mod actor;
pub(crate) mod anchor;
mod chain;
mod export;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};

pub(crate) use self::about::{REPORT_WRITE, head, identity, of_change, reports_on};
pub use self::actor::Actor;
pub use self::anchor::{Anchor, Kept, NotAnAnchor, begin_segment};
pub use self::chain::{Anchored, BadRow, Lost, Verdict, verify};
pub use self::export::{Format, export};
use crate::clock::rfc3339;
use crate::database::{DatabaseError, column};
use crate::error::{Class, Explain};
use crate::private_file::PrivateFileError;

/// What can go wrong with the audit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The file for the export could not be written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
}

impl From<rusqlite::Error> for AuditError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Explain for AuditError {
    crate::sentences! {
        ; through Database(DatabaseError), File(PrivateFileError)
    }

    fn hint(&self) -> String {
        match self {
            Self::Database(error) => error.hint(),
            Self::File(error) => error.hint(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.subject(),
            Self::File(error) => error.subject(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Database(error) => error.class(),
            Self::File(error) => error.class(),
        }
    }
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
#[ts(rename = "ActionResult")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was tried and failed.
    Failed,
    /// It was not tried, because it must not be.
    Refused,
}

impl Outcome {
    /// How an action ended that answered this error.
    pub fn of(error: &dyn Explain) -> Self {
        if error.class() == Class::BadInput { Self::Refused } else { Self::Failed }
    }

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl std::str::FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ok" => Ok(Self::Ok),
            "failed" => Ok(Self::Failed),
            "refused" => Ok(Self::Refused),
            _ => Err(UnknownOutcome),
        }
    }
}

/// A stored outcome is none of the three words.
#[derive(Debug, thiserror::Error)]
#[error("not ok, failed or refused")]
pub struct UnknownOutcome;

/// What is being done, to which thing, before it is known how it ends.
#[derive(Debug, Clone)]
pub struct Action {
    /// What, as noun and verb: `device-add`.
    pub name: &'static str,
    /// The kind of thing: `device`.
    pub subject_kind: &'static str,
    /// The name the user gave the thing, if it is known.
    pub subject: Option<String>,
    /// What else is worth knowing: an object without secrets, or null.
    pub detail: serde_json::Value,
    /// Whether it turned out to change nothing, so that there is nothing to record.
    pub idle: bool,
}

impl Action {
    /// An action on a named thing.
    pub fn new(name: &'static str, subject_kind: &'static str, subject: impl Into<String>) -> Self {
        Self { name, subject_kind, subject: Some(subject.into()), detail: serde_json::Value::Null, idle: false }
    }

    /// An action on a thing whose name is not known yet, or on no single thing.
    pub fn unnamed(name: &'static str, subject_kind: &'static str) -> Self {
        Self { name, subject_kind, subject: None, detail: serde_json::Value::Null, idle: false }
    }

    /// The same action with more to know; no secret may be in it.
    #[must_use]
    pub fn with(self, detail: serde_json::Value) -> Self {
        Self { detail, ..self }
    }

    /// Notes what differs between a thing's facts before and after: `{"field": [before, after]}`.
    pub(crate) fn differs(&mut self, before: &serde_json::Value, after: &serde_json::Value) {
        self.detail = difference(before, after);
        self.idle = self.detail.as_object().is_some_and(serde_json::Map::is_empty);
    }

    /// The row for it.
    pub fn entry(&self, at: Timestamp, actor: &Actor, error: Option<&dyn Explain>) -> Entry {
        Entry {
            at,
            actor: actor.clone(),
            action: self.name,
            subject_kind: self.subject_kind,
            subject: self.subject.clone(),
            result: error.map_or(Outcome::Ok, Outcome::of),
            code: error.map(|error| error.code().to_owned()),
            detail: self.detail.clone(),
        }
    }
}

fn difference(before: &serde_json::Value, after: &serde_json::Value) -> serde_json::Value {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return serde_json::Value::Null;
    };
    let differing = after.iter().filter_map(|(field, now)| {
        let then = before.get(field).unwrap_or(&serde_json::Value::Null);
        (then != now).then(|| (field.clone(), serde_json::json!([then, now])))
    });
    serde_json::Value::Object(differing.collect())
}

/// An action, before it has a place in the chain.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, as noun and verb: `device-add`.
    pub action: &'static str,
    /// The kind of thing it was done to: `device`.
    pub subject_kind: &'static str,
    /// The name the user gave the thing, if there is one thing.
    pub subject: Option<String>,
    /// How it ended.
    pub result: Outcome,
    /// The code of the error, if it did not end well.
    pub code: Option<String>,
    /// What else is worth knowing: an object without secrets, or null.
    pub detail: serde_json::Value,
}

/// A row of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "AuditRecord")]
pub struct Record {
    /// Its number, from 1 without gaps.
    #[ts(type = "number")]
    pub id: i64,
    /// When, in RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// The kind of thing it was done to.
    pub subject_kind: String,
    /// The thing's name.
    pub subject: Option<String>,
    /// How it ended.
    pub result: Outcome,
    /// The code of the error.
    pub code: Option<String>,
    /// What else is worth knowing.
    #[ts(type = "unknown")]
    pub detail: serde_json::Value,
    /// The SHA-256 that the next row continues, in hexadecimal.
    pub hash: String,
}

/// Adds a row to the end of the chain, in the transaction of the change it tells of.
///
/// # Errors
/// The database's own failure.
pub fn append(tx: &Transaction<'_>, entry: &Entry) -> Result<(), DatabaseError> {
    let last: Option<(i64, [u8; 32])> = tx
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, before) = match last {
        Some((id, hash)) => (id + 1, hash),
        None => (1, chain::beginning(tx)?),
    };
    let at = rfc3339(entry.at);
    let detail = (!entry.detail.is_null()).then(|| entry.detail.to_string());
    let row = chain::Fields {
        id,
        at: &at,
        actor: entry.actor.as_str(),
        action: entry.action,
        subject_kind: entry.subject_kind,
        subject: entry.subject.as_deref(),
        result: entry.result.as_str(),
        code: entry.code.as_deref(),
        detail: detail.as_deref(),
    };
    let hash = row.hash(&before);
    tx.prepare_cached(
        "INSERT INTO audit (id, at, actor, action, subject_kind, subject, result, code, detail, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        row.id,
        row.at,
        row.actor,
        row.action,
        row.subject_kind,
        row.subject,
        row.result,
        row.code,
        row.detail,
        hash,
    ))?;
    Ok(())
}

/// Which rows of the record are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only rows with a higher number.
    pub after: Option<i64>,
    /// Only rows of this subject.
    pub subject: Option<String>,
    /// At most so many of the newest.
    pub newest: Option<u32>,
}

/// Lists rows, oldest first.
///
/// # Errors
/// The database's own failure.
pub fn list(conn: &Connection, filter: &Filter) -> Result<Vec<Record>, DatabaseError> {
    // Two texts, so that the index on subjects is used where there is one.
    let matching = if filter.subject.is_some() { "subject = ?2" } else { "?2 IS NULL" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT * FROM (
             SELECT * FROM audit WHERE {matching} AND id > ?1 ORDER BY id DESC LIMIT ?3
         ) ORDER BY id"
    ))?;
    let newest = filter.newest.map_or(-1, i64::from);
    let rows = statement.query_map((filter.after.unwrap_or(0), &filter.subject, newest), record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A page of the record, as the window leafs through it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(default)]
#[ts(rename = "AuditFilter")]
pub struct Page {
    /// Only rows with a lower number: that of the last row of the page before.
    #[ts(type = "number | null")]
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
    /// Only rows with this text in actor, action, subject, code or detail; empty: all.
    pub search: String,
}

/// Lists a page of rows, newest first.
///
/// Without a search it reads just the rows of the page. A search reads from the newest on until the page is full.
///
/// # Errors
/// The database's own failure.
pub fn page(conn: &Connection, page: &Page) -> Result<Vec<Record>, DatabaseError> {
    let search = page.search.trim();
    let matching = if search.is_empty() {
        "?3 = ''"
    } else {
        r"(subject LIKE ?3 ESCAPE '\' OR action LIKE ?3 ESCAPE '\' OR actor LIKE ?3 ESCAPE '\' OR code LIKE ?3 ESCAPE '\'
           OR detail LIKE ?3 ESCAPE '\')"
    };
    let mut statement =
        conn.prepare_cached(&format!("SELECT * FROM audit WHERE id < ?1 AND {matching} ORDER BY id DESC LIMIT ?2"))?;
    let rows = statement.query_map((page.before.unwrap_or(i64::MAX), page.limit, pattern(search)), record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The pattern for LIKE that finds a text anywhere, whatever characters it has.
fn pattern(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get("id")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        subject_kind: row.get("subject_kind")?,
        subject: row.get("subject")?,
        result: column::parsed(row, "result")?,
        code: row.get("code")?,
        detail: column::parsed_if_any(row, "detail")?.unwrap_or(serde_json::Value::Null),
        hash: hex::encode(row.get::<_, [u8; 32]>("hash")?),
    })
}
