//! The system's own timer, which has what is due begun every few minutes: a systemd user timer, a launchd agent, or a task.
//!
//! What is written is made by pure functions, one per system; only files that Keywheel wrote are ever replaced or removed.

mod error;
mod launchd;
mod systemd;
mod task_scheduler;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::json;

pub use self::error::TimerError;
use crate::audit::Action;
use crate::error::Error;
use crate::keywheel::Keywheel;

/// How many minutes lie between two looks at what is due.
pub const MINUTES: u32 = 5;

/// What stands in each file that is ours.
const MARK: &str = "Written by Keywheel";

/// The command that the timer runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The program `keywheel`.
    pub program: PathBuf,
    /// The data directory, where it is not the default one.
    pub data_dir: Option<PathBuf>,
}

impl Tick {
    /// The arguments of the program.
    fn arguments(&self) -> Vec<String> {
        let dir = self.data_dir.iter().flat_map(|dir| ["--data-dir".to_owned(), text(dir)]);
        dir.chain(["rotate".to_owned(), "--due".to_owned()]).collect()
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A file of the timer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TimerFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A command of the system.
type Words = Vec<String>;

/// What a system's timer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    files: Vec<TimerFile>,
    /// What switches it on, once the files are there.
    enable: Vec<Words>,
    /// What switches it off, before the files go.
    disable: Vec<Words>,
    /// What succeeds while it is on.
    ask: Words,
}

/// How the timer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimerView {
    /// Whether its files are there, as they would be written now.
    pub installed: bool,
    /// Whether the system runs it.
    pub active: bool,
    /// Its files.
    pub files: Vec<String>,
    /// What is left to be run by hand, because the system's own program did not answer.
    pub to_run: Vec<String>,
}

impl Keywheel {
    /// Writes the timer and switches it on. Where the system's program does not answer, the commands that are left are told.
    ///
    /// # Errors
    /// A file of that name is not ours, or can't be written.
    pub async fn install_timer(&self, tick: Tick) -> Result<TimerView, Error> {
        self.with_timer("timer-install", tick, |parts| {
            parts.files.iter().try_for_each(refuse_foreign)?;
            parts.files.iter().try_for_each(write)?;
            let to_run = run_all(&parts.enable);
            Ok(view(parts, to_run))
        })
        .await
    }

    /// Switches the timer off and removes its files.
    ///
    /// # Errors
    /// A file of that name is not ours, or can't be removed.
    pub async fn remove_timer(&self, tick: Tick) -> Result<TimerView, Error> {
        self.with_timer("timer-remove", tick, |parts| {
            let there: Vec<&TimerFile> = parts.files.iter().filter(|file| file.path.exists()).collect();
            there.iter().try_for_each(|file| refuse_foreign(file))?;
            let to_run = if there.is_empty() { Vec::new() } else { run_all(&parts.disable) };
            there.iter().try_for_each(|file| remove(file))?;
            Ok(view(parts, to_run))
        })
        .await
    }

    /// Says how the timer stands.
    ///
    /// # Errors
    /// The environment names no home.
    pub async fn timer(&self, tick: Tick) -> Result<TimerView, Error> {
        self.database()
            .run(move |_| -> Result<TimerView, Error> { Ok(view(&parts(&tick, environment)?, Vec::new())) })
            .await
    }

    async fn with_timer(
        &self,
        action: &'static str,
        tick: Tick,
        work: impl FnOnce(&Parts) -> Result<TimerView, TimerError> + Send + 'static,
    ) -> Result<TimerView, Error> {
        let done =
            self.database().run(move |_| -> Result<TimerView, Error> { Ok(work(&parts(&tick, environment)?)?) }).await;
        let action = Action::unnamed(action, "timer");
        match &done {
            Ok(view) => {
                let detail = json!({ "files": view.files, "active": view.active });
                self.record(action.with(detail), None).await;
            }
            Err(error) => self.record(action, Some(error)).await,
        }
        done
    }
}

fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The timer of the system that this was built for.
fn parts(tick: &Tick, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Parts, TimerError> {
    if cfg!(windows) {
        task_scheduler::parts(tick, variable)
    } else if cfg!(target_os = "macos") {
        launchd::parts(tick, variable)
    } else {
        systemd::parts(tick, variable)
    }
}

fn view(parts: &Parts, to_run: Vec<String>) -> TimerView {
    let installed = parts.files.iter().all(|file| fs::read(&file.path).is_ok_and(|bytes| bytes == file.bytes));
    TimerView {
        installed,
        active: installed && run(&parts.ask),
        files: parts.files.iter().map(|file| text(&file.path)).collect(),
        to_run,
    }
}

fn refuse_foreign(file: &TimerFile) -> Result<(), TimerError> {
    match fs::read(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(bytes) if is_ours(&bytes) => Ok(()),
        Ok(_) => Err(TimerError::Foreign { path: file.path.clone() }),
        Err(source) => Err(TimerError::File { path: file.path.clone(), source }),
    }
}

/// Whether the mark stands there, in whichever of the encodings that are written.
fn is_ours(bytes: &[u8]) -> bool {
    let wide: Vec<u8> = MARK.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [MARK.as_bytes(), &wide].into_iter().any(|mark| bytes.windows(mark.len()).any(|part| part == mark))
}

fn write(file: &TimerFile) -> Result<(), TimerError> {
    let failed = |source| TimerError::File { path: file.path.clone(), source };
    if let Some(folder) = file.path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Whole or not at all: half a unit would be run as it is.
    let beside = file.path.with_extension("keywheel-new");
    fs::write(&beside, &file.bytes).and_then(|()| fs::rename(&beside, &file.path)).map_err(|source| {
        let _ = fs::remove_file(&beside);
        failed(source)
    })
}

fn remove(file: &TimerFile) -> Result<(), TimerError> {
    fs::remove_file(&file.path).map_err(|source| TimerError::File { path: file.path.clone(), source })
}

/// Runs commands in order until one fails; answers those that are left, that one first.
fn run_all(commands: &[Words]) -> Vec<String> {
    let done = commands.iter().take_while(|command| run(command)).count();
    commands.iter().skip(done).map(|command| command.join(" ")).collect()
}

fn run(command: &Words) -> bool {
    let Some((program, arguments)) = command.split_first() else { return true };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn words(command: &str) -> Words {
    command.split(' ').map(str::to_owned).collect()
}
