//! The chain: what is hashed, and whether it holds.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::anchor::{self, Anchor, Kept};
use crate::database::DatabaseError;
use crate::error::Report;

/// A row as it is hashed.
pub(super) struct Fields<'a> {
    pub(super) id: i64,
    pub(super) at: &'a str,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) subject_kind: &'a str,
    pub(super) subject: Option<&'a str>,
    pub(super) result: &'a str,
    pub(super) code: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
}

impl Fields<'_> {
    /// SHA-256 over the hash before, the number, and each field with its length, so that no text can move from one field
    /// to the next unseen.
    pub(super) fn hash(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut sum = Sha256::new();
        sum.update(before);
        sum.update(self.id.to_be_bytes());
        let fields = [
            Some(self.at),
            Some(self.actor),
            Some(self.action),
            Some(self.subject_kind),
            self.subject,
            Some(self.result),
            self.code,
            self.detail,
        ];
        for field in fields {
            match field {
                Some(text) => {
                    sum.update([1]);
                    sum.update((text.len() as u64).to_be_bytes());
                    sum.update(text);
                }
                None => sum.update([0]),
            }
        }
        sum.finalize().into()
    }
}

/// What the first row continues: a hash of the data directory's identity, so that no chain fits another directory.
pub(super) fn beginning(conn: &Connection) -> Result<[u8; 32], DatabaseError> {
    let vault: String = conn.query_row("SELECT id FROM vault", [], |row| row.get(0))?;
    Ok(Sha256::new().chain_update("keywheel audit ").chain_update(vault).finalize().into())
}

/// Whether the chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(tag = "chain", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every row is as it was written, as far as the file and the anchor tell.
    Whole {
        /// How many rows there are.
        #[ts(type = "number")]
        rows: i64,
        /// The last row's hash; noted elsewhere, it proves later that nothing was taken off the end and rewritten.
        head: Option<String>,
        /// What the keyring says of it.
        anchor: Anchored,
        /// The row that the keyring vouches for, with all before it.
        #[ts(type = "number | null")]
        anchored_row: Option<i64>,
        /// How many rows come after that; none where the keyring could not be asked.
        #[ts(type = "number | null")]
        not_yet_anchored: Option<i64>,
        /// Rows that were lost when a backup was restored.
        lost: Vec<Lost>,
        /// Why the keyring could not be asked.
        unread: Option<Box<Report>>,
    },
    /// A row is not as it was written.
    Broken {
        /// The first bad one.
        first: BadRow,
    },
}

/// What the keyring says of a chain that holds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum Anchored {
    /// The row that it names is there, as it was.
    Holds,
    /// It holds no anchor yet.
    NotYet,
    /// Its anchor is of before a backup was restored, and none of the rows since is anchored.
    BeforeRestore,
    /// It could not be asked, so rows may have been taken off the end, or all been written anew.
    Unread,
}

/// Rows that had been anchored and that a restored backup did not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "LostRecords")]
pub struct Lost {
    /// The row that says so.
    #[ts(type = "number")]
    pub segment: i64,
    /// The first of them that is known.
    #[ts(type = "number")]
    pub from: i64,
    /// The last one that was anchored.
    #[ts(type = "number")]
    pub to: i64,
}

/// The first row of the record that can't be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(tag = "problem", rename_all = "kebab-case")]
#[ts(rename = "BadRecord")]
pub enum BadRow {
    /// The row's text or hash was changed, or a row before it was put in its place.
    Changed {
        /// Its number.
        #[ts(type = "number")]
        id: i64,
    },
    /// The row is gone.
    Missing {
        /// Its number.
        #[ts(type = "number")]
        id: i64,
    },
    /// The row fits those before it and is not the one that the keyring names: it or one before it was changed, and all
    /// that follow were written anew.
    Rewritten {
        /// Its number.
        #[ts(type = "number")]
        id: i64,
    },
}

