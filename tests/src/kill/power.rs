//! What a power cut leaves of a data directory.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Done, Effect, Target};
use crate::error::FleetError;
use crate::files;

const DATABASE: &str = "keywheel.db";
const LOG: &str = "keywheel.db-wal";
const INDEX: &str = "keywheel.db-shm";

/// The header of a write-ahead log, and of each of its frames before the page (SQLite, "WAL-mode File Format").
const HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// A data directory as it was before a program ran on it, and the disk it lies on.
#[derive(Debug)]
pub struct Disk {
    data: PathBuf,
    before: TempDir,
}

impl Disk {
    /// Remembers the database of a data directory on which no program runs.
    ///
    /// # Errors
    ///
    /// [`FleetError::File`] if it can't be read, or a program left its log there.
    pub fn of(data: &Path) -> Result<Self, FleetError> {
        let before = files::scratch()?;
        copy(&data.join(DATABASE), &before.path().join(DATABASE))?;
        let log = data.join(LOG);
        if log.exists() {
            let source = std::io::Error::other("it was left by a program; what of it is on the disk isn't known");
            return Err(FleetError::File { path: log, source });
        }
        Ok(Self { data: data.to_owned(), before })
    }

    /// Where the log may end after a power cut, given what was done before it: each end of a frame from the last sync on.
    ///
    /// Nothing of it at all is among them as 0. The last one is the log as a mere kill leaves it.
    ///
    /// # Errors
    ///
    /// Fails if the log can't be read.
    pub fn ends(&self, done: &[Done]) -> Result<Vec<u64>, FleetError> {
        let path = self.data.join(LOG);
        if !path.exists() {
            return Ok(vec![0]);
        }
        let bytes = files::read(&path)?;
        let length = bytes.len() as u64;
        let synced = done.iter().rev().find(|done| done.effect == Effect::Sync && done.target == Target::Log);
        let mut end = synced.map_or(0, |done| done.size.min(length));
        let mut ends = vec![end];
        let Some(page) = bytes.get(8..12).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else { return Ok(ends) };
        let frame = FRAME_HEADER + u64::from(u32::from_be_bytes(page));
        if end < HEADER && HEADER < length {
            end = HEADER;
            ends.push(end);
        }
        while end + frame <= length {
            end += frame;
            ends.push(end);
        }
        Ok(ends)
    }

    /// Writes to a folder what a power cut leaves: the log up to this end, and the database as it was last synced.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be copied or cut.
    pub fn after_cut(&self, done: &[Done], end: u64, to: &Path) -> Result<(), FleetError> {
        if to != self.data {
            files::folder(to, 0o700)?;
            for name in [DATABASE, LOG] {
                if self.data.join(name).exists() {
                    copy(&self.data.join(name), &to.join(name))?;
                }
            }
        }
        let synced = done.iter().any(|done| done.effect == Effect::Sync && done.target == Target::Database);
        if !synced {
            copy(&self.before.path().join(DATABASE), &to.join(DATABASE))?;
        }
        // It lies in memory alone.
        remove(&to.join(INDEX))?;
        let log = to.join(LOG);
        if end == 0 || !log.exists() {
            return remove(&log);
        }
        let file = fs::File::options().write(true).open(&log).map_err(files::about(&log))?;
        file.set_len(end).map_err(files::about(&log))
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), FleetError> {
    fs::copy(from, to).map(drop).map_err(files::about(from))
}

fn remove(path: &Path) -> Result<(), FleetError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(files::about(path)(error)),
        _ => Ok(()),
    }
}
