//! One run of the program.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{LIMIT, ProgramError};
use crate::journal::ChangeId;

/// A program that was started.
pub(super) struct Begun {
    path: String,
    child: Child,
}

impl Begun {
    /// Starts the program in a process group of its own, so that it can be ended with all that it starts, and so that Ctrl+C at the
    /// terminal does not reach it.
    ///
    /// # Errors
    /// The system would not start it.
    pub(super) async fn begin(path: &Path, change: ChangeId) -> Result<Self, ProgramError> {
        let mut command = Command::new(path);
        command
            .env("KEYWHEEL_CHANGE", change.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let path = path.to_string_lossy().into_owned();
        // A file on a share that is gone would hold up all that is done on this thread.
        let started = timeout(LIMIT, tokio::task::spawn_blocking(move || command.spawn())).await;
        match started {
            Ok(Ok(Ok(child))) => Ok(Self { path, child }),
            Ok(Ok(Err(source))) => Err(ProgramError::NotStarted { path, source }),
            Ok(Err(error)) => Err(ProgramError::NotStarted { path, source: error.into() }),
            Err(_) => Err(ProgramError::TooLong { path, seconds: LIMIT.as_secs() }),
        }
    }

    /// Gives it the text and waits for its end, so long; what it doesn't read is dropped.
    ///
    /// # Errors
    /// It did not end well, or not in time; then it is ended.
    pub(super) async fn end(mut self, text: Vec<u8>, limit: Duration) -> Result<(), ProgramError> {
        let stdin = self.child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // It may have closed its end, which is its own affair.
                let _ = stdin.write_all(&text).await;
            }
            // Here it is closed, so that a program that reads to the end goes on.
            pending::<Infallible>().await
        };
        let ended = async {
            tokio::select! {
                status = self.child.wait() => status,
                never = feed => match never {},
            }
        };
        let ended = timeout(limit, ended).await;
        match ended {
            Ok(Ok(status)) => self.judge(status),
            Ok(Err(source)) => Err(ProgramError::NotStarted { path: self.path, source }),
            Err(_) => {
                kill_group(&mut self.child);
                Err(ProgramError::TooLong { path: self.path, seconds: limit.as_secs() })
            }
        }
    }

    fn judge(self, status: ExitStatus) -> Result<(), ProgramError> {
        match status.code() {
            Some(0) => Ok(()),
            Some(status) => Err(ProgramError::Failed { path: self.path, status }),
            None => Err(ProgramError::Killed { path: self.path }),
        }
    }
}

/// Ends the program with all that it has started in its group.
#[cfg(unix)]
fn kill_group(child: &mut Child) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    // It was not waited for yet, so the number is still its own.
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // Where nobody is left in the group, there is nobody to end.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// Ends the program.
#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // One that has ended meanwhile needs no ending.
    let _ = child.start_kill();
}

/// Whether this account may run a file.
#[cfg(unix)]
pub(super) fn may_run(path: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};

    access(path, AccessFlags::X_OK).is_ok()
}

/// Whether this account may run a file: Windows tells only when it is started.
#[cfg(not(unix))]
pub(super) fn may_run(_: &Path) -> bool {
    true
}
