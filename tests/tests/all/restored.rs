//! An older copy of the database is put back, while keyring and devices have gone on.

use keywheel_core::{
    Keywheel,
    catalogue::{CredentialId, VersionState},
    journal::{ChangeId, ChangeState},
    rotation::{ConnectWith, Finished, Rotate, Stage, decide::Outcome, event::What},
    vault::Vault as _,
};
use keywheel_fleet::sshd::SshdBuilder;
use keywheel_fleet::{ClientKey, Desk, Fleet, Sshd, Trouble, available, watch};

const OTHERS: &[u8] = b"# kept\nssh-ed25519 broken\n\xff\xfe\n";

/// Devices that hold the key of a credential "deploy", named web-1 and so on.
struct Scene {
    fleet: Fleet,
    desk: Desk,
    key: ClientKey,
}

impl Scene {
    async fn new(count: usize) -> Result<Option<Self>, Trouble> {
        Self::like(count, &Sshd::builder()).await
    }

    async fn like(count: usize, builder: &SshdBuilder) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start_like(count, builder))? else { return Ok(None) };
        let desk = Desk::open()?;
        let key = desk.client.key("deploy", "ed25519")?;
        let text = [OTHERS, b"no-pty ", key.public.as_bytes(), b"\nlast"].concat();
        let mut devices = Vec::new();
        for (index, sshd) in fleet.devices.iter().enumerate() {
            sshd.write_authorized_keys(&text)?;
            devices.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
        }
        desk.credential("deploy", fleet.devices[0].account(), &key.file, &devices).await?;
        Ok(Some(Self { fleet, desk, key }))
    }

    /// Asserts from outside that every device accepts the key that this database takes for the current one, and none of the
    /// others that the vault holds, with one line of it and all other bytes as they were.
    async fn assert_healed(&self, keywheel: &Keywheel) -> Result<(), Trouble> {
        let credential = keywheel.find_credential("deploy").await?;
        let current = credential.current_key().ok_or("a current key")?;
        for known in &credential.key_versions {
            let Ok(key) = keywheel.read_key(&credential, known).await else { continue };
            let file = self.desk.client.key_file(&format!("version-{}", known.version), &key.write_openssh(None)?)?;
            for sshd in &self.fleet.devices {
                let accepted = sshd.ssh_logs_in(&file, &credential.username)?;
                assert_eq!(accepted, known.version == current.version, "version {}: {}", known.version, sshd.log()?);
            }
        }
        let line = self.key.public.replace(
            self.key.public.split(' ').nth(1).unwrap(),
            current.public_key.to_openssh().split(' ').nth(1).unwrap(),
        );
        let expected = [OTHERS, b"no-pty ", line.as_bytes(), b"\nlast"].concat();
        for sshd in &self.fleet.devices {
            let text = sshd.authorized_keys()?;
            assert_eq!(
                String::from_utf8_lossy(&text),
                String::from_utf8_lossy(&expected),
                "no foreign byte may differ"
            );
        }
        Ok(())
    }
}

async fn rotate(keywheel: &Keywheel) -> Result<Finished, Trouble> {
    let (watch, _watching) = watch();
    Ok(keywheel.rotate(&Rotate { credential: "deploy".to_owned(), ..Rotate::default() }, watch).await?)
}

async fn changed(keywheel: &Keywheel) -> Result<ChangeId, Trouble> {
    let finished = rotate(keywheel).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    Ok(finished.change)
}

