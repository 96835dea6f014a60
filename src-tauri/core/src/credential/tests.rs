use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::catalogue::VersionState;
use crate::catalogue::key_version::Happening;
use crate::catalogue::{Kind, credential::order_of_change};
use crate::device::{EditDevice, NewDevice};
use crate::error::{Class, Explain};
use crate::key::Algorithm;
use crate::keywheel::testing::{SetClock, with_parts};
use crate::person::{EditPerson, NewPerson};
use crate::vault::{Fault, MemoryVault, Vault};

struct Bench {
    keywheel: Keywheel,
    vault: MemoryVault,
    clock: Arc<SetClock>,
    devices: Vec<DeviceId>,
    dir: TempDir,
}

/// A Keywheel with five devices.
async fn bench() -> Bench {
    let (keywheel, dir, vault, clock) = with_parts();
    let mut devices = Vec::new();
    for number in 1..=5 {
        let new = NewDevice::new(format!("web-{number}"), format!("10.0.0.{number}"));
        devices.push(keywheel.add_device(new).await.unwrap().id);
    }
    Bench { keywheel, vault, clock, devices, dir }
}

impl Bench {
    fn new_key(&self, name: &str) -> NewCredential {
        let mut new = NewCredential::new(name, "deploy", self.devices[2], NewSecret::Generated(key()));
        new.devices = vec![self.devices[4], self.devices[0]];
        new
    }

    fn new_password(&self, name: &str) -> NewCredential {
        NewCredential::new(name, "root", self.devices[0], NewSecret::Password(SecretString::from("hunter2 marked")))
    }

    async fn add(&self, name: &str) -> Credential {
        self.keywheel.add_credential(self.new_key(name)).await.unwrap()
    }

    fn note(&self, id: CredentialId, device: DeviceId, happening: Happening) {
        let now = self.keywheel.now();
        self.keywheel.database().write(|tx| key_version::note(tx, id, 1, device, happening, now)).unwrap();
    }

    async fn last_row(&self) -> crate::audit::Record {
        self.keywheel.audit_rows(Default::default()).await.unwrap().pop().unwrap()
    }

    async fn set_password(&self, id: CredentialId, password: &str) -> Result<Credential, Error> {
        let (edit, password) = (EditCredential::default(), SecretString::from(password));
        self.keywheel.save_credential(id, edit, Standing::Refuse, Some(password)).await
    }

    async fn edit(&self, id: CredentialId, edit: EditCredential) -> Result<Credential, Error> {
        self.keywheel.edit_credential(id, edit, Standing::Refuse).await
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519, "deploy@keywheel").unwrap()
}

#[tokio::test]
async fn a_key_is_in_the_keyring_and_current_when_it_is_added() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    assert_eq!(added.devices_in_order(), [bench.devices[2], bench.devices[0], bench.devices[4]]);
    let version = added.current_key().unwrap();
    assert_eq!((version.version, version.state), (1, VersionState::Current));
    let vault_id = bench.keywheel.database().vault_id();
    assert_eq!(version.item.to_string(), format!("{vault_id}/1/1/{}", version.fingerprint()));
    assert_eq!(bench.vault.names(), std::slice::from_ref(&version.item));
    let key = bench.keywheel.read_current_key(&added).await.unwrap();
    assert_eq!(key.public_key().blob(), version.public_key.blob());
    assert_eq!(
        bench.keywheel.credentials().await.unwrap(),
        std::slice::from_ref(&added),
        "list and look-up must agree"
    );
    assert_eq!(bench.keywheel.find_credential("deploy").await.unwrap(), added);
    assert_eq!(bench.keywheel.find_policy("Standard").await.unwrap().id, added.policy);
}

#[tokio::test]
async fn nothing_is_added_when_the_vault_can_not_be_used() {
    for fault in [Fault::Locked, Fault::Missing, Fault::Failing, Fault::Lies, Fault::LosesTheAnswer] {
        let bench = bench().await;
        bench.vault.set_fault(Some(fault));
        let error = bench.keywheel.add_credential(bench.new_key("deploy")).await.unwrap_err();
        assert_eq!(error.class(), Class::Unusable, "{fault:?}");
        assert_eq!(bench.keywheel.credentials().await.unwrap(), [], "{fault:?}: a false success");
        bench.vault.set_fault(None);
        bench.keywheel.add_credential(bench.new_key("deploy")).await.unwrap();
        bench.clock.pass(SignedDuration::from_hours(1));
        bench.add("other").await;
        assert_eq!(bench.vault.names().len(), 2, "{fault:?}: an item is left over for ever");
    }
}

