//! Ends the real program with SIGKILL at exactly chosen places, and says what had become lasting by then.
//!
//! A small library (`kill/effects.c`) is loaded into the program. It counts the effects that the program has on the world:
//! each sync of a file, with which a row of the journal becomes lasting, and each sending on a network connection. So the
//! program itself knows nothing of its death, and the list of places is taken from a run without a kill: it is never stale.

pub mod power;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::FleetError;
use crate::files;

const SOURCE: &str = include_str!("kill/effects.c");

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// `fsync` or `fdatasync`.
    Sync,
    /// Bytes handed to a network connection.
    Send,
}

/// On which side of an effect the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before it: of a sync, its writes are made but not synced.
    Before,
    /// With half of it done: half of the bytes are sent; of a sync, its first write is torn.
    In,
    /// Right after it.
    After,
    /// It does not end, but the disk is full for the database from here on.
    Full,
}

/// A place where the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// At which kind of effect.
    pub effect: Effect,
    /// At which of them, from 1.
    pub number: u32,
    /// On which side of it.
    pub moment: Moment,
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Sync => "sync",
            Effect::Send => "send",
        };
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::In => "in",
            Moment::After => "after",
            Moment::Full => "full",
        };
        write!(formatter, "{effect} {} {moment}", self.number)
    }
}

/// Of which file or connection an effect was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The database's write-ahead log.
    Log,
    /// The database itself.
    Database,
    /// Another file, or a folder.
    Other,
    /// A network connection.
    Network,
}

/// An effect that was over before the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Its kind.
    pub effect: Effect,
    /// Its number.
    pub number: u32,
    /// What it was of.
    pub target: Target,
    /// How many bytes were sent; how far the write-ahead log was on the disk then.
    pub size: u64,
}

impl Done {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let effect = match words.next()? {
            "sync" => Effect::Sync,
            "send" => Effect::Send,
            _ => return None,
        };
        let number = words.next()?.parse().ok()?;
        let target = match words.next()? {
            "wal" => Target::Log,
            "db" => Target::Database,
            "net" => Target::Network,
            _ => Target::Other,
        };
        Some(Self { effect, number, target, size: words.next()?.parse().ok()? })
    }
}

/// The library that ends a program.
#[derive(Debug)]
pub struct Killer {
    dir: TempDir,
}

impl Killer {
    /// Builds the library.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if there is no C compiler; others if it fails.
    pub fn build() -> Result<Self, FleetError> {
        let compiler = files::program("cc")?;
        let killer = Self { dir: files::scratch()? };
        let source = killer.dir.path().join("effects.c");
        files::write(&source, SOURCE.as_bytes(), 0o600)?;
        let mut command = Command::new(compiler);
        command.args(["-O1", "-shared", "-fPIC", "-o"]).arg(killer.library()).arg(source).args(["-ldl", "-lpthread"]);
        files::run(&mut command, b"")?;
        Ok(killer)
    }

    /// Makes a command count its effects, and end at one of them.
    pub fn load(&self, command: &mut Command, point: Option<Point>) {
        // What an earlier program left there is not this one's.
        let _ = std::fs::remove_file(self.log());
        command.env("LD_PRELOAD", self.library()).env("KEYWHEEL_KILL_LOG", self.log());
        if let Some(point) = point {
            command.env("KEYWHEEL_KILL_AT", point.to_string());
        }
    }

    /// The effects that were over when the last program ended.
    ///
    /// # Errors
    ///
    /// Fails if the record can't be read.
    pub fn done(&self) -> Result<Vec<Done>, FleetError> {
        if !self.log().exists() {
            return Ok(Vec::new());
        }
        Ok(files::read_text(&self.log())?.lines().filter_map(Done::parse).collect())
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("effects.so")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("effects.log")
    }
}

/// The command line program beside the tests' own: both are built into the same folder.
///
/// # Errors
///
/// [`FleetError::File`] if it was not built.
pub fn program() -> Result<PathBuf, FleetError> {
    let tests = std::env::current_exe().map_err(files::about(Path::new("/proc/self/exe")))?;
    let program = tests.ancestors().nth(2).unwrap_or(&tests).join("keywheel");
    std::fs::metadata(&program).map_err(files::about(&program))?;
    Ok(program)
}
