//! Key changes in files of every kind, wherever they stand: each is done and all that was done, or is seen to be impossible
//! before anything is written.

use std::{
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use keywheel_core::{
    device::EditDevice,
    rotation::{
        ConnectWith, Finding, Finished, Stage, Strategy,
        decide::Outcome,
        event::{StageState, What},
    },
};
use keywheel_fleet::{
    Account, FleetError, Sshd, Trial, Trouble, Way,
    account::Storage,
    available,
    sshd::{SshdBuilder, StrictModes},
};

/// A trial at a device of this description, or none where this machine can't run one.
async fn trial(builder: SshdBuilder) -> Result<Option<Trial>, Trouble> {
    match available(builder.start())? {
        Some(sshd) => Ok(Some(Trial::at(sshd).await?)),
        None => Ok(None),
    }
}

/// The same where something must be done on the device by root before.
async fn prepared(builder: SshdBuilder, script: &str) -> Result<Option<Trial>, Trouble> {
    let Some(trial) = trial(builder).await? else { return Ok(None) };
    Ok(available(trial.sshd.inside(script))?.map(|_| trial))
}

fn ssh_folder(trial: &Trial) -> PathBuf {
    trial.sshd.home().join(".ssh")
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Trouble> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

fn warnings(finding: &Finding) -> Vec<&str> {
    finding.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Leaves no space in a small home.
fn fill(trial: &Trial) -> Result<(), Trouble> {
    match std::fs::write(trial.sshd.home().join("large"), vec![0; 1 << 20]) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        written => Err(format!("the disk is not small: {written:?}").into()),
    }
}

/// Changes the key, and does something on the device as soon as a stage is done.
async fn change_and(
    trial: &Trial,
    after: Stage,
    strategy: Strategy,
    act: impl Fn() -> Result<(), Trouble>,
) -> Result<Finished, Trouble> {
    let finished = trial.change_while(trial.request(strategy), |event| match &event.what {
        What::Stage { stage, state: StageState::Done, .. } if *stage == after => act(),
        _ => Ok(()),
    });
    finished.await
}

/// Texts with a key's line that a way which takes the file for text would change.
fn odd_texts(line: &[u8]) -> Vec<Vec<u8>> {
    let options = b"restrict,environment=\"A=\\\"b # c\\\"\"\t".as_slice();
    let texts: [&[&[u8]]; 5] = [
        &[line],
        &[b"# first\r\n", line, b"\r\n# last\r\n"],
        &[b"\0\n", line, b"\n\0\0"],
        &[line, b"\n", options, line, b"\n\n", line],
        &[b"\xff\xfe\n  \t", line, b"\r\n\r"],
    ];
    texts.map(<[&[u8]]>::concat).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_odd_texts_stays() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
        for number in 0..odd_texts(b"").len() {
            let credential = trial.credential().await?;
            let line = credential.current_key().ok_or("a current key")?.public_key.to_openssh();
            trial.sshd.write_authorized_keys(&odd_texts(line.as_bytes())[number])?;
            let before = trial.look()?;
            let finished = trial.change(Strategy::TwoPhase).await?;
            trial.assert_changed(&credential, &before, &finished).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_megabyte_is_changed() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
        let lines: String =
            (0..20_000).map(|number| format!("# {number:06} nobody's line, but one of many\n")).collect();
        trial.sshd.write_authorized_keys(&[lines.as_bytes(), &trial.text(), b"\n", lines.as_bytes()].concat())?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_seen_before_anything_is_written() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let account = Account::new("kwtest").storage(Storage::Small(64 * 1024));
        let Some(trial) = trial(way.device("").account(account)).await? else { return Ok(()) };
        fill(&trial)?;
        trial.refuses("disk-full").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_after_the_check_takes_all_back() -> Result<(), Trouble> {
    for way in Way::BOTH {
        for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
            let account = Account::new("kwtest").storage(Storage::Small(64 * 1024));
            let Some(trial) = trial(way.device("").account(account)).await? else { return Ok(()) };
            let before = trial.look()?;
            let finished = change_and(&trial, Stage::Check, strategy, || fill(&trial)).await?;
            trial.assert_rolled_back(&before, &finished, "disk-full").await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_after_the_proof_leaves_both_keys_until_there_is_space() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let account = Account::new("kwtest").storage(Storage::Small(64 * 1024));
        let Some(trial) = trial(way.device("").account(account)).await? else { return Ok(()) };
        let (from, before) = (trial.credential().await?, trial.look()?);
        let finished = change_and(&trial, Stage::Prove, Strategy::TwoPhase, || fill(&trial)).await?;
        assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
        trial.assert_true().await?;
        for version in [1, 2] {
            let file = trial.desk.key_file("deploy", version).await?;
            assert!(trial.sshd.ssh_logs_in(&file, "kwtest")?, "version {version} must log in");
        }
        std::fs::remove_file(trial.sshd.home().join("large"))?;
        let (watch, _watching) = keywheel_fleet::watch();
        let finished = trial.desk.keywheel.retry(finished.change, watch).await?;
        trial.assert_changed(&from, &before, &finished).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_mount_is_seen_before_anything_is_written() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let account = Account::new("kwtest").storage(Storage::ReadOnly);
        let Some(trial) = trial(way.device("").account(account)).await? else { return Ok(()) };
        trial.refuses("file-read-only").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_may_not_write_is_seen_before_anything_is_written() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
        if available(trial.sshd.inside("true"))?.is_none() {
            return Ok(());
        }
        set_mode(&trial.files[0], 0o400)?;
        trial.refuses("file-read-only").await?;
        set_mode(&trial.files[0], 0o600)?;
        set_mode(&ssh_folder(&trial), 0o500)?;
        trial.refuses("directory-not-writable").await?;
        set_mode(&ssh_folder(&trial), 0o700)?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_file_is_not_renamed_over() -> Result<(), Trouble> {
    let mount = "cd /home/kwtest/.ssh; cp -p authorized_keys mounted; mount --bind mounted authorized_keys";
    let Some(trial) = prepared(Way::Shell.device(""), mount).await? else { return Ok(()) };
    trial.refuses("mount-point").await?;
    // Over SFTP no mount is seen: the rename tells.
    let Some(trial) = prepared(Way::Sftp.device(""), mount).await? else { return Ok(()) };
    for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
        let before = trial.look()?;
        let finished = trial.change(strategy).await?;
        trial.assert_rolled_back(&before, &finished, "write-failed").await?;
    }
    Ok(())
}

/// A file that nothing can change until this is dropped.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    /// None where the file system knows no such mark, or it can't be set here.
    fn make(path: &'a Path) -> Result<Option<Self>, Trouble> {
        let made = Command::new("chattr").arg("+i").arg(path).output();
        let reason = match made {
            Ok(output) if output.status.success() => return Ok(Some(Self(path))),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        Ok(available(Err(FleetError::Unavailable { reason }))?)
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        Command::new("chattr").arg("-i").arg(self.0).status().expect("chattr was there before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_file_is_seen_before_anything_is_written() -> Result<(), Trouble> {
    for (way, code) in [(Way::Shell, "file-immutable"), (Way::Sftp, "file-read-only")] {
        let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
        let file = &trial.files[0];
        let Some(immutable) = Immutable::make(file)? else { return Ok(()) };
        trial.refuses(code).await?;
        drop(immutable);
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn loose_modes_stay_where_sshd_takes_them() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(trial) = trial(way.device("").strict_modes(StrictModes::No)).await? else { return Ok(()) };
        set_mode(&trial.sshd.home(), 0o775)?;
        set_mode(&ssh_folder(&trial), 0o770)?;
        set_mode(&trial.files[0], 0o664)?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_that_sshd_refuses_are_told_by_who_can_still_look() -> Result<(), Trouble> {
    let builder = Sshd::builder().account(Account::new("kwtest")).account(Account::new("root"));
    let Some(mut trial) = trial(builder).await? else { return Ok(()) };
    let root = trial.desk.client.key("root", "ed25519")?;
    trial.sshd.write_authorized_keys_of("root", format!("{}\n", root.public).as_bytes())?;
    let device = trial.desk.keywheel.find_device("web-1").await?.id;
    trial.desk.credential("root", "root", &root.file, &[device]).await?;
    let (home, folder, file) = (trial.sshd.home(), ssh_folder(&trial), trial.files[0].clone());
    for (path, loose, strict) in [(&home, 0o757, 0o755), (&folder, 0o702, 0o700), (&file, 0o602, 0o600)] {
        set_mode(path, loose)?;
        trial.connect_with = ConnectWith::Itself;
        trial.refuses("authentication-refused").await?;
        trial.connect_with = ConnectWith::Credential("root".into());
        trial.refuses("strict-modes").await?;
        set_mode(path, strict)?;
    }
    trial.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_tells_whether_the_accounts_own_group_may_write() -> Result<(), Trouble> {
    let Some(trial) = trial(Sshd::builder()).await? else { return Ok(()) };
    set_mode(&trial.sshd.home(), 0o775)?;
    // Debian's sshd takes it, others don't.
    if !trial.sshd.ssh_logs_in(&trial.key.file, trial.sshd.account())? {
        return trial.refuses("authentication-refused").await;
    }
    assert!(warnings(&trial.check().await?).contains(&"strict-modes"), "other builds would refuse; nothing is said");
    trial.changes().await
}

/// Moves the key to a place, and changes it there.
async fn changes_at(way: Way, config: &str, prepare: &str, place: &str) -> Result<(), Trouble> {
    let prepare = format!("{prepare}\ntrue");
    let Some(mut trial) = prepared(way.device(config), &prepare).await? else { return Ok(()) };
    trial.move_file(&trial.sshd.root()?.join(place))?;
    trial.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_wherever_the_configuration_puts_it() -> Result<(), Trouble> {
    for way in Way::BOTH {
        changes_at(way, "AuthorizedKeysFile /etc/keys/%u/mine", "mkdir /etc/keys", "etc/keys/kwtest/mine").await?;
    }
    changes_at(Way::Sftp, "AuthorizedKeysFile %h/.keys/%u.pub", "", "home/kwtest/.keys/kwtest.pub").await?;
    changes_at(Way::Shell, "AuthorizedKeysFile .keys/%% \".keys/a b\"", "", "home/kwtest/.keys/a b").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_where_an_included_file_puts_it() -> Result<(), Trouble> {
    let included = "mkdir -p /etc/ssh/sshd_config.d /etc/ssh/more\n\
        echo 'AuthorizedKeysFile .keys/mine' >/etc/ssh/sshd_config.d/50-keys.conf\n\
        echo 'AuthorizedKeysFile .keys/mine' >/etc/ssh/more/keys\n";
    for (way, include) in [
        (Way::Shell, "/etc/ssh/sshd_config.d/*.conf"),
        (Way::Sftp, "/etc/ssh/sshd_config.d/*.conf"),
        (Way::Shell, "more/keys"),
        (Way::Sftp, "/etc/ssh/more/keys"),
    ] {
        let builder = way.device(&format!("Include {include}"));
        let Some(mut trial) = prepared(builder, included).await? else { return Ok(()) };
        // It reads what is included when it starts.
        trial.sshd.restart()?;
        trial.move_file(&trial.sshd.home().join(".keys/mine"))?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_where_a_block_for_the_account_puts_it() -> Result<(), Trouble> {
    let config = "Match User other,!kwtest\n  AuthorizedKeysFile /etc/nowhere\nMatch User kw*\n  AuthorizedKeysFile .keys/mine\n\
        Match all\n  AuthorizedKeysFile /etc/nowhere\n";
    for way in Way::BOTH {
        changes_at(way, config, "", "home/kwtest/.keys/mine").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_outside_can_find_is_named_by_hand() -> Result<(), Trouble> {
    // Whether a block for a group holds can't be told from outside, and a hidden configuration tells nothing.
    let group = "Match Group kwtest\n  AuthorizedKeysFile .keys/mine\n";
    for (config, script) in [(group, "true"), ("AuthorizedKeysFile .keys/mine", "chmod 600 /etc/ssh/sshd_config")] {
        let Some(mut trial) = prepared(Way::Shell.device(config), script).await? else { return Ok(()) };
        trial.move_file(&trial.sshd.home().join(".keys/mine"))?;
        trial.refuses("file-missing").await?;
        let id = trial.desk.keywheel.find_device("web-1").await?.id;
        let edit = EditDevice { authorized_keys_path: Some("~/.keys/mine".into()), ..EditDevice::default() };
        trial.desk.keywheel.edit_device(id, edit).await?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_several_files_is_changed_in_all_of_them() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let config = "AuthorizedKeysFile .ssh/authorized_keys .ssh/second /etc/nowhere";
        let Some(mut trial) = trial(way.device(config)).await? else { return Ok(()) };
        let second = ssh_folder(&trial).join("second");
        std::fs::write(&second, [b"no-pty ", trial.key.public.as_bytes()].concat())?;
        trial.sshd.give(trial.sshd.account(), &second)?;
        trial.files.push(second);
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_in_one_of_several_files_leaves_the_other_alone() -> Result<(), Trouble> {
    let script = "umask 022; cp /home/kwtest/.ssh/authorized_keys /etc/second";
    let config = "AuthorizedKeysFile .ssh/authorized_keys /etc/second";
    let Some(sshd) = available(Sshd::builder().config(config).start())? else { return Ok(()) };
    let mut trial = Trial::at(sshd).await?;
    if available(trial.sshd.inside(script))?.is_none() {
        return Ok(());
    }
    let second = trial.sshd.root()?.join("etc/second");
    set_mode(&second, 0o644)?;
    chown(&second, Some(0), Some(0))?;
    trial.files.push(second);
    trial.refuses("file-read-only").await
}

#[tokio::test(flavor = "multi_thread")]
async fn links_stay_links_and_lead_to_the_changed_file() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(mut trial) = trial(way.device("")).await? else { return Ok(()) };
        let (home, folder) = (trial.sshd.home(), ssh_folder(&trial));
        // A link to a link to the file, and the folder a link, too.
        trial.move_file(&home.join("keys/mine"))?;
        std::fs::rename(&folder, home.join("real"))?;
        symlink("real", &folder)?;
        symlink("../keys/link", home.join("real/authorized_keys"))?;
        symlink("mine", home.join("keys/link"))?;
        trial.changes().await?;
        for (link, target) in [(".ssh", "real"), ("real/authorized_keys", "../keys/link"), ("keys/link", "mine")] {
            assert_eq!(std::fs::read_link(home.join(link))?, Path::new(target), "{link} is no longer what it was");
        }
        assert_eq!(std::fs::read_dir(home.join("real"))?.count(), 1, "something stays beside the link");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_home_is_told_and_followed() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(mut trial) = prepared(way.device(""), "mkdir /etc/keys").await? else { return Ok(()) };
        trial.move_file(&trial.sshd.root()?.join("etc/keys/kwtest/mine"))?;
        symlink("/etc/keys/kwtest/mine", ssh_folder(&trial).join("authorized_keys"))?;
        let finding = trial.check().await?;
        assert_eq!(finding.files, ["/etc/keys/kwtest/mine"], "another file would be written");
        assert!(warnings(&finding).contains(&"link-out-of-home"), "{finding:?}");
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_second_name_keeps_both() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
        let second = trial.sshd.home().join("second");
        std::fs::hard_link(&trial.files[0], &second)?;
        trial.refuses("metadata-would-change").await?;
        std::fs::remove_file(&second)?;
        trial.changes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_control_list_stays_or_is_told_to_be_out_of_sight() -> Result<(), Trouble> {
    let listed = "setfacl -m u:nobody:r,g:daemon:r /home/kwtest/.ssh/authorized_keys";
    let Some(trial) = prepared(Way::Shell.device(""), listed).await? else { return Ok(()) };
    trial.changes().await?;
    let Some(trial) = prepared(Way::Sftp.device(""), listed).await? else { return Ok(()) };
    let finding = trial.check().await?;
    assert!(warnings(&finding).contains(&"metadata-unseen"), "a list that would be lost is not spoken of: {finding:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_group_stays_or_stops_the_check() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let join = "groupadd -g 20900 kwcrew; usermod -aG kwcrew kwtest; groupadd -g 20901 kwothers";
        let Some(trial) = prepared(way.device(""), join).await? else { return Ok(()) };
        let file = &trial.files[0];
        chown(file, None, Some(20_900))?;
        set_mode(file, 0o640)?;
        trial.changes().await?;
    }
    let Some(trial) = prepared(Way::Shell.device(""), "groupadd -g 20901 kwothers").await? else { return Ok(()) };
    chown(&trial.files[0], None, Some(20_901))?;
    trial.refuses("metadata-would-change").await
}