#[tokio::test]
async fn refuses_bad_fields_before_the_keyring_is_written_to() {
    let bench = bench().await;
    bench.add("taken").await;
    let active = |active| NewPerson { name: "Ana".to_owned(), email: String::new(), active };
    let inactive = bench.keywheel.add_person(active(false)).await.unwrap().id;
    type Spoil = Box<dyn Fn(&mut NewCredential)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("name-empty", Box::new(|new| new.name.clear())),
        ("name-digits", Box::new(|new| new.name = "42".to_owned())),
        ("name-taken", Box::new(|new| new.name = "taken".to_owned())),
        ("bad-username", Box::new(|new| new.username = "-x".to_owned())),
        ("bad-tag", Box::new(|new| new.tags = vec![String::new()])),
        ("unknown-name", Box::new(|new| new.original_device = DeviceId(99))),
        ("unknown-name", Box::new(|new| new.devices.push(DeviceId(99)))),
        ("unknown-name", Box::new(|new| new.policy = Some(PolicyId(99)))),
        ("unknown-name", Box::new(|new| new.owner = Some(PersonId(99)))),
        ("bad-hand-over", Box::new(move |new| new.owner = Some(inactive))),
        ("authentication-missing", Box::new(|new| new.automatic.change = true)),
        ("authentication-unused", Box::new(|new| new.automatic.use_itself = true)),
        ("authentication-unused", Box::new(|new| new.automatic.auth_with = Some(CredentialId(1)))),
        (
            "authentication-twice",
            Box::new(|new| {
                new.automatic = Automatic { change: true, use_itself: true, auth_with: Some(CredentialId(1)) };
            }),
        ),
        (
            "unknown-name",
            Box::new(|new| {
                new.automatic = Automatic { change: true, use_itself: false, auth_with: Some(CredentialId(99)) };
            }),
        ),
    ];
    for (code, spoil) in cases {
        let mut new = bench.new_key("deploy");
        spoil(&mut new);
        let error = bench.keywheel.add_credential(new).await.unwrap_err();
        assert_eq!((error.code(), error.class()), (code, Class::BadInput), "{error}");
        assert_eq!(bench.vault.names().len(), 1, "{code}");
        assert_eq!(bench.last_row().await.code.as_deref(), Some(code), "the refusal must be on record");
    }
    assert_eq!(CatalogueError::AuthenticationMissing.to_string(), "Choose a credential, or use the key itself.");
}

#[tokio::test]
async fn a_password_is_stored_replaced_and_never_changed_by_itself() {
    let bench = bench().await;
    let added = bench.keywheel.add_credential(bench.new_password("admin")).await.unwrap();
    assert_eq!((added.kind, added.key_versions.len()), (Kind::Password, 0));
    assert_eq!(bench.keywheel.read_password(&added).await.unwrap().as_slice(), b"hunter2 marked");
    assert_eq!(bench.keywheel.read_current_key(&added).await.unwrap_err().code(), "wrong-kind");

    let replaced = bench.set_password(added.id, "second").await.unwrap();
    assert_eq!(bench.keywheel.read_password(&replaced).await.unwrap().as_slice(), b"second");
    assert_eq!(bench.vault.names(), [replaced.current_password().unwrap().item.clone()], "the old one must be gone");

    bench.vault.set_fault(Some(Fault::Failing));
    assert!(bench.set_password(added.id, "third").await.is_err());
    bench.vault.set_fault(None);
    let kept = bench.keywheel.credential(added.id).await.unwrap();
    assert_eq!(bench.keywheel.read_password(&kept).await.unwrap().as_slice(), b"second", "the old one must stay");

    for text in ["", "a\nb", "a\0"] {
        let error = bench.set_password(added.id, text).await.unwrap_err();
        assert_eq!(error.code(), "bad-password");
    }
    let mut new = bench.new_password("other");
    new.automatic = Automatic { change: true, use_itself: true, auth_with: None };
    assert_eq!(bench.keywheel.add_credential(new).await.unwrap_err().code(), "password-never-changed");
    let automatic = Some(Automatic { change: true, use_itself: true, auth_with: None });
    let edit = EditCredential { automatic, ..EditCredential::default() };
    assert_eq!(bench.edit(added.id, edit).await.unwrap_err().code(), "password-never-changed");
}

