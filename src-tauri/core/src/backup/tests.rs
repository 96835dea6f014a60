use std::fs;
use std::path::Path;
use std::sync::Arc;

use age::secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::audit::{Actor, Verdict};
use crate::catalogue::{DeviceId, VersionState, key_version};
use crate::credential::{NewCredential, NewSecret};
use crate::device::NewDevice;
use crate::error::{Error, Explain as _};
use crate::key::{Algorithm, PrivateKey};
use crate::keywheel::Keywheel;
use crate::keywheel::testing::{SetClock, with_parts};
use crate::vault::{Fault, MemoryVault, Vault as _};

/// A vault with two credentials, and a folder for backups beside it.
struct Bench {
    keywheel: Keywheel,
    dir: TempDir,
    vault: MemoryVault,
    clock: Arc<SetClock>,
}

impl Bench {
    async fn new() -> Self {
        let (keywheel, dir, vault, clock) = with_parts();
        let bench = Self { keywheel, dir, vault, clock };
        let device = bench.keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap();
        bench.key("deploy", device.id).await;
        let password = NewSecret::Password(SecretString::from("hunter2 hunter2"));
        bench.keywheel.add_credential(NewCredential::new("root", "root", device.id, password)).await.unwrap();
        bench
    }

    async fn key(&self, name: &str, device: DeviceId) {
        let key = PrivateKey::generate(Algorithm::Ed25519, name).unwrap();
        let new = NewCredential::new(name, name, device, NewSecret::Generated(key));
        self.keywheel.add_credential(new).await.unwrap();
    }

    /// Makes a new current key without a device, as a change does at its end.
    async fn next_key(&self, name: &str) {
        let credential = self.keywheel.find_credential(name).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, name).unwrap();
        let (id, public) = (credential.id, key.public_key().clone());
        let version = credential.key_versions.last().unwrap().version + 1;
        let item = self.keywheel.item_name(id, version, public.fingerprint());
        self.vault.store(&item, &key.to_secret_bytes()).await.unwrap();
        let now = self.keywheel.now();
        self.keywheel
            .database()
            .write(|tx| -> Result<(), Error> {
                key_version::insert_candidate(tx, id, version, &public, &item, now)?;
                Ok(key_version::make_current(tx, id, version, now)?)
            })
            .unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    async fn backup(&self, name: &str) -> Created {
        self.keywheel.create_backup(&self.path(name), lock()).await.unwrap()
    }

    fn open_at(&self, dir: &str, vault: &MemoryVault) -> Keywheel {
        let clock = Arc::<SetClock>::clone(&self.clock);
        Keywheel::open(&self.path(dir), Arc::new(vault.clone()), clock, Actor::named("ana@new")).unwrap()
    }
}

fn lock() -> Lock {
    Lock::Passphrase(SecretString::from("correct horse"))
}

fn unlock() -> Unlock {
    Unlock::Passphrase(SecretString::from("correct horse"))
}

async fn restore(keywheel: &Keywheel, from: &Path) -> Result<Restored, Error> {
    let opened = keywheel.open_backup(from, unlock()).await?;
    keywheel.restore_backup(opened).await
}

async fn secret_of(keywheel: &Keywheel, name: &str) -> Option<Vec<u8>> {
    let credential = keywheel.find_credential(name).await.unwrap();
    let item = match credential.current_key() {
        Some(key) => key.item.clone(),
        None => credential.current_password().unwrap().item.clone(),
    };
    keywheel.vault().read(&item).await.unwrap().map(|secret| secret.to_vec())
}

fn names(rows: &[PreviewRow]) -> Vec<(&str, Comparison)> {
    rows.iter().map(|row| (row.name.as_str(), row.comparison)).collect()
}

