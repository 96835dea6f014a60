//! What is in the newest backup, and what is in none.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::Serialize;

use super::automatic;
use crate::catalogue::CatalogueError;
use crate::database::DatabaseError;
use crate::error::{Error, Report};
use crate::keywheel::Keywheel;
use crate::vault::ItemName;

/// How far the newest backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct BackupStanding {
    /// When the newest one was made, in RFC 3339; none: there is no backup.
    pub last: Option<String>,
    /// Its file.
    pub path: Option<PathBuf>,
    /// How many key versions and passwords of the keyring it does not hold.
    pub lacks: u32,
    /// Whether a backup is written after each change.
    pub automatic: bool,
    /// Why the last attempt since then failed.
    pub failed: Option<Report>,
}

impl Keywheel {
    /// Says how far the newest backup goes.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn backup_standing(&self) -> Result<BackupStanding, Error> {
        self.read(standing).await
    }
}

/// The secrets that could not be had back if the keyring were lost: of credentials that are still there.
const LACKS: &str = "
SELECT count(*) FROM
    (SELECT credential, state, item FROM key_version UNION ALL SELECT credential, state, item FROM password_version) AS version
    JOIN credential ON credential.id = version.credential
WHERE version.state <> 'destroyed' AND credential.ready = 1 AND credential.removed_at IS NULL
  AND version.item NOT IN (SELECT item FROM backup_item)";

fn standing(conn: &Connection) -> Result<BackupStanding, CatalogueError> {
    let last: Option<(String, String)> = conn
        .query_row("SELECT at, path FROM backup WHERE error IS NULL ORDER BY id DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let newest: Option<Option<String>> =
        conn.query_row("SELECT error FROM backup ORDER BY id DESC LIMIT 1", [], |row| row.get(0)).optional()?;
    let (last, path) = last.unzip();
    Ok(BackupStanding {
        last,
        path: path.map(PathBuf::from),
        lacks: conn.query_row(LACKS, [], |row| row.get(0))?,
        automatic: automatic::wanted(conn)?.is_some(),
        failed: newest.flatten().and_then(|error| serde_json::from_str(&error).ok()),
    })
}

/// Notes a backup with what it holds; it takes the place of the one before.
pub(super) fn note(
    tx: &Transaction<'_>,
    at: &str,
    path: &Path,
    automatic: bool,
    items: &[ItemName],
) -> Result<(), DatabaseError> {
    tx.execute_batch("DELETE FROM backup; DELETE FROM backup_item;")?;
    tx.execute(
        "INSERT INTO backup (at, path, automatic) VALUES (?1, ?2, ?3)",
        (at, path.to_string_lossy(), automatic),
    )?;
    let mut insert = tx.prepare("INSERT INTO backup_item (item) VALUES (?1)")?;
    for item in items {
        insert.execute([item.as_str()])?;
    }
    Ok(())
}

/// Notes that a backup was not made by itself, and why.
pub(super) fn note_failure(tx: &Transaction<'_>, at: &str, path: &Path, report: &Report) -> Result<(), DatabaseError> {
    tx.execute("DELETE FROM backup WHERE error IS NOT NULL", [])?;
    let text = serde_json::to_string(report).unwrap_or_default();
    tx.execute(
        "INSERT INTO backup (at, path, automatic, error) VALUES (?1, ?2, 1, ?3)",
        (at, path.to_string_lossy(), text),
    )?;
    Ok(())
}
