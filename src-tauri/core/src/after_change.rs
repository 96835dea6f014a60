//! The user's program that is run after each change.
//!
//! It is a program and no shell line, gets the change as `change show --recorded` tells it on standard input, and the change's
//! number as `KEYWHEEL_CHANGE`. It begins when the change has ended and was told, and nothing that comes of it touches the change:
//! it is recorded, and shown as a warning.

mod program;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use self::program::Begun;
use crate::audit::Action;
use crate::catalogue::CatalogueError;
use crate::catalogue::setting::UnfitProgram;
use crate::error::{Class, Error, Explain, Report};
use crate::journal::{ChangeId, ChangeState};
use crate::keywheel::Keywheel;

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The action of its row in the audit.
const ACTION: &str = "program-ran";

/// Why the program after a change did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The system would not start it.
    #[error("The program {path} could not be started: {source}.")]
    NotStarted {
        /// Its path.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It said that it failed.
    #[error("The program {path} ended with status {status}.")]
    Failed {
        /// Its path.
        path: String,
        /// What it answered.
        status: i32,
    },
    /// A signal ended it.
    #[error("The program {path} was ended by a signal.")]
    Killed {
        /// Its path.
        path: String,
    },
    /// It did not end in time.
    #[error("The program {path} was ended because it took longer than {seconds} seconds.")]
    TooLong {
        /// Its path.
        path: String,
        /// How long it may take.
        seconds: u64,
    },
}

impl Explain for ProgramError {
    crate::sentences! {
        NotStarted { path, source } => "after-change-not-started",
        Failed { path, status } => "after-change-failed",
        Killed { path } => "after-change-killed",
        TooLong { path, seconds } => "after-change-too-long",
    }

    fn hint(&self) -> String {
        match self {
            Self::NotStarted { .. } => {
                "The change is as it ended. Correct \"Program after each change\" in the settings."
            }
            Self::Failed { .. } | Self::Killed { .. } => {
                "The change is as it ended. See what the program itself noted."
            }
            Self::TooLong { .. } => "The change is as it ended. Let the program leave long work to another one.",
        }
        .to_owned()
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::NotStarted { path, .. }
            | Self::Failed { path, .. }
            | Self::Killed { path }
            | Self::TooLong { path, .. } => Some(path.clone()),
        }
    }

    fn class(&self) -> Class {
        Class::NotDone
    }
}

/// What came of the program after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct ProgramRun {
    /// The program.
    pub program: String,
    /// When that was known, in RFC 3339.
    pub at: String,
    /// Why it did not end well.
    pub error: Option<Report>,
}

/// The programs that run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    running: Arc<watch::Sender<usize>>,
    due: Arc<Mutex<Vec<ChangeId>>>,
    failed: Arc<Mutex<Vec<ProgramError>>>,
}

/// One program that counts as running for as long as this lives, however it ends.
struct Running(Programs);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Programs {
    fn begin(&self) -> Running {
        self.running.send_modify(|running| *running += 1);
        Running(self.clone())
    }

    /// Notes that a change has run to its end or was broken off; its end is still to be recorded.
    pub(crate) fn due_after(&self, id: ChangeId) {
        lock(&self.due).push(id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half-done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keywheel {
    /// Waits until no program runs after a change any more, at most a minute after the last one began; answers what did not end
    /// well since it was asked last. A process asks before it ends.
    pub async fn programs_ended(&self) -> Vec<ProgramError> {
        self.begin_programs();
        let mut running = self.programs().running.subscribe();
        // It fails only when nobody could send any more, and we hold a sender.
        let _ = running.wait_for(|running| *running == 0).await;
        std::mem::take(&mut *lock(&self.programs().failed))
    }

    /// Runs the program that is set after each change that is due for it; does not wait.
    pub(crate) fn begin_programs(&self) {
        for id in std::mem::take(&mut *lock(&self.programs().due)) {
            self.begin_program_after(id);
        }
    }

    fn begin_program_after(&self, id: ChangeId) {
        let (this, running) = (self.clone(), self.programs().begin());
        tokio::spawn(async move {
            if let Err(error) = this.run_program_after(id).await {
                tracing::warn!(change = id.0, %error, "the program after the change could not be run");
            }
            drop(running);
        });
    }

    async fn run_program_after(&self, id: ChangeId) -> Result<(), Error> {
        let Some(path) = self.settings().await?.program_after_change else { return Ok(()) };
        let details = self.change_details(id).await?;
        if !has_ended(details.change.state) {
            return Ok(());
        }
        // A view of plain fields; if it could not be written as JSON, no shell could show it either.
        let told = serde_json::to_vec(&details).unwrap_or_default();
        let done = match Begun::begin(&path, id).await {
            Ok(begun) => begun.end(told, LIMIT).await,
            Err(error) => Err(error),
        };
        let error = done.as_ref().err().map(|error| error as &(dyn Explain + Sync));
        let detail = json!({ "program": path.to_string_lossy(), "error": error.map(|error| Report::of(error)) });
        self.record(Action::new(ACTION, "change", id.to_string()).with(detail), error).await;
        done.unwrap_or_else(|failed| lock(&self.programs().failed).push(failed));
        Ok(())
    }
}

/// Whether a change has come to an end that is no interruption; one that goes on later ends then.
fn has_ended(state: ChangeState) -> bool {
    matches!(state, ChangeState::Changed | ChangeState::PartlyChanged | ChangeState::RolledBack | ChangeState::Failed)
}

/// What came of the program after a change, the last time that it ended.
pub(crate) fn last_run(conn: &Connection, id: ChangeId) -> Result<Option<ProgramRun>, Error> {
    let row: Option<(String, Option<String>)> = conn
        .prepare_cached(
            "SELECT at, detail FROM audit WHERE subject = ?1 AND subject_kind = 'change' AND action = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row((id.to_string(), ACTION), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let read = |(at, detail): (String, Option<String>)| {
        let detail: serde_json::Value = serde_json::from_str(&detail?).ok()?;
        let program = detail.get("program")?.as_str()?.to_owned();
        let error = serde_json::from_value(detail.get("error").cloned().unwrap_or_default()).ok()?;
        Some(ProgramRun { program, at, error })
    };
    Ok(row.and_then(read))
}

/// Refuses a file that can't be run.
pub(crate) fn refuse_unfit(path: &Path) -> Result<(), CatalogueError> {
    let refused = |reason| Err(CatalogueError::Program { path: path.to_string_lossy().into_owned(), reason });
    match path.metadata() {
        Err(_) => refused(UnfitProgram::Missing),
        Ok(metadata) if !metadata.is_file() || !program::may_run(path) => refused(UnfitProgram::NotExecutable),
        Ok(_) => Ok(()),
    }
}