#[tokio::test]
async fn an_empty_data_directory_and_keyring_become_the_vault_of_the_backup() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    assert_eq!((created.secrets, created.proof), (2, Proof::Opened));
    assert!(created.missing.is_empty());

    let vault = MemoryVault::new();
    let fresh = bench.open_at("fresh", &vault);
    let opened = fresh.open_backup(&created.file, unlock()).await.unwrap();
    let preview = opened.preview().clone();
    assert_eq!(preview.into, Target::Empty);
    assert_eq!(names(&preview.credentials), [("deploy", Comparison::New), ("root", Comparison::New)]);
    assert_eq!(preview.secrets, SecretCounts { new: 2, same: 0, left: 0 });
    assert!(vault.names().is_empty(), "a preview changes nothing");
    let restored = fresh.restore_backup(opened).await.unwrap();
    assert_eq!((restored.devices, restored.credentials, restored.secrets), (1, 2, 2));

    assert_eq!(fresh.database().vault_id(), bench.keywheel.database().vault_id(), "the items' names would not match");
    let mut there = bench.vault.names();
    there.sort();
    assert_eq!(vault.names(), there);
    for name in ["deploy", "root"] {
        assert_eq!(secret_of(&fresh, name).await, secret_of(&bench.keywheel, name).await, "{name}");
        assert_eq!(
            fresh.find_credential(name).await.unwrap(),
            bench.keywheel.find_credential(name).await.unwrap(),
            "{name}"
        );
    }
    assert!(matches!(fresh.verify_audit().await.unwrap(), Verdict::Whole { .. }), "the chain goes on");
    let rows = fresh.audit_rows(Default::default()).await.unwrap();
    let last = rows.last().unwrap();
    assert_eq!((last.action.as_str(), last.result.as_str()), ("backup-restore", "ok"));
    assert_eq!(last.detail["audit"]["row"], rows.len() - 2, "it says with which row the backup ended: {}", last.detail);
    assert_eq!(rows[rows.len() - 2].action, "segment-begin", "what was written after the backup is lost, not cut off");
    assert_eq!(fresh.backup_standing().await.unwrap().lacks, 0, "what was restored is in that backup");
    let again = bench.open_at("fresh", &vault);
    assert_eq!(again.database().vault_id(), fresh.database().vault_id(), "it is on the disk");
    assert_eq!(again.find_credential("deploy").await.unwrap().name, "deploy");
    bench_can_go_on(&fresh).await;
}

/// What was restored is worked with like any other vault.
async fn bench_can_go_on(keywheel: &Keywheel) {
    keywheel.add_device(NewDevice::new("web-2", "10.0.0.2")).await.unwrap();
    let device = keywheel.find_device("web-2").await.unwrap();
    let key = PrivateKey::generate(Algorithm::Ed25519, "").unwrap();
    let added = NewCredential::new("after", "after", device.id, NewSecret::Generated(key));
    let added = keywheel.add_credential(added).await.unwrap();
    let item = &added.current_key().unwrap().item;
    assert!(item.as_str().starts_with(keywheel.database().vault_id().as_ref()), "{item} is of the vault before");
}

#[tokio::test]
async fn a_data_directory_that_another_program_has_open_does_not_become_another_vault() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let vault = MemoryVault::new();
    let fresh = bench.open_at("fresh", &vault);
    let other = bench.open_at("fresh", &vault);
    other.database().read(|conn| Ok::<_, Error>(conn.query_row("SELECT 1 FROM vault", [], |_| Ok(()))?)).unwrap();
    let error = restore(&fresh, &created.file).await.unwrap_err();
    assert_eq!(error.code(), "database-locked", "it would store keys under the name of the vault before");
    drop(other);
    restore(&fresh, &created.file).await.unwrap();
}

#[tokio::test]
async fn a_lost_keyring_is_filled_again_and_the_catalogue_stays() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let empty = MemoryVault::new();
    let after = bench.open_at("data", &empty);
    let before = after.find_credential("deploy").await.unwrap();
    let opened = after.open_backup(&created.file, unlock()).await.unwrap();
    assert_eq!(opened.preview().into, Target::Same);
    assert_eq!(names(&opened.preview().credentials), [("deploy", Comparison::Same), ("root", Comparison::Same)]);
    assert_eq!(opened.preview().secrets.new, 2);
    let restored = after.restore_backup(opened).await.unwrap();
    assert_eq!((restored.credentials, restored.secrets), (0, 2));
    assert_eq!(after.find_credential("deploy").await.unwrap(), before);
    assert_eq!(secret_of(&after, "deploy").await, secret_of(&bench.keywheel, "deploy").await);
    let again = restore(&after, &created.file).await.unwrap();
    assert_eq!(again.secrets, 0, "it can be repeated");
}

