//! "Nothing is left": what there is on the machine before, and what of it is there after and wasn't.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::FleetError;
use crate::files;

/// Which processes count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processes {
    /// All of the machine's; only where nobody else works on it.
    All,
    /// Those whose command line or environment contains one of these texts, such as a temporary folder's path.
    Containing(Vec<String>),
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The folders whose files count, with all below them.
    pub roots: Vec<PathBuf>,
    /// Folders and files below them that don't count, such as build folders.
    pub except: Vec<PathBuf>,
    /// The processes that count.
    pub processes: Processes,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    scope: Scope,
    /// By number and start time, since numbers are used again.
    processes: BTreeMap<(u32, u64), String>,
    mounts: BTreeSet<String>,
    files: BTreeMap<PathBuf, Mark>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    length: u64,
    mode: u32,
    modified: (i64, i64),
}

/// Something that is otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A process that wasn't there.
    Process {
        /// Its number.
        id: u32,
        /// Its command line.
        command: String,
    },
    /// A mount that wasn't there.
    Mount(String),
    /// A mount that is gone.
    Unmounted(String),
    /// A file that wasn't there.
    NewFile(PathBuf),
    /// A file that was changed.
    ChangedFile(PathBuf),
    /// A file that is gone.
    MissingFile(PathBuf),
}

impl Snapshot {
    /// Looks at the machine.
    ///
    /// # Errors
    ///
    /// Fails if the mounts can't be read.
    pub fn take(scope: &Scope) -> Result<Self, FleetError> {
        Ok(Self {
            scope: scope.clone(),
            processes: processes(&scope.processes),
            // The first fields are numbers that change; mount point, source and options say what is mounted where.
            mounts: files::read_text(Path::new("/proc/self/mounts"))?.lines().map(str::to_owned).collect(),
            files: scan(scope),
        })
    }

    /// What is otherwise now.
    ///
    /// # Errors
    ///
    /// Fails if the machine can't be looked at.
    pub fn differences(&self) -> Result<Vec<Difference>, FleetError> {
        let now = Self::take(&self.scope)?;
        let mut found = Vec::new();
        for ((id, start), command) in &now.processes {
            if !self.processes.contains_key(&(*id, *start)) {
                found.push(Difference::Process { id: *id, command: command.clone() });
            }
        }
        found.extend(now.mounts.difference(&self.mounts).cloned().map(Difference::Mount));
        found.extend(self.mounts.difference(&now.mounts).cloned().map(Difference::Unmounted));
        for (path, mark) in &now.files {
            match self.files.get(path) {
                None => found.push(Difference::NewFile(path.clone())),
                Some(before) if before != mark => found.push(Difference::ChangedFile(path.clone())),
                Some(_) => {}
            }
        }
        let gone = self.files.keys().filter(|path| !now.files.contains_key(*path));
        found.extend(gone.cloned().map(Difference::MissingFile));
        Ok(found)
    }

    /// The same, after what is ending has had so long to end.
    ///
    /// # Errors
    ///
    /// Fails if the machine can't be looked at.
    pub fn differences_within(&self, patience: Duration) -> Result<Vec<Difference>, FleetError> {
        let deadline = Instant::now() + patience;
        loop {
            let found = self.differences()?;
            if found.is_empty() || Instant::now() > deadline {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn processes(which: &Processes) -> BTreeMap<(u32, u64), String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if id == std::process::id() {
            continue;
        }
        let text = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
        };
        let command = text("cmdline");
        let counts = match which {
            Processes::All => true,
            Processes::Containing(parts) => {
                let environment = text("environ");
                parts.iter().any(|part| command.contains(part) || environment.contains(part))
            }
        };
        if !counts {
            continue;
        }
        // proc_pid_stat(5): the start time is field 22; the name in field 2 may contain blanks and brackets.
        let stat = text("stat");
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let Some(start) = after_name.split_whitespace().nth(19).and_then(|field| field.parse().ok()) else { continue };
        found.insert((id, start), command);
    }
    found
}

fn scan(scope: &Scope) -> BTreeMap<PathBuf, Mark> {
    let mut found = BTreeMap::new();
    let mut paths = scope.roots.clone();
    while let Some(path) = paths.pop() {
        if scope.except.contains(&path) {
            continue;
        }
        // What vanishes between being listed and being looked at isn't there.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            paths.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            // A folder's own times and size change with its entries, which are looked at themselves.
            let mark = Mark { inode: metadata.ino(), length: 0, mode: metadata.mode(), modified: (0, 0) };
            found.insert(path, mark);
        } else {
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            let mark = Mark { inode: metadata.ino(), length: metadata.len(), mode: metadata.mode(), modified };
            found.insert(path, mark);
        }
    }
    found
}
