//! SSH: connect to a device whose host key is pinned, ask it about keys, and reach its files.
//!
//! - [`connection`]: the key exchange, the pinned host key, jump devices; not yet logged in
//! - [`answer`]: what a device answered to a question or a login; the one place that interprets russh's results
//! - [`session`]: a logged-in connection that runs programs and opens SFTP
//! - [`program`]: the programs of the shell way, and what they answer
//! - [`sftp`]: the same work where an account has nothing but SFTP
//! - [`files`]: reading and writing a device's file, whichever way it is reached
//! - [`sshd_config`]: what a device's `sshd_config(5)` says of where keys come from
//! - [`scan`]: which host keys a device offers
//!
//! Every await has a timeout, and every answer is one of accepted, refused, partial or unknown.

pub mod answer;
pub mod connection;
pub mod error;
pub mod files;
pub mod program;
pub mod scan;
pub mod session;
pub mod sftp;
pub mod sshd_config;

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;

pub use self::{
    answer::{Answer, Unknown},
    connection::{Connection, Connector, Entry, LogIn},
    error::{During, RemoteError},
    session::Session,
};
use crate::key::{PrivateKey, PublicKey};

/// Where a device is and which host keys it must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name the user gave the device.
    pub name: String,
    /// Its host name or IP address.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
    /// The pinned host keys; empty before the first pin.
    pub host_keys: Vec<PublicKey>,
}

/// A device together with the way to it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The device itself.
    pub target: Target,
    /// The jump device and how to log in there, nearest to the target.
    pub jump: Option<Arc<Jump>>,
}

/// A jump device and the login for it.
#[derive(Debug)]
pub struct Jump {
    /// The jump device, which may have a jump device of its own.
    pub route: Route,
    /// The account used there.
    pub username: String,
    /// What to log in with, tried in this order.
    pub secrets: Vec<Secret>,
}

/// What an account logs in with.
#[derive(Clone)]
pub enum Secret {
    /// A private key.
    Key(Arc<PrivateKey>),
    /// A password, also offered where the server asks interactively.
    Password(Arc<SecretString>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => formatter.debug_tuple("Key").field(&key.public_key().fingerprint()).finish(),
            Self::Password(_) => formatter.write_str("Password(…)"),
        }
    }
}

/// How long to wait for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection and its key exchange.
    pub connect: Duration,
    /// For each stage after that.
    pub stage: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stage: Duration::from_secs(30) }
    }
}
