//! Key changes at servers that allow little: one try, one session, one connection, other algorithms, more factors.

use keywheel_core::rotation::{ConnectWith, Rotate, decide::Outcome};
use keywheel_fleet::{
    Account, ClientKey, Desk, Embedded, Sshd, Trouble, available,
    embedded::{Allowed, Config},
    watch,
};

struct Place {
    desk: Desk,
    sshds: Vec<Sshd>,
    key: ClientKey,
    text: Vec<u8>,
}

impl Place {
    /// Devices with these lines of configuration.
    async fn new(configs: &[&str], kind: &str) -> Result<Option<Self>, Trouble> {
        let desk = Desk::open()?;
        for name in ["connection-timeout", "stage-timeout"] {
            desk.keywheel.set_setting(name, "3").await?;
        }
        let key = desk.client.key("deploy", kind)?;
        let text = format!("# first\n{}\n", key.public).into_bytes();
        let (mut sshds, mut ids) = (Vec::new(), Vec::new());
        for (index, config) in configs.iter().enumerate() {
            let Some(sshd) = available(Sshd::builder().config(config).start())? else { return Ok(None) };
            sshd.write_authorized_keys(&text)?;
            ids.push(desk.device(&format!("web-{}", index + 1), &sshd).await?);
            sshds.push(sshd);
        }
        desk.credential("deploy", sshds[0].account(), &key.file, &ids).await?;
        Ok(Some(Self { desk, sshds, key, text }))
    }

    async fn rotate(&self) -> Result<keywheel_core::rotation::Finished, Trouble> {
        let (watch, _watching) = watch();
        Ok(self.desk.keywheel.rotate(&Rotate { credential: "deploy".into(), ..Rotate::default() }, watch).await?)
    }

    async fn assert_changed(&self) -> Result<(), Trouble> {
        let credential = self.desk.keywheel.find_credential("deploy").await?;
        let current = credential.current_key().ok_or("a current key")?;
        let file = self.desk.key_file("deploy", current.version).await?;
        for sshd in &self.sshds {
            let expected = format!("# first\n{}\n", current.public_key.to_openssh());
            assert_eq!(String::from_utf8_lossy(&sshd.authorized_keys()?), expected);
            assert!(sshd.ssh_logs_in(&file, sshd.account())?, "{}", sshd.log()?);
        }
        Ok(())
    }

    fn assert_as_before(&self) -> Result<(), Trouble> {
        for sshd in &self.sshds {
            assert_eq!(sshd.authorized_keys()?, self.text);
            assert!(sshd.ssh_logs_in(&self.key.file, sshd.account())?, "{}", sshd.log()?);
        }
        Ok(())
    }
}