#[tokio::test]
async fn a_form_and_its_password_are_saved_together_or_not_at_all() {
    let bench = bench().await;
    let taken = bench.keywheel.add_credential(bench.new_password("taken")).await.unwrap();
    let id = bench.keywheel.add_credential(bench.new_password("admin")).await.unwrap().id;
    let save = |name: &str, password: &str| {
        let edit = EditCredential { name: Some(name.to_owned()), ..EditCredential::default() };
        bench.keywheel.save_credential(id, edit, Standing::Refuse, Some(SecretString::from(password)))
    };
    let as_before = async || {
        let kept = bench.keywheel.credential(id).await.unwrap();
        assert_eq!(kept.name, "admin", "half of the form was saved");
        assert_eq!(bench.keywheel.read_password(&kept).await.unwrap().as_slice(), b"hunter2 marked");
        assert_eq!(bench.vault.names().len(), 2, "a password that nobody uses has stayed in the keyring");
    };
    assert_eq!(save("root", "a\nb").await.unwrap_err().code(), "bad-password");
    as_before().await;
    bench.vault.set_fault(Some(Fault::Failing));
    assert_eq!(save("root", "second").await.unwrap_err().code(), "keyring-failed");
    bench.vault.set_fault(None);
    as_before().await;
    assert_eq!(save("taken", "second").await.unwrap_err().code(), "name-taken");
    as_before().await;
    let rows = bench.keywheel.audit_rows(Default::default()).await.unwrap();
    assert!(rows.iter().any(|row| row.code.as_deref() == Some("name-taken")), "the refusal must be on record");

    let saved = save("root", "second").await.unwrap();
    assert_eq!(saved.name, "root");
    assert_eq!(bench.keywheel.read_password(&saved).await.unwrap().as_slice(), b"second");
    assert_eq!(bench.vault.names().len(), 2, "the one before must be gone");
    let rows = bench.keywheel.audit_rows(Default::default()).await.unwrap();
    for (action, subject) in [("credential-edit", "admin"), ("password-store", "root")] {
        let of = |row: &&crate::audit::Record| row.action == action && row.subject.as_deref() == Some(subject);
        let done = rows.iter().filter(of).filter(|row| row.code.is_none());
        assert_eq!(done.count(), 1, "{action}: both are on record, once");
    }
    bench.keywheel.remove_credential(taken.id, Standing::Refuse).await.unwrap();
}

#[tokio::test]
async fn no_secret_is_in_the_database_files_or_in_what_is_shown() {
    let bench = bench().await;
    let secret = key();
    let bytes = secret.to_secret_bytes();
    let mut new = bench.new_key("deploy");
    new.secret = NewSecret::Imported { key: secret, from: Some("/home/ana/.ssh/id".into()) };
    let shown = format!("{new:?}");
    bench.keywheel.add_credential(new).await.unwrap();
    bench.keywheel.add_credential(bench.new_password("admin")).await.unwrap();
    let shown = format!("{shown} {:?}", bench.keywheel.audit_rows(Default::default()).await.unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    // The private half stands in the last third of the OpenSSH format, after the public one.
    let private = &bytes[bytes.len() - 90..bytes.len() - 50];
    for entry in std::fs::read_dir(bench.keywheel.database().dir()).unwrap() {
        let path = entry.unwrap().path();
        let stored = std::fs::read(&path).unwrap();
        let holds = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(private) && !holds(b"hunter2"), "{} holds a secret", path.display());
    }
}

#[tokio::test]
async fn authentication_is_chosen_and_can_not_be_the_credential_itself() {
    let bench = bench().await;
    let admin = bench.keywheel.add_credential(bench.new_password("admin")).await.unwrap();
    let mut new = bench.new_key("deploy");
    new.automatic = Automatic { change: true, use_itself: false, auth_with: Some(admin.id) };
    let added = bench.keywheel.add_credential(new).await.unwrap();
    assert_eq!((added.automatic_change, added.authentication), (true, Authentication::Credential(admin.id)));
    let itself = Some(Automatic { change: true, use_itself: false, auth_with: Some(added.id) });
    let edit = EditCredential { automatic: itself, ..EditCredential::default() };
    assert_eq!(bench.edit(added.id, edit).await.unwrap_err().code(), "authentication-itself");

    let error = bench.keywheel.remove_credential(admin.id, Standing::Refuse).await.unwrap_err();
    assert_eq!(error.code(), "credential-used");
    assert!(error.to_string().contains("\"deploy\""), "{error}");
    let off = EditCredential { automatic: Some(Automatic::default()), ..EditCredential::default() };
    let edited = bench.edit(added.id, off).await.unwrap();
    assert_eq!((edited.automatic_change, edited.authentication), (false, Authentication::Itself));
    bench.keywheel.remove_credential(admin.id, Standing::Refuse).await.unwrap();
}

