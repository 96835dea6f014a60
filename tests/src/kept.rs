//! A file as it was, to be held against what became of it: its bytes, and all that it is besides its bytes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::FleetError;
use crate::files;

/// A file at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    path: PathBuf,
    bytes: Vec<u8>,
    facts: Facts,
}

/// What a file is besides its bytes, and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    mode: u32,
    owner: u32,
    group: u32,
    links: u64,
    access: String,
    beside: BTreeSet<OsString>,
}

impl Kept {
    /// Looks at a file.
    ///
    /// # Errors
    ///
    /// Fails if it or its folder can't be read.
    pub fn look(path: &Path) -> Result<Self, FleetError> {
        Ok(Self { path: path.to_owned(), bytes: files::read(path)?, facts: Facts::of(path)? })
    }

    /// Its bytes at that moment.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Asserts that nothing of it is otherwise.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read any more.
    ///
    /// # Panics
    ///
    /// Something is.
    pub fn assert_untouched(&self) -> Result<(), FleetError> {
        self.assert_holds(&self.bytes)
    }

    /// Asserts that it holds these bytes, and that nothing else of it is otherwise.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read any more.
    ///
    /// # Panics
    ///
    /// It holds others, or something is.
    pub fn assert_holds(&self, bytes: &[u8]) -> Result<(), FleetError> {
        let now = Self::look(&self.path)?;
        assert!(
            now.bytes == bytes,
            "{} should hold\n{}\nand holds\n{}",
            self.path.display(),
            shown(bytes),
            shown(&now.bytes)
        );
        assert_eq!(now.facts, self.facts, "{}: something besides its bytes is otherwise", self.path.display());
        Ok(())
    }
}

impl Facts {
    fn of(path: &Path) -> Result<Self, FleetError> {
        let metadata = std::fs::metadata(path).map_err(files::about(path))?;
        let folder = path.parent().unwrap_or(path);
        let entries = std::fs::read_dir(folder).map_err(files::about(folder))?;
        Ok(Self {
            mode: metadata.mode(),
            owner: metadata.uid(),
            group: metadata.gid(),
            links: metadata.nlink(),
            access: access(path)?,
            beside: entries.flatten().map(|entry| entry.file_name()).collect(),
        })
    }
}

/// The access control list; nothing where no program shows it.
fn access(path: &Path) -> Result<String, FleetError> {
    match files::program("getfacl") {
        Ok(program) => {
            let out = files::run(Command::new(program).args(["-n", "-p", "-c"]).arg(path), b"")?;
            Ok(String::from_utf8_lossy(&out).into_owned())
        }
        Err(_) => Ok(String::new()),
    }
}

/// The bytes as a person can read them; of a large file, the beginning.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(2_000)
        .flat_map(|character| match character {
            '\n' => vec!['\n'],
            character => character.escape_debug().collect(),
        })
        .collect()
}
