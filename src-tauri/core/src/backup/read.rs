//! Opening a backup: all of it is read and found genuine before anything of it is used.

use std::collections::HashMap;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use zeroize::Zeroizing;

use super::archive::Reader;
use super::create::Copy;
use super::file::{self, Unlock};
use super::manifest::{self, FORMAT, Listed, Manifest};
use super::{BackupError, RestorePreview};
use crate::catalogue::Kind;
use crate::database::{self, DatabaseError};
use crate::error::Error;
use crate::key::PrivateKey;
use crate::keywheel::Keywheel;
use crate::lock::{FileLock, Sharing};
use crate::private_file;

/// The database of an opened backup; the next opening removes what a killed process left. It holds no secret.
const COPY: &str = "keywheel-restore.db";
const LONGEST_MANIFEST: u64 = 64 * 1024 * 1024;
const LONGEST_SECRET: u64 = 64 * 1024;

/// A backup that was opened and looked through. Its secrets are wiped when it is dropped.
pub struct Opened {
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) secrets: Vec<(Listed, Zeroizing<Vec<u8>>)>,
    pub(super) database: Copy,
    pub(super) preview: RestorePreview,
    _held: FileLock,
}

impl Opened {
    /// What restoring it will change.
    pub fn preview(&self) -> &RestorePreview {
        &self.preview
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("path", &self.path).field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// What was read of a file.
pub(super) struct Contents {
    pub(super) manifest: Manifest,
    pub(super) secrets: Vec<(Listed, Zeroizing<Vec<u8>>)>,
}

impl Keywheel {
    /// Opens a backup and says what restoring it will change. Nothing is changed yet.
    ///
    /// # Errors
    /// The file can't be read, is none of ours, damaged or newer, or is not opened by what is given; it is of another vault;
    /// the keyring can't be used, or holds another secret under a name of the backup.
    pub async fn open_backup(&self, path: &Path, unlock: Unlock) -> Result<Opened, Error> {
        self.vault().check().await?;
        let (path, dir) = (path.to_owned(), self.database().dir().to_owned());
        let (path, held, database, contents) = self
            .database()
            .run(move |_| -> Result<_, Error> {
                let held = FileLock::take(&dir, "restore", Sharing::Exclusive)?.ok_or(BackupError::Busy)?;
                let copy = Copy::new(dir.join(COPY));
                let contents = read(&path, &unlock, &copy)?;
                Ok((path, held, copy, contents))
            })
            .await?;
        let Contents { manifest, secrets } = contents;
        let preview = self.preview(&path, &manifest, &secrets, &database).await?;
        Ok(Opened { path, manifest, secrets, database, preview, _held: held })
    }
}

/// Reads a whole backup: its secrets into memory, its database into a file of its own.
pub(super) fn read(path: &Path, unlock: &Unlock, copy: &Copy) -> Result<Contents, Error> {
    let damaged = || BackupError::Damaged { path: path.to_owned() };
    let unreadable = |source| BackupError::unreadable(path, source);
    let mut archive = Reader::new(file::open(path, unlock)?);
    let mut manifest: Option<Manifest> = None;
    let mut found: HashMap<String, Zeroizing<Vec<u8>>> = HashMap::new();
    let mut has_database = false;
    while let Some((name, length)) = archive.next().map_err(unreadable)? {
        match name.as_str() {
            manifest::README | manifest::MISSING => {}
            manifest::MANIFEST if length <= LONGEST_MANIFEST => {
                let mut text = Vec::new();
                archive.bytes().read_to_end(&mut text).map_err(unreadable)?;
                manifest = Some(parsed(path, &text)?);
            }
            manifest::DATABASE => {
                save(archive.bytes(), copy, path)?;
                has_database = true;
            }
            _ if length <= LONGEST_SECRET && manifest.is_some() => {
                // The whole length at once: a buffer that grows leaves its old copies behind.
                let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default()]);
                archive.bytes().read_exact(&mut bytes).map_err(unreadable)?;
                found.insert(name, bytes);
            }
            _ => return Err(damaged().into()),
        }
    }
    let manifest = manifest.filter(|_| has_database).ok_or_else(damaged)?;
    let mut secrets = Vec::new();
    for listed in &manifest.secrets {
        let Some(file) = found.remove(&listed.file) else { continue };
        let secret = manifest::from_file(listed.kind, &file).filter(|secret| is_what_it_is_named_for(listed, secret));
        secrets.push((listed.clone(), secret.ok_or_else(damaged)?));
    }
    if !found.is_empty() {
        return Err(damaged().into());
    }
    prepare(copy, &manifest, path)?;
    Ok(Contents { manifest, secrets })
}

fn parsed(path: &Path, text: &[u8]) -> Result<Manifest, BackupError> {
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let damaged = |_| BackupError::Damaged { path: path.to_owned() };
    let version: Version = serde_json::from_slice(text).map_err(damaged)?;
    if version.format > FORMAT {
        return Err(BackupError::Newer { path: path.to_owned() });
    }
    serde_json::from_slice(text).map_err(damaged)
}

fn is_what_it_is_named_for(listed: &Listed, secret: &[u8]) -> bool {
    match listed.kind {
        Kind::Password => true,
        Kind::SshKey => PrivateKey::from_secret_bytes(secret)
            .is_ok_and(|key| key.public_key().fingerprint().to_string() == listed.item.distinction()),
    }
}

/// Writes the database to the disk of the data directory, and tells the backup's faults from that disk's.
fn save(mut from: impl Read, copy: &Copy, path: &Path) -> Result<(), Error> {
    let mut file = private_file::new(&copy.path)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut chunk).map_err(|source| BackupError::unreadable(path, source))?;
        let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        let written: io::Result<()> = file.write_all(bytes);
        written.map_err(|source| private_file::PrivateFileError::NotWritten { path: copy.path.clone(), source })?;
    }
}

/// Brings the database to this program's version, and makes sure that it is the manifest's.
fn prepare(copy: &Copy, manifest: &Manifest, path: &Path) -> Result<(), Error> {
    let told = |error| match error {
        DatabaseError::Newer { .. } => BackupError::Newer { path: path.to_owned() }.into(),
        DatabaseError::NotOurs { .. } | DatabaseError::Damaged { .. } | DatabaseError::Sqlite { .. } => {
            BackupError::Damaged { path: path.to_owned() }.into()
        }
        error => Error::from(error),
    };
    let conn: Connection = database::open_copy(&copy.path).map_err(told)?;
    let id: String =
        conn.query_row("SELECT id FROM vault", [], |row| row.get(0)).map_err(|error| told(error.into()))?;
    if id != manifest.vault {
        return Err(BackupError::Damaged { path: path.to_owned() }.into());
    }
    database::close_copy(conn).map_err(told)
}