#[tokio::test]
async fn the_username_is_fixed_while_the_key_stands_on_a_device() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let rename = |to: &str| EditCredential { username: Some(to.to_owned()), ..EditCredential::default() };
    assert_eq!(bench.edit(added.id, rename("web")).await.unwrap().username, "web");
    bench.note(added.id, bench.devices[2], Happening::Accepted);
    let error = bench.edit(added.id, rename("other")).await.unwrap_err();
    assert_eq!(error.code(), "username-fixed");
    assert!(error.to_string().contains("\"web-3\""), "{error}");
    bench.edit(added.id, rename("web")).await.unwrap();
    bench.note(added.id, bench.devices[2], Happening::Refused);
    assert_eq!(bench.edit(added.id, rename("other")).await.unwrap().username, "other");
}

#[tokio::test]
async fn a_device_with_the_key_is_not_taken_off_by_mistake() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    bench.note(added.id, bench.devices[4], Happening::Installed);
    let fewer = || EditCredential { devices: Some(vec![bench.devices[0]]), ..EditCredential::default() };
    let error = bench.edit(added.id, fewer()).await.unwrap_err();
    assert_eq!(error.code(), "key-stands");
    assert_eq!(bench.keywheel.credential(added.id).await.unwrap().devices, added.devices);
    let edited = bench.keywheel.edit_credential(added.id, fewer(), Standing::LeaveThere).await.unwrap();
    assert_eq!(edited.devices_in_order(), [bench.devices[2], bench.devices[0]]);
    assert_eq!(bench.last_row().await.detail["key_left_on"], json!(["web-5"]));
    let known = bench.keywheel.installed(added.id).await.unwrap();
    assert!(known[0].stands(), "the key still stands there and must be known to");
}

#[tokio::test]
async fn a_new_original_device_joins_the_devices_and_comes_first() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let edit = EditCredential { original_device: Some(bench.devices[3]), ..EditCredential::default() };
    let edited = bench.edit(added.id, edit).await.unwrap();
    let [one, _, three, four, five] = bench.devices[..] else { panic!() };
    assert_eq!(edited.devices_in_order(), [four, one, three, five]);
}

#[tokio::test]
async fn a_device_or_person_that_is_needed_can_not_be_removed() {
    let bench = bench().await;
    let person = |name: &str| NewPerson { name: name.to_owned(), email: String::new(), active: true };
    let ana = bench.keywheel.add_person(person("Ana")).await.unwrap().id;
    let bea = bench.keywheel.add_person(person("Bea")).await.unwrap().id;
    let mut new = bench.new_key("deploy");
    new.owner = Some(ana);
    let added = bench.keywheel.add_credential(new).await.unwrap();
    for device in added.devices_in_order() {
        let error = bench.keywheel.remove_device(device).await.unwrap_err();
        assert_eq!(error.code(), "device-used");
        assert!(error.to_string().contains("\"deploy\""), "{error}");
    }
    let error = bench.keywheel.remove_person(ana, None).await.unwrap_err();
    assert_eq!(error.code(), "person-owns");
    assert!(error.to_string().contains("\"deploy\""), "{error}");
    assert_eq!(bench.keywheel.remove_person(ana, Some(ana)).await.unwrap_err().code(), "bad-hand-over");
    let inactive = EditPerson { active: Some(false), ..EditPerson::default() };
    bench.keywheel.edit_person(ana, inactive).await.unwrap();
    bench.keywheel.remove_person(ana, Some(bea)).await.unwrap();
    assert_eq!(bench.keywheel.credential(added.id).await.unwrap().owner, Some(bea));
    bench.keywheel.remove_credential(added.id, Standing::Refuse).await.unwrap();
    bench.keywheel.remove_person(bea, None).await.unwrap();
    bench.keywheel.remove_device(bench.devices[2]).await.unwrap();
}

