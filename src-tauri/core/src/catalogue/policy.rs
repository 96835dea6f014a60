//! Policies: when and how keys change by themselves.

use std::collections::HashMap;

use jiff::Timestamp;
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

words! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

impl Weekday {
    /// All seven, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The days as they are stored: bit 0 is Monday, bit 6 Sunday.
    pub fn to_bits(days: &[Self]) -> u8 {
        Self::ALL.iter().enumerate().filter(|(_, day)| days.contains(day)).map(|(place, _)| 1 << place).sum()
    }

    /// The days that are stored so, Monday first.
    pub fn from_bits(bits: u8) -> Vec<Self> {
        let set = |(place, day): (usize, &Self)| (bits >> place & 1 == 1).then_some(*day);
        Self::ALL.iter().enumerate().filter_map(set).collect()
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

/// Adds a policy with these fields, which were checked; its number is not looked at.
pub(crate) fn insert(conn: &Connection, policy: &Policy) -> Result<PolicyId, CatalogueError> {
    free(conn, &policy.name, None)?;
    conn.prepare_cached(
        "INSERT INTO policy (name, maximum_age_days, days, window_from, window_to, retries, retry_minutes, algorithm,
             warning_days, after_reveal_hours, strategy, on_failure, at_once, after_interruption, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(rusqlite::params![
        policy.name,
        policy.maximum_age_days,
        policy.days,
        policy.from,
        policy.to,
        policy.retries,
        policy.retry_minutes,
        policy.algorithm.to_string(),
        policy.warning_days,
        policy.after_reveal_hours,
        policy.strategy.as_str(),
        policy.on_failure.as_str(),
        policy.at_once,
        policy.after_interruption.as_str(),
        rfc3339(policy.created),
    ])?;
    Ok(PolicyId(conn.last_insert_rowid()))
}

/// Writes a policy's fields; they were checked.
pub(crate) fn update(conn: &Connection, policy: &Policy) -> Result<(), CatalogueError> {
    free(conn, &policy.name, Some(policy.id))?;
    conn.prepare_cached(
        "UPDATE policy SET name = ?2, maximum_age_days = ?3, days = ?4, window_from = ?5, window_to = ?6, retries = ?7,
             retry_minutes = ?8, algorithm = ?9, warning_days = ?10, after_reveal_hours = ?11, strategy = ?12,
             on_failure = ?13, at_once = ?14, after_interruption = ?15
         WHERE id = ?1",
    )?
    .execute(rusqlite::params![
        policy.id,
        policy.name,
        policy.maximum_age_days,
        policy.days,
        policy.from,
        policy.to,
        policy.retries,
        policy.retry_minutes,
        policy.algorithm.to_string(),
        policy.warning_days,
        policy.after_reveal_hours,
        policy.strategy.as_str(),
        policy.on_failure.as_str(),
        policy.at_once,
        policy.after_interruption.as_str(),
    ])?;
    Ok(())
}

/// Removes a policy; no credential names it, because the caller has looked.
pub(crate) fn remove(conn: &Connection, id: PolicyId, now: Timestamp) -> Result<(), CatalogueError> {
    conn.prepare_cached("UPDATE policy SET removed_at = ?2 WHERE id = ?1")?.execute((id, rfc3339(now)))?;
    Ok(())
}

/// Names the credentials that have a policy, also those that are just being added.
pub(crate) fn used_by(conn: &Connection, id: PolicyId) -> Result<Vec<String>, CatalogueError> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM credential WHERE policy = ?1 AND removed_at IS NULL ORDER BY name")?;
    Ok(statement.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// How many keys have each policy.
pub(crate) fn keys_of_each(conn: &Connection) -> Result<HashMap<PolicyId, u32>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT policy, count(*) FROM credential
         WHERE kind = 'ssh-key' AND ready = 1 AND removed_at IS NULL GROUP BY policy",
    )?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

fn free(conn: &Connection, name: &str, but: Option<PolicyId>) -> Result<(), CatalogueError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM policy WHERE name = ?1 AND id IS NOT ?2 AND removed_at IS NULL")?;
    if statement.exists((name, but))? {
        return Err(CatalogueError::NameTaken { noun: Noun::Policy, name: name.to_owned() });
    }
    Ok(())
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
