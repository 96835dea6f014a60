//! Backup and restore with the real program, keyring and devices: what is lost comes back, and no secret is left in the open.

use std::fs;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use keywheel_core::key::PrivateKey;
use keywheel_fleet::kill::{Effect, Killer, Moment, Point};
use keywheel_fleet::{Fleet, Traces, Trouble, available};

use crate::cli::User;

const PASSPHRASE: &str = "seven sealed seas";

/// Reveals the current key, learns its traces, and removes what was revealed.
fn traces(user: &User) -> Result<Traces, Trouble> {
    let file = user.path("revealed");
    user.done(&["credential", "reveal", "deploy", "--out", &file.display().to_string(), "--yes"])?;
    let key = PrivateKey::import(&fs::read(&file)?, None)?;
    fs::remove_file(&file)?;
    Traces::of_key(&key)
}

fn files(folder: &Path) -> Result<Vec<String>, Trouble> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

#[test]
fn a_vault_whose_machine_is_lost_is_restored_and_enters_every_device() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let devices: Vec<_> = fleet.devices.iter().collect();
    let backups = tempfile::tempdir()?;
    let file = backups.path().join("vault.age");
    let path = file.display().to_string();
    let wanted;
    {
        let user = User::new()?;
        user.deploy(&devices)?;
        user.done(&["rotate", "deploy"])?;
        let status = user.done(&["backup", "status"])?;
        assert_eq!((&status.last()["last"], status.last()["lacks"].as_u64()), (&serde_json::Value::Null, Some(2)));
        let made = user.run_with(&["backup", "create", "--out", &path, "--passphrase-stdin"], PASSPHRASE)?;
        assert_eq!(made.status, Some(0), "{}{}", made.stdout, made.stderr);
        assert_eq!((made.last()["proof"].as_str(), made.last()["secrets"].as_u64()), (Some("opened"), Some(2)));
        assert_eq!(user.done(&["backup", "status"])?.last()["lacks"], 0);
        let again = user.run_with(&["backup", "create", "--out", &path, "--passphrase-stdin"], PASSPHRASE)?;
        assert_eq!((again.status, again.code()), (Some(2), "file-exists"));
        wanted = traces(&user)?;
        let (found, looked) = wanted.in_folder(&user.path("data"))?;
        assert!(found.is_empty() && looked >= 2, "private bytes lie in the data directory: {found:?}");
    }
    assert_eq!(files(backups.path())?, ["vault.age"], "nothing else may be left beside it");

    // Another machine: another keyring, another data directory.
    let user = User::new()?;
    let restore = ["backup", "restore", path.as_str(), "--passphrase-stdin", "--yes"];
    let wrong = user.run_with(&restore, "seven sealed sea")?;
    assert_eq!((wrong.status, wrong.code()), (Some(1), "wrong-passphrase"));
    let dry = user.run_with(&["backup", "restore", &path, "--passphrase-stdin", "--dry-run"], PASSPHRASE)?;
    assert_eq!((dry.last()["into"].as_str(), dry.last()["secrets"]["new"].as_u64()), (Some("empty"), Some(2)));
    user.refused(&["credential", "show", "deploy"], 2, "unknown-name")?;
    let restored = user.run_with(&restore, PASSPHRASE)?;
    assert_eq!(restored.status, Some(0), "{}{}", restored.stdout, restored.stderr);
    let (found, looked) = wanted.in_folder(&user.path("data"))?;
    assert!(found.is_empty() && looked >= 2, "private bytes lie in the data directory: {found:?}");
    assert!(wanted.look("the backup", &fs::read(&file)?).is_empty(), "the backup is not sealed");

    user.done(&["audit", "verify"])?;
    user.done(&["check", "deploy"])?;
    let key = user.path("restored");
    user.done(&["credential", "reveal", "deploy", "--out", &key.display().to_string(), "--yes"])?;
    for sshd in &devices {
        assert!(sshd.ssh_logs_in(&key, sshd.account())?, "the restored key must log in: {}", sshd.log()?);
    }
    user.done(&["rotate", "deploy"])?;
    for sshd in &devices {
        assert!(!sshd.ssh_logs_in(&key, sshd.account())?, "it was changed: {}", sshd.log()?);
    }
    Ok(())
}

