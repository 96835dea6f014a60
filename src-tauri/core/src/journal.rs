//! Changes and their effects, each written down before and after it happens; what recovery reads.
//!
//! A row says what a change meant to do before it did it (the intent) and what came of it (the result). With
//! `synchronous=FULL` a crash at any moment leaves at most one effect per device whose result is not known, and the intent
//! tells recovery where to look.
//!
//! - [`change`]: a change with its snapshot, state and epoch
//! - [`scheduled`]: changes that wait for their time
//! - [`effect`]: intents and results
//! - [`device`]: how each device stands in a change

pub mod change;
pub mod device;
pub mod effect;
pub mod scheduled;
pub mod schema;

pub use self::{
    change::{
        Begin, Change, ChangeId, ChangeReason, ChangeState, Kind, Origin, Snapshot, SnapshotDevice, SnapshotJump,
    },
    device::{DeviceRecord, DeviceState},
    effect::{Bytes, Effect, EffectId, EffectResult, LoginProof, OpenEffect, Place, Proof, Write, WriteKind},
};
use crate::{
    database::DatabaseError,
    error::{Class, Explain},
};

/// Why the journal would not take or give a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The database could not be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is no change with this ID.
    #[error("There is no change {id}.")]
    NoSuchChange {
        /// The ID.
        id: ChangeId,
    },
    /// The credential has a change that is not ended.
    #[error("The credential \"{credential}\" has the change {open}, which is not ended.")]
    ChangeOpen {
        /// The credential's name.
        credential: String,
        /// The open change.
        open: ChangeId,
    },
    /// The credential has a change that waits for its time.
    #[error("The credential \"{credential}\" has the change {id}, which waits for its time.")]
    AlreadyScheduled {
        /// The credential's name.
        credential: String,
        /// The scheduled change.
        id: ChangeId,
    },
    /// The change's state does not allow this.
    #[error("The change {id} is {state}, so it can't be {action}.")]
    StateForbids {
        /// The change.
        id: ChangeId,
        /// Its state.
        state: ChangeState,
        /// What was asked for, as a participle (`resumed`).
        action: &'static str,
    },
    /// Another process has taken the change over since.
    #[error("The change {id} is worked on by another process.")]
    TakenOver {
        /// The change.
        id: ChangeId,
    },
    /// A row holds what this version can't read.
    #[error("A row of the change {id} can't be read: {source}.")]
    Unreadable {
        /// The change.
        id: ChangeId,
        /// Why.
        source: serde_json::Error,
    },
}

impl From<rusqlite::Error> for JournalError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Database(source.into())
    }
}

impl Explain for JournalError {
    crate::sentences! {
        NoSuchChange { id } => "no-such-change",
        ChangeOpen { credential, open } => "change-open",
        AlreadyScheduled { credential, id } => "already-scheduled",
        StateForbids { id, state, action } => "change-state",
        TakenOver { id } => "busy" as "change-busy",
        Unreadable { id, source } => "journal-unreadable";
        through Database(DatabaseError)
    }

    fn hint(&self) -> String {
        match self {
            Self::Database(source) => source.hint(),
            Self::NoSuchChange { .. } => "See the changes there are with `keywheel change list`.".into(),
            Self::ChangeOpen { open, .. } => {
                format!(
                    "End it first with `keywheel change resume {open}`, `retry {open}` or `roll-back {open}`; a device that is \
                     gone for good is given up by taking it off the credential."
                )
            }
            Self::AlreadyScheduled { id, .. } => {
                format!(
                    "Run it now with `keywheel change run {id}`, or take it back with `keywheel change cancel {id}`."
                )
            }
            Self::StateForbids { id, .. } => format!("See what is possible with `keywheel change show {id}`."),
            Self::TakenOver { .. } => "Wait until it is done, or stop that process.".into(),
            Self::Unreadable { .. } => "It was written by another version of Keywheel; use that one to end it.".into(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Database(source) => source.subject(),
            Self::NoSuchChange { id }
            | Self::StateForbids { id, .. }
            | Self::TakenOver { id }
            | Self::Unreadable { id, .. } => Some(id.to_string()),
            Self::ChangeOpen { credential, .. } | Self::AlreadyScheduled { credential, .. } => Some(credential.clone()),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Database(source) => source.class(),
            Self::NoSuchChange { .. } => Class::BadInput,
            Self::ChangeOpen { .. }
            | Self::AlreadyScheduled { .. }
            | Self::StateForbids { .. }
            | Self::TakenOver { .. } => Class::NotDone,
            Self::Unreadable { .. } => Class::Unusable,
        }
    }
}
