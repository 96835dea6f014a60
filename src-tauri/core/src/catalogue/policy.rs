//! Policies: when and how keys change by themselves.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::words::words;
use super::{CatalogueError, Noun, PolicyId};
use crate::clock::rfc3339;
use crate::database::{DatabaseError, column};
use crate::key::Algorithm;

words! {
    /// In which order a key change goes through stages and devices.
    Strategy {
        /// Every device is proven on the new key before the old is taken off anywhere.
        TwoPhase = "two-phase",
        /// Each device goes through all stages before the next begins.
        DeviceByDevice = "device-by-device",
        /// The key is compromised: as device by device, never stopping, never back. No policy can say so.
        Emergency = "emergency",
    }
}

words! {
    /// What happens to the others when a device fails.
    OnFailure {
        /// All devices touched go back to the old key.
        RollBack = "roll-back",
        /// The device goes back, the others go on.
        Continue = "continue",
    }
}

words! {
    /// What happens by itself to a change that was interrupted.
    AfterInterruption {
        /// It goes on.
        Resume = "resume",
        /// It goes back.
        RollBack = "roll-back",
    }
}

/// When and how keys change by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The number.
    pub id: PolicyId,
    /// The name, unique among policies.
    pub name: String,
    /// After how many days a key is changed.
    pub maximum_age_days: u32,
    /// On which days it may begin: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// The minute of the local day from which it may begin.
    pub from: u16,
    /// The minute of the local day until which it may begin; the same as `from` means any hour.
    pub to: u16,
    /// How often it is tried again.
    pub retries: u32,
    /// How many minutes lie between two tries.
    pub retry_minutes: u32,
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// How many days before it a warning is given.
    pub warning_days: u32,
    /// How many hours after a key was revealed it is changed; none: not for that.
    pub after_reveal_hours: Option<u32>,
    /// The strategy.
    pub strategy: Strategy,
    /// What happens to the others when a device fails.
    pub on_failure: OnFailure,
    /// How many devices are changed at once.
    pub at_once: u32,
    /// What happens by itself to a change that was interrupted.
    pub after_interruption: AfterInterruption,
    /// When it was made.
    pub created: Timestamp,
}

/// The name of the policy that is there from the beginning.
pub const STANDARD: &str = "Standard";

/// All seven days of the week.
pub const ANY_DAY: u8 = 0b111_1111;

impl Policy {
    /// When a key of this age has to be changed, before days and hours are looked at.
    pub fn due(&self, key_created: Timestamp) -> Timestamp {
        let age = SignedDuration::from_hours(i64::from(self.maximum_age_days) * 24);
        key_created.checked_add(age).unwrap_or(Timestamp::MAX)
    }
}

const COLUMNS: &str = "SELECT id, name, maximum_age_days, days, window_from, window_to, retries, retry_minutes, \
    algorithm, warning_days, after_reveal_hours, strategy, on_failure, at_once, after_interruption, created \
    FROM policy WHERE removed_at IS NULL";

fn policy(row: &Row<'_>) -> rusqlite::Result<Policy> {
    Ok(Policy {
        id: row.get(0)?,
        name: row.get(1)?,
        maximum_age_days: row.get(2)?,
        days: row.get(3)?,
        from: row.get(4)?,
        to: row.get(5)?,
        retries: row.get(6)?,
        retry_minutes: row.get(7)?,
        algorithm: column::parsed(row, 8)?,
        warning_days: row.get(9)?,
        after_reveal_hours: row.get(10)?,
        strategy: column::parsed(row, 11)?,
        on_failure: column::parsed(row, 12)?,
        at_once: row.get(13)?,
        after_interruption: column::parsed(row, 14)?,
        created: column::time(row, 15)?,
    })
}

/// Lists policies by name.
///
/// # Errors
/// The database's own failure.
pub fn all(conn: &Connection) -> Result<Vec<Policy>, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY name, id"))?;
    Ok(statement.query_map([], policy)?.collect::<Result<_, _>>()?)
}

/// Finds a policy by number.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_id(conn: &Connection, id: PolicyId) -> Result<Policy, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} AND id = ?1"))?;
    statement.query_row([id], policy).optional()?.ok_or_else(|| CatalogueError::unknown(Noun::Policy, id))
}

/// Finds a policy by name.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_name(conn: &Connection, name: &str) -> Result<Policy, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} AND name = ?1"))?;
    statement.query_row([name.trim()], policy).optional()?.ok_or_else(|| CatalogueError::unknown(Noun::Policy, name))
}

/// Makes sure that "Standard" is there, with product.md's values.
pub(crate) fn make_standard(conn: &Connection, now: Timestamp) -> Result<(), DatabaseError> {
    conn.prepare_cached(
        "INSERT INTO policy (name, maximum_age_days, days, window_from, window_to, retries, retry_minutes, algorithm,
             warning_days, after_reveal_hours, strategy, on_failure, at_once, after_interruption, created)
         SELECT ?1, 90, ?2, 0, 0, 3, 15, ?3, 7, NULL, 'two-phase', 'roll-back', 1, 'resume', ?4
         WHERE NOT EXISTS (SELECT 1 FROM policy)",
    )?
    .execute((STANDARD, ANY_DAY, Algorithm::Ed25519.to_string(), rfc3339(now)))?;
    Ok(())
}
