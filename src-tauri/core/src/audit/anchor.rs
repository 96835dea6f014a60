//! The anchor: a row's number and hash, kept in the keyring, so that a chain that was cut or written anew as a whole is
//! found as well.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde_json::json;

use super::{Action, Actor, append};
use crate::database::DatabaseError;
use crate::error::Report;

/// What a row is called that begins a segment.
pub(super) const SEGMENT: &str = "segment-begin";

/// A row that the keyring vouches for, and with it all rows before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub row: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.row, hex::encode(self.hash))
    }
}

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    /// Reads what [`Display`](fmt::Display) wrote.
    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        let (row, hash) = text.split_once(' ').ok_or(NotAnAnchor)?;
        Self::of(row.parse().map_err(|_| NotAnAnchor)?, hash)
    }
}

impl Anchor {
    fn of(row: i64, hash: &str) -> Result<Self, NotAnAnchor> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| NotAnAnchor)?;
        if row > 0 { Ok(Self { row, hash: bytes }) } else { Err(NotAnAnchor) }
    }

    /// The anchor that a row that begins a segment names in its detail, if it names one.
    pub(super) fn named_in(detail: &str) -> Option<Self> {
        let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
        let old = detail.get("old_anchor")?;
        Self::of(old.get("row")?.as_i64()?, old.get("hash")?.as_str()?).ok()
    }

    /// Whether the row is there, with this hash.
    pub(super) fn is_in(&self, conn: &Connection) -> Result<bool, DatabaseError> {
        let hash: Option<[u8; 32]> = conn
            .prepare_cached("SELECT hash FROM audit WHERE id = ?1")?
            .query_row([self.row], |row| row.get(0))
            .optional()?;
        Ok(hash == Some(self.hash))
    }
}

/// The text is not an anchor's.
#[derive(Debug, thiserror::Error)]
#[error("not a row's number and hash")]
pub struct NotAnAnchor;

/// What the keyring says of the anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It can't be asked.
    Unread(Report),
    /// It holds none: no process has ended yet that wrote a row.
    Nothing,
    /// It holds this one.
    Anchor(Anchor),
}

/// The last row, as the anchor will name it; none while there is no row.
pub(crate) fn end(conn: &Connection) -> Result<Option<Anchor>, DatabaseError> {
    let last = conn
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| Ok(Anchor { row: row.get(0)?, hash: row.get(1)? }))
        .optional()?;
    Ok(last)
}

/// What becomes of the anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// It names the last row already, or there is none.
    Stays,
    /// It goes to this row.
    To(Anchor),
    /// It names a row that is not there, or no longer as it was. It stays, for it is all that tells of it.
    Refused,
}

/// Says where the anchor goes: to the last row, if the row that it names now is still there, or if a restored backup has
/// begun a segment that names it. So it never goes back within a segment.
pub(crate) fn next(conn: &Connection, now: Option<&Anchor>) -> Result<Move, DatabaseError> {
    let (end, now) = match (end(conn)?, now) {
        (Some(end), Some(now)) => (end, now),
        (Some(end), None) => return Ok(Move::To(end)),
        (None, Some(_)) => return Ok(Move::Refused),
        (None, None) => return Ok(Move::Stays),
    };
    if end == *now {
        Ok(Move::Stays)
    } else if now.is_in(conn)? || is_left_behind(conn, now)? {
        Ok(Move::To(end))
    } else {
        Ok(Move::Refused)
    }
}

/// Whether a segment has begun that names this anchor.
fn is_left_behind(conn: &Connection, anchor: &Anchor) -> Result<bool, DatabaseError> {
    let mut statement = conn.prepare("SELECT detail FROM audit WHERE action = ?1 AND detail IS NOT NULL")?;
    let mut rows = statement.query([SEGMENT])?;
    while let Some(row) = rows.next()? {
        if Anchor::named_in(row.get_ref(0)?.as_str().unwrap_or_default()) == Some(*anchor) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Begins a segment, in the transaction that puts a backup in the place of what was there.
///
/// Its row names the anchor that the keyring holds then. Without it, rows that the backup does not have would count as cut
/// off; with it they are told as lost by the restoring. The anchor moves on with the next
/// [`Keywheel::anchor_audit`](crate::Keywheel::anchor_audit).
///
/// # Errors
/// The database's own failure.
pub fn begin_segment(
    tx: &Transaction<'_>,
    at: Timestamp,
    actor: &Actor,
    old: Option<&Anchor>,
) -> Result<(), DatabaseError> {
    let old = old.map(|old| json!({ "row": old.row, "hash": hex::encode(old.hash) }));
    append(tx, &Action::unnamed(SEGMENT, "audit").with(json!({ "old_anchor": old })).entry(at, actor, None))
}
