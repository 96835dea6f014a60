//! Makes, checks, migrates and opens the file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rusqlite_migration::{M, Migrations};

use super::file_system::{FileSystem, file_system};
use super::{Database, DatabaseError, copy, schema};
use crate::clock::{Clock, rfc3339};

/// How long another process may hold the database before it counts as locked.
const BUSY: Duration = Duration::from_secs(10);

/// The lock under which one process at a time makes or migrates the file.
const LOCK_FILE: &str = "keywheel.lock";

pub(super) fn open(
    dir: &Path,
    clock: &dyn Clock,
    migrations: &[&[&str]],
) -> Result<(Connection, String), DatabaseError> {
    prepare_directory(dir)?;
    if let FileSystem::Network(kind) = file_system(dir).map_err(|source| directory(dir, source))? {
        return Err(DatabaseError::Network { dir: dir.to_owned(), kind });
    }
    let _lock = lock(dir)?;
    let file = dir.join(Database::FILE_NAME);
    drop(private_file(&file).map_err(|source| directory(dir, source))?);
    let mut connection = connect(&file)?;
    migrate(&mut connection, &file, migrations, Some(dir))?;
    let vault_id = vault_id(&mut connection, clock)?;
    Ok((connection, vault_id))
}

fn directory(dir: &Path, source: io::Error) -> DatabaseError {
    DatabaseError::Directory { dir: dir.to_owned(), source }
}

/// Makes the directory, or makes sure that an existing one is ours alone.
#[cfg(unix)]
fn prepare_directory(dir: &Path) -> Result<(), DatabaseError> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let problem = |source| directory(dir, source);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(problem)?;
    let found = fs::metadata(dir).map_err(problem)?;
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(DatabaseError::Foreign { dir: dir.to_owned() });
    }
    if found.mode() & 0o077 != 0 {
        // Only a folder that is ours by its contents may be closed to others: somebody may have named /tmp.
        let ours = dir.join(Database::FILE_NAME).exists() || fs::read_dir(dir).map_err(problem)?.next().is_none();
        if !ours {
            return Err(DatabaseError::Open { dir: dir.to_owned() });
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(problem)?;
    }
    Ok(())
}

/// Makes the directory; under a Windows profile it is the user's alone.
#[cfg(not(unix))]
fn prepare_directory(dir: &Path) -> Result<(), DatabaseError> {
    fs::create_dir_all(dir).map_err(|source| directory(dir, source))
}

/// Opens or makes a file with mode 0600. SQLite gives the mode of the database to its log as well.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

fn lock(dir: &Path) -> Result<File, DatabaseError> {
    let file = private_file(&dir.join(LOCK_FILE)).map_err(|source| directory(dir, source))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < BUSY => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::Locked),
            Err(TryLockError::Error(source)) => return Err(directory(dir, source)),
        }
    }
}

pub(super) fn connect(file: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    // The first read finds out whether this is a database at all, before anything could be written to it.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != schema::APPLICATION_ID && (version != 0 || application != 0 || tables != 0) {
        return Err(DatabaseError::NotOurs { file: file.to_owned() });
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(DatabaseError::NoWal { file: file.to_owned() });
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Brings the file to the version of `migrations`, with a copy in this folder before each; none for a file that is a copy itself.
pub(super) fn migrate(
    connection: &mut Connection,
    file: &Path,
    migrations: &[&[&str]],
    copies: Option<&Path>,
) -> Result<(), DatabaseError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        let mut names = copies.into_iter().flat_map(|dir| (known + 1..=found).map(|version| copy_name(dir, version)));
        let copy = names.find(|copy| copy.exists());
        return Err(DatabaseError::Newer { file: file.to_owned(), found, known, copy });
    }
    if found == known {
        return Ok(());
    }
    let texts: Vec<String> = migrations.iter().map(|parts| parts.concat()).collect();
    let steps = Migrations::new(texts.iter().map(|text| M::up(text)).collect());
    for (version, number) in (1_usize..=texts.len()).zip(1_i64..).filter(|(_, number)| *number > found) {
        // A database that is only being made has nothing to lose.
        if let Some(dir) = copies.filter(|_| found > 0) {
            copy_before(connection, &copy_name(dir, number))?;
        }
        steps
            .to_version(connection, version)
            .map_err(|source| DatabaseError::Migration { file: file.to_owned(), source })?;
    }
    Ok(())
}

fn copy_name(dir: &Path, version: i64) -> PathBuf {
    dir.join(format!("keywheel-before-v{version}.db"))
}

/// Copies the whole database, so that what a migration changes can be found again.
fn copy_before(connection: &Connection, copy: &Path) -> Result<(), DatabaseError> {
    copy::whole(connection, copy).map_err(|source| DatabaseError::Copy { copy: copy.to_owned(), source })
}

/// Reads the identity of the data directory, and makes it the first time.
fn vault_id(connection: &mut Connection, clock: &dyn Clock) -> Result<String, DatabaseError> {
    let known = |connection: &Connection| {
        connection.query_row("SELECT id FROM vault", [], |row| row.get::<_, String>(0)).optional()
    };
    if let Some(id) = known(connection)? {
        return Ok(id);
    }
    let id = hex::encode(rand::random::<[u8; 16]>());
    connection.execute("INSERT INTO vault (one, id, created) VALUES (1, ?1, ?2)", (&id, rfc3339(clock.now())))?;
    Ok(id)
}
