//! The facts of one change: who asked, what was done to each file, and what each device answered.
//!
//! They are read from the journal, which wrote each effect down before and after it happened, and from the audit. What is read
//! twice is the same, so that a proof can be compared with what the journal says later. docs/REPORTS.md names the fields.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::Written;
use crate::audit;
use crate::catalogue::{KeyVersion, credential, key_version};
use crate::clock::rfc3339;
use crate::error::{Error, Report};
use crate::journal::{
    self, Change, ChangeState, DeviceRecord, Effect, EffectResult, OpenEffect, Proof as AskedBy, SnapshotDevice,
    WriteKind,
};
use crate::rotation::decide::{Direction, Standing};

mod device;

/// The format that this version writes and reads.
pub const FORMAT: &str = "keywheel-proof-1";

/// The proof of one change.
///
/// Words are text here, so that a proof with an altered one can still be read, and the alteration be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`FORMAT`].
    pub format: String,
    /// What this vault's audit begins with: a hash that tells vaults apart.
    pub vault: String,
    /// When, by whom and by which version it was written.
    pub written: Written,
    /// The change.
    pub change: ChangeFacts,
    /// The devices, in the order of change.
    pub devices: Vec<DeviceFacts>,
    /// What the audit says of the change.
    pub audit: AuditFacts,
}

/// The change itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeFacts {
    /// Its number.
    pub id: i64,
    /// What it does: `rotate`, `undo`, `install`, `uninstall`.
    pub kind: String,
    /// The credential's name when it began.
    pub credential: String,
    /// The account on the devices.
    pub username: String,
    /// The credential that authenticated; none: the key itself.
    pub authenticated_with: Option<Named>,
    /// Who asked for it.
    pub requested_by: String,
    /// In which order: `two-phase`, `device-by-device`, `emergency`.
    pub strategy: String,
    /// What a failing device leads to.
    pub on_failure: String,
    /// How many devices were written at once.
    pub at_once: usize,
    /// How often it was begun or taken up.
    pub attempts: u32,
    /// When it began.
    pub began: String,
    /// When the new key was stored in the keyring and read back.
    pub key_stored: Option<String>,
    /// When the new key became the credential's current one.
    pub point_of_no_return: Option<String>,
    /// When it ended; none where it was interrupted.
    pub ended: Option<String>,
    /// How it ended, or `interrupted`.
    pub outcome: String,
    /// Why it ended so, where one cause is to be named.
    pub cause: Option<Cause>,
    /// The key that was left.
    pub old_key: Option<KeyFacts>,
    /// The key that was to be reached.
    pub new_key: Option<KeyFacts>,
}

/// A credential by number and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The number.
    pub id: i64,
    /// The name when the proof was written.
    pub name: String,
}

/// A key version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFacts {
    /// Its number.
    pub version: u32,
    /// Its algorithm.
    pub algorithm: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When it was made.
    pub made: String,
}

/// Why something did not go well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl From<&Report> for Cause {
    fn from(report: &Report) -> Self {
        Self { code: report.code.clone(), message: report.message.clone() }
    }
}

/// One device in the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// Its place in the order of change, from 1.
    pub position: usize,
    /// Its number.
    pub id: i64,
    /// Its name when the change began.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The jump devices on the way to it, the first hop first.
    pub jumps: Vec<String>,
    /// How it stands in the change.
    pub state: String,
    /// Whether a person left it out.
    pub left_out: bool,
    /// The stage at which it failed.
    pub stage: Option<String>,
    /// Why it is not changed.
    pub cause: Option<Cause>,
    /// The fingerprints of this credential's keys that it was last seen to accept.
    pub accepts: Vec<String>,
    /// When this state was written down.
    pub recorded: String,
    /// The fingerprints of the host keys that it showed.
    pub host_keys: Vec<String>,
    /// Its server's version lines.
    pub servers: Vec<String>,
    /// The stages that had an effect, as they came.
    pub stages: Vec<StageFacts>,
    /// The writes of its files, as they came.
    pub writes: Vec<WriteFacts>,
    /// The logins and questions, as they came.
    pub logins: Vec<LoginFacts>,
}

/// A stage from its first intent to its last result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageFacts {
    /// `add`, `prove`, `remove`, `refuse` or `roll-back`.
    pub stage: String,
    /// When its first effect was written down, before it happened.
    pub began: String,
    /// When its last result was written down; none where it is not known.
    pub ended: Option<String>,
}

/// A write of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFacts {
    /// The stage it belongs to.
    pub stage: String,
    /// What it was for: `add`, `remove`, `restore`, `take-back`.
    pub write: String,
    /// The file's path as the device names it.
    pub file: String,
    /// Where it really lies.
    pub resolved: String,
    /// `shell` or `sftp`; none where a version wrote it that did not note it.
    pub method: Option<String>,
    /// When it was about to be written.
    pub began: String,
    /// When the device had answered.
    pub ended: Option<String>,
    /// `written`, `failed`, or `unknown`.
    pub result: String,
    /// Why it failed.
    pub cause: Option<Cause>,
    /// The SHA-256 of the file before.
    pub before: String,
    /// The SHA-256 that it was to have.
    pub planned: String,
    /// What was read back after it: the SHA-256, or what `cksum` says where the device has nothing better.
    pub after: Option<String>,
    /// How many lines were added.
    pub lines_added: usize,
    /// How many lines were taken out.
    pub lines_removed: usize,
    /// How many lines of the new key stood there before.
    pub stood_before: usize,
    /// Whether lines that somebody else wrote meanwhile were kept.
    pub carried_over: bool,
}

