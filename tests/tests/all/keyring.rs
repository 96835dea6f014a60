//! The vault in a real Secret Service.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows test functions, but not what they call")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keywheel_core::error::Explain;
use keywheel_core::vault::{AnchorName, ItemName, ItemVersion, OsKeyring, Vault};
use keywheel_fleet::keyring::{PrivateKeyring, Start};

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("kw").tempdir_in("/tmp").unwrap()
}

fn name(vault: &str) -> ItemName {
    ItemName::new(vault, 1, 1, "SHA256:ab/cd+ef")
}

fn open(keyring: &PrivateKeyring) -> OsKeyring {
    OsKeyring::open_at(&keyring.address())
}

#[tokio::test]
async fn stores_reads_and_removes_in_a_real_keyring() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.check().await.unwrap();
    assert!(vault.read(&name("a")).await.unwrap().is_none(), "a missing item is not an error");

    vault.store(&name("a"), b"private").await.unwrap();
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"private");
    let items = keyring.items().unwrap();
    assert_eq!(items.len(), 1, "one secret is one item: {items:?}");
    assert_eq!(items[0].label, "Keywheel: a/1/1/SHA256:ab/cd+ef", "a person could not tell what the item is");
    assert_eq!(items[0].name, name("a").to_string());

    vault.remove(&name("a")).await.unwrap();
    vault.remove(&name("a")).await.unwrap();
    assert!(vault.read(&name("a")).await.unwrap().is_none());
    assert_eq!(keyring.items().unwrap(), [], "a removed item must be gone from the keyring");
}

#[tokio::test]
async fn an_anchor_takes_the_place_of_the_one_before_and_touches_no_other_item() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"a key").await.unwrap();
    let (anchor, other) = (AnchorName::new("a"), AnchorName::new("b"));
    for text in [b"1 x".as_slice(), b"2 y", b"2 y"] {
        vault.replace(&anchor, text).await.unwrap();
        // Two items of one name would be ambiguous.
        assert_eq!(vault.read(anchor.item()).await.unwrap().unwrap().as_slice(), text);
    }
    vault.replace(&other, b"9 z").await.unwrap();
    assert_eq!(vault.read(anchor.item()).await.unwrap().unwrap().as_slice(), b"2 y");
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"a key", "a key was replaced");
    keyring.lock().unwrap();
    assert_eq!(vault.replace(&anchor, b"3 z").await.unwrap_err().code(), "keyring-locked");
    keyring.unlock().unwrap();
    assert_eq!(vault.read(anchor.item()).await.unwrap().unwrap().as_slice(), b"2 y");
}

#[tokio::test]
async fn never_overwrites_an_item_that_is_there() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"the only key that logs in").await.unwrap();
    for secret in [b"another".as_slice(), b"the only key that logs in"] {
        let error = vault.store(&name("a"), secret).await.unwrap_err();
        assert_eq!(error.code(), "keyring-item-exists", "{error:?}");
    }
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"the only key that logs in");
    assert_eq!(keyring.items().unwrap().len(), 1, "a refused item must leave nothing behind");
}

#[tokio::test]
async fn finds_the_items_of_one_version_without_their_fingerprints() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    let other = ItemName::new("a", 1, 1, "SHA256:another");
    for name in [&name("a"), &other, &name("b"), &ItemName::new("a", 1, 11, "SHA256:x")] {
        vault.store(name, b"private").await.unwrap();
    }
    assert_eq!(vault.find(&name("a").version()).await.unwrap(), [name("a"), other], "of this vault and this version");
    assert_eq!(vault.find(&ItemVersion::new("a", 1, 2)).await.unwrap(), []);

    keyring.lock().unwrap();
    for version in [1, 2] {
        let error = vault.find(&ItemVersion::new("a", 1, version)).await.unwrap_err();
        assert_eq!(error.code(), "keyring-locked", "a locked keyring must not be taken for an empty one");
    }
}

#[tokio::test]
async fn of_many_that_store_one_name_at_once_at_most_one_succeeds() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let tasks: Vec<_> = (0..8_u8)
        .map(|n| {
            let vault = open(&keyring);
            tokio::spawn(async move { (n, vault.store(&name("a"), &[n; 40]).await) })
        })
        .collect();
    let mut stored = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (n, Ok(())) => stored.push(n),
            (_, Err(error)) => assert_eq!(error.code(), "keyring-item-exists", "{error:?}"),
        }
    }
    assert!(stored.len() <= 1, "{stored:?} were all told that their key is kept");
    let kept = open(&keyring).read(&name("a")).await.unwrap();
    assert_eq!(kept.map(|kept| kept.to_vec()), stored.first().map(|n| vec![*n; 40]), "the wrong key is kept");
}

