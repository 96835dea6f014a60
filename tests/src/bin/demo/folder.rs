//! The folder that holds everything the demo makes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PREFIX: &str = "demo-";
/// Held locked by the demo that the folder belongs to.
const LOCK: &str = "lock";
/// What the private keyring adds to the folder's path for its longest socket.
const SOCKET: &str = "/k/run/keyring/control";
/// The longest path of a Unix socket (unix(7): 108 bytes with the NUL).
const LONGEST_SOCKET: usize = 107;
/// What is being killed may write for a moment longer.
const REMOVED_WITHIN: Duration = Duration::from_secs(3);

/// A folder of the demo's own; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a new folder in the build folder, and removes those that killed demos left there.
    ///
    /// In a build folder whose path leaves no room for the names of sockets, the system's temporary folder is taken.
    pub(crate) fn make() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let build = program.ancestors().nth(2).unwrap_or(Path::new("/"));
        sweep(build);
        let name_length = 1 + PREFIX.len() + 6;
        let fits = build.as_os_str().len() + name_length + SOCKET.len() <= LONGEST_SOCKET;
        let parent = if fits { build.to_owned() } else { std::env::temp_dir() };
        let made = tempfile::Builder::new().prefix(PREFIX).rand_bytes(6).tempdir_in(parent)?;
        let lock = File::create_new(made.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { path: made.keep(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder with all that is in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(_) if begun.elapsed() < REMOVED_WITHIN => std::thread::sleep(Duration::from_millis(20)),
                ended => return ended,
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Removes the folders of demos that were killed: their locks are free.
fn sweep(build: &Path) {
    for entry in std::fs::read_dir(build).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let Some(lock) = ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() {
            // What can't be removed takes room in the build folder and does no other harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
