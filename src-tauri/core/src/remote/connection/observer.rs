//! Watching a connection: which host key it shows, and how it ends.

use std::sync::{Arc, Mutex, PoisonError};

use russh::{
    client::{self, DisconnectReason},
    keys::PublicKeyOrCertificate,
};

use crate::key::PublicKey;

/// Which host keys a connection is set up with.
#[derive(Debug)]
pub(in crate::remote) enum HostKeys {
    /// One of these.
    Pinned(Vec<PublicKey>),
    /// Whatever is shown: for a scan, which ends the connection before any authentication.
    Any,
}

impl Default for HostKeys {
    fn default() -> Self {
        Self::Pinned(Vec::new())
    }
}

impl HostKeys {
    fn allow(&self, shown: &PublicKey) -> bool {
        match self {
            Self::Pinned(pinned) => pinned.iter().any(|pinned| pinned.blob() == shown.blob()),
            Self::Any => true,
        }
    }
}

/// What the observer saw of a connection.
#[derive(Debug, Default)]
pub(in crate::remote) struct Seen {
    pub(super) allowed: HostKeys,
    /// The host key that was shown and is pinned, or was asked for by a scan.
    pub(in crate::remote) host_key: Option<PublicKey>,
    /// The host key that was shown and is not pinned.
    pub(in crate::remote) rejected: Option<PublicKey>,
    pub(super) version: String,
    pub(super) disconnect: bool,
    pub(super) ended: bool,
}

/// Watches a connection for russh: judges the host key, and remembers how the connection ended.
pub(in crate::remote) struct Observer {
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Observer {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl client::Handler for Observer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let key = PublicKey::from_ssh_key(key).map_err(|_| russh::Error::UnknownKey)?;
        let mut seen = self.seen();
        if seen.allowed.allow(&key) {
            seen.host_key = Some(key);
            Ok(true)
        } else {
            seen.rejected = Some(key);
            Ok(false)
        }
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        _names: &russh::Names,
        session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.seen().version = String::from_utf8_lossy(session.remote_sshid()).trim_end().to_owned();
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let mut seen = self.seen();
        seen.ended = true;
        seen.disconnect = matches!(reason, DisconnectReason::ReceivedDisconnect(_));
        Ok(())
    }
}
