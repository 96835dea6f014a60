//! Key changes through another credential: as root, with sudo in all its moods, and where somebody has set a trap.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use keywheel_core::rotation::{
    ConnectWith, Install, Stage, Strategy, Uninstall,
    decide::Outcome,
    event::{StageState, What},
};
use keywheel_fleet::{Account, Kept, Sshd, Sudo, Trial, Trouble, available, watch};

/// The password of the account that acts for others.
const PASSWORD: &str = "correct horse 'battery' \"$(staple)\"";

/// How the credential that acts for others logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Key,
    Password,
}

/// A trial whose device is connected to as another account, which is also the name of that credential.
async fn trial(other: Account, with: With) -> Result<Option<Trial>, Trouble> {
    trial_at(Sshd::builder(), other, with).await
}

async fn trial_at(
    builder: keywheel_fleet::sshd::SshdBuilder,
    other: Account,
    with: With,
) -> Result<Option<Trial>, Trouble> {
    let name = other.name.clone();
    let other = if with == With::Password { other.password(PASSWORD) } else { other };
    let builder = builder.account(Account::new("kwtest")).account(other);
    let Some(sshd) = available(builder.start())? else { return Ok(None) };
    let mut trial = Trial::at(sshd).await?;
    let device = trial.desk.keywheel.find_device("web-1").await?.id;
    match with {
        With::Key => {
            let key = trial.desk.client.key(&name, "ed25519")?;
            trial.sshd.write_authorized_keys_of(&name, format!("{}\n", key.public).as_bytes())?;
            trial.desk.credential(&name, &name, &key.file, &[device]).await?;
        }
        With::Password => {
            trial.desk.password(&name, &name, PASSWORD, &[device]).await?;
        }
    }
    trial.connect_with = ConnectWith::Credential(name);
    Ok(Some(trial))
}

fn root() -> Account {
    Account::new("root")
}

