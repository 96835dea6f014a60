//! Intents and results: every effect of a change, before and after it happens.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ChangeId, JournalError, change};
use crate::{
    catalogue::{CredentialId, DeviceId, words},
    clock::rfc3339,
    error::Report,
    key::{Fingerprint, PublicKey},
    remote::{Unknown, files::Way},
    rotation::{OtherKey, Seen, decide::Direction},
};

/// The number of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectId(pub i64);

/// What is about to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Effect {
    /// A new key is about to be stored in the keyring under this name.
    Candidate {
        /// The item's name.
        item: String,
        /// The public key.
        public_key: String,
    },
    /// A file of a device is about to be written.
    Write(Write),
    /// A login or a question is about to be judged.
    Login(LoginProof),
    /// The keys in a device's files that are not the credential's are noted.
    OtherKeys {
        /// When they were listed.
        seen: Seen,
        /// The lines.
        keys: Vec<OtherKey>,
    },
    /// A key's item is about to be destroyed.
    Destroy {
        /// The item's name.
        item: String,
    },
}

/// A write of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// What the write is for.
    pub write: WriteKind,
    /// The file's path as the device names it.
    pub path: String,
    /// Where it really lies.
    pub resolved: String,
    /// Which way it is written; none where a version wrote this that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// SHA-256 of the bytes before.
    pub before: String,
    /// SHA-256 of the bytes after.
    pub after: String,
    /// The lines that are added, without their ends.
    pub added: Vec<Bytes>,
    /// The lines that are taken out, without their ends.
    pub removed: Vec<Bytes>,
    /// How many lines of the new key stood there before, and are not ours.
    pub stood_before: usize,
}

/// Bytes that travel through JSON as base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        use base64::{Engine, prelude::BASE64_STANDARD};
        BASE64_STANDARD.encode(bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        BASE64_STANDARD.decode(text).map(Self)
    }
}

words! {
    /// What a write is for.
    WriteKind {
        /// Adds the new key's lines.
        Add = "add",
        /// Takes the old key's lines out.
        Remove = "remove",
        /// Puts the old key's lines back; where that one is compromised, the new key's.
        Restore = "restore",
        /// Takes out the lines this change added.
        TakeBack = "take-back",
    }
}

/// A login or a question that proves which keys a device accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProof {
    /// The key version.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether it is a real login or only the question.
    pub by: Proof,
}

/// How a device was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A login with a signature.
    Login,
    /// The question of RFC 4252, section 7.
    Question,
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum EffectResult {
    /// It was done.
    Done,
    /// The file was written.
    Written {
        /// SHA-256 of the file as it was read back after the rename; where foreign lines came in on a device without
        /// `sha256sum`, the two numbers of `cksum`.
        hash: String,
        /// Whether a foreign line was carried over.
        carried_over: bool,
    },
    /// The device answered.
    Answered {
        /// Whether the key was accepted.
        accepted: bool,
        /// The host key shown.
        host_key: Option<Fingerprint>,
        /// The server's version line.
        server: String,
    },
    /// The device did not say.
    Unknown {
        /// Why not.
        cause: Unknown,
    },
    /// It failed, and nothing was changed by it as far as the device said.
    Failed {
        /// Why.
        cause: Report,
    },
}

/// An effect as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenEffect {
    /// Its number.
    pub id: EffectId,
    /// The change's epoch that it belongs to.
    pub epoch: u32,
    /// The device, where it concerns one.
    pub device: Option<DeviceId>,
    /// Which way the change went.
    pub direction: Direction,
    /// What was meant.
    pub effect: Effect,
    /// When it was meant.
    pub intended: Timestamp,
    /// What came of it, where that is known.
    pub result: Option<EffectResult>,
    /// When that was written down.
    pub resulted: Option<Timestamp>,
}

/// Where an effect belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The change.
    pub change: ChangeId,
    /// The epoch this process works under.
    pub epoch: u32,
    /// The device, where it concerns one.
    pub device: Option<DeviceId>,
    /// Which way the change goes.
    pub direction: Direction,
}

/// SHA-256 of a file's bytes, in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Writes an intent down.
///
/// # Errors
///
/// [`JournalError::TakenOver`] when another process has raised the epoch since: what it would do is no longer ours to do.
pub fn intend(
    transaction: &Transaction<'_>,
    place: Place,
    effect: &Effect,
    now: Timestamp,
) -> Result<EffectId, JournalError> {
    change::assert_epoch(transaction, place.change, place.epoch)?;
    let kind = match effect {
        Effect::Candidate { .. } => "candidate",
        Effect::Write(_) => "write",
        Effect::Login(_) => "login",
        Effect::OtherKeys { .. } => "other-keys",
        Effect::Destroy { .. } => "destroy",
    };
    let intent =
        serde_json::to_string(effect).map_err(|source| JournalError::Unreadable { id: place.change, source })?;
    transaction.execute(
        "INSERT INTO effect (change, epoch, device, kind, direction, intent, intended_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            place.change.0,
            place.epoch,
            place.device.map(|device| device.0),
            kind,
            place.direction.as_str(),
            intent,
            rfc3339(now),
        ],
    )?;
    Ok(EffectId(transaction.last_insert_rowid()))
}

/// Writes an effect's result down.
///
/// A result is written under any epoch: it tells what happened, and who owns the change now needs it too.
pub fn conclude(
    transaction: &Transaction<'_>,
    id: EffectId,
    result: &EffectResult,
    now: Timestamp,
) -> Result<(), JournalError> {
    let text = serde_json::to_string(result).map_err(|source| JournalError::Unreadable { id: ChangeId(0), source })?;
    transaction
        .execute("UPDATE effect SET result = ?2, resulted_at = ?3 WHERE id = ?1", params![id.0, text, rfc3339(now)])?;
    Ok(())
}