#[tokio::test]
async fn a_credential_that_has_gone_on_keeps_its_newer_key() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    bench.next_key("deploy").await;
    let newer = secret_of(&bench.keywheel, "deploy").await;
    let opened = bench.keywheel.open_backup(&created.file, unlock()).await.unwrap();
    let gone_on = NewerHere { credential: "deploy".to_owned(), here: 2, backup: 1 };
    assert_eq!(opened.preview().newer_here, std::slice::from_ref(&gone_on));
    bench.keywheel.restore_backup(opened).await.unwrap();
    assert_eq!(secret_of(&bench.keywheel, "deploy").await, newer, "the devices know only this key");
    assert_eq!(bench.keywheel.find_credential("deploy").await.unwrap().current_key().unwrap().version, 2);

    // The database is lost, the keyring is not.
    let fresh = bench.open_at("fresh", &bench.vault);
    let opened = fresh.open_backup(&created.file, unlock()).await.unwrap();
    assert_eq!(opened.preview().newer_here, [gone_on]);
    fresh.restore_backup(opened).await.unwrap();
    let credential = fresh.find_credential("deploy").await.unwrap();
    let states: Vec<_> = credential.key_versions.iter().map(|known| (known.version, known.state)).collect();
    assert_eq!(
        states,
        [(1, VersionState::Current), (2, VersionState::Retired)],
        "the next change enters with whichever the devices accept, so it must be known"
    );
}

#[tokio::test]
async fn an_older_database_gets_the_credentials_and_keys_that_it_lacks() {
    let bench = Bench::new().await;
    bench.backup("old.age").await;
    bench.next_key("deploy").await;
    let device = bench.keywheel.add_device(NewDevice::new("db-1", "10.0.0.9")).await.unwrap();
    bench.key("late", device.id).await;
    let created = bench.backup("new.age").await;

    let vault = MemoryVault::new();
    let older = bench.open_at("older", &vault);
    restore(&older, &bench.path("old.age")).await.unwrap();
    let opened = older.open_backup(&created.file, unlock()).await.unwrap();
    let preview = opened.preview();
    assert_eq!(names(&preview.devices), [("web-1", Comparison::Same), ("db-1", Comparison::New)]);
    assert_eq!(preview.key_versions, 1);
    let restored = older.restore_backup(opened).await.unwrap();
    assert_eq!((restored.devices, restored.credentials, restored.key_versions), (1, 1, 1));
    assert_eq!(secret_of(&older, "late").await, secret_of(&bench.keywheel, "late").await);
    let late = older.find_credential("late").await.unwrap();
    assert_eq!(late, bench.keywheel.find_credential("late").await.unwrap());
    let deploy = older.find_credential("deploy").await.unwrap();
    assert_eq!(deploy.key_versions.len(), 2, "the key that the devices may know by now");
    assert!(vault.read(&deploy.key_versions[1].item).await.unwrap().is_some());
    let violations: i64 = older
        .database()
        .read(|conn| {
            Ok::<_, Error>(conn.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(violations, 0);
}

#[tokio::test]
async fn a_thing_that_differs_stays_as_it_is_here() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let device = bench.keywheel.find_device("web-1").await.unwrap();
    bench
        .keywheel
        .database()
        .write(|tx| -> Result<(), Error> {
            tx.execute("UPDATE device SET address = '10.9.9.9' WHERE id = ?1", [device.id])?;
            Ok(())
        })
        .unwrap();
    bench.keywheel.add_device(NewDevice::new("only", "10.0.0.3")).await.unwrap();
    let opened = bench.keywheel.open_backup(&created.file, unlock()).await.unwrap();
    let said = names(&opened.preview().devices);
    assert_eq!(said, [("web-1", Comparison::Differs), ("only", Comparison::OnlyHere)]);
    bench.keywheel.restore_backup(opened).await.unwrap();
    assert_eq!(bench.keywheel.find_device("web-1").await.unwrap().address, "10.9.9.9");
}

#[tokio::test]
async fn another_vault_is_refused_and_told_why() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let other = Bench::new().await;
    let error = other.keywheel.open_backup(&created.file, unlock()).await.unwrap_err();
    assert_eq!(error.code(), "other-vault");
    assert!(error.hint().contains("--data-dir"));
}

#[tokio::test]
async fn a_keyring_item_that_differs_is_named_and_nothing_is_changed() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let vault = MemoryVault::new();
    let item = bench.keywheel.find_credential("root").await.unwrap().current_password().unwrap().item.clone();
    vault.store(&item, b"another").await.unwrap();
    let fresh = bench.open_at("fresh", &vault);
    let error = fresh.open_backup(&created.file, unlock()).await.unwrap_err();
    assert_eq!((error.code(), error.subject().as_deref()), ("keyring-item-differs", Some("root")));
    assert!(error.to_string().contains(item.as_str()));
    assert_eq!(vault.names(), [item], "nothing was stored before all was compared");
}

