//! One device in a change: the stages, done and proven.

mod add;
mod check;
mod entry;
mod remove;
mod take_back;
mod write;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::error::{Error, Report};
use crate::journal::{DeviceRecord, DeviceState, SnapshotDevice};
use crate::key::Fingerprint;
use crate::remote::files::{FileError, Way};
use crate::remote::{RemoteError, Session};
use crate::rotation::Problem;
use crate::rotation::decide::{Standing, Trouble};
use crate::rotation::event::StageState;
use crate::rotation::finding::Found;
use crate::rotation::work::VersionKey;
use crate::rotation::{Stage, Work};

/// Why a stage did not get through.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed for this cause.
    Cause(Report),
    /// The device's answer stayed unknown.
    NotProven(Report),
    /// The device still accepts the old key.
    OldKeyAccepted(Report),
    /// The journal, the keyring or the disk failed: the whole change is broken off.
    Broken(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        if matches!(error, RemoteError::Unclear { .. }) {
            return Self::NotProven(Report::of(&error));
        }
        Self::Cause(Report::of(&error))
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Cause(Report::of(&error))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Cause(Report::of(&problem))
    }
}

/// One device in a change.
#[derive(Debug)]
pub(super) struct DeviceRun {
    work: Arc<Work>,
    pub(super) snapshot: SnapshotDevice,
    pub(super) position: usize,
    pub(super) standing: Standing,
    pub(super) cause: Option<Report>,
    /// The stage that the cause is of.
    pub(super) failed_at: Option<Stage>,
    pub(super) state: DeviceState,
    pub(super) accepts: Vec<Fingerprint>,
    pub(super) found: Option<Found>,
    /// Which way leads to the files, once that is known.
    way: Option<Way>,
    /// The files that root writes as itself.
    roots_alone: Vec<String>,
    /// The session that writes, entered as configured.
    session: Option<Session>,
    /// The session opened by the last login with the new key.
    proving: Option<Session>,
    /// The version of the key that the device was last entered with.
    entered: Option<VersionKey>,
    /// The address that this machine was last seen to connect from.
    local_address: Option<IpAddr>,
    /// When a write was last sent whose answer did not come, or not in time.
    unanswered: Option<Instant>,
    /// Whether the catalogue knows that the device was seen.
    contact_noted: AtomicBool,
}

impl DeviceRun {
    pub(super) fn new(work: Arc<Work>, snapshot: SnapshotDevice, position: usize) -> Self {
        Self {
            work,
            snapshot,
            position,
            standing: Standing::Waiting,
            cause: None,
            failed_at: None,
            state: DeviceState::Waiting,
            accepts: Vec::new(),
            found: None,
            way: None,
            roots_alone: Vec::new(),
            session: None,
            proving: None,
            entered: None,
            local_address: None,
            unanswered: None,
            contact_noted: AtomicBool::new(false),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.snapshot.name
    }

    /// Closes what is open, so that the server notes an orderly end.
    pub(super) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        if let Some(session) = self.proving.take() {
            session.close().await;
        }
    }

    fn failed(&mut self, stage: Stage, cause: Report) -> Result<(), Failure> {
        self.work.trouble(self.name(), stage, StageState::Failed, &cause);
        Err(Failure::Cause(cause))
    }

    /// Tells the watchers of a stage's failure, and passes it on.
    fn told<T>(&self, stage: Stage, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result {
            let (name, work) = (self.name(), &self.work);
            match failure {
                Failure::NotProven(cause) => work.trouble(name, stage, StageState::Unknown, cause),
                Failure::Cause(cause) | Failure::OldKeyAccepted(cause) => {
                    work.trouble(name, stage, StageState::Failed, cause);
                }
                Failure::Broken(error) => work.trouble(name, stage, StageState::Unknown, &Report::of(&**error)),
            }
        }
        result
    }

    fn note_accepts(&mut self, version: &VersionKey, accepted: bool) {
        let fingerprint = version.fingerprint();
        self.accepts.retain(|known| *known != fingerprint);
        if accepted {
            self.accepts.push(fingerprint);
        }
    }

    async fn begin(&mut self, stage: Stage) -> Result<(), Failure> {
        self.state = DeviceState::Running;
        self.save(Some(stage)).await
    }

    async fn save(&self, stage: Option<Stage>) -> Result<(), Failure> {
        Ok(self.work.record_device(self.record(stage)).await?)
    }

    pub(super) fn record(&self, stage: Option<Stage>) -> DeviceRecord {
        DeviceRecord {
            device: self.snapshot.id,
            position: self.position,
            state: self.state,
            standing: self.standing,
            stage,
            cause: self.cause.clone(),
            accepts: self.accepts.clone(),
            at: self.work.now(),
        }
    }

    /// Notes a failure of a stage, and tells what it means for the change.
    pub(super) async fn note_failure(&mut self, stage: Stage, failure: Failure) -> Result<Trouble, Error> {
        let (state, cause, trouble) = match failure {
            Failure::Broken(error) => return Err(*error),
            Failure::Cause(cause) => (DeviceState::Failed, cause, Trouble::At(stage)),
            Failure::NotProven(cause) => (DeviceState::NotProven, cause, Trouble::At(stage)),
            Failure::OldKeyAccepted(cause) => (DeviceState::OldKeyAccepted, cause, Trouble::OldKeyAccepted),
        };
        self.state = state;
        self.cause = Some(cause);
        self.failed_at = Some(stage);
        self.work.record_device(self.record(Some(stage))).await?;
        Ok(trouble)
    }
}
