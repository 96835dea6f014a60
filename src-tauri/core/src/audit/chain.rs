//! The chain: what is hashed, and whether it holds.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::database::DatabaseError;

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
    /// Every row is as it was written.
    Whole {
        /// How many rows there are.
        #[ts(type = "number")]
        rows: i64,
        /// The last row's hash; noted elsewhere, it proves later that nothing was taken off the end and rewritten.
        head: Option<String>,
    },
    /// A row is not as it was written.
    Broken {
        /// The first bad one.
        first: BadRow,
    },
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
}

/// Reads the whole chain and says whether it holds, or which row is the first bad one.
///
/// The rows after the last one are missed too: SQLite remembers the highest number it gave (`sqlite_sequence`).
///
/// # Errors
/// The database's own failure.
pub fn verify(conn: &Connection) -> Result<Verdict, DatabaseError> {
    let mut before = beginning(conn)?;
    let mut expected = 1;
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
        before = hash;
        expected += 1;
    }
    let highest: Option<i64> =
        conn.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'audit'", [], |row| row.get(0)).optional()?;
    if highest.unwrap_or(0) >= expected {
        return Ok(Verdict::Broken { first: BadRow::Missing { id: expected } });
    }
    let rows = expected - 1;
    Ok(Verdict::Whole { rows, head: (rows > 0).then(|| hex::encode(before)) })
}