#[tokio::test]
async fn removing_destroys_the_key_only_when_it_may_be_left_or_is_gone() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    bench.note(added.id, bench.devices[0], Happening::Accepted);
    let error = bench.keywheel.remove_credential(added.id, Standing::Refuse).await.unwrap_err();
    assert_eq!(error.code(), "key-stands");
    assert_eq!(bench.vault.names().len(), 1, "the only key that logs in is lost");

    bench.vault.set_fault(Some(Fault::Locked));
    let error = bench.keywheel.remove_credential(added.id, Standing::LeaveThere).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("keyring-locked", Class::Unusable));
    assert_eq!(bench.last_row().await.subject.as_deref(), Some("deploy"));
    bench.vault.set_fault(None);
    assert!(bench.keywheel.credential(added.id).await.unwrap().removed_at.is_none());

    let removed = bench.keywheel.remove_credential(added.id, Standing::LeaveThere).await.unwrap();
    assert_eq!(removed.left_on, ["web-1"]);
    assert_eq!(bench.vault.names(), []);
    let kept = bench.keywheel.credential(added.id).await.unwrap();
    assert_eq!(kept.key_versions[0].state, VersionState::Destroyed);
    assert!(bench.keywheel.installed(added.id).await.unwrap()[0].given_up_at.is_some());
    assert_eq!(bench.last_row().await.action, "key-destroy");
    assert_eq!(bench.keywheel.find_credential("deploy").await.unwrap_err().code(), "unknown-name");
    let again = bench.add("deploy").await;
    assert!(again.id > added.id, "a number must never be used twice");
}

#[tokio::test]
async fn a_secret_that_the_keyring_kept_is_destroyed_later() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    // The answer to the removal is lost, though the check before went well.
    bench.vault.set_fault(Some(Fault::LosesTheAnswer));
    let error = bench.keywheel.remove_credential(added.id, Standing::Refuse).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("secret-left", Class::Interrupted));
    assert_ne!(bench.keywheel.credential(added.id).await.unwrap().key_versions[0].state, VersionState::Destroyed);
    bench.vault.set_fault(None);
    bench.add("other").await;
    assert_eq!(bench.keywheel.credential(added.id).await.unwrap().key_versions[0].state, VersionState::Destroyed);
}

#[tokio::test]
async fn a_process_killed_while_adding_leaves_neither_a_credential_nor_an_item_for_ever() {
    let bench = bench().await;
    let new = bench.new_key("deploy");
    let NewSecret::Generated(secret) = &new.secret else { panic!() };
    let (bytes, public_key) = (secret.to_secret_bytes(), secret.public_key().clone());
    // What `add_credential` has done when it is killed between the keyring and the catalogue.
    let policy = bench.keywheel.find_policy("Standard").await.unwrap().id;
    let now = bench.keywheel.now();
    let draft = Credential {
        id: CredentialId(0),
        name: "deploy".to_owned(),
        kind: Kind::SshKey,
        username: "deploy".to_owned(),
        owner: None,
        original_device: bench.devices[0],
        devices: vec![bench.devices[0]],
        tags: Vec::new(),
        enabled: true,
        automatic_change: false,
        authentication: Authentication::Itself,
        policy,
        imported_from: None,
        key_versions: Vec::new(),
        passwords: Vec::new(),
        created: now,
        removed_at: None,
    };
    let keywheel = bench.keywheel.clone();
    let item = bench
        .keywheel
        .database()
        .write(|tx| -> Result<_, CatalogueError> {
            let id = credential::begin(tx, &draft)?;
            let item = keywheel.item_name(id, 1, public_key.fingerprint());
            key_version::insert_candidate(tx, id, 1, &public_key, &item, now)?;
            Ok(item)
        })
        .unwrap();
    bench.vault.store(&item, &bytes).await.unwrap();

    assert_eq!(bench.keywheel.credentials().await.unwrap(), [], "what was not finished must not be seen");
    let added = bench.add("deploy").await;
    assert_eq!(bench.vault.names().len(), 2, "somebody else may still be at it");
    bench.clock.pass(SignedDuration::from_mins(11));
    bench.add("other").await;
    assert!(!bench.vault.names().contains(&item), "the item would stay for ever");
    assert!(bench.vault.names().contains(&added.current_key().unwrap().item));
}

