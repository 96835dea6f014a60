//! Why a device of the fleet could not be had.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What goes wrong while devices are started and looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FleetError {
    /// This machine can't run such a device; a test that needs it is skipped.
    #[error("This machine can't run the device: {reason}.")]
    Unavailable {
        /// What is missing or forbidden.
        reason: String,
    },
    /// A file of a device could not be read, written or changed.
    #[error("The file {} can't be used.", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("The program {program} can't be run.")]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("The program {program} failed: {stderr}.")]
    Failed {
        /// The program.
        program: String,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// A server did not begin to listen, or ended before it did.
    #[error("The {server} on port {port} did not start; its log says: {log}.")]
    NotStarted {
        /// The kind of server.
        server: &'static str,
        /// The port it was to listen on.
        port: u16,
        /// What its log holds.
        log: String,
    },
    /// The port was taken by somebody else between choosing it and listening on it.
    #[error("The port {port} was taken by another program.")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// No free port was found.
    #[error("No free port was found on 127.0.0.1.")]
    NoPort,
    /// The device's namespace has ended or does not answer.
    #[error("The device does not answer its control pipe: {detail}.")]
    Control {
        /// What was asked, or what it answered.
        detail: String,
    },
    /// A device has no account of that name.
    #[error("The device has no account {account}.")]
    NoAccount {
        /// The name asked for.
        account: String,
    },
    /// A key could not be made or read.
    #[error("The key can't be used.")]
    Key {
        /// What the key's code said.
        #[source]
        source: russh::keys::Error,
    },
}

impl FleetError {
    /// Whether the machine is at fault, and not the device: such a test is skipped.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Gives the device, or says why the test is skipped and gives nothing.
///
/// # Errors
///
/// Every error but [`FleetError::Unavailable`] is handed on: a device that could run here and did not is a failure.
#[expect(clippy::print_stderr, reason = "the reason for a skipped test belongs in the test's own output")]
pub fn available<T>(started: Result<T, FleetError>) -> Result<Option<T>, FleetError> {
    match started {
        Ok(device) => Ok(Some(device)),
        Err(FleetError::Unavailable { reason }) => {
            eprintln!("skipped: {reason}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