fn admin(sudo: Sudo) -> Account {
    Account::new("kwadmin").sudo(sudo)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Trouble> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

/// Changes the key of an account whose home nobody else can enter, and installs and takes it off besides.
async fn acts_for_others(trial: &Trial) -> Result<(), Trouble> {
    let home = trial.sshd.home();
    set_mode(&home, 0o700)?;
    trial.changes().await?;
    // Nothing is there yet: what is made belongs to the account, and sshd takes it.
    std::fs::remove_dir_all(home.join(".ssh"))?;
    let ConnectWith::Credential(auth_with) = trial.connect_with.clone() else { return Err("a credential".into()) };
    let install = Install { credential: "deploy".into(), auth_with, options: Some("no-pty".into()) };
    let (one, _watching) = watch();
    let installed = trial.desk.keywheel.install(&install, one).await?;
    assert_eq!(installed.outcome, Outcome::Changed, "{installed:?}");
    let owner = std::fs::metadata(&home)?;
    for (path, mode) in [(home.join(".ssh"), 0o700), (trial.files[0].clone(), 0o600)] {
        let made = std::fs::metadata(&path)?;
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (mode, owner.uid(), owner.gid()), "{path:?}");
    }
    let version = trial.credential().await?.current_key().ok_or("a current key")?.version;
    let current = trial.desk.key_file("deploy", version).await?;
    assert!(trial.sshd.ssh_logs_in(&current, "kwtest")?, "{}", trial.sshd.log()?);
    let (two, _watching) = watch();
    let uninstall = Uninstall { credential: "deploy".into(), devices: Vec::new() };
    let taken_off = trial.desk.keywheel.uninstall(&uninstall, two).await?;
    assert_eq!(taken_off.outcome, Outcome::Changed, "{taken_off:?}");
    assert!(!trial.sshd.ssh_logs_in(&current, "kwtest")?, "the key is still there");
    assert_eq!(std::fs::read_dir(home.join(".ssh"))?.count(), 1, "something stays beside the file");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn root_acts_for_an_account() -> Result<(), Trouble> {
    let Some(trial) = trial(root(), With::Key).await? else { return Ok(()) };
    acts_for_others(&trial).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_without_a_password_acts_for_an_account() -> Result<(), Trouble> {
    let Some(trial) = trial(admin(Sudo::NoPassword), With::Key).await? else { return Ok(()) };
    acts_for_others(&trial).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_with_a_password_acts_for_an_account() -> Result<(), Trouble> {
    let Some(trial) = trial(admin(Sudo::WithPassword), With::Password).await? else { return Ok(()) };
    acts_for_others(&trial).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_asks_for_no_password_gets_none() -> Result<(), Trouble> {
    let Some(trial) = trial(admin(Sudo::NoPassword), With::Password).await? else { return Ok(()) };
    trial.changes().await?;
    for file in [trial.sshd.log()?, String::from_utf8_lossy(&trial.sshd.authorized_keys()?).into_owned()] {
        assert!(!file.contains("battery"), "the password was sent where nobody asked for it");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_shells_act_for_an_account_too() -> Result<(), Trouble> {
    for shell in ["/usr/bin/fish", "/bin/csh"] {
        let Some(trial) = trial(admin(Sudo::WithPassword).shell(shell), With::Password).await? else { return Ok(()) };
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_of_its_own_is_acted_for() -> Result<(), Trouble> {
    for (other, with) in [(root(), With::Key), (admin(Sudo::WithPassword), With::Password)] {
        let Some(mut trial) = trial(other, with).await? else { return Ok(()) };
        let passwd = trial.sshd.root()?.join("etc/passwd");
        let text = std::fs::read_to_string(&passwd)?;
        std::fs::write(&passwd, text.replace("/home/kwtest:/bin/sh", "/home/kwtest:/usr/sbin/nologin"))?;
        trial.changes().await?;
        trial.connect_with = ConnectWith::Itself;
        assert_eq!(trial.check().await?.method.as_deref(), Some("sftp"), "the account has a shell after all");
    }
    Ok(())
}

/// What sudo does not do is told as what it is, and nothing is written.
async fn sudo_refuses(sudo: Sudo, with: With, rule: &str, code: &str) -> Result<(), Trouble> {
    let Some(trial) = trial(admin(sudo), with).await? else { return Ok(()) };
    if !rule.is_empty() {
        trial.sshd.inside(&format!("umask 227; printf '%s\\n' '{rule}' >/etc/sudoers.d/rule"))?;
    }
    trial.refuses(code).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_asks_although_none_was_expected_is_told() -> Result<(), Trouble> {
    sudo_refuses(Sudo::WithPassword, With::Key, "", "sudo-password-needed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_use_sudo_is_told() -> Result<(), Trouble> {
    sudo_refuses(Sudo::None, With::Password, "", "sudo-not-allowed").await?;
    sudo_refuses(Sudo::None, With::Password, "kwadmin ALL=(root) ALL", "sudo-not-allowed").await?;
    // Without a password sudo does not get as far as its rules.
    sudo_refuses(Sudo::None, With::Key, "", "sudo-password-needed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_wants_a_terminal_is_told() -> Result<(), Trouble> {
    for (sudo, with) in [(Sudo::NoPassword, With::Key), (Sudo::WithPassword, With::Password)] {
        sudo_refuses(sudo, with, "Defaults:kwadmin requiretty", "sudo-terminal-needed").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_sudo_does_not_take_is_told_and_sent_once() -> Result<(), Trouble> {
    // The password that logs in is not the one that sudo asks for.
    sudo_refuses(Sudo::WithPassword, With::Password, "Defaults:kwadmin targetpw", "sudo-wrong-password").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_does_not_even_log_in_is_told() -> Result<(), Trouble> {
    let Some(mut trial) = trial(admin(Sudo::WithPassword), With::Password).await? else { return Ok(()) };
    let device = trial.desk.keywheel.find_device("web-1").await?.id;
    trial.desk.password("wrong", "kwadmin", "not that one", &[device]).await?;
    trial.connect_with = ConnectWith::Credential("wrong".into());
    trial.refuses("authentication-refused").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_sudo_is_told() -> Result<(), Trouble> {
    let Some(trial) =
        trial_at(Sshd::builder().config("SetEnv PATH=/etc/few"), admin(Sudo::NoPassword), With::Key).await?
    else {
        return Ok(());
    };
    trial.sshd.inside("mkdir /etc/few; ln -s /usr/bin/env /bin/sh /etc/few")?;
    trial.refuses("sudo-missing").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_does_not_exist_is_told() -> Result<(), Trouble> {
    for (other, with) in [(root(), With::Key), (admin(Sudo::WithPassword), With::Password)] {
        let Some(trial) = trial(other, with).await? else { return Ok(()) };
        let device = trial.desk.keywheel.find_device("web-1").await?.id;
        trial.desk.credential("nobody", "kwnobody", &trial.key.file, &[device]).await?;
        let findings = trial.desk.keywheel.check("nobody", &trial.connect_with).await?;
        let codes: Vec<&str> = findings[0].problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["account-unknown"], "{findings:?}");
    }
    Ok(())
}

/// Files of root's with a line of the key in them, which whoever acts for the account must not be led to.
fn victims(trial: &Trial) -> Result<[Kept; 2], Trouble> {
    let etc = trial.sshd.root()?.join("etc");
    let files = [etc.join("kw-victim"), etc.join("kw-folder/authorized_keys")];
    std::fs::create_dir(etc.join("kw-folder"))?;
    for file in &files {
        std::fs::write(file, trial.text())?;
        set_mode(file, 0o644)?;
    }
    Ok([Kept::look(&files[0])?, Kept::look(&files[1])?])
}

/// What an account can put in the way of who acts for it.
fn traps(home: &Path) -> [(PathBuf, &'static str); 2] {
    [(home.join(".ssh/authorized_keys"), "/etc/kw-victim"), (home.join(".ssh"), "/etc/kw-folder")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_link_leads_nobody_to_write_elsewhere() -> Result<(), Trouble> {
    for (other, with) in [(root(), With::Key), (admin(Sudo::WithPassword), With::Password)] {
        let Some(mut trial) = trial(other, with).await? else { return Ok(()) };
        let victims = victims(&trial)?;
        let home = trial.sshd.home();
        trial.files = Vec::new();
        std::fs::rename(home.join(".ssh/authorized_keys"), home.join("aside"))?;
        for (link, target) in traps(&home) {
            if link.is_dir() {
                std::fs::remove_dir_all(&link)?;
            }
            symlink(target, &link)?;
            trial.refuses("file-read-only").await?;
            victims.iter().try_for_each(Kept::assert_untouched)?;
            std::fs::remove_file(&link)?;
            if link.ends_with("authorized_keys") {
                continue;
            }
            // As it was, for the next one.
            std::fs::create_dir(&link)?;
            trial.sshd.give("kwtest", &link)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_planted_after_the_look_leads_nobody_to_write_elsewhere() -> Result<(), Trouble> {
    for (other, with) in [(root(), With::Key), (admin(Sudo::NoPassword), With::Key)] {
        for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
            let Some(trial) = trial(other.clone(), with).await? else { return Ok(()) };
            let victims = victims(&trial)?;
            let home = trial.sshd.home();
            let finished = trial.change_while(trial.request(strategy), |event| match &event.what {
                What::Stage { stage: Stage::Check, state: StageState::Done, .. } => {
                    std::fs::rename(home.join(".ssh"), home.join("aside"))?;
                    Ok(symlink("/etc/kw-folder", home.join(".ssh"))?)
                }
                _ => Ok(()),
            });
            let finished = finished.await?;
            assert_ne!(finished.outcome, Outcome::Changed, "{finished:?}");
            victims.iter().try_for_each(Kept::assert_untouched)?;
            assert_eq!(std::fs::read(home.join("aside/authorized_keys"))?, trial.text());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_roots_in_folders_of_roots_is_changed_by_root_alone() -> Result<(), Trouble> {
    let config = "AuthorizedKeysFile /etc/ssh/keys/%u";
    let Some(mut trial) = trial_at(Sshd::builder().config(config), root(), With::Key).await? else { return Ok(()) };
    // Root's own file is there, too.
    trial.sshd.inside("mkdir /etc/ssh/keys; cp /root/.ssh/authorized_keys /etc/ssh/keys/root")?;
    let file = trial.sshd.root()?.join("etc/ssh/keys/kwtest");
    std::fs::write(&file, trial.text())?;
    set_mode(&file, 0o644)?;
    chown(&file, Some(0), Some(0))?;
    std::fs::remove_file(&trial.files[0])?;
    trial.files = vec![file];
    trial.changes().await?;
    trial.connect_with = ConnectWith::Itself;
    let finding = trial.check().await?;
    assert_eq!(finding.problems[0].code, "file-read-only", "the account itself can't write it: {finding:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_its_own_line_keeps_out_is_told_by_that_line() -> Result<(), Trouble> {
    for (options, code) in [
        ("expiry-time=\"20200101\"", "key-expired"),
        ("from=\"192.0.2.0/24\",no-pty", "from-refused"),
        // Nobody here knows whether the device calls this machine so.
        ("from=\"gate.example.com\"", "authentication-refused"),
    ] {
        let Some(trial) = trial(root(), With::Key).await? else { return Ok(()) };
        let line = format!("{options} {}", trial.key.public);
        trial.sshd.write_authorized_keys(&trial.text_around(&line))?;
        trial.refuses(code).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_whose_limits_are_kept_is_no_finding() -> Result<(), Trouble> {
    let Some(trial) = trial(root(), With::Key).await? else { return Ok(()) };
    let line = format!("expiry-time=\"20990101\",from=\"127.0.0.0/8\" {}", trial.key.public);
    trial.sshd.write_authorized_keys(&trial.text_around(&line))?;
    trial.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_an_older_key_says_why_it_refuses_the_current_one() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let trial = Trial::at(sshd).await?;
    trial.change(Strategy::TwoPhase).await?;
    let credential = trial.desk.keywheel.find_credential("deploy").await?;
    let current = credential.current_key().ok_or("a key")?.public_key.to_openssh();
    let lines = format!("{}\nexpiry-time=\"20200101\" {current}", trial.key.public);
    trial.sshd.write_authorized_keys(&trial.text_around(&lines))?;
    let finding = trial.check().await?;
    let said: Vec<&str> = finding.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert!(finding.ready && said.contains(&"accepts-other-version"), "{finding:?}");
    assert!(said.contains(&"key-expired"), "nobody would know why: {finding:?}");
    let finished = trial.change(Strategy::TwoPhase).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "it was ready: {finished:?}");
    Ok(())
}