#[tokio::test]
async fn a_locked_keyring_is_told_at_once_and_not_taken_for_an_empty_one() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"private").await.unwrap();
    keyring.lock().unwrap();

    let begun = Instant::now();
    assert_eq!(vault.check().await.unwrap_err().code(), "keyring-locked");
    assert_eq!(vault.read(&name("a")).await.unwrap_err().code(), "keyring-locked");
    assert_eq!(vault.read(&name("b")).await.unwrap_err().code(), "keyring-locked", "it may be there all the same");
    assert_eq!(vault.store(&name("a"), b"x").await.unwrap_err().code(), "keyring-locked");
    assert_eq!(vault.store(&name("b"), b"x").await.unwrap_err().code(), "keyring-locked");
    assert_eq!(vault.remove(&name("a")).await.unwrap_err().code(), "keyring-locked");
    assert_eq!(vault.remove(&name("b")).await.unwrap_err().code(), "keyring-locked");
    assert!(begun.elapsed() < Duration::from_secs(5), "seven answers took {:?}", begun.elapsed());

    keyring.unlock().unwrap();
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"private");
    assert_eq!(keyring.items().unwrap().len(), 1, "a locked keyring must stay as it was");
}

#[tokio::test]
async fn a_keyring_that_was_never_unlocked_since_the_login_is_locked_and_keeps_its_items() {
    let (first, second) = (folder(), folder());
    let keyring = PrivateKeyring::start(first.path()).unwrap();
    open(&keyring).store(&name("a"), b"private").await.unwrap();

    let locked = PrivateKeyring::start_with(second.path(), Some(&keyring.files()), Start::Locked).unwrap();
    let vault = open(&locked);
    for name in [name("a"), name("b")] {
        assert_eq!(vault.read(&name).await.unwrap_err().code(), "keyring-locked", "{name}");
    }
    locked.unlock().unwrap();
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"private");
}

#[tokio::test]
async fn without_a_session_bus_or_a_service_on_it_the_keyring_is_missing() {
    let folder = folder();
    let nowhere = OsKeyring::open_at(&format!("unix:path={}", folder.path().join("none").display()));
    for address in ["", "nonsense", "unix:path=/dev/null"] {
        let error = OsKeyring::open_at(address).check().await.unwrap_err();
        assert_eq!(error.code(), "keyring-missing", "{address:?}: {error:?}");
    }
    assert_eq!(nowhere.check().await.unwrap_err().code(), "keyring-missing");
    assert_eq!(nowhere.read(&name("a")).await.unwrap_err().code(), "keyring-missing");
    assert_eq!(nowhere.store(&name("a"), b"x").await.unwrap_err().code(), "keyring-missing");
    assert_eq!(nowhere.remove(&name("a")).await.unwrap_err().code(), "keyring-missing");

    let mut bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", "--print-address=1"])
        .arg(format!("--address=unix:path={}", folder.path().join("bus").display()))
        .env("XDG_DATA_DIRS", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let error = OsKeyring::open_at(address.trim()).check().await.unwrap_err();
    bus.kill().unwrap();
    bus.wait().unwrap();
    assert_eq!(error.code(), "keyring-missing", "a bus without a Secret Service: {error:?}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_in_time() {
    let folder = folder();
    // It takes connections and never says a word.
    let _silent = std::os::unix::net::UnixListener::bind(folder.path().join("bus")).unwrap();
    let vault = OsKeyring::open_at(&format!("unix:path={}", folder.path().join("bus").display()))
        .with_limit(Duration::from_millis(300));
    let begun = Instant::now();
    assert_eq!(vault.read(&name("a")).await.unwrap_err().code(), "keyring-timeout");
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn two_vaults_never_see_each_others_items() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"of a").await.unwrap();
    assert!(vault.read(&name("b")).await.unwrap().is_none(), "b sees a's key");
    vault.store(&name("b"), b"of b").await.unwrap();
    vault.remove(&name("a")).await.unwrap();
    assert_eq!(vault.read(&name("b")).await.unwrap().unwrap().as_slice(), b"of b", "removing a's key took b's");
}

#[tokio::test]
async fn any_bytes_come_back_unchanged() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    let every: Vec<u8> = (0..=255).collect();
    let long: Vec<u8> = every.iter().copied().cycle().take(2_400).collect();
    for (version, secret) in [&b""[..], b"\0", b"a\0b\0", b"\n", &every, &long].into_iter().enumerate() {
        let name = ItemName::new("a", 1, u32::try_from(version).unwrap(), "SHA256:x");
        vault.store(&name, secret).await.unwrap();
        assert_eq!(vault.read(&name).await.unwrap().unwrap().as_slice(), secret, "secret {version}");
    }
}

