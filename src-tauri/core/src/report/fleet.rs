//! How every credential stands: its key's age against its policy, its last change, and what was left behind.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use super::Written;
use crate::audit;
use crate::catalogue::{CredentialId, DeviceId, Kind as Secret, VersionState, device, key_version, policy};
use crate::credential::{CredentialRow, CredentialState};
use crate::database::{DatabaseError, column};
use crate::error::{Error, Report};
use crate::journal::ChangeState;
use crate::keywheel::Keywheel;

/// The format that this version writes.
pub const FORMAT: &str = "keywheel-fleet-1";

/// The report on all credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fleet {
    /// [`FORMAT`].
    pub format: &'static str,
    /// What this vault's audit begins with.
    pub vault: String,
    /// When, by whom and by which version it was written.
    pub written: Written,
    /// In numbers.
    pub totals: Totals,
    /// The credentials, the worst state first, then by name.
    pub credentials: Vec<FleetRow>,
}

/// The report in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// How many credentials there are.
    pub credentials: usize,
    /// How many of them are keys.
    pub keys: usize,
    /// How many devices they are on.
    pub devices: usize,
    /// How many keys are older than their policies allow.
    pub overdue: usize,
    /// How many credentials' last changes did not change every device.
    pub failed: usize,
    /// How many credentials have an older key that may still log in somewhere.
    pub with_keys_left: usize,
    /// How many credentials have a device that was never proven.
    pub with_never_proven: usize,
}

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetRow {
    /// Its number.
    pub id: CredentialId,
    /// Its name.
    pub name: String,
    /// `ssh-key` or `password`.
    pub kind: String,
    /// The account on the devices.
    pub username: String,
    /// The owner's name.
    pub owner: Option<String>,
    /// `enabled` or `disabled`.
    pub status: String,
    /// How it stands.
    pub state: String,
    /// The original device.
    pub original_device: String,
    /// The devices in the order of change.
    pub devices: Vec<String>,
    /// The current key's algorithm.
    pub algorithm: Option<String>,
    /// The current key's fingerprint.
    pub fingerprint: Option<String>,
    /// The current key version.
    pub key_version: Option<u32>,
    /// When the current key was made, or the current password stored.
    pub key_created: Option<String>,
    /// Whole days since then.
    pub key_age_days: Option<i64>,
    /// The policy's name.
    pub policy: String,
    /// After how many days the policy wants a key changed; none for passwords, which are never changed.
    pub maximum_age_days: Option<u32>,
    /// Whether the key is older than that.
    pub overdue: Option<bool>,
    /// Whether it changes by itself.
    pub automatic_change: bool,
    /// When it changes by itself next.
    pub next_change: Option<String>,
    /// The newest key change that began.
    pub last_change: Option<LastChange>,
    /// The older keys that may still log in, per device.
    pub keys_left: Vec<KeyLeft>,
    /// The devices that were never seen to accept the current key.
    pub never_proven: Vec<String>,
}

/// The newest key change of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastChange {
    /// Its number.
    pub id: i64,
    /// `rotate` or `undo`.
    pub kind: String,
    /// How it stands.
    pub outcome: String,
    /// When it began.
    pub began: String,
    /// When it ended.
    pub ended: Option<String>,
    /// The devices that it did not change.
    pub failures: Vec<DeviceFailure>,
}

/// A device that a change did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceFailure {
    /// Its name when the change began or, where it has none any more, its number.
    pub device: String,
    /// How it stands in the change.
    pub state: String,
    /// The code of the cause.
    pub code: Option<String>,
}

/// An older key on a device that was not seen to refuse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyLeft {
    /// The device's name.
    pub device: String,
    /// The key version.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: String,
    /// `accepted`, or `unknown` where the device gave no answer since it was written there.
    pub answer: &'static str,
}

impl fmt::Display for KeyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: version {} {}", self.device, self.version, self.answer)
    }
}

impl LastChange {
    fn has_failed(&self) -> bool {
        let well = [ChangeState::Changed, ChangeState::Running];
        !well.iter().any(|state| state.as_str() == self.outcome)
    }
}