#[tokio::test]
async fn an_item_of_somebody_else_under_the_same_name_stays() {
    let bench = bench().await;
    let new = bench.new_key("deploy");
    let NewSecret::Generated(secret) = &new.secret else { panic!() };
    let item = bench.keywheel.item_name(CredentialId(1), 1, secret.public_key().fingerprint());
    bench.vault.store(&item, b"theirs").await.unwrap();
    assert_eq!(bench.keywheel.add_credential(new).await.unwrap_err().code(), "keyring-item-exists");
    assert_eq!(bench.vault.read(&item).await.unwrap().unwrap().as_slice(), b"theirs");
}

#[tokio::test]
async fn a_key_is_revealed_into_a_new_file_that_reads_back() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let plain = bench.dir.path().join("plain");
    bench.keywheel.reveal_key(added.id, &plain, None).await.unwrap();
    let read = PrivateKey::import(&std::fs::read(&plain).unwrap(), None).unwrap();
    assert_eq!(read.public_key().fingerprint(), added.current_key().unwrap().fingerprint());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&plain).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let row = bench.last_row().await;
    assert_eq!((row.action.as_str(), row.result.as_str()), ("key-reveal", "ok"));

    let encrypted = bench.dir.path().join("encrypted");
    bench.keywheel.reveal_key(added.id, &encrypted, Some(SecretString::from("open"))).await.unwrap();
    assert!(PrivateKey::import(&std::fs::read(&encrypted).unwrap(), None).is_err(), "the passphrase was dropped");
    PrivateKey::import(&std::fs::read(&encrypted).unwrap(), Some(&SecretString::from("open"))).unwrap();

    let before = std::fs::read(&plain).unwrap();
    assert_eq!(bench.keywheel.reveal_key(added.id, &plain, None).await.unwrap_err().code(), "file-exists");
    assert_eq!(std::fs::read(&plain).unwrap(), before);
    assert_eq!(bench.last_row().await.code.as_deref(), Some("file-exists"));
}

#[tokio::test]
async fn a_vault_that_lies_or_lost_the_key_is_found_out() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let other = bench.add("other").await;
    let version = added.current_key().unwrap();
    let wrong = bench.vault.read(&other.current_key().unwrap().item).await.unwrap().unwrap();
    bench.vault.remove(&version.item).await.unwrap();
    assert_eq!(bench.keywheel.read_key(&added, version).await.unwrap_err().code(), "secret-gone");
    bench.vault.store(&version.item, &wrong).await.unwrap();
    assert_eq!(bench.keywheel.read_key(&added, version).await.unwrap_err().code(), "secret-differs");
    bench.vault.remove(&version.item).await.unwrap();
    bench.vault.store(&version.item, b"no key").await.unwrap();
    assert_eq!(bench.keywheel.read_key(&added, version).await.unwrap_err().code(), "secret-unreadable");
}

