use std::fs;

use super::schema::MIGRATIONS;
use super::*;
use crate::clock::SystemClock;
use crate::error::Explain;

fn open(dir: &Path) -> Result<Database, DatabaseError> {
    Database::open(dir, &SystemClock)
}

fn tables(database: &Database) -> i64 {
    database
        .read(|conn| -> Result<i64, DatabaseError> {
            Ok(conn.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?)
        })
        .unwrap()
}

#[test]
fn a_new_directory_gets_a_database_with_an_identity_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir.path().join("a")).unwrap();
    let id = first.vault_id().to_owned();
    assert_eq!(id.len(), 32);
    drop(first);
    assert_eq!(open(&dir.path().join("a")).unwrap().vault_id(), id, "the keyring items would be lost");
    assert_ne!(open(&dir.path().join("b")).unwrap().vault_id(), id, "two data directories must not share items");
    let copies =
        (1..=MIGRATIONS.len()).filter(|version| dir.path().join(format!("a/keywheel-before-v{version}.db")).exists());
    assert_eq!(copies.count(), 0, "there is nothing to copy while a database is being made");
}

#[test]
fn two_openings_share_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let one = open(dir.path()).unwrap();
    let two = open(dir.path()).unwrap();
    one.write(|tx| -> Result<(), DatabaseError> {
        tx.execute("INSERT INTO setting VALUES ('a', 'b')", [])?;
        Ok(())
    })
    .unwrap();
    let value: String = two
        .read(|conn| -> Result<_, DatabaseError> {
            Ok(conn.query_row("SELECT value FROM setting WHERE name = 'a'", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(value, "b");
}

#[test]
fn settings_of_the_connection_keep_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path()).unwrap();
    let pragma = |name: &str| -> String {
        database
            .read(|conn| -> Result<String, DatabaseError> {
                Ok(conn.pragma_query_value(None, name, |row| {
                    let value: rusqlite::types::Value = row.get(0)?;
                    Ok(format!("{value:?}"))
                })?)
            })
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)", "a committed row could be lost in a power cut");
    assert_eq!(pragma("foreign_keys"), "Integer(1)");
}

#[test]
fn an_error_takes_the_whole_transaction_back() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path()).unwrap();
    let failed = database.write(|tx| -> Result<(), DatabaseError> {
        tx.execute("INSERT INTO setting VALUES ('a', 'b')", [])?;
        Err(DatabaseError::Stopped)
    });
    assert!(failed.is_err());
    let count: i64 = database
        .read(|conn| -> Result<_, DatabaseError> {
            Ok(conn.query_row("SELECT count(*) FROM setting", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(count, 0, "half a change would stay");
}

#[test]
fn a_panic_leaves_the_database_usable_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path()).unwrap();
    let other = database.clone();
    let panicked = std::thread::spawn(move || {
        let _ = other.write(|tx| -> Result<(), DatabaseError> {
            tx.execute("INSERT INTO setting VALUES ('a', 'b')", [])?;
            panic!("a mistake of the caller");
        });
    })
    .join();
    assert!(panicked.is_err());
    let count: i64 = database
        .read(|conn| -> Result<_, DatabaseError> {
            Ok(conn.query_row("SELECT count(*) FROM setting", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(count, 0);
}

#[test]
fn an_older_database_is_copied_before_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path()).unwrap();
    database
        .write(|tx| -> Result<(), DatabaseError> {
            tx.execute("INSERT INTO setting VALUES ('before', 'yes')", [])?;
            Ok(())
        })
        .unwrap();
    let before = tables(&database);
    drop(database);

    let newer: Vec<&[&str]> = MIGRATIONS
        .iter()
        .copied()
        .chain([&["CREATE TABLE two (a INTEGER) STRICT;"] as &[&str], &["CREATE TABLE three (a INTEGER) STRICT;"]])
        .collect();
    let database = Database::open_at_version(dir.path(), &SystemClock, &newer).unwrap();
    assert_eq!(tables(&database), before + 2);
    let known = MIGRATIONS.len();
    for (version, tables_then) in [(known + 1, before), (known + 2, before + 1)] {
        let copy = dir.path().join(format!("keywheel-before-v{version}.db"));
        let copied = Connection::open(&copy).unwrap();
        let value: String =
            copied.query_row("SELECT value FROM setting WHERE name = 'before'", [], |row| row.get(0)).unwrap();
        assert_eq!(value, "yes", "a row written just before must be in the copy");
        let count: i64 =
            copied.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0)).unwrap();
        assert_eq!(count, tables_then, "the copy must be of the version before");
    }
    assert!(!dir.path().join(format!("keywheel-before-v{}.part", known + 1)).exists());
}

#[test]
fn a_database_of_the_first_version_keeps_its_rows_and_gets_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let first = Database::open_at_version(dir.path(), &SystemClock, &MIGRATIONS[..1]).unwrap();
    let id = first.vault_id().to_owned();
    first
        .write(|tx| -> Result<(), DatabaseError> {
            crate::catalogue::policy::make_standard(tx, Clock::now(&SystemClock))?;
            tx.execute_batch(
                "INSERT INTO device (name, address, port, enabled, created)
                 VALUES ('web-1', '10.0.0.5', 22, 1, '2026-11-24T08:00:00.000Z'),
                     ('web-2', '10.0.0.6', 22, 1, '2026-11-24T08:00:00.000Z'),
                     ('web-3', '10.0.0.7', 22, 1, '2026-11-24T08:00:00.000Z');
                 INSERT INTO credential (name, kind, username, original_device, enabled, automatic_change, policy, ready,
                     created)
                 VALUES ('deploy', 'ssh-key', 'deploy', 1, 1, 0, 1, 1, '2026-11-24T08:00:00.000Z');
                 INSERT INTO key_version VALUES (1, 1, 'current', 'ssh-ed25519 AAAA', 'SHA256:x', 'v/1/1/x', 0,
                     '2026-11-24T08:00:00.000Z', NULL, NULL);
                 INSERT INTO installed_on (credential, version, device, accepted_at, refused_at, given_up_at)
                 VALUES (1, 1, 1, 'then', NULL, NULL), (1, 1, 2, 'then', 'later', NULL), (1, 1, 3, 'then', NULL, 'later');",
            )?;
            Ok(())
        })
        .unwrap();
    drop(first);
    let now = open(dir.path()).unwrap();
    let accepted: Vec<Option<String>> = now
        .read(|conn| -> Result<_, DatabaseError> {
            let mut statement = conn.prepare("SELECT accepted_at FROM installed_on ORDER BY device")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert_eq!(accepted, [Some("then".to_owned()), None, None], "a key that is written anew would count as proven");
    assert_eq!(now.vault_id(), id);
    let device = crate::catalogue::DeviceId(1);
    now.write(|tx| crate::catalogue::device::note_seen(tx, device, Clock::now(&SystemClock))).unwrap();
    let found = now.read(|conn| crate::catalogue::device::by_id(conn, device)).unwrap();
    assert_eq!(found.name, "web-1", "a row of the first version is lost");
    assert!(dir.path().join("keywheel-before-v2.db").exists(), "there is no way back to the older program");
}

#[test]
fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let broken: Vec<&[&str]> =
        MIGRATIONS.iter().copied().chain([&["CREATE TABLE two (a INTEGER) STRICT; NONSENSE;"] as &[&str]]).collect();
    let error = Database::open_at_version(dir.path(), &SystemClock, &broken).unwrap_err();
    assert_eq!(error.code(), "database-migration-failed");
    assert_eq!(open(dir.path()).unwrap().vault_id().len(), 32, "the older program must still open it");
}

#[test]
fn refuses_a_newer_database_and_names_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let newer: Vec<&[&str]> =
        MIGRATIONS.iter().copied().chain([&["CREATE TABLE two (a INTEGER) STRICT;"] as &[&str]]).collect();
    drop(Database::open_at_version(dir.path(), &SystemClock, &newer).unwrap());
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "database-newer");
    let copy = dir.path().join(format!("keywheel-before-v{}.db", newer.len()));
    assert!(error.hint().contains(copy.to_str().unwrap()), "the person must learn where the copy is: {}", error.hint());

    fs::remove_file(&copy).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(!error.hint().contains("keywheel-before"), "a copy that is gone must not be named: {}", error.hint());
}

