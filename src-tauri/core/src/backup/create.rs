//! Making a backup.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::archive::Writer;
use super::file::{self, Lock, Part, Proof, Written};
use super::manifest::{self, FORMAT, Listed, Manifest};
use super::{BackupError, standing};
use crate::audit::Action;
use crate::catalogue::{Kind, VersionState};
use crate::clock::rfc3339;
use crate::database::DatabaseError;
use crate::error::{Error, Explain, Report};
use crate::keywheel::Keywheel;
use crate::lock::{FileLock, Sharing};
use crate::vault::ItemName;

/// How long another backup may take before this one is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The copy of the database that goes into the file; a later backup removes what a killed process left.
const COPY: &str = "keywheel-backup.db";

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "BackupCreated")]
pub struct Created {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    #[ts(type = "number")]
    pub bytes: u64,
    /// How many keys and passwords are in it.
    pub secrets: usize,
    /// The credentials whose current secret is not in it, because the keyring does not hold it.
    pub missing: Vec<String>,
    /// What reading it back has shown.
    pub proof: Proof,
}

/// Who asked for a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    ByPerson,
    ByItself,
}

/// A secret on its way from the keyring to the file; none where the keyring does not hold it.
type Carried = Option<Zeroizing<Vec<u8>>>;

impl Keywheel {
    /// Writes a new backup, reads it back, and notes it.
    ///
    /// # Errors
    /// The passphrase is too short; the file exists or can't be written; the keyring or the database can't be used. Then there is
    /// no file.
    pub async fn create_backup(&self, to: &Path, lock: Lock) -> Result<Created, Error> {
        self.take_all_newer_keys().await?;
        self.create_backup_asked(to, lock, Asked::ByPerson).await
    }

    pub(super) async fn create_backup_asked(&self, to: &Path, lock: Lock, asked: Asked) -> Result<Created, Error> {
        // As a whole path: where the command ran is not known later.
        let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
        let action = Action::new("backup-create", "backup", to.to_string_lossy())
            .with(json!({ "for": lock.to(), "automatic": asked == Asked::ByItself }));
        let (at, path, by_itself) = (rfc3339(self.now()), to.clone(), asked == Asked::ByItself);
        match self.write_backup(to, lock).await {
            Ok((created, items)) => {
                let (secrets, missing) = (created.secrets, created.missing.clone());
                self.change(action, move |tx, action| {
                    if let Some(detail) = action.detail.as_object_mut() {
                        detail.insert("secrets".to_owned(), secrets.into());
                        detail.insert("missing".to_owned(), missing.into());
                    }
                    standing::note(tx, &at, &path, by_itself, &items)?;
                    Ok(())
                })
                .await?;
                Ok(created)
            }
            Err(error) => {
                // Whoever asked for one has read why it failed.
                if by_itself {
                    let report = Report::of(&error);
                    let noted = self.database().run_write(move |tx| standing::note_failure(tx, &at, &path, &report));
                    if let Err(error) = noted.await {
                        tracing::warn!(%error, "that the backup failed could not be noted");
                    }
                }
                self.record(action, Some(&error as &(dyn Explain + Sync))).await;
                Err(error)
            }
        }
    }

    /// Keys that only the keyring knows are taken into the catalogue first, since only what that names is in the backup.
    pub(super) async fn take_all_newer_keys(&self) -> Result<(), Error> {
        self.vault().check().await?;
        for credential in self.read(crate::catalogue::credential::all).await? {
            if credential.kind == Kind::SshKey {
                self.take_newer_keys(credential).await?;
            }
        }
        Ok(())
    }

