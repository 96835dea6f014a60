//! The test fleet: real SSH servers of several kinds on loopback ports, each with its own files, and the means to see
//! what they did.
//!
//! Every device here is started by the test that uses it, lives on 127.0.0.1 only, and takes everything it made with it
//! when it is dropped or when the test dies.

pub mod account;
pub mod authorized_keys_cases;
pub mod client;
pub mod desk;
pub mod dropbear;
pub mod embedded;
pub mod error;
mod files;
pub mod host;
pub mod kept;
#[cfg(target_os = "linux")]
pub mod keyring;
#[cfg(target_os = "linux")]
pub mod kill;
pub mod matrix;
mod namespace;
mod port;
pub mod snapshot;
pub mod sshd;
pub mod tinysshd;
pub mod traces;
pub mod trial;
#[cfg(target_os = "linux")]
pub mod window;

pub use account::{Account, Sudo};
pub use client::{Client, ClientKey, Target};
pub use desk::{Desk, Trouble, watch};
pub use dropbear::Dropbear;
pub use embedded::Embedded;
pub use error::{FleetError, available};
pub use host::Host;
pub use kept::Kept;
pub use snapshot::{Scope, Snapshot};
pub use sshd::{Fleet, Sshd};
pub use tinysshd::Tinysshd;
pub use traces::Traces;
pub use trial::{Trial, Way};
