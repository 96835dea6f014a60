//! The fleet itself does what the tests that use it rely on.

use keywheel_fleet::account::Storage;
use keywheel_fleet::snapshot::{Difference, Processes};
use keywheel_fleet::{Account, Client, Dropbear, Fleet, FleetError, Scope, Snapshot, Sshd, Sudo, Tinysshd, available};

#[test]
fn openssh_logs_in_to_sshd_with_a_right_key_and_not_with_a_wrong_one() -> Result<(), FleetError> {
    let Some(device) = available(Sshd::builder().start())? else { return Ok(()) };
    let client = Client::new()?;
    let (right, wrong) = (client.key("right", "ed25519")?, client.key("wrong", "ed25519")?);
    device.write_authorized_keys(format!("{}\n", right.public).as_bytes())?;
    assert!(device.ssh_logs_in(&right.file, device.account())?, "the right key is refused: {}", device.log()?);
    assert!(!device.ssh_logs_in(&wrong.file, device.account())?, "any key would be accepted");
    let log = device.log()?;
    assert!(log.contains("Accepted publickey for"), "the log doesn't say who logged in: {log}");
    Ok(())
}

#[test]
fn two_devices_see_different_homes_and_host_keys() -> Result<(), FleetError> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    let [first, second] = fleet.devices.as_slice() else { panic!("two devices were asked for") };
    for device in [first, second] {
        device.write_authorized_keys(key.public.as_bytes())?;
    }
    client.run(&first.target()?, &key.file, "echo first > mine")?;
    assert_eq!(std::fs::read_to_string(first.home().join("mine")).unwrap(), "first\n", "the home isn't the folder");
    assert!(!second.home().join("mine").exists(), "two devices share a home");
    let listed = client.sftp(&second.target()?, &key.file, "ls -1 -a\n")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(".ssh") && !listed.contains("mine"), "SFTP sees another home than the shell: {listed}");
    assert_ne!(first.host_key_public()?, second.host_key_public()?, "a mixed-up device would not be noticed");
    Ok(())
}

#[test]
fn accounts_have_passwords_and_sudo_that_exist_on_the_device_only() -> Result<(), FleetError> {
    let before = std::fs::read("/etc/passwd").unwrap();
    let builder = Sshd::builder()
        .account(Account::new("kwtest").password("correct horse").sudo(Sudo::WithPassword))
        .account(Account::new("kwfree").sudo(Sudo::NoPassword).shell("/bin/bash"))
        .account(Account::new("root"));
    let Some(device) = available(builder.start())? else { return Ok(()) };
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    for account in ["kwfree", "root"] {
        device.write_authorized_keys_of(account, key.public.as_bytes())?;
    }
    let said = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let target = device.target()?;
    assert_eq!(said(client.run_with_password(&target, "correct horse", "id -un")?), "kwtest");
    assert_eq!(said(client.run_with_password(&target, "wrong", "id -un")?), "", "any password would be accepted");
    let with_password = "printf 'correct horse\\n' | sudo -S -p '' id -un";
    assert_eq!(said(client.run_with_password(&target, "correct horse", with_password)?), "root");
    assert_eq!(said(client.run_with_password(&target, "correct horse", "sudo -n id -un")?), "", "sudo asks nothing");
    let free = device.target_of("kwfree")?;
    assert_eq!(said(client.run(&free, &key.file, "sudo -n id -un; echo $0; hostname")?).lines().next(), Some("root"));
    assert_eq!(said(client.run(&device.target_of("root")?, &key.file, "pwd; ls -A")?), "/root\n.ssh");
    // A password changed on the device is changed there, and nowhere else.
    client.run(&free, &key.file, "echo kwtest:changed | sudo -n chpasswd -c SHA512")?;
    assert_eq!(said(client.run_with_password(&target, "changed", "id -un")?), "kwtest", "chpasswd did not work");
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), before, "the real /etc/passwd was changed");
    Ok(())
}

#[test]
fn a_home_can_be_small_or_read_only() -> Result<(), FleetError> {
    let builder = Sshd::builder()
        .account(Account::new("kwsmall").storage(Storage::Small(64 * 1024)))
        .account(Account::new("kwfixed").storage(Storage::ReadOnly));
    let Some(device) = available(builder.start())? else { return Ok(()) };
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    for account in ["kwsmall", "kwfixed"] {
        device.write_authorized_keys_of(account, key.public.as_bytes())?;
    }
    let full = client.run(&device.target()?, &key.file, "head -c 200000 /dev/zero > big")?;
    assert!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "the disk is not small: {full:?}");
    assert!(device.home().join("big").exists(), "the small home isn't seen from outside");
    let fixed = client.run(&device.target_of("kwfixed")?, &key.file, "touch new")?;
    assert!(String::from_utf8_lossy(&fixed.stderr).contains("Read-only"), "the home can be written: {fixed:?}");
    Ok(())
}

#[test]
fn a_device_can_be_stopped_started_and_given_another_host_key() -> Result<(), FleetError> {
    let Some(device) = available(Sshd::builder().start())? else { return Ok(()) };
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    device.write_authorized_keys(key.public.as_bytes())?;
    let target = device.target()?;
    device.stop()?;
    assert!(!client.logs_in(&target, &key.file)?, "a stopped device answers");
    device.start()?;
    assert!(client.logs_in(&target, &key.file)?, "a started device doesn't answer");
    device.replace_host_key()?;
    assert!(!client.logs_in(&target, &key.file)?, "the host key is the old one");
    assert!(client.logs_in(&device.target()?, &key.file)?, "the new host key doesn't work");
    Ok(())
}