#[tokio::test]
async fn an_item_that_keywheel_did_not_write_is_not_taken_for_a_key() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"private").await.unwrap();
    let connection = zbus_session(&keyring).await;
    let collection = connection.get_default_collection().await.unwrap();
    let attributes = |name: &str| [("service", "keywheel".to_owned()), ("username", name.to_owned())];
    for (vault, text) in [("a", "cHJpdmF0ZQ=="), ("a", "b3RoZXI="), ("b", "not base64")] {
        let name = name(vault).to_string();
        let attributes = attributes(&name);
        let attributes = attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
        collection.create_item("x", attributes, text.as_bytes(), false, "text/plain").await.unwrap();
    }
    assert_eq!(vault.read(&name("a")).await.unwrap_err().code(), "keyring-mismatch", "which of the two is the key?");
    assert_eq!(vault.read(&name("b")).await.unwrap_err().code(), "keyring-mismatch");
    assert_eq!(vault.store(&name("b"), b"x").await.unwrap_err().code(), "keyring-item-exists");
    vault.remove(&name("a")).await.unwrap();
    assert!(vault.read(&name("a")).await.unwrap().is_none(), "all items of a destroyed name must go");
}

async fn zbus_session(keyring: &PrivateKeyring) -> secret_service::SecretService<'static> {
    let connection = zbus::connection::Builder::address(keyring.address().as_str()).unwrap().build().await.unwrap();
    secret_service::SecretService::connect_with_existing(secret_service::EncryptionType::Plain, connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_operations_share_one_connection_which_is_renewed_in_time() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let before = keyring.connections().unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"private").await.unwrap();
    // More than one connection serves.
    for _ in 0..100 {
        vault.read(&name("a")).await.unwrap().unwrap();
    }
    let made = keyring.connections().unwrap() - before - 1;
    assert_eq!(made, 2, "each connection that comes or goes may cost the keyring its life");
}

#[tokio::test]
async fn a_keyring_that_falls_over_is_started_again_with_what_it_held() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    let vault = open(&keyring);
    vault.store(&name("a"), b"private").await.unwrap();
    keyring.fell().unwrap();
    while keyring.falls() == 0 {
        tokio::task::yield_now().await;
    }
    keyring.wait().unwrap();
    assert_eq!(vault.read(&name("a")).await.unwrap().unwrap().as_slice(), b"private", "the vault asks the new one");
}

#[test]
fn a_dropped_keyring_leaves_no_process_and_no_file() {
    let folder = folder();
    let keyring = PrivateKeyring::start(folder.path()).unwrap();
    assert!(processes_that_name(folder.path()) >= 3, "the look for processes finds none");
    drop(keyring);
    assert_eq!(processes_that_name(folder.path()), 0, "a daemon survived");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files or sockets survived");
}

#[test]
fn a_killed_program_takes_its_keyring_with_it() {
    const FOLDER: &str = "KEYWHEEL_TEST_KEYRING_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let _keyring = PrivateKeyring::start(Path::new(&folder)).unwrap();
        println!("up");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let folder = folder();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keyring::a_killed_program_takes_its_keyring_with_it", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("up")), "the keyring did not come up");
    assert!(processes_that_name(folder.path()) >= 3, "the look for processes finds none");
    program.kill().unwrap();
    program.wait().unwrap();
    let begun = Instant::now();
    let left = || processes_that_name(folder.path()) + std::fs::read_dir(folder.path()).unwrap().count();
    while left() > 0 && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), 0, "daemons or files outlive a killed program");
}

/// Counts the processes whose command line or environment names a folder.
fn processes_that_name(folder: &Path) -> usize {
    let needle = folder.join("k").into_os_string().into_encoded_bytes();
    let names = |file: std::path::PathBuf| {
        std::fs::read(file).is_ok_and(|text| text.windows(needle.len()).any(|window| window == needle))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|process| names(process.join("cmdline")) || names(process.join("environ")))
        .count()
}