/// Reads the whole chain and says whether it holds, or which row is the first bad one.
///
/// The rows after the last one are missed too: SQLite remembers the highest number it gave (`sqlite_sequence`), and where
/// that was set back as well, the keyring's anchor tells. The anchor is to be read before the rows: another process may
/// move it on meanwhile.
///
/// # Errors
/// The database's own failure.
pub fn verify(conn: &Connection, kept: &Kept) -> Result<Verdict, DatabaseError> {
    let anchor = match kept {
        Kept::Anchor(anchor) => Some(anchor),
        Kept::Nothing | Kept::Unread(_) => None,
    };
    let mut before = beginning(conn)?;
    let mut expected = 1;
    let mut anchored = false;
    let mut segments: Vec<(i64, Anchor)> = Vec::new();
    let mut statement = conn.prepare(
        "SELECT id, at, actor, action, subject_kind, subject, result, code, detail, hash FROM audit ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if id > expected {
            return Ok(Verdict::Broken { first: BadRow::Missing { id: expected } });
        }
        let text = |index: usize| row.get_ref(index).map(|value| value.as_str_or_null().ok().flatten());
        let (Some(at), Some(actor), Some(action), Some(subject_kind), Some(result)) =
            (text(1)?, text(2)?, text(3)?, text(4)?, text(6)?)
        else {
            return Ok(Verdict::Broken { first: BadRow::Changed { id } });
        };
        let fields =
            Fields { id, at, actor, action, subject_kind, subject: text(5)?, result, code: text(7)?, detail: text(8)? };
        let hash = fields.hash(&before);
        if id < expected || row.get_ref(9)?.as_blob().ok() != Some(hash.as_slice()) {
            return Ok(Verdict::Broken { first: BadRow::Changed { id } });
        }
        anchored |= anchor == Some(&Anchor { row: id, hash });
        if action == anchor::SEGMENT {
            segments.extend(fields.detail.and_then(Anchor::named_in).map(|old| (id, old)));
        }
        before = hash;
        expected += 1;
    }
    let rows = expected - 1;
    let left_behind = anchor.is_some_and(|anchor| segments.iter().any(|(_, old)| old == anchor));
    if let Some(anchor) = anchor
        && !anchored
        && !left_behind
        && anchor.row <= rows
    {
        return Ok(Verdict::Broken { first: BadRow::Rewritten { id: anchor.row } });
    }
    let highest: Option<i64> =
        conn.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'audit'", [], |row| row.get(0)).optional()?;
    let cut_off = anchor.is_some_and(|anchor| !left_behind && anchor.row > rows);
    if highest.unwrap_or(0) > rows || cut_off {
        return Ok(Verdict::Broken { first: BadRow::Missing { id: expected } });
    }
    let anchored_row = anchor.map(|anchor| anchor.row).filter(|_| anchored);
    let (state, unread) = match kept {
        Kept::Unread(report) => (Anchored::Unread, Some(Box::new(report.clone()))),
        Kept::Nothing => (Anchored::NotYet, None),
        Kept::Anchor(_) if anchored => (Anchored::Holds, None),
        Kept::Anchor(_) => (Anchored::BeforeRestore, None),
    };
    Ok(Verdict::Whole {
        rows,
        head: (rows > 0).then(|| hex::encode(before)),
        anchor: state,
        anchored_row,
        not_yet_anchored: unread.is_none().then(|| rows - anchored_row.unwrap_or(0)),
        lost: lost(conn, &segments)?,
        unread,
    })
}

/// What each segment lost of the one before it, in a chain that holds.
fn lost(conn: &Connection, segments: &[(i64, Anchor)]) -> Result<Vec<Lost>, DatabaseError> {
    let mut lost = Vec::new();
    for (segment, old) in segments {
        if old.row >= *segment || !old.is_in(conn)? {
            lost.push(Lost { segment: *segment, from: old.row.min(*segment), to: old.row });
        }
    }
    Ok(lost)
}
