//! End to end: devices with real servers, the real keyring and the real programs; in one binary, so that it is linked once.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what fails here fails a test"
)]

#[path = "all/accounts.rs"]
mod accounts;
#[cfg(target_os = "linux")]
#[path = "all/after_change.rs"]
mod after_change;
#[cfg(target_os = "linux")]
#[path = "all/anchor.rs"]
mod anchor;
#[path = "all/authorized_keys.rs"]
mod authorized_keys;
#[cfg(target_os = "linux")]
#[path = "all/backup.rs"]
mod backup;
#[cfg(target_os = "linux")]
#[path = "all/cli.rs"]
mod cli;
#[cfg(target_os = "linux")]
#[path = "all/demo.rs"]
mod demo;
#[path = "all/destroy.rs"]
mod destroy;
#[path = "all/due.rs"]
mod due;
#[path = "all/elevation.rs"]
mod elevation;
#[path = "all/embedded.rs"]
mod embedded;
#[path = "all/emergency.rs"]
mod emergency;
#[path = "all/faults.rs"]
mod faults;
#[path = "all/fleet.rs"]
mod fleet;
#[cfg(target_os = "linux")]
#[path = "all/keyring.rs"]
mod keyring;
#[path = "all/leave_out.rs"]
mod leave_out;
#[path = "all/limits.rs"]
mod limits;
#[path = "all/look.rs"]
mod look;
#[path = "all/places.rs"]
mod places;
#[cfg(target_os = "linux")]
#[path = "all/report.rs"]
mod report;
#[path = "all/restored.rs"]
mod restored;
#[path = "all/resume.rs"]
mod resume;
#[path = "all/rotation.rs"]
mod rotation;
#[path = "all/secrets.rs"]
mod secrets;
#[path = "all/servers.rs"]
mod servers;
#[path = "all/sftp.rs"]
mod sftp;
#[cfg(target_os = "linux")]
#[path = "all/writers.rs"]
mod writers;
