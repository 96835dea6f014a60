//! The process itself: what it must not leak, and what asks it to end.

/// Switches core dumps off, since a dump would hold private keys, and keeps what is written from everybody else.
#[cfg(unix)]
pub fn harden() {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::stat::{Mode, umask};

    // Only a limit that is lower already can refuse this, and that one serves as well.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
}

/// Does nothing: Windows writes no dumps of a program unless its administrator asks for them, and has no umask.
#[cfg(not(unix))]
pub fn harden() {}

/// The signals that ask a program to end: a person at a terminal, the session, a service that stops it.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn open() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// What asks a program to end: Ctrl+C.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        // Where Ctrl+C can't be listened for, there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use nix::sys::resource::{Resource, getrlimit};
    use nix::sys::stat::{Mode, umask};

    #[test]
    fn no_core_is_dumped_and_no_file_is_open_to_others() {
        super::harden();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0), "a core dump would hold private keys");
        assert_eq!(umask(Mode::from_bits_truncate(0o077)).bits() & 0o777, 0o077, "others could read what is written");
    }
}
