//! Changes in the shapes that shells show.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde::Serialize;

use super::{OnFailure, Stage, Strategy};
use crate::catalogue::{CredentialId, DeviceId, credential, words};
use crate::clock::rfc3339;
use crate::error::{Error, Report};
use crate::journal::{self, Change, ChangeId, ChangeState, DeviceRecord, DeviceState, Kind};
use crate::key::Fingerprint;
use crate::keywheel::Keywheel;
use crate::lock::{CredentialLock, LockError, Sharing};

words! {
    /// What a person may do with a change (rotation.md, "States").
    Step {
        /// Go on with it.
        Resume = "resume",
        /// Go on with the devices that did not get through.
        Retry = "retry",
        /// Put every device back on the old key.
        RollBack = "roll-back",
        /// Change the key back to the version before.
        Undo = "undo",
    }
}

/// A change as lists show it (cli.md, "JSON").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct ChangeView {
    /// The number.
    pub id: ChangeId,
    /// The credential's name.
    pub credential: String,
    /// What it does.
    pub kind: Kind,
    /// How it stands.
    pub state: ChangeState,
    /// In which order.
    pub strategy: Strategy,
    /// What a failing device leads to.
    pub on_failure: OnFailure,
    /// Who asked for it.
    pub requested_by: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// When it ended, in RFC 3339.
    pub ended: Option<String>,
    /// How many devices are changed.
    pub devices_done: usize,
    /// How many devices there are.
    pub devices: usize,
}

/// A change with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct ChangeDetails {
    /// What lists show of it.
    #[serde(flatten)]
    pub change: ChangeView,
    /// The fingerprint of the key to leave.
    pub old_fingerprint: Option<Fingerprint>,
    /// The fingerprint of the key to reach.
    pub new_fingerprint: Option<Fingerprint>,
    /// Each device, in the order of change.
    pub records: Vec<DeviceRecordView>,
    /// Why it ended as it did, where one cause is to be named.
    pub error: Option<Report>,
    /// What may be done with it now.
    pub possible: Vec<Step>,
}

/// A device's record in a change, as shells show it.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct DeviceRecordView {
    /// The device's name.
    pub device: String,
    /// How it stands.
    pub state: DeviceState,
    /// The stage it is at, or failed at.
    pub stage: Option<Stage>,
    /// The fingerprints it was last seen to accept.
    pub accepts: Vec<Fingerprint>,
    /// Why it did not go well.
    pub error: Option<Report>,
    /// When this was written, in RFC 3339.
    pub at: String,
}

impl Keywheel {
    /// Lists the changes, newest first.
    ///
    /// A change that is noted as running while nobody holds its lock is shown as what it is: interrupted.
    ///
    /// # Errors
    /// The database's own failure; the lock can't be asked.
    pub async fn change_views(&self) -> Result<Vec<ChangeView>, Error> {
        let rows = self
            .database()
            .run_read(|conn| -> Result<_, Error> {
                let names = credential::names(conn)?;
                with_records(conn, journal::change::list(conn)?, &names)
            })
            .await?;
        rows.into_iter().map(|(change, records, name)| self.view(&change, &records, name)).collect()
    }

    /// Lists the changes of one credential, newest first.
    ///
    /// # Errors
    /// As [`Keywheel::change_views`].
    pub async fn change_views_of(&self, id: CredentialId) -> Result<Vec<ChangeView>, Error> {
        let rows = self
            .database()
            .run_read(move |conn| -> Result<_, Error> {
                let names = credential::names(conn)?;
                with_records(conn, journal::change::list_of(conn, id)?, &names)
            })
            .await?;
        rows.into_iter().map(|(change, records, name)| self.view(&change, &records, name)).collect()
    }