#[tokio::test]
async fn a_key_that_was_destroyed_since_does_not_come_back() {
    let bench = Bench::new().await;
    bench.next_key("deploy").await;
    let created = bench.backup("one.age").await;
    let credential = bench.keywheel.find_credential("deploy").await.unwrap();
    let first = credential.key_versions[0].item.clone();
    bench.vault.remove(&first).await.unwrap();
    let now = bench.keywheel.now();
    bench.keywheel.database().write(|tx| key_version::destroyed(tx, credential.id, 1, now)).unwrap();
    let restored = restore(&bench.keywheel, &created.file).await.unwrap();
    assert_eq!(restored.secrets, 0);
    assert!(!bench.vault.names().contains(&first), "it was destroyed on purpose");
}

#[tokio::test]
async fn a_restore_that_breaks_off_is_repeated() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let vault = MemoryVault::new();
    let fresh = bench.open_at("fresh", &vault);
    let opened = fresh.open_backup(&created.file, unlock()).await.unwrap();
    vault.set_fault(Some(Fault::LosesTheAnswer));
    let error = fresh.restore_backup(opened).await.unwrap_err();
    assert_eq!(error.code(), "keyring-timeout");
    assert_eq!(vault.names().len(), 1, "the first one was stored");
    assert!(fresh.find_credential("deploy").await.is_err(), "the catalogue comes last");
    vault.set_fault(None);
    restore(&fresh, &created.file).await.unwrap();
    assert_eq!(vault.names().len(), 2);
    assert_eq!(secret_of(&fresh, "deploy").await, secret_of(&bench.keywheel, "deploy").await);
}

#[tokio::test]
async fn a_keyring_that_fails_leaves_no_file() {
    let bench = Bench::new().await;
    bench.vault.set_fault(Some(Fault::Locked));
    let error = bench.keywheel.create_backup(&bench.path("one.age"), lock()).await.unwrap_err();
    assert_eq!(error.code(), "keyring-locked");
    bench.vault.set_fault(None);
    let item = bench.keywheel.find_credential("deploy").await.unwrap().current_key().unwrap().item.clone();
    bench.vault.remove(&item).await.unwrap();
    let created = bench.backup("two.age").await;
    assert_eq!((created.missing, created.secrets), (vec!["deploy".to_owned()], 1), "what it lacks is said");
    let left: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the data directory and one backup: {left:?}");
    let standing = bench.keywheel.backup_standing().await.unwrap();
    assert_eq!(standing.lacks, 1);
}

#[tokio::test]
async fn the_newest_backup_says_what_it_lacks() {
    let bench = Bench::new().await;
    let standing = bench.keywheel.backup_standing().await.unwrap();
    assert_eq!((standing.last, standing.lacks), (None, 2));
    let created = bench.backup("one.age").await;
    let standing = bench.keywheel.backup_standing().await.unwrap();
    assert_eq!((standing.path, standing.lacks), (Some(created.file), 0));
    bench.next_key("deploy").await;
    assert_eq!(bench.keywheel.backup_standing().await.unwrap().lacks, 1);
}

