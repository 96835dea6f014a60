//! Key changes: plan, check, add, prove, remove, refuse; roll back; resume; undo.
//!
//! - [`operations`]: what the shells ask for
//! - [`decide`]: what to do next, given what is known of each device; pure
//! - `driver`: performs it, and notes what came of it
//! - `device`: the stages of one device, done and proven
//! - [`finding`]: what `check` finds and predicts; `conditions`: what it says of what must hold
//! - `problem`: what stands in the way on a device
//! - [`proposals`]: what a person may want to begin
//! - `newer`: keys that only the keyring knows
//! - `plan`, `work`: what a change goes by, and what its devices share
//! - `other_keys`: whose keys also stand in the files
//! - [`retired`]: when a retired key goes, and what holds it up
//! - [`event`]: what a change tells those who watch it

pub mod accepts;
pub mod changes;
mod conditions;
pub mod decide;
mod device;
mod driver;
mod error;
pub mod event;
pub mod finding;
mod newer;
pub mod operations;
mod other_keys;
mod plan;
mod problem;
pub mod proposals;
pub mod retired;
mod work;

pub use self::{
    conditions::Conditions,
    driver::{Finished, Watch},
    error::{NotGivable, NotUndoable, RotationError},
    finding::Finding,
    operations::{
        ConnectWith, Destroy, Destroyed, DeviceFinding, Draft, DraftKey, Due, DueRun, FileDiff, Install, Look,
        Patience, Purpose, Rotate, Subject, Uninstall,
    },
    other_keys::{OtherKey, Seen},
    problem::Problem,
};
use self::{driver::Driver, work::Work};
use crate::catalogue::words;
pub use crate::catalogue::{OnFailure, Strategy};

words! {
    /// What is done on one device, in this order.
    Stage {
        /// Connect, find the files, read them, predict refusals.
        Check = "check",
        /// Write the new key's line behind the old key's.
        Add = "add",
        /// Log in with the new key only.
        Prove = "prove",
        /// Take the old key's lines out.
        Remove = "remove",
        /// See the old key refused and the new one accepted.
        Refuse = "refuse",
    }
}
