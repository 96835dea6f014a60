//! What is proposed to a person: leaving out what holds a change up, and changing the keys of owners who are gone.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use crate::{
    catalogue::{CredentialId, DeviceId, PersonId, credential, device, key_version, person},
    clock::rfc3339,
    error::Error,
    journal::{self, ChangeId, DeviceRecord, scheduled::Attempt},
    keywheel::Keywheel,
    schedule::{candidates::candidates, due::Candidate},
};

/// A key change that only devices which can't be reached hold up, after all retries of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct HeldUp {
    /// The credential.
    pub credential_id: CredentialId,
    /// Its name.
    pub credential: String,
    /// The last attempt.
    pub change: ChangeId,
    /// The devices that hold it up.
    pub devices: Vec<HoldingUp>,
    /// How many others it would change without them.
    pub others: usize,
}

/// A device that can't be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct HoldingUp {
    /// The device.
    pub device_id: DeviceId,
    /// Its name.
    pub device: String,
    /// When it was last seen, or else first missed, in RFC 3339.
    pub since: String,
}

/// A person who is gone, with the credentials whose keys that person may still hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct OwnerGone {
    /// The person.
    pub person_id: PersonId,
    /// The person's name.
    pub person: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// The credentials, by name.
    pub credentials: Vec<OwnedKey>,
}

/// A credential of an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct OwnedKey {
    /// The credential.
    pub credential_id: CredentialId,
    /// Its name.
    pub credential: String,
}

/// What a device says that is not there: the network's codes, and none of a device that answered.
const AWAY: [&str; 3] = ["unreachable", "connection-refused", "timeout"];

impl Keywheel {
    /// Lists the changes that only devices which can't be reached hold up: a person may begin them with those left out.
    ///
    /// # Errors
    /// The database's own failure; the lock of a running change can't be asked.
    pub async fn held_up(&self) -> Result<Vec<HeldUp>, Error> {
        let this = self.clone();
        self.database()
            .run_read(move |conn| -> Result<_, Error> {
                let attempts = journal::scheduled::last_attempts(conn, None)?;
                let (seen, names) = (device::last_seen(conn)?, device::names(conn)?);
                let mut held = Vec::new();
                for candidate in candidates(&this, conn)? {
                    let Some(attempt) = exhausted(&candidate, &attempts) else { continue };
                    let original = credential::by_id(conn, candidate.credential)?.original_device;
                    let records = journal::device::list(conn, attempt.change)?;
                    let Some(away) = only_away(&records, original) else { continue };
                    let device = |id: DeviceId| HoldingUp {
                        device_id: id,
                        device: names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
                        since: rfc3339(seen.get(&id).copied().unwrap_or(attempt.series_began)),
                    };
                    held.push(HeldUp {
                        credential_id: candidate.credential,
                        credential: candidate.name,
                        change: attempt.change,
                        others: records.len() - away.len(),
                        devices: away.into_iter().map(device).collect(),
                    });
                }
                Ok(held)
            })
            .await
    }

    /// Lists the people who are gone, each with the credentials whose keys are from before that: a person may change them.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn owners_gone(&self) -> Result<Vec<OwnerGone>, Error> {
        self.database().run_read(owners_gone).await
    }
}

fn owners_gone(conn: &Connection) -> Result<Vec<OwnerGone>, Error> {
    let current = key_version::current(conn, None)?;
    let mut gone = Vec::new();
    for person in person::all(conn)? {
        let Some(since) = person.inactive_since else { continue };
        let older = |id: &CredentialId| current.get(id).is_some_and(|current| current.created <= since);
        let owned = person::owned(conn, person.id)?.into_iter().filter(|(id, _)| older(id));
        let credentials: Vec<OwnedKey> =
            owned.map(|(credential_id, credential)| OwnedKey { credential_id, credential }).collect();
        if !credentials.is_empty() {
            gone.push(OwnerGone { person_id: person.id, person: person.name, since: rfc3339(since), credentials });
        }
    }
    Ok(gone)
}

/// The last attempt of a series of which no retry is left.
fn exhausted(candidate: &Candidate, attempts: &HashMap<CredentialId, Attempt>) -> Option<Attempt> {
    let automatic = candidate.automatic.as_ref().filter(|_| candidate.open.is_none())?;
    let failed = automatic.facts.failed.as_ref()?;
    let attempt = attempts.get(&candidate.credential)?;
    (failed.attempts > automatic.policy.retries).then_some(*attempt)
}

/// The devices on which a change failed, if all that stood in its way was that they can't be reached, and it can do without
/// them: the original device is always changed first.
fn only_away(records: &[DeviceRecord], original: DeviceId) -> Option<Vec<DeviceId>> {
    let mut away = Vec::new();
    for record in records {
        let Some(cause) = &record.cause else { continue };
        if record.device == original || !AWAY.contains(&cause.code.as_str()) {
            return None;
        }
        away.push(record.device);
    }
    (!away.is_empty()).then_some(away)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::error::Report;
    use crate::journal::DeviceState;
    use crate::rotation::decide::Standing;

    fn record(device: i64, code: Option<&str>) -> DeviceRecord {
        DeviceRecord {
            device: DeviceId(device),
            position: 0,
            state: DeviceState::Unchanged,
            standing: Standing::Waiting,
            stage: None,
            cause: code.map(|code| Report::new(code, "It failed.".to_owned(), "Look.")),
            accepts: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_a_change_whose_devices_are_merely_away_is_proposed_without_them() {
        let original = DeviceId(1);
        let away = |records: &[DeviceRecord]| only_away(records, original);
        let two = [record(1, None), record(2, Some("unreachable")), record(3, Some("timeout")), record(4, None)];
        assert_eq!(away(&two), Some(vec![DeviceId(2), DeviceId(3)]));
        assert_eq!(away(&[record(1, None), record(2, Some("disk-full"))]), None, "it answered: somebody has to look");
        let mixed = [record(1, None), record(2, Some("connection-refused")), record(3, Some("host-key-changed"))];
        assert_eq!(away(&mixed), None);
        assert_eq!(away(&[record(1, Some("unreachable")), record(2, None)]), None, "the original can't be left out");
        assert_eq!(away(&[record(1, None), record(2, None)]), None);
    }
}
