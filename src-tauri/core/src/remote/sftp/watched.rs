//! A stream whose end is told.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// A stream that tells when nothing more comes over it.
///
/// The SFTP library fails the requests that are open when its stream ends, but never one that is made a moment later.
pub(super) struct Watched<S> {
    stream: S,
    ended: watch::Sender<bool>,
}

/// The end of a [`Watched`] stream.
#[derive(Clone)]
pub(super) struct Ended(watch::Receiver<bool>);

impl<S> Watched<S> {
    /// Watches a stream.
    pub(super) fn new(stream: S) -> (Self, Ended) {
        let (ended, end) = watch::channel(false);
        (Self { stream, ended }, Ended(end))
    }
}

impl Ended {
    /// Waits until the stream has ended, or was dropped.
    pub(super) async fn wait(&self) {
        // That nobody is left who could tell is the end, too.
        let _ = self.0.clone().wait_for(|ended| *ended).await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if read.is_err() || buf.filled().len() == before {
            self.ended.send_replace(true);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn the_end_is_told_once_all_was_read_or_the_stream_is_gone() {
        let (mut watched, ended) = Watched::new(&b"ab"[..]);
        let mut bytes = [0; 2];
        watched.read_exact(&mut bytes).await.unwrap();
        assert!(!*ended.0.borrow(), "there was something to be read");
        assert_eq!(watched.read(&mut bytes).await.unwrap(), 0);
        ended.wait().await;
        let (dropped, ended) = Watched::new(&b"ab"[..]);
        drop(dropped);
        ended.wait().await;
    }
}