async fn changes_under(config: &str) -> Result<(), Trouble> {
    let Some(place) = Place::new(&[config], "ed25519").await? else { return Ok(()) };
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{config}: {finished:?}");
    place.assert_changed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_try_of_authentication_is_enough() -> Result<(), Trouble> {
    changes_under("MaxAuthTries 1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_enough() -> Result<(), Trouble> {
    changes_under("MaxSessions 1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_before_its_login_is_enough() -> Result<(), Trouble> {
    changes_under("MaxStartups 1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_try_is_enough_to_go_back_and_to_go_on_too() -> Result<(), Trouble> {
    for back in [true, false] {
        let Some(place) = Place::new(&["MaxAuthTries 1", "MaxAuthTries 1"], "ed25519").await? else { return Ok(()) };
        let (watch, mut watching) = watch();
        let keywheel = place.desk.keywheel.clone();
        let running = tokio::spawn(async move {
            keywheel.rotate(&Rotate { credential: "deploy".into(), ..Rotate::default() }, watch).await
        });
        while let Some(event) = watching.events.recv().await {
            use keywheel_core::rotation::{
                Stage,
                event::{StageState, What},
            };
            if let What::Stage { stage: Stage::Prove, state: StageState::Done, .. } = event.what {
                watching.stop.send(true)?;
                break;
            }
        }
        let stopped = running.await??;
        assert_eq!(stopped.outcome, Outcome::Interrupted, "{stopped:?}");
        let other = place.desk.reopen()?;
        let (watch, _watching) = keywheel_fleet::watch();
        if back {
            // The first device has the new line, the second only the old one.
            place.sshds[0].write_authorized_keys(&place.text)?;
            let ended = other.roll_back(stopped.change, watch).await?;
            assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
            place.assert_as_before()?;
        } else {
            let ended = other.resume(stopped.change, watch).await?;
            assert_eq!(ended.outcome, Outcome::Changed, "the second device still knows the old key alone: {ended:?}");
            place.assert_changed().await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_device_with_one_try_is_entered_with_the_old_key() -> Result<(), Trouble> {
    let Some(place) = Place::new(&["MaxAuthTries 1\nAllowTcpForwarding yes", ""], "ed25519").await? else {
        return Ok(());
    };
    let devices = place.desk.keywheel.devices().await?;
    let (first, second) = (devices[0].id, devices[1].id);
    let edit = keywheel_core::device::EditDevice { jump: Some(Some(first)), ..Default::default() };
    place.desk.keywheel.edit_device(second, edit).await?;
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    place.assert_changed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_kinds_are_changed() -> Result<(), Trouble> {
    for (kind, algorithm) in [("rsa", Some("ed25519")), ("rsa", None), ("ecdsa", None), ("ed25519", Some("ecdsa-p384"))]
    {
        let Some(place) = Place::new(&[""], kind).await? else { return Ok(()) };
        let algorithm = algorithm.map(str::parse).transpose()?;
        let (watch, _watching) = watch();
        let request = Rotate { credential: "deploy".into(), algorithm, ..Rotate::default() };
        let finished = place.desk.keywheel.rotate(&request, watch).await?;
        assert_eq!(finished.outcome, Outcome::Changed, "{kind} to {algorithm:?}: {finished:?}");
        place.assert_changed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_take_the_new_algorithm_is_left_as_it_was() -> Result<(), Trouble> {
    let config = "PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512";
    let Some(place) = Place::new(&[config], "rsa").await? else { return Ok(()) };
    let (watch, _watching) = watch();
    let algorithm = Some("ed25519".parse()?);
    let request = Rotate { credential: "deploy".into(), algorithm, ..Rotate::default() };
    let finished = place.desk.keywheel.rotate(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Failed, "its configuration says so before anything is written: {finished:?}");
    let cause = finished.devices[0].error.as_ref().ok_or("a cause")?;
    assert_eq!(cause.code, "algorithm-not-accepted");
    place.assert_as_before()
}

/// The check of a device with this configuration finds this problem, and a change ends before anything is written.
async fn is_predicted(config: &str, code: &str) -> Result<(), Trouble> {
    let Some(place) = Place::new(&[config], "ed25519").await? else { return Ok(()) };
    let findings = place.desk.keywheel.check("deploy", &ConnectWith::AsStored).await?;
    let codes: Vec<_> = findings[0].problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, [code], "{config}");
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Failed, "{config}: {finished:?}");
    assert_eq!(place.sshds[0].authorized_keys()?, place.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_predicted() -> Result<(), Trouble> {
    is_predicted("PasswordAuthentication yes\nAuthenticationMethods publickey,password", "second-factor-needed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn key_login_switched_off_is_predicted() -> Result<(), Trouble> {
    is_predicted("PubkeyAuthentication no\nPasswordAuthentication yes", "key-login-off").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_needs_no_key_is_predicted() -> Result<(), Trouble> {
    let desk = Desk::open()?;
    for name in ["connection-timeout", "stage-timeout"] {
        desk.keywheel.set_setting(name, "1").await?;
    }
    let key = desk.client.key("deploy", "ed25519")?;
    let device = Embedded::start(Config { login_without_anything: Allowed::Yes, ..Config::default() }).await?;
    device.write_authorized_keys(format!("{}\n", key.public).as_bytes())?;
    let id = desk.device_at("web-1", device.port(), &device.host_keys_public()?).await?;
    desk.credential("deploy", device.account(), &key.file, &[id]).await?;
    let findings = desk.keywheel.check("deploy", &ConnectWith::AsStored).await?;
    let codes: Vec<_> = findings[0].problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["no-key-needed"], "{findings:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_two_files_is_changed_in_both() -> Result<(), Trouble> {
    let Some(place) = Place::new(&[""], "ed25519").await? else { return Ok(()) };
    let second = place.sshds[0].home().join(".ssh/authorized_keys2");
    std::fs::copy(place.sshds[0].home().join(".ssh/authorized_keys"), &second)?;
    let (user, group) = owner(&place)?;
    std::os::unix::fs::chown(&second, Some(user), Some(group))?;
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    place.assert_changed().await?;
    assert_eq!(std::fs::read(&second)?, place.sshds[0].authorized_keys()?, "the second file holds the new key alone");
    Ok(())
}

fn owner(place: &Place) -> Result<(u32, u32), Trouble> {
    let file = std::fs::metadata(place.sshds[0].home().join(".ssh/authorized_keys"))?;
    Ok((std::os::unix::fs::MetadataExt::uid(&file), std::os::unix::fs::MetadataExt::gid(&file)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_link_stays_one() -> Result<(), Trouble> {
    let Some(place) = Place::new(&[""], "ed25519").await? else { return Ok(()) };
    let ssh = place.sshds[0].home().join(".ssh");
    std::fs::rename(ssh.join("authorized_keys"), ssh.join("keys"))?;
    std::os::unix::fs::symlink("keys", ssh.join("authorized_keys"))?;
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    assert!(std::fs::symlink_metadata(ssh.join("authorized_keys"))?.is_symlink(), "the link became a file");
    place.assert_changed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_configuration_names_is_found() -> Result<(), Trouble> {
    let Some(place) = Place::new(&["AuthorizedKeysFile .keys/%u"], "ed25519").await? else { return Ok(()) };
    let home = place.sshds[0].home();
    let (from, to) = (home.join(".ssh/authorized_keys"), home.join(".keys").join(place.sshds[0].account()));
    let (user, group) = owner(&place)?;
    std::fs::create_dir(home.join(".keys"))?;
    std::os::unix::fs::chown(home.join(".keys"), Some(user), Some(group))?;
    std::fs::rename(&from, &to)?;
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let credential = place.desk.keywheel.find_credential("deploy").await?;
    let current = credential.current_key().ok_or("a current key")?.public_key.to_openssh();
    assert_eq!(std::fs::read_to_string(&to)?, format!("# first\n{current}\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_does_not_admit_this_machine_stops_the_check() -> Result<(), Trouble> {
    let Some(place) = Place::new(&[""], "ed25519").await? else { return Ok(()) };
    let text = format!("from=\"192.0.2.1\" {}\n", place.key.public);
    place.sshds[0].write_authorized_keys(text.as_bytes())?;
    let finished = place.rotate().await?;
    assert_eq!(finished.outcome, Outcome::Failed, "{finished:?}");
    assert_eq!(place.sshds[0].authorized_keys()?, text.as_bytes());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_asked_for_by_prompts_alone_is_enough() -> Result<(), Trouble> {
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let prompts = vec![("Password: ".to_owned(), "correct horse".to_owned())];
    let device = Embedded::start(Config { prompts, ..Config::default() }).await?;
    let id = desk.device_at("web-1", device.port(), &device.host_keys_public()?).await?;
    desk.credential("deploy", device.account(), &key.file, &[id]).await?;
    desk.password("admin", device.account(), "correct horse", &[id]).await?;
    let (watch, _watching) = watch();
    let request =
        keywheel_core::rotation::Install { credential: "deploy".into(), auth_with: "admin".into(), options: None };
    let finished = desk.keywheel.install(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    assert!(desk.client.logs_in(&device.target()?, &key.file)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rc_file_that_leaves_a_program_behind_does_not_hold_a_change_up() -> Result<(), Trouble> {
    let account = Account::new("deploy").shell("/bin/bash");
    let Some(sshd) = available(Sshd::builder().account(account).start())? else { return Ok(()) };
    let desk = Desk::open()?;
    for name in ["connection-timeout", "stage-timeout"] {
        desk.keywheel.set_setting(name, "3").await?;
    }
    let key = desk.client.key("deploy", "ed25519")?;
    sshd.write_authorized_keys(format!("{}\n", key.public).as_bytes())?;
    // What is left behind holds the program's standard output open, so that sshd does not close the channel.
    std::fs::write(sshd.home().join(".bashrc"), "sleep 20 &\n")?;
    let id = desk.device("web-1", &sshd).await?;
    desk.credential("deploy", "deploy", &key.file, &[id]).await?;
    let (watch, _watching) = watch();
    let request = Rotate { credential: "deploy".into(), ..Rotate::default() };
    let finished = desk.keywheel.rotate(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    Ok(())
}
