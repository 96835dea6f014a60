//! What a change tells those who watch it, in the shapes of the command line's JSON.

use std::fmt;

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
        /// The same for another language; left out where something went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional = nullable)]
        said: Option<Said>,
        /// What went wrong; left out where nothing did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional = nullable)]
        error: Option<Box<Report>>,
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

/// What a stage says of itself while it runs and when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Said {
    /// `check` runs.
    Connecting,
    /// `check` found these lines of the old key.
    Found {
        /// How many lines.
        lines: usize,
        /// In how many files.
        files: usize,
    },
    /// `check` finds the key that is taken off refused already.
    OutAlready,
    /// `add` runs.
    Adding,
    /// `add` wrote these lines.
    Added {
        /// How many; none where they stood there.
        lines: usize,
    },
    /// `prove` runs.
    LoggingIn,
    /// `prove` is done.
    LoggedIn,
    /// `remove` runs.
    Removing,
    /// `remove` took these lines out.
    Removed {
        /// How many; none where they were out.
        lines: usize,
    },
    /// `refuse` runs.
    Asking,
    /// `refuse` is done, and the new key logs in.
    OldRefused,
    /// `refuse` is done where no other key takes its place.
    Refused,
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        match *self {
            Self::Connecting => formatter.write_str("connecting"),
            Self::Found { lines, files } => {
                write!(formatter, "{lines} line{} in {files} file{}", plural(lines), plural(files))
            }
            Self::OutAlready => formatter.write_str("the key does not log in any more"),
            Self::Adding => formatter.write_str("writing the new key's line"),
            Self::Added { lines: 0 } => formatter.write_str("it stands there already"),
            Self::LoggingIn => formatter.write_str("logging in with the new key"),
            Self::LoggedIn => formatter.write_str("the new key logs in"),
            Self::Removing => formatter.write_str("taking the old key's line out"),
            Self::Removed { lines: 0 } => formatter.write_str("it is out already"),
            Self::Added { lines } | Self::Removed { lines } => write!(formatter, "{lines} line{}", plural(lines)),
            Self::Asking => formatter.write_str("asking for the old key"),
            Self::OldRefused => formatter.write_str("the old key is refused, the new one logs in"),
            Self::Refused => formatter.write_str("the key is refused"),
        }
    }
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
