//! What a change tells those who watch it, in the shapes of the command line's JSON.

use serde::{Deserialize, Serialize};

use super::{OtherKey, Seen, Stage, Strategy, decide::Outcome};
use crate::{
    catalogue::words,
    error::Report,
    journal::{DeviceState, Kind},
    key::Fingerprint,
};

/// One event of a change, with the change it belongs to and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct Event {
    /// The change's ID.
    pub change: i64,
    /// When it happened (RFC 3339, UTC).
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The change began.
    Started {
        /// The credential's name.
        credential: String,
        /// What it does.
        kind: Kind,
        /// The devices' names in the order of change.
        devices: Vec<String>,
        /// The strategy.
        strategy: Strategy,
        /// The fingerprint of the key to leave; none for an installation.
        old_fingerprint: Option<Fingerprint>,
        /// The new key's fingerprint; where a key is taken off, that key's.
        new_fingerprint: Fingerprint,
    },
    /// A stage of a device began or ended.
    Stage {
        /// The device's name.
        device: String,
        /// The stage.
        stage: Stage,
        /// How it stands.
        state: StageState,
        /// What was found, done or went wrong.
        detail: String,
    },
    /// A device was put back, or could not be.
    RolledBack {
        /// The device's name.
        device: String,
        /// How it stands.
        state: StageState,
    },
    /// What a dry run would write to one file.
    Plan {
        /// The device's name.
        device: String,
        /// The file's resolved path.
        file: String,
        /// A unified diff of our lines and their neighbours.
        diff: String,
    },
    /// Which other keys let somebody in on a device: told by an emergency change and its dry run.
    OtherKeys {
        /// The device's name.
        device: String,
        /// When they were listed.
        seen: Seen,
        /// The lines.
        keys: Vec<OtherKey>,
    },
    /// The change ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// Every device's end.
        devices: Vec<DeviceEnd>,
        /// How long it took.
        seconds: f64,
    },
}

words! {
    /// How a stage stands.
    StageState {
        /// Under way.
        Running = "running",
        /// Done, with its proof.
        Done = "done",
        /// Failed, with its cause.
        Failed = "failed",
        /// The answer stayed unknown.
        Unknown = "unknown",
    }
}

/// How a device stands at a change's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ts_rs::TS)]
pub struct DeviceEnd {
    /// The device's name.
    pub device: String,
    /// Its state.
    pub state: DeviceState,
    /// The fingerprints it was last seen to accept, by login or by its answer.
    pub accepts: Vec<Fingerprint>,
    /// Why it did not go well.
    pub error: Option<Report>,
}