#[test]
fn a_backup_that_was_damaged_or_is_foreign_changes_nothing() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(1))? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&fleet.devices[0]])?;
    let (file, identity) = (user.path("vault.age"), user.path("identity"));
    let pair = age_pair();
    fs::write(&identity, &pair.0)?;
    let (out, key) = (file.display().to_string(), identity.display().to_string());
    let made = user.done(&["backup", "create", "--out", &out, "--recipient", &pair.1])?;
    assert_eq!(made.last()["proof"], "bytes");
    let whole = fs::read(&file)?;
    let bad = user.path("bad.age");
    let restore = ["backup", "restore", &bad.display().to_string(), "--identity", &key, "--yes"].map(str::to_owned);
    let restore: Vec<&str> = restore.iter().map(String::as_str).collect();
    for step in 0..5 {
        let mut bytes = whole.clone();
        let place = 200 + (whole.len() - 200) * step / 5;
        bytes[place] ^= 1;
        fs::write(&bad, &bytes)?;
        let ran = user.run(&restore)?;
        assert_eq!(ran.status, Some(1), "byte {place}: {}{}", ran.stdout, ran.stderr);
        fs::write(&bad, &whole[..place])?;
        let ran = user.run(&restore)?;
        assert_eq!((ran.status, ran.code()), (Some(1), "backup-damaged"), "cut at {place}: {}", ran.stderr);
    }
    fs::write(&bad, b"PK\x03\x04 something else")?;
    assert_eq!(user.run(&restore)?.code(), "not-a-backup");
    assert!(!files(&user.path("data"))?.iter().any(|name| name.contains("restore.db")), "the copy must not stay");
    user.refused(&["backup", "restore", "nowhere.age", "--identity", &key, "--yes"], 1, "backup-unreadable")?;
    let ran = user.run(&["backup", "restore", &out, "--identity", &key, "--yes"])?;
    assert_eq!((ran.status, ran.last()["into"].as_str()), (Some(0), Some("same")), "{}", ran.stderr);
    Ok(())
}

#[test]
fn whoever_is_killed_while_writing_leaves_no_backup_and_the_next_one_cleans_up() -> Result<(), Trouble> {
    let Some(killer) = available(Killer::build())? else { return Ok(()) };
    let Some(fleet) = available(Fleet::start(1))? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&fleet.devices[0]])?;
    let pair = age_pair();
    let folder = user.path("backups");
    fs::create_dir(&folder)?;
    let create = |name: &str, point: Option<Point>| -> Result<Option<i32>, Trouble> {
        let out = folder.join(name).display().to_string();
        let mut command = user.command(&["backup", "create", "--out", &out, "--recipient", &pair.1]);
        killer.load(&mut command, point);
        Ok(command.output()?.status.code())
    };
    assert_eq!(create("whole.age", None)?, Some(0));
    let syncs = killer.done()?.iter().filter(|done| done.effect == Effect::Sync).count();
    assert!(syncs >= 4, "the copy, the file, its folder, the row: {syncs}");
    let mut left_behind = 0;
    for number in 1..=u32::try_from(syncs)? {
        for moment in [Moment::Before, Moment::After] {
            let name = format!("killed-{number}-{moment:?}.age");
            let status = create(&name, Some(Point { effect: Effect::Sync, number, moment }))?;
            let names = files(&folder)?;
            left_behind += names.iter().filter(|name| name.ends_with(".part")).count();
            if names.contains(&name) {
                let path = folder.join(&name).display().to_string();
                fs::write(user.path("identity"), &pair.0)?;
                let identity = user.path("identity").display().to_string();
                let restore = ["backup", "restore", &path, "--identity", &identity, "--dry-run"];
                assert_eq!(user.run(&restore)?.status, Some(0), "{name} has its name and is not whole");
                fs::remove_file(folder.join(&name))?;
            } else {
                assert_ne!(status, Some(0), "{name} was told to be written");
            }
        }
    }
    assert!(left_behind > 0, "no kill met the file while it was written");
    assert_eq!(create("last.age", None)?, Some(0));
    let mut names = files(&folder)?;
    names.sort();
    assert_eq!(names, ["last.age", "whole.age"], "what was killed is cleaned up");
    assert!(!files(&user.path("data"))?.iter().any(|name| name.contains("keywheel-backup")), "the copy must not stay");
    Ok(())
}

#[test]
fn a_folder_that_can_not_be_written_is_told_and_harms_no_change() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(1))? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&fleet.devices[0]])?;
    let pair = age_pair();
    let folder = user.path("not-mounted");
    user.done(&["settings", "set", "backup-recipient", &pair.1])?;
    user.done(&["settings", "set", "backup-folder", &folder.display().to_string()])?;
    let ran = user.done(&["rotate", "deploy"])?;
    assert!(ran.stderr.contains("The backup after this was not written."), "{}", ran.stderr);
    let status = user.done(&["backup", "status"])?;
    assert_eq!(status.last()["failed"]["code"], "file-not-written");
    fs::create_dir(&folder)?;
    let ran = user.done(&["rotate", "deploy"])?;
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let status = user.done(&["backup", "status"])?;
    assert_eq!((&status.last()["lacks"], &status.last()["failed"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(files(&folder)?.len(), 1);
    Ok(())
}

/// An identity of age and its recipient.
fn age_pair() -> (String, String) {
    let identity = age::x25519::Identity::generate();
    (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
}