/// The codes of what a check warns of, by device.
async fn warnings(keywheel: &Keywheel) -> Result<Vec<Vec<String>>, Trouble> {
    let findings = keywheel.check("deploy", &ConnectWith::AsStored).await?;
    assert!(findings.iter().all(|finding| finding.ready), "{findings:?}");
    let codes = |finding: &keywheel_core::rotation::Finding| {
        finding.warnings.iter().map(|warning| warning.code.clone()).filter(|code| code != "only-key").collect()
    };
    Ok(findings.iter().map(codes).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_older_than_the_last_change_is_noticed_and_the_next_change_heals_every_device() -> Result<(), Trouble>
{
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let copy = scene.desk.copy_database()?;
    changed(&scene.desk.keywheel).await?;

    let keywheel = scene.desk.restore(&copy)?;
    assert_eq!(keywheel.find_credential("deploy").await?.key_versions.len(), 1, "the copy knows of no second key");
    let said = warnings(&keywheel).await?;
    assert_eq!(said, vec![vec!["accepts-other-version", "newer-key-found"]; 2]);
    assert_eq!(warnings(&keywheel).await?, said, "it is said until the key is changed");
    let rows = keywheel.audit_rows(Default::default()).await?;
    let found: Vec<_> = rows.iter().filter(|row| row.action == "key-found").collect();
    assert_eq!(found.len(), 1, "it is found once: {rows:?}");

    let answers = keywheel.accepts("deploy").await?;
    for device in &answers {
        let told: Vec<_> = device.versions.iter().map(|version| (version.version, version.answer.as_str())).collect();
        assert_eq!(told, [(2, "accepted"), (1, "refused")], "{device:?}");
        assert_eq!(device.versions[0].by, Some(keywheel_core::journal::Proof::Login), "a login with the key at hand");
    }

    changed(&keywheel).await?;
    let credential = keywheel.find_credential("deploy").await?;
    let states: Vec<_> = credential.key_versions.iter().map(|known| known.state).collect();
    assert_eq!(states, [VersionState::Retired, VersionState::Retired, VersionState::Current]);
    scene.assert_healed(&keywheel).await?;
    assert_eq!(warnings(&keywheel).await?, vec![Vec::<String>::new(); 2], "nothing is left to say");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_key_of_the_old_copy_is_destroyed_the_newest_one_found_takes_its_place() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let copy = scene.desk.copy_database()?;
    let first = scene.desk.keywheel.find_credential("deploy").await?.current_key().ok_or("a key")?.item.clone();
    changed(&scene.desk.keywheel).await?;
    changed(&scene.desk.keywheel).await?;
    scene.desk.vault.remove(&first).await?;

    let keywheel = scene.desk.restore(&copy)?;
    assert_eq!(warnings(&keywheel).await?, [Vec::<String>::new()], "it goes by the newest key");
    let credential = keywheel.find_credential("deploy").await?;
    assert_eq!(
        credential.current_key().map(|current| current.version),
        Some(3),
        "the vault must hold a key that logs in"
    );
    changed(&keywheel).await?;
    scene.assert_healed(&keywheel).await?;
    Ok(())
}

/// Stops a change when this device is proven, copies the database, and goes on to the end of that change.
async fn copied_in_the_middle(scene: &Scene) -> Result<(keywheel_fleet::desk::DatabaseCopy, ChangeId), Trouble> {
    let (first, mut watching) = watch();
    let keywheel = scene.desk.keywheel.clone();
    let running = tokio::spawn(async move {
        keywheel.rotate(&Rotate { credential: "deploy".to_owned(), ..Rotate::default() }, first).await
    });
    while let Some(event) = watching.events.recv().await {
        if matches!(&event.what, What::Stage { stage: Stage::Prove, .. }) {
            watching.stop.send(true)?;
            break;
        }
    }
    let stopped = running.await??;
    assert_eq!(stopped.outcome, Outcome::Interrupted, "{stopped:?}");
    let copy = scene.desk.copy_database()?;
    let (second, _watching) = watch();
    let ended = scene.desk.keywheel.resume(stopped.change, second).await?;
    assert_eq!(ended.outcome, Outcome::Changed, "{ended:?}");
    Ok((copy, ended.change))
}

/// A copy from the middle of a change is resumed after that change, or one more, has come to its end.
async fn resumed_from_a_copy(one_more: bool) -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let (copy, change) = copied_in_the_middle(&scene).await?;
    if one_more {
        changed(&scene.desk.keywheel).await?;
    }
    let keywheel = scene.desk.restore(&copy)?;
    let said = warnings(&keywheel).await?;
    assert!(said.iter().all(|codes| codes.contains(&"accepts-other-version".to_owned())), "{said:?}");
    assert_eq!(said.iter().all(|codes| codes.contains(&"newer-key-found".to_owned())), one_more, "{said:?}");

    let (watch, _watching) = watch();
    let resumed = keywheel.resume(change, watch).await?;
    assert_eq!(resumed.outcome, Outcome::Changed, "{resumed:?}");
    scene.assert_healed(&keywheel).await?;
    changed(&keywheel).await?;
    scene.assert_healed(&keywheel).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_the_middle_of_a_change_is_resumed_to_its_end() -> Result<(), Trouble> {
    resumed_from_a_copy(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_the_middle_of_the_change_before_is_resumed_to_its_end() -> Result<(), Trouble> {
    resumed_from_a_copy(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_the_middle_of_a_change_that_is_rolled_back_locks_nobody_out() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let (copy, change) = copied_in_the_middle(&scene).await?;
    changed(&scene.desk.keywheel).await?;

    let keywheel = scene.desk.restore(&copy)?;
    let (watch, _watching) = watch();
    let back = keywheel.roll_back(change, watch).await?;
    assert_eq!(back.outcome, Outcome::RolledBack, "{back:?}");
    assert_eq!(keywheel.find_change(change).await?.state, ChangeState::RolledBack);
    let newest = scene.desk.key_file("deploy", 3).await?;
    for sshd in &scene.fleet.devices {
        assert!(sshd.ssh_logs_in(&newest, sshd.account())?, "the only key that logs in must stay: {}", sshd.log()?);
    }
    changed(&keywheel).await?;
    scene.assert_healed(&keywheel).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_came_back_with_an_old_file_is_entered_with_the_key_it_has() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let before = scene.fleet.devices[1].authorized_keys()?;
    changed(&scene.desk.keywheel).await?;
    scene.fleet.devices[1].write_authorized_keys(&before)?;

    let keywheel = &scene.desk.keywheel;
    assert_eq!(warnings(keywheel).await?, [vec![], vec!["accepts-other-version".to_owned()]]);
    let id: CredentialId = keywheel.find_credential("deploy").await?.id;
    let known = keywheel.installed(id).await?;
    assert!(
        known.iter().any(|known| known.version == 1 && known.stands()),
        "the old key stands there again: {known:?}"
    );
    changed(keywheel).await?;
    scene.assert_healed(keywheel).await?;
    let known = keywheel.installed(id).await?;
    assert!(!known.iter().any(|known| known.version == 1 && known.stands()), "it was seen to be refused: {known:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_from_many_changes_ago_is_entered_without_wearing_out_its_patience() -> Result<(), Trouble> {
    let Some(scene) = Scene::like(1, &Sshd::builder().config("MaxAuthTries 4")).await? else { return Ok(()) };
    let sshd = &scene.fleet.devices[0];
    let before = sshd.authorized_keys()?;
    for _ in 0..4 {
        changed(&scene.desk.keywheel).await?;
    }
    sshd.write_authorized_keys(&before)?;
    assert_eq!(warnings(&scene.desk.keywheel).await?, [vec!["accepts-other-version".to_owned()]]);
    let log = sshd.log()?;
    assert!(!log.contains("Too many authentication failures"), "five keys were offered on one connection: {log}");
    changed(&scene.desk.keywheel).await?;
    scene.assert_healed(&scene.desk.keywheel).await
}