#[tokio::test]
async fn a_key_that_another_credential_has_is_named() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let fingerprint = added.current_key().unwrap().fingerprint();
    let others = |but| bench.keywheel.others_with_key(fingerprint.clone(), but);
    assert_eq!(others(None).await.unwrap(), ["deploy"]);
    assert_eq!(others(Some(added.id)).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_view_has_the_shape_of_the_command_line() {
    let bench = bench().await;
    let ana = NewPerson { name: "Ana".to_owned(), email: String::new(), active: true };
    let mut new = bench.new_key("deploy");
    new.owner = Some(bench.keywheel.add_person(ana).await.unwrap().id);
    new.automatic = Automatic { change: true, use_itself: true, auth_with: None };
    let added = bench.keywheel.add_credential(new).await.unwrap();
    let version = added.current_key().unwrap();
    let view = bench.keywheel.credential_view(added.id).await.unwrap();
    assert_eq!(
        serde_json::to_value(&view).unwrap(),
        json!({
            "id": 1, "name": "deploy", "kind": "ssh-key", "username": "deploy", "owner": "Ana",
            "original_device": "web-3", "devices": ["web-3", "web-1", "web-5"], "tags": [], "algorithm": "ed25519",
            "fingerprint": version.fingerprint().to_string(), "public_key": version.public_key.to_openssh(),
            "imported_from": null, "automatic_change": true, "authentication": "itself", "policy": "Standard",
            "maximum_age_days": 90, "next_change": "2027-02-22T08:00:00.000Z", "next_change_due": "2027-02-22T08:00:00.000Z",
            "next_change_reason": { "kind": "age", "days": 90, "since": "2026-11-24T08:00:00.000Z" },
            "next_change_standing": "up-to-date", "status": "enabled", "state": "not-ready",
            "key_created": "2026-11-24T08:00:00.000Z",
            "key_versions": [{
                "version": 1, "state": "current", "fingerprint": version.fingerprint().to_string(),
                "algorithm": "ed25519", "created": "2026-11-24T08:00:00.000Z",
                "compromised": false
            }]
        })
    );
    assert_eq!(bench.keywheel.credential_views().await.unwrap(), [view]);
    let with = AuthenticationView::Credential("admin".to_owned());
    assert_eq!(serde_json::to_value(&with).unwrap(), json!({ "credential": "admin" }));
}

#[tokio::test]
async fn the_standard_policy_is_there_once_with_the_values_of_the_design() {
    let bench = bench().await;
    let dir = bench.keywheel.database().dir().to_owned();
    let again = Keywheel::open(
        &dir,
        Arc::new(MemoryVault::new()),
        Arc::new(SetClock::new()),
        crate::audit::Actor::named("ana@desk"),
    )
    .unwrap();
    let policies = again.policies().await.unwrap();
    assert_eq!(policies.len(), 1);
    let standard = &policies[0];
    assert_eq!((standard.maximum_age_days, standard.days, standard.from, standard.to), (90, 0b111_1111, 0, 0));
    assert_eq!((standard.retries, standard.retry_minutes, standard.warning_days, standard.at_once), (3, 15, 7, 1));
    assert_eq!(standard.algorithm, Algorithm::Ed25519);
}

#[tokio::test]
async fn what_stands_where_follows_what_happened_last() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let device = bench.devices[0];
    let stands = || async { bench.keywheel.installed(added.id).await.unwrap()[0].stands() };
    bench.note(added.id, device, Happening::Installed);
    assert!(stands().await);
    bench.note(added.id, device, Happening::Refused);
    assert!(!stands().await);
    // The clock was set back: what came later in the journal still counts.
    bench.clock.pass(SignedDuration::from_hours(-5));
    bench.note(added.id, device, Happening::Accepted);
    assert!(stands().await, "a key that logs in would be taken for gone");
    bench.note(added.id, device, Happening::GivenUp);
    assert!(!stands().await);
    bench.note(added.id, device, Happening::Installed);
    assert!(stands().await);
}

#[tokio::test]
async fn a_jump_device_is_entered_with_a_credential_that_is_then_needed() {
    let bench = bench().await;
    let added = bench.add("deploy").await;
    let with = |jump, jump_with| EditDevice { jump, jump_with, ..EditDevice::default() };
    let [jump, web, ..] = bench.devices[..] else { panic!() };
    let edit = |edit| bench.keywheel.edit_device(web, edit);
    assert_eq!(edit(with(None, Some(Some(added.id)))).await.unwrap_err().code(), "jump-missing");
    edit(with(Some(Some(jump)), Some(Some(added.id)))).await.unwrap();
    let error = bench.keywheel.remove_credential(added.id, Standing::Refuse).await.unwrap_err();
    assert_eq!(error.code(), "credential-used");
    assert!(error.to_string().contains("\"web-2\""), "{error}");
    let edited = edit(with(Some(None), None)).await.unwrap();
    assert_eq!(edited.jump_with, None, "a credential for no jump device would be left over");
    bench.keywheel.remove_credential(added.id, Standing::Refuse).await.unwrap();
    let error = edit(with(Some(Some(jump)), Some(Some(added.id)))).await.unwrap_err();
    assert_eq!(error.code(), "unknown-name", "a removed credential can't be chosen");
}

proptest! {
    #[test]
    fn the_original_device_comes_first_then_the_others_by_ascending_id(
        original in 1_i64..50,
        devices in proptest::collection::vec(1_i64..50, 0..40),
    ) {
        let ids: Vec<DeviceId> = devices.iter().copied().map(DeviceId).collect();
        let order = order_of_change(DeviceId(original), &ids);
        prop_assert_eq!(order[0], DeviceId(original));
        prop_assert!(order[1..].is_sorted_by(|a, b| a < b), "ascending, and each device once: {:?}", order);
        prop_assert!(!order[1..].contains(&DeviceId(original)));
        for id in &ids {
            prop_assert!(order.contains(id), "{} was left out", id);
        }
        prop_assert!(order.iter().all(|id| *id == DeviceId(original) || ids.contains(id)));
    }
}
