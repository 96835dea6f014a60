//! All that Keywheel can do: a vault for SSH keys that changes them on their devices.
//!
//! The crate knows neither a window nor a terminal; the two shells decode a request, call one operation here, and encode
//! its answer. By noun:
//!
//! - [`key`]: pair, public key, fingerprint; the only code that sees private bytes
//! - [`authorized_keys`]: find, add and remove lines of a file; pure
//! - [`vault`]: where secrets lie
//! - [`database`]: the SQLite file under the catalogue, the journal and the audit
//! - [`catalogue`]: people, devices, credentials, policies, key versions
//! - [`journal`]: changes and their effects; what recovery reads
//! - [`lock`]: one process at a time for each credential
//! - [`person`], [`device`], [`credential`], [`policy`], [`settings`]: what can be done with each, as methods of [`Keywheel`]
//! - [`backup`]: one sealed file with the catalogue and all secrets, and the way back
//! - [`audit`]: the hash-chained record of actions
//! - [`remote`]: SSH: connect, ask, run; the shell and the SFTP way to a file
//! - [`report`]: proofs of changes, and how all keys stand, for others
//! - [`rotation`]: what to do next, and doing it
//! - [`after_change`]: the user's program that is run after each change
//! - [`schedule`]: when a key changes by itself; pure
//! - [`timer`]: the system's own timer
//! - [`process`]: what a process that holds secrets must not leak

pub mod after_change;
pub mod audit;
pub mod authorized_keys;
pub mod backup;
pub mod catalogue;
pub mod clock;
pub mod credential;
pub mod data_dir;
pub mod database;
pub mod device;
pub mod error;
pub mod journal;
pub mod key;
pub mod keywheel;
pub mod lock;
pub mod person;
pub mod policy;
pub mod private_file;
pub mod process;
mod record;
pub mod remote;
pub mod report;
pub mod rotation;
pub mod schedule;
pub mod settings;
pub mod timer;
pub mod vault;

pub use error::Error;
pub use keywheel::Keywheel;