impl Fleet {
    /// The report for programs.
    pub(super) fn to_pretty_json(&self) -> String {
        // A type without maps and floats has no value that JSON lacks.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }
}

/// Reads how all credentials stand.
pub(super) async fn read(keywheel: &Keywheel, written: Written) -> Result<Fleet, Error> {
    let rows = keywheel.credential_rows().await?;
    let now = keywheel.now();
    let (vault, known) = keywheel
        .database()
        .run_read(|conn| -> Result<_, Error> { Ok((audit::identity(conn)?, Known::read(conn)?)) })
        .await?;
    let credentials: Vec<FleetRow> = rows.into_iter().map(|row| known.row(row, now)).collect();
    let devices: HashSet<&String> = credentials.iter().flat_map(|row| &row.devices).collect();
    let count = |wanted: &dyn Fn(&FleetRow) -> bool| credentials.iter().filter(|row| wanted(row)).count();
    let totals = Totals {
        credentials: credentials.len(),
        keys: count(&|row| row.maximum_age_days.is_some()),
        devices: devices.len(),
        overdue: count(&|row| row.overdue == Some(true)),
        failed: count(&|row| row.last_change.as_ref().is_some_and(LastChange::has_failed)),
        with_keys_left: count(&|row| !row.keys_left.is_empty()),
        with_never_proven: count(&|row| !row.never_proven.is_empty()),
    };
    Ok(Fleet { format: FORMAT, vault, written, totals, credentials })
}

/// What the rows are made of beside the credentials, read in one query each.
struct Known {
    maximum_age: HashMap<String, u32>,
    names: HashMap<DeviceId, String>,
    last: HashMap<CredentialId, LastChange>,
    left: HashMap<CredentialId, Vec<KeyLeft>>,
    proven: HashSet<(CredentialId, DeviceId)>,
}

impl Known {
    fn read(conn: &Connection) -> Result<Self, Error> {
        let names = device::names(conn)?;
        Ok(Self {
            maximum_age: policy::all(conn)?.into_iter().map(|policy| (policy.name, policy.maximum_age_days)).collect(),
            last: last_changes(conn)?,
            left: keys_left(conn)?,
            proven: proven(conn)?,
            names,
        })
    }

    fn row(&self, row: CredentialRow, now: Timestamp) -> FleetRow {
        let view = row.view;
        let is_key = view.kind == Secret::SshKey;
        let age =
            view.key_created.as_deref().and_then(|text| text.parse::<Timestamp>().ok()).map(|made| days(made, now));
        let maximum_age_days = self.maximum_age.get(&view.policy).copied().filter(|_| is_key);
        let current = view.key_versions.iter().find(|known| known.state == VersionState::Current);
        let never_proven = row.device_ids.iter().filter(|device| is_key && !self.proven.contains(&(view.id, **device)));
        let mut last_change = self.last.get(&view.id).cloned();
        if let Some(last) = &mut last_change
            && last.outcome == ChangeState::Running.as_str()
            && view.state != CredentialState::Changing
        {
            // Nobody holds its lock.
            ChangeState::Interrupted.as_str().clone_into(&mut last.outcome);
        }
        FleetRow {
            never_proven: never_proven.map(|device| self.names.get(device).cloned().unwrap_or_default()).collect(),
            keys_left: self.left.get(&view.id).cloned().unwrap_or_default(),
            last_change,
            overdue: maximum_age_days.and_then(|most| age.map(|age| age >= i64::from(most))),
            maximum_age_days,
            key_age_days: age,
            key_version: current.map(|known| known.version),
            id: view.id,
            kind: view.kind.to_string(),
            status: view.status.to_owned(),
            state: view.state.to_string(),
            algorithm: view.algorithm.map(|algorithm| algorithm.to_string()),
            fingerprint: view.fingerprint,
            key_created: view.key_created,
            name: view.name,
            username: view.username,
            owner: view.owner,
            original_device: view.original_device,
            devices: view.devices,
            policy: view.policy,
            automatic_change: view.automatic_change,
            next_change: view.next_change,
        }
    }
}

/// Whole days of 24 hours; a key that a clock made in the future has no age yet.
fn days(made: Timestamp, now: Timestamp) -> i64 {
    (now.duration_since(made).as_hours() / 24).max(0)
}

/// The newest key change of each credential that began.
const NEWEST: &str = "SELECT max(id) FROM change WHERE kind IN ('rotate', 'undo')
    AND state NOT IN ('scheduled', 'cancelled') GROUP BY credential";

/// The newest key change of each credential that began, with the devices that it did not change.
fn last_changes(conn: &Connection) -> Result<HashMap<CredentialId, LastChange>, Error> {
    let mut newest = HashMap::new();
    let mut statement = conn.prepare(&format!(
        "SELECT credential, id, kind, state, started_at, ended_at FROM change WHERE id IN ({NEWEST})"
    ))?;
    let rows = statement.query_map([], |row| {
        let last = LastChange {
            id: row.get(1)?,
            kind: row.get(2)?,
            outcome: row.get(3)?,
            began: row.get(4)?,
            ended: row.get(5)?,
            failures: Vec::new(),
        };
        Ok((row.get::<_, CredentialId>(0)?, last))
    })?;
    let mut of = HashMap::new();
    for row in rows {
        let (credential, last) = row?;
        of.insert(last.id, credential);
        newest.insert(credential, last);
    }
    let mut statement = conn.prepare(&format!(
        "SELECT change, change_device.device, name, state, cause FROM change_device
             LEFT JOIN device ON device.id = change_device.device
         WHERE change IN ({NEWEST}) AND state <> 'changed' ORDER BY change, position"
    ))?;
    let rows = statement.query_map([], |row| {
        let cause: Option<String> = row.get(4)?;
        let cause: Option<Report> = cause
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| column::unreadable(row, 4, error))?;
        let name: Option<String> = row.get(2)?;
        let failure = DeviceFailure {
            device: name.map_or_else(|| row.get(1).map(|id: DeviceId| id.to_string()), Ok)?,
            state: row.get(3)?,
            code: cause.map(|cause| cause.code),
        };
        Ok((row.get::<_, i64>(0)?, failure))
    })?;
    for row in rows {
        let (change, failure) = row?;
        if let Some(last) = of.get(&change).and_then(|credential| newest.get_mut(credential)) {
            last.failures.push(failure);
        }
    }
    Ok(newest)
}