#[test]
fn extra_lines_of_sshd_config_win_and_matches_come_last() -> Result<(), FleetError> {
    let builder = Sshd::builder().config("AuthorizedKeysFile .ssh/other\nMatch User nobody\n  PermitTTY no\n");
    let Some(device) = available(builder.start())? else { return Ok(()) };
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    device.write_authorized_keys(key.public.as_bytes())?;
    assert!(!client.logs_in(&device.target()?, &key.file)?, "the extra line has no effect");
    std::fs::rename(device.authorized_keys_path(), device.home().join(".ssh/other")).unwrap();
    assert!(client.logs_in(&device.target()?, &key.file)?, "the extra line has another effect");
    Ok(())
}

#[test]
fn openssh_logs_in_to_dropbear_with_a_right_key_and_not_with_a_wrong_one() -> Result<(), FleetError> {
    let Some(device) = available(Dropbear::start(&[]))? else { return Ok(()) };
    let client = Client::new()?;
    let (right, wrong) = (client.key("right", "ed25519")?, client.key("wrong", "ed25519")?);
    device.write_authorized_keys(format!("{}\n", right.public).as_bytes())?;
    assert!(client.logs_in(&device.target(), &right.file)?, "the right key is refused: {}", device.log()?);
    assert!(!client.logs_in(&device.target(), &wrong.file)?, "any key would be accepted");
    let said = client.run(&device.target(), &right.file, "ls -A; id -un")?;
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!(".ssh\n{}\n", device.account()));
    device.stop()?;
    assert!(!client.logs_in(&device.target(), &right.file)?, "a stopped device answers");
    device.restart()?;
    assert!(client.logs_in(&device.target(), &right.file)?, "a restarted device doesn't answer");
    Ok(())
}

#[test]
fn openssh_logs_in_to_tinysshd_with_a_right_key_and_not_with_a_wrong_one() -> Result<(), FleetError> {
    let Some(device) = available(Tinysshd::start(&[]))? else { return Ok(()) };
    let client = Client::new()?;
    let (right, wrong) = (client.key("right", "ed25519")?, client.key("wrong", "ed25519")?);
    device.write_authorized_keys(format!("{}\n", right.public).as_bytes())?;
    assert!(client.logs_in(&device.target(), &right.file)?, "the right key is refused: {}", device.log()?);
    assert!(!client.logs_in(&device.target(), &wrong.file)?, "any key would be accepted");
    let said = client.run(&device.target(), &right.file, "pwd; ls -A; id -un")?;
    assert_eq!(String::from_utf8_lossy(&said.stdout), "/home/kwtest\n.ssh\nkwtest\n");
    Ok(())
}

#[test]
fn devices_leave_no_process_mount_or_file_behind() -> Result<(), FleetError> {
    let temporary = std::env::temp_dir();
    let ours = || -> Vec<_> {
        let entries = std::fs::read_dir(&temporary).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("keywheel-fleet-")).collect()
    };
    // Other tests run at the same time: only what this one makes is looked at.
    let others = ours();
    let Some(device) = available(Sshd::builder().account(Account::new("kwleft")).start())? else { return Ok(()) };
    let mark = format!("sleep {}", 100_000 + u32::from(device.port()));
    let scope = Scope { roots: Vec::new(), except: Vec::new(), processes: Processes::Containing(vec![mark.clone()]) };
    let before = Snapshot::take(&scope)?;
    let client = Client::new()?;
    let key = client.key("key", "ed25519")?;
    device.write_authorized_keys(key.public.as_bytes())?;
    client.run(&device.target()?, &key.file, &format!("setsid nohup {mark} >/dev/null 2>&1 </dev/null & exit"))?;
    let started = |found: &Difference| matches!(found, Difference::Process { command, .. } if *command == mark);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !before.differences()?.iter().any(started) {
        assert!(std::time::Instant::now() < deadline, "the command doesn't run, so this test would see nothing");
    }
    let home = device.home();
    assert!(home.exists() && others.iter().all(|other| !home.starts_with(other)));
    drop(device);
    assert!(!home.exists(), "the device's folder is left");
    assert_eq!(before.differences()?, [], "a process that left its session, or a mount, is left");
    Ok(())
}

#[test]
fn a_snapshot_sees_new_changed_and_missing_files_and_new_processes() -> Result<(), FleetError> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("build")).unwrap();
    std::fs::write(path("kept"), "1").unwrap();
    std::fs::write(path("changed"), "1").unwrap();
    std::fs::write(path("gone"), "1").unwrap();
    let mark = format!("8{}", std::process::id());
    let scope = Scope {
        roots: vec![dir.path().to_owned()],
        except: vec![path("build")],
        processes: Processes::Containing(vec![mark.clone()]),
    };
    let before = Snapshot::take(&scope)?;
    assert_eq!(before.differences()?, [], "a machine at rest has differences");
    std::fs::write(path("build/object"), "1").unwrap();
    std::fs::write(path("new"), "1").unwrap();
    std::fs::write(path("changed"), "22").unwrap();
    std::fs::remove_file(path("gone")).unwrap();
    let mut child = std::process::Command::new("sleep").arg(&mark).spawn().unwrap();
    // A process that has just been started has no command line for a moment.
    let named = |found: &Difference| matches!(found, Difference::Process { .. });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let found = loop {
        let found = before.differences();
        if found.as_ref().is_ok_and(|list| list.iter().any(named)) || std::time::Instant::now() > deadline {
            break found;
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = [
        Difference::Process { id: child.id(), command: format!("sleep {mark}") },
        Difference::ChangedFile(path("changed")),
        Difference::NewFile(path("new")),
        Difference::MissingFile(path("gone")),
    ];
    assert_eq!(found?, expected);
    Ok(())
}
