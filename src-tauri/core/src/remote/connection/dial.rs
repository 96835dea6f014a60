//! The connection of the network under an SSH connection, and what its failing means.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use super::Seen;
use crate::remote::{During, RemoteError, Target};

/// Opens the connection of the network.
pub(super) async fn dial(target: &Target, limit: Duration) -> Result<TcpStream, RemoteError> {
    let device = target.name.clone();
    let address = format!("{}:{}", target.address, target.port);
    let stream = match timeout(limit, TcpStream::connect((target.address.as_str(), target.port))).await {
        Err(_) => return Err(RemoteError::Timeout { device, during: During::Connecting, after: limit }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(RemoteError::ConnectionRefused { device, address });
        }
        Ok(Err(source)) => return Err(RemoteError::Unreachable { device, address, source }),
        Ok(Ok(stream)) => stream,
    };
    stream.set_nodelay(true).map_err(|source| RemoteError::Unreachable { device, address, source })?;
    Ok(stream)
}

/// What a failed key exchange means, by what was seen of it.
pub(super) fn handshake_error(
    target: &Target,
    error: russh::Error,
    seen: &Mutex<Seen>,
    version_seen: &AtomicBool,
) -> RemoteError {
    let device = target.name.clone();
    if let Some(offered) = &seen.lock().unwrap_or_else(PoisonError::into_inner).rejected {
        return RemoteError::HostKeyChanged { device, offered: Box::new(offered.clone()) };
    }
    match error {
        russh::Error::NoCommonAlgo { kind, .. } => {
            RemoteError::NoCommonAlgorithm { device, kind: format!("{kind:?}").to_lowercase() }
        }
        russh::Error::IO(_) | russh::Error::Disconnect | russh::Error::HUP => {
            if version_seen.load(Ordering::Relaxed) {
                RemoteError::Cut { device, during: During::SettingUp }
            } else {
                RemoteError::TurnedAway { device }
            }
        }
        source => RemoteError::Protocol { device, source },
    }
}

/// A stream that notes whether a version line came, which tells a server that turned us away from a cut.
pub(super) struct Listening<S> {
    pub(super) stream: S,
    pub(super) version_seen: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if !self.version_seen.load(Ordering::Relaxed) {
            let came = buffer.filled().get(start..).unwrap_or_default();
            if came.windows(4).any(|window| window == b"SSH-") {
                self.version_seen.store(true, Ordering::Relaxed);
            }
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
