//! What the record says about one change, and where its chain stands: what a proof is made of.

use rusqlite::{Connection, OptionalExtension};

use super::{Record, chain, record};
use crate::database::DatabaseError;

/// The action of writing a report, which is no part of the change that it tells of.
pub(crate) const REPORT_WRITE: &str = "report-write";

/// What the chain begins with, in hexadecimal: a hash that tells data directories apart and gives nothing of them away.
pub(crate) fn identity(conn: &Connection) -> Result<String, DatabaseError> {
    chain::beginning(conn).map(hex::encode)
}

/// The number and hash of the last row up to this number, or of the last at all; before the first row, 0 and what the chain
/// begins with.
pub(crate) fn head(conn: &Connection, until: Option<i64>) -> Result<(i64, String), DatabaseError> {
    let last: Option<(i64, [u8; 32])> = conn
        .prepare_cached("SELECT id, hash FROM audit WHERE id <= ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([until.unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match last {
        Some((row, hash)) => Ok((row, hex::encode(hash))),
        None => Ok((0, identity(conn)?)),
    }
}

/// Lists the rows up to this number that tell of a change, oldest first, but for those of reports on it.
pub(crate) fn of_change(conn: &Connection, change: i64, until: i64) -> Result<Vec<Record>, DatabaseError> {
    let rows = about(conn, change, until, "action <> ?4")?;
    Ok(rows.into_iter().filter(|record| is_about(record, change)).collect())
}

/// Lists the rows of the reports that were written on a change, oldest first.
pub(crate) fn reports_on(conn: &Connection, change: i64) -> Result<Vec<Record>, DatabaseError> {
    about(conn, change, i64::MAX, "action = ?4")
}

/// The text of a detail is searched first, because reading each as JSON takes many times as long.
fn about(conn: &Connection, change: i64, until: i64, which: &str) -> Result<Vec<Record>, DatabaseError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT * FROM audit WHERE id <= ?1 AND {which}
             AND (detail LIKE ?2 OR (subject_kind = 'change' AND subject = ?3)) ORDER BY id"
    ))?;
    let rows =
        statement.query_map((until, format!("%\"change\":{change}%"), change.to_string(), REPORT_WRITE), record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn is_about(record: &Record, change: i64) -> bool {
    let named = record.detail.get("change").and_then(serde_json::Value::as_i64) == Some(change);
    named || (record.subject_kind == "change" && record.subject.as_deref() == Some(change.to_string().as_str()))
}
