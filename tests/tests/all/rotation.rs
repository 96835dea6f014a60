//! Key changes on real `sshd`s, with the OpenSSH client asking from outside.

use keywheel_core::{
    catalogue::DeviceId,
    credential::{EditCredential, Standing},
    device::{HostKeyStanding, Pinned},
    journal::{ChangeState, DeviceState},
    key::PublicKey,
    rotation::{ConnectWith, OnFailure, Rotate, Strategy, decide::Outcome},
};
use keywheel_fleet::{Account, ClientKey, Desk, Fleet, Sshd, Trouble, available, watch};

/// Lines around the key that must stay as they are, to the byte.
const BEFORE: &[u8] = b"# kept\r\n\n  \t\nssh-ed25519 broken\nenvironment=\"A=b # c\" ssh-rsa AAAA nothing\n";
const AFTER: &[u8] = b"\xff\xfe not text\0\n# managed by nobody\n\nlast line without an end";

fn file_with(line: &str) -> Vec<u8> {
    [BEFORE, line.as_bytes(), b"\n", AFTER].concat()
}

/// Devices that hold the key of one credential "deploy", named web-1 and so on.
struct Scene {
    fleet: Fleet,
    desk: Desk,
    key: ClientKey,
    text: Vec<u8>,
}

impl Scene {
    /// Sets up so many devices; `first` is the place of the original device.
    async fn new(count: usize, first: usize, options: &str) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start(count))? else { return Ok(None) };
        let desk = Desk::open()?;
        let key = desk.client.key("deploy", "ed25519")?;
        let text = file_with(&format!("{options}{}", key.public));
        let mut devices = Vec::new();
        for (index, sshd) in fleet.devices.iter().enumerate() {
            sshd.write_authorized_keys(&text)?;
            devices.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
        }
        devices.rotate_left(first);
        desk.credential("deploy", fleet.devices[0].account(), &key.file, &devices).await?;
        Ok(Some(Self { fleet, desk, key, text }))
    }

    fn account(&self) -> &str {
        self.fleet.devices[0].account()
    }

    /// Asserts that every device accepts this version's key and refuses the imported one.
    async fn assert_on(&self, version: u32) -> Result<(), Trouble> {
        let new = self.desk.key_file("deploy", version).await?;
        for sshd in &self.fleet.devices {
            assert!(sshd.ssh_logs_in(&new, self.account())?, "the new key must log in: {}", sshd.log()?);
            assert!(!sshd.ssh_logs_in(&self.key.file, self.account())?, "the old key must be refused");
        }
        Ok(())
    }

    /// Asserts that every device is as before, to the byte.
    fn assert_as_before(&self) -> Result<(), Trouble> {
        for sshd in &self.fleet.devices {
            assert_eq!(sshd.authorized_keys()?, self.text, "no byte may differ");
            assert!(sshd.ssh_logs_in(&self.key.file, self.account())?, "the old key logs in as before");
        }
        Ok(())
    }
}