#[test]
fn refuses_a_file_that_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(Database::FILE_NAME);
    fs::write(
        &file,
        b"this is a letter, not a database; it is longer than a header of one hundred bytes, of course.\n",
    )
    .unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().code(), "database-damaged");
    assert_eq!(fs::read(&file).unwrap(), before, "a file that is not ours must not be written to");
}

#[test]
fn refuses_the_database_of_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let other = Connection::open(dir.path().join(Database::FILE_NAME)).unwrap();
    other.execute_batch("CREATE TABLE bookmark (url TEXT);").unwrap();
    drop(other);
    assert_eq!(open(dir.path()).unwrap_err().code(), "database-not-ours");
}

#[test]
fn a_truncated_database_is_damaged_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let file = dir.path().join(Database::FILE_NAME);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "database-damaged", "{error}");
}

#[test]
fn a_database_held_by_another_process_is_reported_as_locked() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path()).unwrap();
    let other = Connection::open(dir.path().join(Database::FILE_NAME)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    database.connection().busy_timeout(std::time::Duration::from_millis(20)).unwrap();
    let error = database.write(|_| -> Result<(), DatabaseError> { Ok(()) }).unwrap_err();
    assert_eq!(error.code(), "database-locked");
}

#[cfg(unix)]
mod modes {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn nobody_else_can_read_the_directory_or_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep/er");
        let database = open(&data).unwrap();
        database
            .write(|tx| -> Result<(), DatabaseError> {
                tx.execute("INSERT INTO setting VALUES ('a', 'b')", [])?;
                Ok(())
            })
            .unwrap();
        assert_eq!(mode(&data), 0o700);
        let names: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(names.iter().any(|name| name.ends_with("keywheel.db-wal")), "the log must be looked at too: {names:?}");
        for name in names {
            assert_eq!(mode(&name), 0o600, "{} can be read by others", name.display());
        }
    }

    #[test]
    fn a_folder_of_ours_that_was_opened_to_others_is_closed_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        set_mode(dir.path(), 0o755);
        set_mode(&dir.path().join(Database::FILE_NAME), 0o644);
        let _database = open(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&dir.path().join(Database::FILE_NAME)), 0o600);
    }

    #[test]
    fn refuses_an_open_folder_that_holds_other_things_and_leaves_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "").unwrap();
        set_mode(dir.path(), 0o1777);
        assert_eq!(open(dir.path()).unwrap_err().code(), "data-dir-open");
        assert_eq!(mode(dir.path()), 0o1777, "a shared folder must not be closed to the others");
        assert!(!dir.path().join(Database::FILE_NAME).exists());
    }
}