#[tokio::test]
async fn with_a_recipient_and_a_folder_a_backup_follows_each_new_credential() {
    let bench = Bench::new().await;
    let identity = age::x25519::Identity::generate();
    let folder = bench.path("backups");
    bench.keywheel.set_setting("backup-recipient", &identity.to_public().to_string()).await.unwrap();
    bench.keywheel.set_setting("backup-folder", &folder.display().to_string()).await.unwrap();

    // The folder is on a disk that is not there: the credential is added all the same.
    let device = DeviceId(1);
    bench.key("first", device).await;
    let standing = bench.keywheel.backup_standing().await.unwrap();
    assert!(standing.automatic);
    assert_eq!(standing.failed.unwrap().code, "file-not-written");
    let rows = bench.keywheel.audit_rows(Default::default()).await.unwrap();
    let last = rows.last().unwrap();
    assert_eq!((last.action.as_str(), last.result.as_str()), ("backup-create", "failed"));

    fs::create_dir(&folder).unwrap();
    for number in 0..12 {
        bench.clock.pass(jiff::SignedDuration::from_secs(1));
        bench.key(&format!("key-{number}"), device).await;
    }
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 10, "the last ten are kept: {files:?}");
    let standing = bench.keywheel.backup_standing().await.unwrap();
    assert_eq!((standing.lacks, standing.failed), (0, None));

    let text = {
        use age::secrecy::ExposeSecret as _;
        identity.to_string().expose_secret().to_owned()
    };
    let fresh = bench.open_at("fresh", &MemoryVault::new());
    let unlock = Unlock::Identities(Identities::from_text(&text).unwrap());
    let opened = fresh.open_backup(&standing.path.unwrap(), unlock).await.unwrap();
    let restored = fresh.restore_backup(opened).await.unwrap();
    assert_eq!(restored.credentials, 15);
    assert_eq!(secret_of(&fresh, "key-11").await, secret_of(&bench.keywheel, "key-11").await);
}

#[tokio::test]
async fn a_backup_never_takes_the_name_of_a_file() {
    let bench = Bench::new().await;
    fs::write(bench.path("mine"), b"mine").unwrap();
    let error = bench.keywheel.create_backup(&bench.path("mine"), lock()).await.unwrap_err();
    assert_eq!(error.code(), "file-exists");
    assert_eq!(fs::read(bench.path("mine")).unwrap(), b"mine");
    let short = Lock::Passphrase(SecretString::from("short"));
    let error = bench.keywheel.create_backup(&bench.path("new"), short).await.unwrap_err();
    assert_eq!(error.code(), "passphrase-short");
    assert!(!bench.path("new").exists());
    assert_eq!(bench.keywheel.backup_standing().await.unwrap().failed, None, "it was told to whoever asked");
}

#[tokio::test]
async fn a_backup_of_a_newer_version_is_refused() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let copy = create::Copy::new(bench.path("copy.db"));
    let read::Contents { mut manifest, .. } = read::read(&created.file, &unlock(), &copy).unwrap();
    manifest.format += 1;
    let path = bench.path("newer.age");
    let file = crate::private_file::new(&path).unwrap();
    file::seal(&file, &lock(), |sink| {
        let mut archive = archive::Writer::new(sink, 0);
        archive.file(manifest::MANIFEST, &serde_json::to_vec(&manifest).unwrap())?;
        archive.finish()
    })
    .unwrap();
    let fresh = bench.open_at("fresh", &MemoryVault::new());
    assert_eq!(fresh.open_backup(&path, unlock()).await.unwrap_err().code(), "backup-newer");
}

#[tokio::test]
async fn nothing_of_an_opened_backup_is_left_when_it_is_dropped() {
    let bench = Bench::new().await;
    let created = bench.backup("one.age").await;
    let fresh = bench.open_at("fresh", &MemoryVault::new());
    let copy = bench.path("fresh/keywheel-restore.db");
    let opened = fresh.open_backup(&created.file, unlock()).await.unwrap();
    assert!(copy.exists());
    let second = fresh.open_backup(&created.file, unlock()).await.unwrap_err();
    assert_eq!(second.code(), "backup-busy", "two would take each other's database away");
    drop(opened);
    assert!(!copy.exists());
    assert!(!bench.path("data/keywheel-backup.db").exists());
}