fn rotate(credential: &str) -> Rotate {
    Rotate { credential: credential.to_owned(), ..Rotate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_one_key_on_five_devices_and_nothing_else() -> Result<(), Trouble> {
    // The original device is changed first, also when its ID is not the lowest.
    let Some(scene) = Scene::new(5, 2, "from=\"127.0.0.1\",no-pty ").await? else { return Ok(()) };
    let Scene { fleet, desk, key, .. } = &scene;

    let (watch, mut watching) = watch();
    let finished = desk.keywheel.rotate(&rotate("deploy"), watch).await?;
    let events = watching.drain();
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");

    scene.assert_on(2).await?;
    let credential = desk.keywheel.find_credential("deploy").await?;
    let current = credential.current_key().expect("a current key");
    assert_eq!(current.version, 2, "the new version becomes the current one");
    for sshd in &fleet.devices {
        let line = format!("from=\"127.0.0.1\",no-pty {}", key.public);
        let line = line
            .replace(key.public.split(' ').nth(1).unwrap(), current.public_key.to_openssh().split(' ').nth(1).unwrap());
        assert_eq!(
            String::from_utf8_lossy(&sshd.authorized_keys()?),
            String::from_utf8_lossy(&file_with(&line)),
            "no byte but the key's own may change"
        );
        let left: Vec<_> =
            std::fs::read_dir(sshd.home().join(".ssh"))?.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["authorized_keys"], "no temporary file may stay");
    }
    let order: Vec<String> = events
        .iter()
        .filter_map(|event| match &event.what {
            keywheel_core::rotation::event::What::Stage { device, stage, state, .. } => {
                let done = *state == keywheel_core::rotation::event::StageState::Done;
                (done && *stage == keywheel_core::rotation::Stage::Add).then(|| device.clone())
            }
            _ => None,
        })
        .collect();
    assert_eq!(order, ["web-3", "web-1", "web-2", "web-4", "web-5"], "the original device, then by ascending ID");
    assert_eq!(desk.keywheel.find_change(finished.change).await?.state, ChangeState::Changed);

    let rows = desk.keywheel.audit_rows(Default::default()).await?;
    let since = rows.iter().position(|row| row.action == "change-begin").expect("the change's beginning");
    let told: Vec<&str> = rows[since..].iter().map(|row| row.action.as_str()).collect();
    let mut expected = vec!["change-begin", "key-generate"];
    expected.extend(["stage-add"; 5]);
    expected.extend(["stage-remove"; 5]);
    expected.push("credential-rotate");
    assert_eq!(told, expected, "each thing that was done stands in the record");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_notes_which_devices_were_seen_and_which_showed_another_host_key() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2, 0, "").await? else { return Ok(()) };
    let keywheel = &scene.desk.keywheel;
    let row = async |name: &str| {
        let id = keywheel.find_device(name).await?.id;
        keywheel.device_row(id).await
    };
    let stranger = scene.desk.client.key("stranger", "ed25519")?;
    let stranger = PublicKey::from_openssh(&stranger.public)?;
    let changed = keywheel.find_device("web-2").await?;
    let right = changed.host_keys.iter().map(|pinned| pinned.key.clone()).collect::<Vec<_>>();
    for pinned in &right {
        keywheel.unpin_host_key(changed.id, pinned.key_type()).await?;
    }
    keywheel.pin_host_keys(changed.id, vec![stranger], Pinned::Replace).await?;
    assert_eq!(row("web-1").await?.last_seen, None, "nothing has connected to it yet");

    keywheel.check("deploy", &ConnectWith::AsStored).await?;
    let (seen, changed_row) = (row("web-1").await?, row("web-2").await?);
    assert!(seen.last_seen.is_some() && seen.host_key_state == HostKeyStanding::Pinned, "{seen:?}");
    assert_eq!((changed_row.last_seen, changed_row.host_key_state), (None, HostKeyStanding::Changed));
    let offered = changed_row.changed_host_key.expect("the host key that was shown").fingerprint;
    assert!(right.iter().any(|key| key.fingerprint().to_string() == offered), "not the key that the host has");

    keywheel.scan_device(changed.id, None).await?;
    assert_eq!(row("web-2").await?.host_key_state, HostKeyStanding::Changed, "a scan is no decision");
    keywheel.pin_host_keys(changed.id, right, Pinned::Replace).await?;
    keywheel.check("deploy", &ConnectWith::AsStored).await?;
    let decided = row("web-2").await?;
    assert!(decided.last_seen.is_some() && decided.host_key_state == HostKeyStanding::Pinned, "{decided:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_ignores_the_new_line_takes_all_back() -> Result<(), Trouble> {
    // The second device looks at a copy of the file that the change does not reach, so that the new key is refused there.
    let Some(good) = available(Sshd::builder().start())? else { return Ok(()) };
    let elsewhere = Sshd::builder().config("AuthorizedKeysFile /tmp/kw-frozen-%u\nStrictModes no").start()?;
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let text = file_with(&key.public);
    for sshd in [&good, &elsewhere] {
        sshd.write_authorized_keys(&text)?;
    }
    let frozen = elsewhere.root()?.join(format!("tmp/kw-frozen-{}", elsewhere.account()));
    std::fs::write(&frozen, &text)?;
    let first = desk.device("web-1", &good).await?;
    let second = desk.device("web-2", &elsewhere).await?;
    let named = keywheel_core::device::EditDevice {
        authorized_keys_path: Some("~/.ssh/authorized_keys".into()),
        ..Default::default()
    };
    desk.keywheel.edit_device(second, named).await?;
    desk.credential("deploy", good.account(), &key.file, &[first, second]).await?;

    let (watch, _watching) = watch();
    let finished = desk.keywheel.rotate(&rotate("deploy"), watch).await?;
    assert_eq!(finished.outcome, Outcome::RolledBack, "{finished:?}");
    for sshd in [&good, &elsewhere] {
        assert_eq!(sshd.authorized_keys()?, text, "everything touched is as before, to the byte");
        assert!(sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key logs in as before");
    }
    let credential = desk.keywheel.find_credential("deploy").await?;
    assert_eq!(credential.current_key().expect("a current key").version, 1, "the old version stays the current one");
    let error = finished.devices[1].error.as_ref().expect("the failing device names its cause");
    assert_eq!(error.code, "key-refused");
    std::fs::remove_file(&frozen)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_changes_the_others_and_retry_brings_the_rest_with_the_same_key() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(3, 0, "").await? else { return Ok(()) };
    let Scene { fleet, desk, .. } = &scene;
    fleet.devices[1].stop()?;
    let (one, _watching) = watch();
    let request = Rotate { on_failure: Some(OnFailure::Continue), ..rotate("deploy") };
    let finished = desk.keywheel.rotate(&request, one).await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
    let states: Vec<_> = finished.devices.iter().map(|device| device.state).collect();
    assert_eq!(states, [DeviceState::Changed, DeviceState::Unchanged, DeviceState::Changed]);

    let (again, _watching) = watch();
    let refused = desk.keywheel.rotate(&request, again).await.expect_err("an open change stands");
    assert_eq!(keywheel_core::error::Explain::code(&refused), "change-open");

    fleet.devices[1].start()?;
    let (two, _watching) = watch();
    let finished = desk.keywheel.retry(finished.change, two).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    scene.assert_on(2).await?;
    assert!(desk.key_file("deploy", 3).await.is_err(), "a retry makes no third key");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_gone_for_good_is_given_up_by_taking_it_off() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(3, 0, "").await? else { return Ok(()) };
    let Scene { fleet, desk, .. } = &scene;
    fleet.devices[1].stop()?;
    let (one, _watching) = watch();
    let request = Rotate { on_failure: Some(OnFailure::Continue), ..rotate("deploy") };
    let finished = desk.keywheel.rotate(&request, one).await?;
    assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");

    let credential = desk.keywheel.find_credential("deploy").await?;
    let edit = |username: Option<&str>, devices: &[DeviceId]| EditCredential {
        username: username.map(str::to_owned),
        devices: Some(devices.to_vec()),
        ..EditCredential::default()
    };
    let (first, gone, third) = (credential.devices[0], credential.devices[1], credential.devices[2]);
    let other = edit(Some("other"), &[first, gone, third]);
    let refused = desk.keywheel.edit_credential(credential.id, other, Standing::LeaveThere).await;
    assert!(refused.is_err(), "the account is what the open change goes by");
    let off = edit(None, &[first, third]);
    desk.keywheel.edit_credential(credential.id, off, Standing::LeaveThere).await?;

    let (two, _watching) = watch();
    let retried = desk.keywheel.retry(finished.change, two).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    let (three, _watching) = watch();
    let next = desk.keywheel.rotate(&rotate("deploy"), three).await?;
    assert_eq!(next.outcome, Outcome::Changed, "a host that is gone does not bar the next change: {next:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn device_by_device_and_then_undo() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2, 0, "").await? else { return Ok(()) };
    let Scene { desk, .. } = &scene;
    let (one, _watching) = watch();
    let request = Rotate { strategy: Some(Strategy::DeviceByDevice), ..rotate("deploy") };
    let finished = desk.keywheel.rotate(&request, one).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let (two, _watching) = watch();
    let undone = desk.keywheel.undo(finished.change, two).await?;
    assert_eq!(undone.outcome, Outcome::Changed, "{undone:?}");
    scene.assert_as_before()?;
    let accepts = desk.keywheel.accepts("deploy").await?;
    for device in &accepts {
        let said: Vec<_> = device.versions.iter().map(|version| (version.version, version.answer.as_str())).collect();
        assert_eq!(said, [(2, "refused"), (1, "accepted")], "{accepts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_stopped_is_resumed_or_rolled_back() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(3, 0, "").await? else { return Ok(()) };
    let Scene { desk, .. } = &scene;
    for back in [true, false] {
        let (one, mut watching) = watch();
        let keywheel = desk.keywheel.clone();
        let running = tokio::spawn(async move { keywheel.rotate(&rotate("deploy"), one).await });
        while let Some(event) = watching.events.recv().await {
            if let keywheel_core::rotation::event::What::Stage { stage, state, .. } = &event.what
                && *stage == keywheel_core::rotation::Stage::Prove
                && *state == keywheel_core::rotation::event::StageState::Done
            {
                watching.stop.send(true)?;
                break;
            }
        }
        let stopped = running.await??;
        assert_eq!(stopped.outcome, Outcome::Interrupted, "{stopped:?}");
        // Another process takes it up.
        let other = desk.reopen()?;
        let (two, _watching) = watch();
        if back {
            let ended = other.roll_back(stopped.change, two).await?;
            assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
            scene.assert_as_before()?;
        } else {
            let ended = other.resume(stopped.change, two).await?;
            assert_eq!(ended.outcome, Outcome::Changed, "{ended:?}");
            scene.assert_on(3).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_through_another_credential_and_takes_off_again() -> Result<(), Trouble> {
    let builder = Sshd::builder()
        .account(Account::new("deploy"))
        .account(Account::new("kwadmin").password("correct horse").sudo(keywheel_fleet::Sudo::WithPassword));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let device = desk.device("web-1", &sshd).await?;
    desk.credential("deploy", "deploy", &key.file, &[device]).await?;
    desk.password("admin", "kwadmin", "correct horse", &[device]).await?;

    let (one, _watching) = watch();
    let request = keywheel_core::rotation::Install {
        credential: "deploy".into(),
        auth_with: "admin".into(),
        options: Some("no-pty,from=\"127.0.0.1\"".into()),
    };
    let finished = desk.keywheel.install(&request, one).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    assert!(sshd.ssh_logs_in(&key.file, "deploy")?, "{}", sshd.log()?);

    // The same change goes through the other credential, with sudo.
    let (two, _watching) = watch();
    let request = Rotate { connect_with: ConnectWith::Credential("admin".into()), ..rotate("deploy") };
    let finished = desk.keywheel.rotate(&request, two).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let new = desk.key_file("deploy", 2).await?;
    assert!(sshd.ssh_logs_in(&new, "deploy")?, "{}", sshd.log()?);
    assert!(!sshd.ssh_logs_in(&key.file, "deploy")?);

    let (three, _watching) = watch();
    let request = keywheel_core::rotation::Uninstall { credential: "deploy".into(), devices: vec![] };
    let finished = desk.keywheel.uninstall(&request, three).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    assert!(!sshd.ssh_logs_in(&new, "deploy")?, "the key is taken off");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_a_key_as_root_and_as_an_account_with_free_sudo() -> Result<(), Trouble> {
    let builder = Sshd::builder()
        .account(Account::new("deploy"))
        .account(Account::new("kwfree").sudo(keywheel_fleet::Sudo::NoPassword))
        .account(Account::new("kwplain"))
        .account(Account::new("root"));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let device = desk.device("web-1", &sshd).await?;
    let key = desk.client.key("deploy", "ed25519")?;
    sshd.write_authorized_keys_of("deploy", &file_with(&key.public))?;
    desk.credential("deploy", "deploy", &key.file, &[device]).await?;
    for account in ["root", "kwfree", "kwplain"] {
        let key = desk.client.key(account, "ed25519")?;
        sshd.write_authorized_keys_of(account, format!("{}\n", key.public).as_bytes())?;
        desk.credential(account, account, &key.file, &[device]).await?;
    }
    let file = sshd.home_of("deploy")?.join(".ssh/authorized_keys");
    let facts = |path: &std::path::Path| -> std::io::Result<(u32, u32, u32)> {
        use std::os::unix::fs::MetadataExt;
        let known = std::fs::metadata(path)?;
        Ok((known.mode(), known.uid(), known.gid()))
    };
    let before = facts(&file)?;
    for (version, account) in [(2, "root"), (3, "kwfree")] {
        let (watch, _watching) = watch();
        let request = Rotate { connect_with: ConnectWith::Credential(account.into()), ..rotate("deploy") };
        let finished = desk.keywheel.rotate(&request, watch).await?;
        assert_eq!(finished.outcome, Outcome::Changed, "through {account}: {finished:?}");
        let new = desk.key_file("deploy", version).await?;
        assert!(sshd.ssh_logs_in(&new, "deploy")?, "through {account}: {}", sshd.log()?);
        assert_eq!(facts(&file)?, before, "through {account}: the file keeps its owner and mode");
    }
    let (watch, _watching) = watch();
    let request = Rotate { connect_with: ConnectWith::Credential("kwplain".into()), ..rotate("deploy") };
    let finished = desk.keywheel.rotate(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Failed, "without sudo nothing is begun: {finished:?}");
    let code = finished.devices[0].error.as_ref().map(|cause| cause.code.clone()).unwrap_or_default();
    assert!(code.starts_with("sudo-"), "the cause is clear: {code}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_stands_in_the_second_file_is_installed_already() -> Result<(), Trouble> {
    let builder = Sshd::builder().account(Account::new("deploy")).account(Account::new("root"));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let device = desk.device("web-1", &sshd).await?;
    let (key, root) = (desk.client.key("deploy", "ed25519")?, desk.client.key("root", "ed25519")?);
    sshd.write_authorized_keys_of("root", root.public.as_bytes())?;
    sshd.write_authorized_keys_of("deploy", b"# nobody's\n")?;
    let folder = sshd.home_of("deploy")?.join(".ssh");
    let (first, second) = (folder.join("authorized_keys"), folder.join("authorized_keys2"));
    std::fs::copy(&first, &second)?;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&first)?);
    std::os::unix::fs::chown(&second, Some(owner), None)?;
    std::fs::write(&second, format!("{}\n", key.public))?;
    desk.credential("deploy", "deploy", &key.file, &[device]).await?;
    desk.credential("root", "root", &root.file, &[device]).await?;
    let (watch, _watching) = watch();
    let request =
        keywheel_core::rotation::Install { credential: "deploy".into(), auth_with: "root".into(), options: None };
    let finished = desk.keywheel.install(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    assert_eq!(std::fs::read(&first)?, b"# nobody's\n", "the key needs no second line");
    assert_eq!(std::fs::read_to_string(&second)?, format!("{}\n", key.public));
    Ok(())
}