/// A login, or the question whether a key would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFacts {
    /// The stage it belongs to.
    pub stage: String,
    /// When the answer was judged.
    pub at: String,
    /// The key version.
    pub version: u32,
    /// The key's fingerprint.
    pub fingerprint: String,
    /// `login` (with a signature) or `question` (RFC 4252, section 7).
    pub by: String,
    /// `accepted`, `refused` or `unknown`.
    pub answer: String,
    /// Why the answer is unknown.
    pub cause: Option<String>,
    /// The fingerprint of the host key that the device showed.
    pub host_key: Option<String>,
    /// The server's version line.
    pub server: Option<String>,
}

/// What the audit says of the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFacts {
    /// The rows that tell of it.
    pub rows: Vec<AuditRow>,
    /// The chain's hash at the end of the change: that of the last of these rows.
    pub chain_hash: Option<String>,
    /// The newest row of the audit when the proof was written.
    pub head: Head,
}

/// A row of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: Option<String>,
    /// How it ended.
    pub result: String,
    /// The code of the error.
    pub code: Option<String>,
    /// The chain's hash up to here.
    pub hash: String,
}

/// A place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The row's number; 0 while there is none.
    pub row: i64,
    /// The chain's hash up to there.
    pub hash: String,
}

impl Proof {
    /// The facts in the one form that is hashed: no space, fields in the order of docs/REPORTS.md.
    pub fn to_json(&self) -> String {
        // A type without maps and floats has no value that JSON lacks.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same for people, as the file holds it.
    pub fn to_pretty_json(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// The SHA-256 of [`Proof::to_json`].
    pub fn sha256(&self) -> String {
        journal::effect::hash(self.to_json().as_bytes())
    }
}

/// Reads the facts of a change from the journal and from the audit, the latter up to a row, or all of it.
///
/// # Errors
/// The database's own failure; a row can't be read.
pub(super) fn read(
    conn: &Connection,
    change: &Change,
    state: ChangeState,
    until: Option<i64>,
    written: Written,
) -> Result<Proof, Error> {
    let effects = journal::effect::list(conn, change.id)?;
    let records: HashMap<_, _> =
        journal::device::list(conn, change.id)?.into_iter().map(|record| (record.device, record)).collect();
    let devices = change.snapshot.devices.iter().enumerate().filter_map(|(place, known)| {
        let own: Vec<&OpenEffect> = effects.iter().filter(|effect| effect.device == Some(known.id)).collect();
        Some(device::facts(place + 1, known, records.get(&known.id)?, change.to_version, &own))
    });
    Ok(Proof {
        format: FORMAT.to_owned(),
        vault: audit::identity(conn)?,
        written,
        devices: devices.collect(),
        change: change_facts(conn, change, state)?,
        audit: audit_facts(conn, change.id.0, until)?,
    })
}

fn change_facts(conn: &Connection, change: &Change, state: ChangeState) -> Result<ChangeFacts, Error> {
    let versions = key_version::of(conn, change.credential)?;
    let key = |wanted: Option<u32>| versions.iter().find(|known| Some(known.version) == wanted).map(key_facts);
    let names = credential::names(conn)?;
    Ok(ChangeFacts {
        id: change.id.0,
        kind: change.kind.to_string(),
        credential: change.snapshot.credential.clone(),
        username: change.snapshot.username.clone(),
        authenticated_with: change
            .snapshot
            .auth_with
            .map(|id| Named { id: id.0, name: names.get(&id).cloned().unwrap_or_default() }),
        requested_by: change.requested_by.clone(),
        strategy: change.strategy.to_string(),
        on_failure: change.on_failure.to_string(),
        at_once: change.at_once,
        attempts: change.epoch,
        began: rfc3339(change.started),
        key_stored: change.stored.map(rfc3339),
        point_of_no_return: change.no_return.map(rfc3339),
        ended: change.ended.map(rfc3339),
        outcome: state.to_string(),
        cause: change.error.as_ref().map(Cause::from),
        old_key: key(change.from_version),
        new_key: key(change.to_version),
    })
}

fn key_facts(known: &KeyVersion) -> KeyFacts {
    KeyFacts {
        version: known.version,
        algorithm: known.algorithm().to_string(),
        fingerprint: known.fingerprint().to_string(),
        made: rfc3339(known.created),
    }
}

fn audit_facts(conn: &Connection, change: i64, until: Option<i64>) -> Result<AuditFacts, Error> {
    let (row, hash) = audit::head(conn, until)?;
    let rows: Vec<AuditRow> = audit::of_change(conn, change, row)?
        .into_iter()
        .map(|record| AuditRow {
            id: record.id,
            at: record.at,
            actor: record.actor,
            action: record.action,
            subject: record.subject,
            result: record.result.as_str().to_owned(),
            code: record.code,
            hash: record.hash,
        })
        .collect();
    Ok(AuditFacts { chain_hash: rows.last().map(|row| row.hash.clone()), rows, head: Head { row, hash } })
}