/// The keys that are not the current ones of their credentials and that devices were not seen to refuse: where their lines were
/// seen or written, and where the last change was to take them away and did not get so far.
fn keys_left(conn: &Connection) -> Result<HashMap<CredentialId, Vec<KeyLeft>>, DatabaseError> {
    let mut statement = conn.prepare(&format!(
        "SELECT key_version.credential, device.name, key_version.version, fingerprint, accepted_at IS NOT NULL, device.id
         FROM installed_on JOIN key_version USING (credential, version) JOIN device ON device.id = installed_on.device
         WHERE state NOT IN (?1, ?2) AND {}
         UNION ALL
         SELECT key_version.credential, device.name, key_version.version, fingerprint, 0, device.id
         FROM change_device JOIN change ON change.id = change_device.change
             JOIN key_version ON key_version.credential = change.credential AND version = from_version
             JOIN device ON device.id = change_device.device
         WHERE change.id IN ({NEWEST}) AND change_device.state <> 'changed' AND key_version.state NOT IN (?1, ?2)
             AND NOT EXISTS (
                 SELECT 1 FROM installed_on WHERE installed_on.credential = key_version.credential
                     AND installed_on.version = key_version.version AND installed_on.device = device.id
             )
         ORDER BY 1, 6, 3",
        key_version::STANDS
    ))?;
    // A candidate is the work of a change under way.
    let (current, candidate) = (VersionState::Current.as_str(), VersionState::Candidate.as_str());
    let rows = statement.query_map([current, candidate], |row| {
        let answer = if row.get(4)? { "accepted" } else { "unknown" };
        let left = KeyLeft { device: row.get(1)?, version: row.get(2)?, fingerprint: row.get(3)?, answer };
        Ok((row.get::<_, CredentialId>(0)?, left))
    })?;
    let mut left: HashMap<CredentialId, Vec<KeyLeft>> = HashMap::new();
    for row in rows {
        let (credential, key) = row?;
        left.entry(credential).or_default().push(key);
    }
    Ok(left)
}

/// The devices that were seen to accept the current keys of credentials, whatever they said later.
fn proven(conn: &Connection) -> Result<HashSet<(CredentialId, DeviceId)>, DatabaseError> {
    let mut statement = conn.prepare(
        "SELECT installed_on.credential, installed_on.device FROM installed_on JOIN key_version USING (credential, version)
         WHERE state = ?1 AND accepted_at IS NOT NULL",
    )?;
    let rows = statement.query_map([VersionState::Current.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