    async fn write_backup(&self, to: PathBuf, lock: Lock) -> Result<(Created, Vec<ItemName>), Error> {
        lock.check()?;
        self.vault().check().await?;
        let this = self.clone();
        let place = to.clone();
        let begun = self.database().run(move |_| this.begin_backup(&place)).await?;
        let listed = begun.manifest.secrets.clone();
        // One secret at a time is on its way.
        let (sender, receiver) = mpsc::channel(1);
        let writing = tokio::task::spawn_blocking(move || begun.write(&to, &lock, receiver));
        let read = self.carry(&listed, sender).await;
        let written = match writing.await {
            Ok(written) => written,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        // Where the keyring failed, that is why the file was not written.
        let missing = read?;
        let (file, written, proof) = written?;
        let items: Vec<ItemName> = listed
            .iter()
            .enumerate()
            .filter(|(place, _)| !missing.contains(place))
            .map(|(_, secret)| secret.item.clone())
            .collect();
        let lost = listed.iter().enumerate().filter(|(place, secret)| {
            missing.contains(place) && matches!(secret.state, VersionState::Current | VersionState::Candidate)
        });
        let missing = lost.map(|(_, secret)| secret.credential.clone()).collect();
        Ok((Created { file, bytes: written.bytes, secrets: items.len(), missing, proof }, items))
    }

    /// Reads the secrets one after the other and hands each on; answers the places of those that the keyring does not hold.
    async fn carry(&self, listed: &[Listed], to: mpsc::Sender<Carried>) -> Result<Vec<usize>, Error> {
        let mut missing = Vec::new();
        for (place, secret) in listed.iter().enumerate() {
            let read = self.vault().read(&secret.item).await?;
            if read.is_none() {
                missing.push(place);
            }
            if to.send(read).await.is_err() {
                // The writer has failed and says why.
                break;
            }
        }
        Ok(missing)
    }

    fn begin_backup(&self, to: &Path) -> Result<Begun, Error> {
        let dir = self.database().dir();
        let held = wait_for_turn(dir)?;
        let vault = self.database().vault_id();
        let (part, file) = Part::begin(to, &vault)?;
        let copy = Copy::new(dir.join(COPY));
        self.database().copy_to(&copy.path).map_err(|source| BackupError::Copy { source })?;
        let conn =
            Connection::open_with_flags(&copy.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(DatabaseError::from)?;
        let manifest = Manifest {
            format: FORMAT,
            keywheel: env!("CARGO_PKG_VERSION").to_owned(),
            created: rfc3339(self.now()),
            actor: self.actor().as_str().to_owned(),
            vault: vault.as_ref().to_owned(),
            audit: manifest::audit_end(&conn)?,
            secrets: manifest::secrets(&conn)?,
        };
        let seconds = u64::try_from(self.now().as_second()).unwrap_or(0);
        Ok(Begun { _held: held, part, file, copy, manifest, seconds })
    }
}

/// One backup of a vault is made at a time.
fn wait_for_turn(dir: &Path) -> Result<FileLock, Error> {
    let begun = Instant::now();
    loop {
        match FileLock::take(dir, "backup", Sharing::Exclusive)? {
            Some(held) => return Ok(held),
            None if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            None => return Err(BackupError::Busy.into()),
        }
    }
}

/// A copy of the database that is removed when it is no longer needed. It holds no secret.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) path: PathBuf,
}

impl Copy {
    /// Takes a path for it, and removes what a killed process left there.
    pub(super) fn new(path: PathBuf) -> Self {
        let copy = Self { path };
        copy.remove();
        copy
    }

    fn remove(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            // What can't be removed is overwritten by the next one.
            let _ = fs::remove_file(name);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A backup that is begun: nothing of it has its name yet.
struct Begun {
    _held: FileLock,
    part: Part,
    file: File,
    copy: Copy,
    manifest: Manifest,
    seconds: u64,
}

impl Begun {
    fn write(
        self,
        to: &Path,
        lock: &Lock,
        secrets: mpsc::Receiver<Carried>,
    ) -> Result<(PathBuf, Written, Proof), BackupError> {
        let not_written = |source| crate::private_file::PrivateFileError::NotWritten { path: to.to_owned(), source };
        let written = file::seal(&self.file, lock, |sink| self.fill(sink, secrets)).map_err(not_written)?;
        drop(self.file);
        let proof = file::read_back(self.part.path(), lock, &written)?;
        self.part.publish(to)?;
        Ok((to.to_owned(), written, proof))
    }

    /// Writes the archive. The database comes last: what seals it keeps the last 64 KiB in memory that it does not wipe, and
    /// they must not be secrets.
    fn fill<'a>(&self, sink: file::Sink<'a>, mut secrets: mpsc::Receiver<Carried>) -> io::Result<file::Sink<'a>> {
        let mut archive = Writer::new(sink, self.seconds);
        archive.file(manifest::README, manifest::README_TEXT.as_bytes())?;
        archive.file(manifest::MANIFEST, &serde_json::to_vec_pretty(&self.manifest)?)?;
        let mut missing = Vec::new();
        for secret in &self.manifest.secrets {
            match secrets.blocking_recv() {
                Some(Some(bytes)) => archive.file(&secret.file, &manifest::to_file(secret.kind, &bytes))?,
                Some(None) => missing.push(&secret.item),
                None => return Err(io::Error::other("the keyring gave no more secrets")),
            }
        }
        archive.file(manifest::MISSING, &serde_json::to_vec_pretty(&missing)?)?;
        let database = File::open(&self.copy.path)?;
        let length = database.metadata()?.len();
        archive.copy(manifest::DATABASE, database, length)?;
        let mut sink = archive.finish()?;
        sink.flush()?;
        Ok(sink)
    }
}