    /// Shows a change with each of its devices.
    ///
    /// # Errors
    /// There is none; as [`Keywheel::change_views`].
    pub async fn change_details(&self, id: ChangeId) -> Result<ChangeDetails, Error> {
        let (change, records, credential, newest) = self
            .database()
            .run_read(move |conn| -> Result<_, Error> {
                let change = journal::change::find(conn, id)?;
                let records = journal::device::list(conn, id)?;
                let credential = credential::by_id(conn, change.credential)?;
                let newest = journal::change::list_of(conn, change.credential)?;
                let newest =
                    newest.into_iter().find(|other| is_key_change(other) && other.state != ChangeState::Failed);
                Ok((change, records, credential, newest.map(|newest| newest.id)))
            })
            .await?;
        let of_version = |version: Option<u32>| Some(credential.key_version(version?)?.fingerprint());
        let (old_fingerprint, new_fingerprint) = (of_version(change.from_version), of_version(change.to_version));
        let days = self.settings().await?.days_of_undo;
        let view = self.view(&change, &records, credential.name.clone())?;
        let undoable = newest == Some(id) && within(&change, days, self.now());
        let snapshot: HashMap<DeviceId, &str> =
            change.snapshot.devices.iter().map(|device| (device.id, device.name.as_str())).collect();
        let record = |record: DeviceRecord| DeviceRecordView {
            device: snapshot.get(&record.device).map_or_else(|| record.device.to_string(), |name| (*name).to_owned()),
            state: record.state,
            stage: record.stage,
            accepts: record.accepts,
            error: record.cause,
            at: rfc3339(record.at),
        };
        Ok(ChangeDetails {
            possible: possible(view.state, is_key_change(&change) && undoable),
            records: records.into_iter().map(record).collect(),
            error: change.error.clone(),
            change: view,
            old_fingerprint,
            new_fingerprint,
        })
    }

    fn view(&self, change: &Change, records: &[DeviceRecord], credential: String) -> Result<ChangeView, Error> {
        Ok(ChangeView {
            id: change.id,
            state: self.state_now(change, &credential)?,
            credential,
            kind: change.kind,
            strategy: change.strategy,
            on_failure: change.on_failure,
            requested_by: change.requested_by.clone(),
            started: rfc3339(change.started),
            ended: change.ended.map(rfc3339),
            devices_done: records.iter().filter(|record| record.state == DeviceState::Changed).count(),
            devices: records.len(),
        })
    }

    /// The state, with what the lock says of a change that is noted as running.
    pub(crate) fn state_now(&self, change: &Change, credential: &str) -> Result<ChangeState, Error> {
        if change.state != ChangeState::Running {
            return Ok(change.state);
        }
        // Shared, so that two who only look don't take each other for the one who works.
        match CredentialLock::take(self.database().dir(), change.credential, credential, Sharing::Shared) {
            Ok(_free) => Ok(ChangeState::Interrupted),
            Err(LockError::Busy { .. }) => Ok(ChangeState::Running),
            Err(error) => Err(error.into()),
        }
    }
}

type Row = (Change, Vec<DeviceRecord>, String);

fn with_records(
    conn: &Connection,
    changes: Vec<Change>,
    names: &HashMap<CredentialId, String>,
) -> Result<Vec<Row>, Error> {
    let row = |change: Change| -> Result<Row, Error> {
        let records = journal::device::list(conn, change.id)?;
        // A credential that was removed has its name only in the snapshot.
        let name = names.get(&change.credential).unwrap_or(&change.snapshot.credential).clone();
        Ok((change, records, name))
    };
    changes.into_iter().map(row).collect()
}

fn is_key_change(change: &Change) -> bool {
    matches!(change.kind, Kind::Rotate | Kind::Undo)
}

fn within(change: &Change, days: u32, now: Timestamp) -> bool {
    let limit = SignedDuration::from_hours(24 * i64::from(days));
    days > 0 && now.duration_since(change.ended.unwrap_or(change.started)) <= limit
}