/// The effects of a change, oldest first.
pub fn list(connection: &Connection, change: ChangeId) -> Result<Vec<OpenEffect>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, device, direction, intent, intended_at, result, epoch, resulted_at FROM effect \
         WHERE change = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([change.0], |row| {
        let intent: String = row.get(3)?;
        let result: Option<String> = row.get(5)?;
        let unreadable = |index, error| crate::database::column::unreadable(row, index, error);
        Ok(OpenEffect {
            id: EffectId(row.get(0)?),
            epoch: row.get(6)?,
            device: row.get::<_, Option<i64>>(1)?.map(DeviceId),
            direction: crate::database::column::parsed(row, 2)?,
            effect: serde_json::from_str(&intent).map_err(|error| unreadable(3, error))?,
            intended: crate::database::column::time(row, 4)?,
            result: result.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| unreadable(5, error))?,
            resulted: crate::database::column::time_if_any(row, 7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The items of a credential whose destruction was begun, and of which it is not known that they are gone.
pub fn open_destroys(
    connection: &Connection,
    credential: CredentialId,
) -> Result<Vec<(EffectId, String)>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT effect.id, intent FROM effect JOIN change ON change.id = effect.change \
         WHERE change.credential = ?1 AND effect.kind = 'destroy' AND result IS NULL ORDER BY effect.id",
    )?;
    let rows = statement.query_map([credential.0], |row| {
        let intent: String = row.get(1)?;
        let effect =
            serde_json::from_str(&intent).map_err(|error| crate::database::column::unreadable(row, 1, error))?;
        Ok((EffectId(row.get(0)?), effect))
    })?;
    let mut open = Vec::new();
    for row in rows {
        if let (id, Effect::Destroy { item }) = row? {
            open.push((id, item));
        }
    }
    Ok(open)
}

/// When a file was last written after this time, or was to be, with lines of this key added or taken out by a change of the
/// credential.
pub fn last_write_of(
    connection: &Connection,
    credential: CredentialId,
    key: &PublicKey,
    after: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT intent, max(intended_at, ifnull(resulted_at, intended_at)) FROM effect \
         WHERE kind = 'write' AND ifnull(resulted_at, intended_at) > ?2 \
             AND change IN (SELECT id FROM change WHERE credential = ?1)",
    )?;
    let rows = statement.query_map((credential.0, rfc3339(after)), |row| {
        let intent: String = row.get(0)?;
        let effect: Effect =
            serde_json::from_str(&intent).map_err(|error| crate::database::column::unreadable(row, 0, error))?;
        Ok((effect, crate::database::column::time(row, 1)?))
    })?;
    let blob = key.to_openssh();
    let blob = blob.split(' ').nth(1).unwrap_or_default().as_bytes();
    let has = |line: &Bytes| line.0.windows(blob.len().max(1)).any(|part| part == blob);
    let mut last = None;
    for row in rows {
        let (effect, at) = row?;
        if let Effect::Write(write) = effect
            && write.added.iter().chain(&write.removed).any(has)
        {
            last = last.max(Some(at));
        }
    }
    Ok(last)
}

/// Keeps a file's text for as long as the change may need it; once for each content.
pub fn keep_text(transaction: &Transaction<'_>, change: ChangeId, bytes: &[u8]) -> Result<String, JournalError> {
    let hash = hash(bytes);
    transaction
        .execute("INSERT INTO file_text (hash, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![hash, bytes])?;
    transaction.execute(
        "INSERT INTO file_text_of_change (change, hash) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![change.0, hash],
    )?;
    Ok(hash)
}

/// A file's text by its hash, while it is kept.
pub fn text(connection: &Connection, hash: &str) -> Result<Option<Vec<u8>>, JournalError> {
    Ok(connection.query_row("SELECT bytes FROM file_text WHERE hash = ?1", [hash], |row| row.get(0)).optional()?)
}

/// Lets go of the texts that only this change needed; their hashes stay in the effects.
pub fn drop_texts(transaction: &Transaction<'_>, change: ChangeId) -> Result<(), JournalError> {
    transaction.execute("DELETE FROM file_text_of_change WHERE change = ?1", [change.0])?;
    transaction.execute("DELETE FROM file_text WHERE hash NOT IN (SELECT hash FROM file_text_of_change)", [])?;
    Ok(())
}

/// Lets go of the texts of changes that ended before this time; those that are still open keep theirs.
pub fn drop_texts_before(transaction: &Transaction<'_>, time: Timestamp) -> Result<(), JournalError> {
    transaction.execute(
        "DELETE FROM file_text_of_change WHERE change IN \
         (SELECT id FROM change WHERE ended_at < ?1 AND state <> 'partly-changed')",
        [rfc3339(time)],
    )?;
    transaction.execute("DELETE FROM file_text WHERE hash NOT IN (SELECT hash FROM file_text_of_change)", [])?;
    Ok(())
}

/// The last write of a change whose result is not known, on any device or one.
pub fn unanswered_write(
    connection: &Connection,
    change: ChangeId,
    device: Option<DeviceId>,
) -> Result<Option<Timestamp>, JournalError> {
    let latest = list(connection, change)?
        .into_iter()
        .filter(|effect| matches!(effect.effect, Effect::Write(_)))
        .filter(|effect| device.is_none() || effect.device == device)
        .filter(|effect| matches!(effect.result, None | Some(EffectResult::Unknown { .. })))
        .map(|effect| effect.intended)
        .max();
    Ok(latest)
}
