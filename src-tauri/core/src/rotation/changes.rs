//! Changes in the shapes that shells show.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde::Serialize;

use super::{OnFailure, OtherKey, Seen, Stage, Strategy};
use crate::after_change::{self, ProgramRun};
use crate::catalogue::{
    Credential, CredentialId, DeviceId, VersionState, credential, key_version, key_version::Installed, words,
};
use crate::clock::rfc3339;
use crate::error::{Error, Report};
use crate::journal::{
    self, Change, ChangeId, ChangeReason, ChangeState, DeviceRecord, DeviceState, Effect, Kind, SnapshotDevice,
};
use crate::key::Fingerprint;
use crate::keywheel::Keywheel;
use crate::lock::{CredentialLock, LockError, Sharing};

words! {
    /// What a person may do with a change (rotation.md, "States").
    Step {
        /// Begin it now, before its time.
        Run = "run",
        /// Take it back before it begins.
        Cancel = "cancel",
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
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct ChangeView {
    /// The number.
    pub id: ChangeId,
    /// The credential's number.
    pub credential_id: CredentialId,
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
    /// Why it was begun, or will be.
    pub reason: ChangeReason,
    /// For when it was asked, or when its policy's time came, in RFC 3339.
    pub scheduled_for: Option<String>,
    /// The first attempt of the series that it is one of; none where a person asked for it.
    pub series: Option<ChangeId>,
    /// Which attempt of its series it is.
    pub attempt: Option<u32>,
    /// When it began, in RFC 3339; while it is scheduled, when it was asked for.
    pub started: String,
    /// When it ended, in RFC 3339.
    pub ended: Option<String>,
    /// The seconds from the beginning to the end.
    pub seconds: Option<f64>,
    /// How often it was begun or taken up.
    pub attempts: u32,
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
    /// Until when it can be undone, in RFC 3339; only where it can.
    pub undo_until: Option<String>,
    /// The file that holds the key that was left, where it was imported from there and a device refuses it now.
    pub imported_from: Option<String>,
    /// What came of the program after it, where one was run.
    pub program: Option<ProgramRun>,
}

/// A device's record in a change, as shells show it.
#[derive(Debug, Clone, PartialEq, Serialize, ts_rs::TS)]
pub struct DeviceRecordView {
    /// The device's number.
    pub device_id: DeviceId,
    /// The device's name.
    pub device: String,
    /// Its address.
    pub address: String,
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
    /// Whether a person gave the device up.
    pub given_up: bool,
    /// The lines that let other keys in there, where the change listed them.
    pub other_keys: Option<OtherKeys>,
}

/// The other keys of a device, as they were listed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct OtherKeys {
    /// When.
    pub seen: Seen,
    /// The lines.
    pub keys: Vec<OtherKey>,
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
        let (change, records, credential, newest, installed, mut others, program) = self
            .database()
            .run_read(move |conn| -> Result<_, Error> {
                let change = journal::change::find(conn, id)?;
                let records = journal::device::list(conn, id)?;
                let credential = credential::by_id(conn, change.credential)?;
                let newest = journal::change::list_of(conn, change.credential)?;
                let newest = newest.into_iter().find(stands);
                let installed = key_version::installed(conn, change.credential)?;
                let others = other_keys(conn, id)?;
                let program = after_change::last_run(conn, id)?;
                Ok((change, records, credential, newest.map(|newest| newest.id), installed, others, program))
            })
            .await?;
        let of_version = |version: Option<u32>| Some(credential.key_version(version?)?.fingerprint());
        let (old_fingerprint, new_fingerprint) = (of_version(change.from_version), of_version(change.to_version));
        let days = self.settings().await?.days_of_undo;
        let view = self.view(&change, &records, credential.name.clone())?;
        let limit = undo_limit(&change, days)
            .filter(|limit| is_key_change(&change) && newest == Some(id) && self.now() <= *limit)
            .filter(|_| change.from_version.is_some_and(|from| !is_destroyed(&credential, from)));
        let possible = possible(view.state, change.strategy, limit.is_some());
        let snapshot: HashMap<DeviceId, &SnapshotDevice> =
            change.snapshot.devices.iter().map(|device| (device.id, device)).collect();
        let given_up = |device: DeviceId| {
            let of_old = |known: &&Installed| known.device == device && Some(known.version) == change.from_version;
            installed.iter().find(of_old).is_some_and(|known| known.given_up_at.is_some())
        };
        let record = |record: DeviceRecord| {
            let known = snapshot.get(&record.device);
            DeviceRecordView {
                device_id: record.device,
                given_up: given_up(record.device),
                other_keys: others.remove(&record.device),
                device: known.map_or_else(|| record.device.to_string(), |device| device.name.clone()),
                address: known.map(|device| device.address.clone()).unwrap_or_default(),
                state: record.state,
                stage: record.stage,
                accepts: record.accepts,
                error: record.cause,
                at: rfc3339(record.at),
            }
        };
        Ok(ChangeDetails {
            undo_until: limit.filter(|_| possible.contains(&Step::Undo)).map(rfc3339),
            possible,
            imported_from: left_file(&change, &credential, &installed),
            records: records.into_iter().map(record).collect(),
            error: change.error.clone(),
            change: view,
            old_fingerprint,
            new_fingerprint,
            program,
        })
    }

    fn view(&self, change: &Change, records: &[DeviceRecord], credential: String) -> Result<ChangeView, Error> {
        let begun = !matches!(change.state, ChangeState::Scheduled | ChangeState::Cancelled);
        Ok(ChangeView {
            id: change.id,
            credential_id: change.credential,
            state: self.state_now(change, &credential)?,
            credential,
            kind: change.kind,
            strategy: change.strategy,
            on_failure: change.on_failure,
            requested_by: change.requested_by.clone(),
            reason: change.reason,
            scheduled_for: change.scheduled_for.map(rfc3339),
            series: change.series,
            attempt: change.attempt,
            started: rfc3339(change.started),
            ended: change.ended.map(rfc3339),
            seconds: change.ended.filter(|_| begun).map(|ended| ended.duration_since(change.started).as_secs_f64()),
            attempts: if begun { change.epoch } else { 0 },
            devices_done: records.iter().filter(|record| record.state == DeviceState::Changed).count(),
            devices: if records.is_empty() { change.snapshot.devices.len() } else { records.len() },
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

/// What an emergency change saw of other keys on each device, the last time it looked.
fn other_keys(conn: &Connection, id: ChangeId) -> Result<HashMap<DeviceId, OtherKeys>, Error> {
    let effects = journal::effect::list(conn, id)?.into_iter();
    let others = effects.filter_map(|effect| match effect.effect {
        Effect::OtherKeys { seen, keys } => Some((effect.device?, OtherKeys { seen, keys })),
        _ => None,
    });
    Ok(others.collect())
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

/// Whether a key change has left a device otherwise than it was, so that none before it can be undone.
pub(super) fn stands(change: &Change) -> bool {
    let as_before = matches!(
        change.state,
        ChangeState::Scheduled | ChangeState::Failed | ChangeState::RolledBack | ChangeState::Cancelled
    );
    is_key_change(change) && !as_before
}

/// Whether a version's private half is gone, so that no change leads back to it.
pub(super) fn is_destroyed(credential: &Credential, version: u32) -> bool {
    credential.key_version(version).is_some_and(|known| known.state == VersionState::Destroyed)
}

fn is_key_change(change: &Change) -> bool {
    matches!(change.kind, Kind::Rotate | Kind::Undo)
}

/// Until when a change can be undone, should nothing else stand in the way.
fn undo_limit(change: &Change, days: u32) -> Option<Timestamp> {
    if change.strategy == Strategy::Emergency {
        return None;
    }
    let days = SignedDuration::from_hours(24 * i64::from(days));
    let ended = change.ended.unwrap_or(change.started);
    days.is_positive().then(|| ended.checked_add(days).unwrap_or(Timestamp::MAX))
}

/// The file that a change made useless on a device: an import stores the key as the first version, and the file stays.
fn left_file(change: &Change, credential: &Credential, installed: &[Installed]) -> Option<String> {
    let imported = credential.key_versions.first()?.version;
    let refused = installed.iter().any(|known| known.version == imported && known.refused_at.is_some());
    let left = change.from_version == Some(imported) && refused;
    credential.imported_from.clone().filter(|_| left)
}

fn possible(state: ChangeState, strategy: Strategy, undoable: bool) -> Vec<Step> {
    match state {
        ChangeState::Scheduled => vec![Step::Run, Step::Cancel],
        // A compromised key is never put back.
        ChangeState::Interrupted if strategy == Strategy::Emergency => vec![Step::Resume],
        ChangeState::PartlyChanged if strategy == Strategy::Emergency => vec![Step::Retry],
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
    use crate::journal::{Begin, Origin, Snapshot, SnapshotDevice};
    use crate::key::{Algorithm, PrivateKey};
    use crate::keywheel::testing::{keywheel, with_parts};

    fn snapshot(device: DeviceId) -> Snapshot {
        Snapshot {
            credential: "deploy".to_owned(),
            username: "deploy".to_owned(),
            auth_with: None,
            options: None,
            devices: vec![SnapshotDevice {
                id: device,
                name: "web-1".to_owned(),
                address: "127.0.0.1".to_owned(),
                port: 22,
                jump: None,
                authorized_keys_path: None,
                enabled: true,
            }],
        }
    }

    fn begin_in(
        tx: &rusqlite::Transaction<'_>,
        credential: CredentialId,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<ChangeId, journal::JournalError> {
        let begin = Begin {
            credential,
            kind: Kind::Rotate,
            strategy: Strategy::TwoPhase,
            on_failure: OnFailure::RollBack,
            at_once: 1,
            from_version: Some(1),
            to_version: None,
            snapshot,
            requested_by: "ana@desk",
            origin: Origin::REQUEST,
            now,
        };
        journal::change::begin(tx, &begin)
    }

    async fn begin(keywheel: &Keywheel) -> (CredentialId, ChangeId) {
        let device = keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let new = NewCredential::new("deploy", "deploy", device.id, NewSecret::Generated(key));
        let credential = keywheel.add_credential(new).await.unwrap();
        let (of, now) = (credential.id, keywheel.now());
        let id = keywheel.database().run_write(move |tx| begin_in(tx, of, &snapshot(device.id), now)).await.unwrap();
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
        let details = keywheel.change_details(id).await.unwrap();
        assert_eq!(details.possible, [Step::Undo]);
        assert_eq!(details.undo_until.as_deref(), Some("2026-12-01T08:00:00.000Z"), "seven days from its end");
        clock.pass(SignedDuration::from_hours(24 * 7 + 1));
        let details = keywheel.change_details(id).await.unwrap();
        assert_eq!((details.possible, details.undo_until), (vec![], None), "it would be refused");
    }

    #[tokio::test]
    async fn a_change_that_went_back_leaves_the_one_before_to_be_undone() {
        let (keywheel, _dir) = keywheel();
        let (credential, first) = begin(&keywheel).await;
        let now = keywheel.now();
        let second = keywheel
            .database()
            .run_write(move |tx| -> Result<_, Error> {
                journal::change::end(tx, first, 1, ChangeState::Changed, None, now)?;
                let snapshot = journal::change::find(tx, first)?.snapshot;
                let second = begin_in(tx, credential, &snapshot, now)?;
                journal::change::end(tx, second, 1, ChangeState::RolledBack, None, now)?;
                Ok(second)
            })
            .await
            .unwrap();
        assert_eq!(
            keywheel.change_details(first).await.unwrap().possible,
            [Step::Undo],
            "the key it made still stands"
        );
        assert_eq!(keywheel.change_details(second).await.unwrap().undo_until, None);
    }

    #[tokio::test]
    async fn a_page_finds_numbers_addresses_and_times() {
        let (keywheel, _dir, _, clock) = with_parts();
        let (credential, id) = begin(&keywheel).await;
        clock.pass(SignedDuration::from_millis(7_300));
        let now = keywheel.now();
        let running = keywheel.change_details(id).await.unwrap();
        assert_eq!((running.change.seconds, running.change.attempts), (None, 1), "it is not ended");
        keywheel
            .database()
            .run_write(move |tx| -> Result<_, Error> {
                let epoch = journal::change::take_up(tx, id, crate::rotation::decide::Direction::Forward)?;
                Ok(journal::change::end(tx, id, epoch, ChangeState::PartlyChanged, None, now)?)
            })
            .await
            .unwrap();
        let details = keywheel.change_details(id).await.unwrap();
        assert_eq!(details.change.credential_id, credential);
        assert_eq!((details.change.seconds, details.change.attempts), (Some(7.3), 2), "it was taken up once");
        assert_eq!((details.records[0].device_id, details.records[0].address.as_str()), (DeviceId(1), "127.0.0.1"));
    }

    #[tokio::test]
    async fn an_imported_file_is_named_once_its_key_is_refused_somewhere() {
        let (keywheel, _dir) = keywheel();
        let device = keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let file = Some("/home/ana/.ssh/id_ed25519".into());
        let new = NewCredential::new("deploy", "deploy", device.id, NewSecret::Imported { key, from: file });
        let of = keywheel.add_credential(new).await.unwrap().id;
        let now = keywheel.now();
        let id = keywheel.database().run_write(move |tx| begin_in(tx, of, &snapshot(device.id), now)).await.unwrap();
        assert_eq!(keywheel.change_details(id).await.unwrap().imported_from, None, "it still logs in everywhere");
        let note = move |happening| {
            let database = keywheel.database().clone();
            let keywheel = keywheel.clone();
            async move {
                database.run_write(move |tx| key_version::note(tx, of, 1, device.id, happening, now)).await.unwrap();
                keywheel.change_details(id).await.unwrap().imported_from
            }
        };
        let named = note(key_version::Happening::Refused).await;
        assert_eq!(named.as_deref(), Some("/home/ana/.ssh/id_ed25519"), "who uses the file has to know");
        assert_eq!(note(key_version::Happening::Accepted).await, None, "an undo made it log in again");
    }

    #[tokio::test]
    async fn an_unknown_change_is_bad_input() {
        let (keywheel, _dir) = keywheel();
        let error = keywheel.change_details(ChangeId(7)).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("no-such-change", crate::error::Class::BadInput));
    }
}