fn possible(state: ChangeState, undoable: bool) -> Vec<Step> {
    match state {
        ChangeState::Interrupted => vec![Step::Resume, Step::RollBack],
        ChangeState::PartlyChanged => vec![Step::Retry, Step::RollBack],
        ChangeState::Changed if undoable => vec![Step::Undo],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{NewCredential, NewSecret};
    use crate::device::NewDevice;
    use crate::error::Explain;
    use crate::journal::{Begin, Snapshot, SnapshotDevice};
    use crate::key::{Algorithm, PrivateKey};
    use crate::keywheel::testing::{keywheel, with_parts};

    async fn begin(keywheel: &Keywheel) -> (CredentialId, ChangeId) {
        let device = keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let new = NewCredential::new("deploy", "deploy", device.id, NewSecret::Generated(key));
        let credential = keywheel.add_credential(new).await.unwrap();
        let (of, now) = (credential.id, keywheel.now());
        let id = keywheel
            .database()
            .run_write(move |tx| {
                let snapshot = Snapshot {
                    credential: "deploy".to_owned(),
                    username: "deploy".to_owned(),
                    auth_with: None,
                    options: None,
                    devices: vec![SnapshotDevice {
                        id: device.id,
                        name: "web-1".to_owned(),
                        address: "127.0.0.1".to_owned(),
                        port: 22,
                        jump: None,
                        authorized_keys_path: None,
                        enabled: true,
                    }],
                };
                journal::change::begin(
                    tx,
                    &Begin {
                        credential: of,
                        kind: Kind::Rotate,
                        strategy: Strategy::TwoPhase,
                        on_failure: OnFailure::RollBack,
                        at_once: 1,
                        from_version: Some(1),
                        to_version: None,
                        snapshot: &snapshot,
                        requested_by: "ana@desk",
                        now,
                    },
                )
            })
            .await
            .unwrap();
        (of, id)
    }

    #[tokio::test]
    async fn a_change_whose_process_died_is_shown_as_interrupted() {
        let (keywheel, _dir) = keywheel();
        let (credential, id) = begin(&keywheel).await;
        let lock = CredentialLock::take(keywheel.database().dir(), credential, "deploy", Sharing::Exclusive).unwrap();
        assert_eq!(keywheel.change_views().await.unwrap()[0].state, ChangeState::Running, "it is being worked on");
        assert_eq!(keywheel.change_details(id).await.unwrap().possible, [], "nothing may be done with it meanwhile");
        drop(lock);
        let views = keywheel.change_views().await.unwrap();
        assert_eq!((views[0].id, views[0].state), (id, ChangeState::Interrupted), "a dead process works on nothing");
        assert_eq!((views[0].devices_done, views[0].devices), (0, 1));
        let details = keywheel.change_details(id).await.unwrap();
        assert_eq!(details.possible, [Step::Resume, Step::RollBack]);
        assert_eq!(details.records[0].device, "web-1");
        assert!(details.old_fingerprint.is_some() && details.new_fingerprint.is_none());
        assert_eq!(keywheel.change_views_of(credential).await.unwrap(), views);
    }

    #[tokio::test]
    async fn an_undo_is_offered_while_its_days_last() {
        let (keywheel, _dir, _, clock) = with_parts();
        let (_, id) = begin(&keywheel).await;
        let now = keywheel.now();
        keywheel
            .database()
            .run_write(move |tx| journal::change::end(tx, id, 1, ChangeState::Changed, None, now))
            .await
            .unwrap();
        assert_eq!(keywheel.change_details(id).await.unwrap().possible, [Step::Undo]);
        clock.pass(SignedDuration::from_hours(24 * 7 + 1));
        assert_eq!(keywheel.change_details(id).await.unwrap().possible, [], "it would be refused");
    }

    #[tokio::test]
    async fn an_unknown_change_is_bad_input() {
        let (keywheel, _dir) = keywheel();
        let error = keywheel.change_details(ChangeId(7)).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("no-such-change", crate::error::Class::BadInput));
    }
}
