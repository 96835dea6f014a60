//! The embedded server does what it is told to, as the real OpenSSH client sees it.

use std::process::Output;
use std::time::{Duration, Instant};

use keywheel_fleet::embedded::{Allowed, Config, Event, Fault, Moment, SecondFactor, Which, With};
use keywheel_fleet::{Client, ClientKey, Embedded, FleetError};

/// A device that the key `right` may log in to, and a client with that key and another.
struct Setting {
    device: Embedded,
    client: Client,
    right: ClientKey,
    wrong: ClientKey,
}

impl Setting {
    async fn with(config: Config) -> Result<Self, FleetError> {
        let device = Embedded::start(config).await?;
        let client = Client::new()?;
        let (right, wrong) = (client.key("right", "ed25519")?, client.key("wrong", "rsa")?);
        device.write_authorized_keys(format!("# keys\n{}\n", right.public).as_bytes())?;
        Ok(Self { device, client, right, wrong })
    }

    async fn new() -> Result<Self, FleetError> {
        Self::with(Config::default()).await
    }

    fn logs_in(&self, key: &ClientKey) -> Result<bool, FleetError> {
        self.client.logs_in(&self.device.target()?, &key.file)
    }

    fn run(&self, command: &str) -> Result<Output, FleetError> {
        self.client.run(&self.device.target()?, &self.right.file, command)
    }

    fn sftp(&self, batch: &str) -> Result<Output, FleetError> {
        self.client.sftp(&self.device.target()?, &self.right.file, batch)
    }

    fn events(&self) -> Vec<Event> {
        self.device.records().into_iter().map(|record| record.event).collect()
    }

    fn home_file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.device.home().join(name)).ok()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_key_logs_in_and_a_wrong_one_does_not() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    assert!(set.logs_in(&set.right)?, "the key in the file is refused");
    assert!(!set.logs_in(&set.wrong)?, "a key that isn't in the file is accepted");
    set.device.write_authorized_keys(set.wrong.public.as_bytes())?;
    assert!(!set.logs_in(&set.right)?, "the file isn't read at each login");
    assert!(set.logs_in(&set.wrong)?, "an RSA key doesn't log in");
    let logins =
        set.events().iter().filter(|event| matches!(event, Event::LoggedIn { with: With::Key(_), .. })).count();
    assert_eq!(logins, 2, "the records don't say who logged in: {:?}", set.events());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_a_real_one_in_the_home() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let output = set.run("pwd; echo $HOME; printf written > file; echo wrong >&2; exit 7")?;
    let home = set.device.home().display();
    assert_eq!(stdout(&output), format!("{home}\n{home}\n"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("wrong\n"), "standard error is lost: {output:?}");
    assert_eq!(output.status.code(), Some(7), "the exit status is lost");
    assert_eq!(set.home_file("file").as_deref(), Some("written"));
    let events = set.events();
    let wrote = Event::Wrote { path: "file".into(), bytes: b"written".to_vec() };
    let wrote = events.iter().position(|event| *event == wrote).expect("the written file isn't recorded");
    let login = events.iter().position(|event| matches!(event, Event::LoggedIn { .. })).unwrap();
    assert!(login < wrote, "the records are out of order: {events:?}");
    let large = set.run("head -c 5000000 /dev/zero")?;
    assert_eq!(large.stdout.len(), 5_000_000, "a long output is cut");
    let killed = set.run("kill -9 $$")?;
    assert_eq!(killed.status.code(), Some(255), "an end by a signal isn't told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sees_the_accounts_of_the_device_and_not_those_of_the_machine() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let output = set.run("u=$(id -un); getent passwd \"$u\" || grep -e \"^$u:\" /etc/passwd | cut -d: -f6")?;
    assert_eq!(stdout(&output), format!("{}\n", set.device.home().display()), "the user's real home is in reach");
    let output = set.run("ls /etc/ssh/sshd_config")?;
    assert!(!output.status.success(), "the sshd_config of this machine is taken for the device's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_command_and_a_source_address_count() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let line = format!("command=\"echo forced $SSH_ORIGINAL_COMMAND\" {}\n", set.right.public);
    set.device.write_authorized_keys(line.as_bytes())?;
    assert_eq!(stdout(&set.run("echo free")?), "forced echo free\n");
    set.device.write_authorized_keys(format!("from=\"10.0.0.1\" {}\n", set.right.public).as_bytes())?;
    assert!(!set.logs_in(&set.right)?, "a key for another address is accepted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_reads_writes_and_replaces_files() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let local = tempfile::tempdir().unwrap();
    let here = |name: &str| local.path().join(name);
    std::fs::write(here("up"), "sent").unwrap();
    let batch = format!(
        "put {0}/up new\nchmod 640 new\nget new {0}/down\nput {0}/up old\nrename new old\nsymlink old link\nls -l link\n",
        local.path().display()
    );
    let output = set.sftp(&batch)?;
    assert!(output.status.success(), "an SFTP request failed: {output:?}");
    assert_eq!(std::fs::read_to_string(here("down")).unwrap(), "sent");
    // The client renames with posix-rename@openssh.com where the server offers it, which replaces the other file.
    assert_eq!(set.home_file("new"), None, "the file wasn't renamed");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(set.device.home().join("old")).unwrap());
    assert_eq!(mode & 0o7777, 0o640, "the mode isn't set, or the rename didn't replace the file");
    assert_eq!(std::fs::read_link(set.device.home().join("link")).unwrap().to_str(), Some("old"));
    let outside = set.sftp(&format!("put {0}/up {0}/escaped\n", local.path().display()))?;
    assert!(!outside.status.success() && !here("escaped").exists(), "SFTP writes to this machine's own files");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_prompts_and_second_factors_are_asked_for() -> Result<(), FleetError> {
    let set = Setting::with(Config { password: Some("secret".to_owned()), ..Config::default() }).await?;
    let target = set.device.target()?;
    assert_eq!(stdout(&set.client.run_with_password(&target, "secret", "echo in")?), "in\n");
    assert_eq!(stdout(&set.client.run_with_password(&target, "guess", "echo in")?), "");
    let prompts = vec![("Code: ".to_owned(), "1234".to_owned())];
    let set = Setting::with(Config { prompts: prompts.clone(), ..Config::default() }).await?;
    let target = set.device.target()?;
    assert_eq!(stdout(&set.client.run_with_password(&target, "1234", "echo in")?), "in\n");
    assert_eq!(stdout(&set.client.run_with_password(&target, "4321", "echo in")?), "");
    let config = Config { prompts, second_factor: SecondFactor::Prompts, ..Config::default() };
    let set = Setting::with(config).await?;
    assert!(!set.logs_in(&set.right)?, "a key alone is enough");
    let output = set.client.run_with_password(&set.device.target()?, "1234", "echo in")?;
    assert_eq!(stdout(&output), "", "a code alone is enough");
    let set = Setting::with(Config { key_login: Allowed::No, ..Config::default() }).await?;
    assert!(!set.logs_in(&set.right)?, "keys are switched off and one is accepted");
    let set = Setting::with(Config { login_without_anything: Allowed::Yes, ..Config::default() }).await?;
    assert!(set.logs_in(&set.wrong)?, "the login without anything is refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_keys_do_what_they_say() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    set.device.set_fault(Fault::RefuseKey(set.right.public.clone()));
    assert!(!set.logs_in(&set.right)?, "the refused key is accepted");
    set.device.set_fault(Fault::RefuseEveryKey);
    assert!(!set.logs_in(&set.right)?, "a key is accepted");
    set.device.set_fault(Fault::AcceptKey(set.wrong.public.clone()));
    assert!(set.logs_in(&set.wrong)?, "the key that isn't in the file is refused");
    set.device.clear_records();
    set.device.set_fault(Fault::QuestionOnly(set.right.public.clone()));
    assert!(!set.logs_in(&set.right)?, "the key that is only said to do is accepted");
    let events = set.events();
    assert!(events.iter().any(|event| matches!(event, Event::Asked { accepted: true, .. })), "no lie: {events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Refused { .. })), "no refusal: {events:?}");
    set.device.set_fault(Fault::CutAtLogin);
    assert!(!set.logs_in(&set.right)?, "the login is answered");
    set.device.set_fault(Fault::RefuseConnection);
    assert!(!set.logs_in(&set.right)?, "the connection is served");
    set.device.clear_faults();
    assert!(set.logs_in(&set.right)?, "the faults stay after they are taken away");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_cut_where_the_fault_says() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let command = "cat >/dev/null; echo done >done; echo answer; sleep 0.2; echo more";
    for (moment, done, answer, whole) in [
        (Moment::CutBefore, false, "", false),
        (Moment::CutUnanswered, true, "", false),
        (Moment::AnswerLost, true, "", false),
        (Moment::CutAfterOutput(6), true, "answer", false),
        (Moment::CutDuring(Duration::from_millis(100)), true, "", false),
        (Moment::CutAfter, true, "answer\nmore\n", true),
        (Moment::Refuse, false, "", false),
    ] {
        let _ = std::fs::remove_file(set.device.home().join("done"));
        set.device.set_fault(Fault::Exec(Which::Number(2), moment.clone()));
        assert_eq!(set.run("echo first")?.status.code(), Some(0), "{moment:?} comes at the first command");
        let output = set.run(command)?;
        // What is cut runs on.
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(set.home_file("done").is_some(), done, "{moment:?} and the command: {output:?}");
        assert_eq!(stdout(&output), answer, "{moment:?} and the answer");
        assert_eq!(output.status.success(), whole, "{moment:?} and the exit status: {output:?}");
        assert_eq!(set.run("echo third")?.status.code(), Some(0), "{moment:?} comes at the third command");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_power_kills_and_a_cut_input_ends_early() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let moment = Moment::PowerLost(Duration::from_millis(200));
    set.device.set_fault(Fault::Exec(Which::Containing("sleep 1".to_owned()), moment));
    let output = set.run("echo begun >begun; setsid sh -c 'sleep 1; echo late >late'; echo end >end")?;
    assert!(!output.status.success());
    std::thread::sleep(Duration::from_millis(1200));
    assert!(set.home_file("begun").is_some(), "the command didn't begin");
    assert_eq!((set.home_file("late"), set.home_file("end")), (None, None), "something runs on without power");
    set.device.set_fault(Fault::Exec(Which::Every, Moment::CutAfterInput(4)));
    let target = set.device.target()?;
    let output = set.client.run_with_input(&target, &set.right.file, "cat >half", b"0123456789")?;
    assert!(!output.status.success(), "the connection isn't cut");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(set.home_file("half").as_deref(), Some("0123"));
    set.device.clear_faults();
    set.client.run_with_input(&target, &set.right.file, "cat >half", b"0123456789")?;
    assert_eq!(set.home_file("half").as_deref(), Some("0123456789"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_can_have_sftp_only_or_none_and_lose_its_requests() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    set.device.set_fault(Fault::SftpOnly);
    assert!(!set.run("echo in")?.status.success(), "a command runs");
    assert!(set.sftp("ls\n")?.status.success(), "SFTP doesn't work");
    set.device.set_fault(Fault::NoSftp);
    assert!(!set.sftp("ls\n")?.status.success(), "SFTP works");
    for (moment, renamed) in
        [(Moment::CutBefore, false), (Moment::Refuse, false), (Moment::CutUnanswered, true), (Moment::AnswerLost, true)]
    {
        std::fs::write(set.device.home().join("from"), "1").unwrap();
        let _ = std::fs::remove_file(set.device.home().join("to"));
        set.device.set_fault(Fault::Sftp(Which::Containing("rename".to_owned()), moment.clone()));
        assert!(!set.sftp("rename from to\n")?.status.success(), "{moment:?} is answered");
        assert_eq!(set.home_file("to").is_some(), renamed, "{moment:?} and the file");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_can_hang_and_be_slow() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let target = set.device.target()?;
    let commands = |moment| Fault::Exec(Which::Every, moment);
    for (fault, begun) in [
        (Fault::HangBeforeVersion, false),
        (Fault::HangBeforeLogin, false),
        (Fault::HangAfterLogin, false),
        (commands(Moment::Hang), false),
        (commands(Moment::HangAfter), true),
    ] {
        let _ = std::fs::remove_file(set.device.home().join("begun"));
        set.device.set_fault(fault.clone());
        let ended = set.client.run_for(&target, &set.right.file, "echo >begun", Duration::from_millis(1500))?;
        assert!(ended.is_none(), "{fault:?} ends: {ended:?}");
        assert_eq!(set.home_file("begun").is_some(), begun, "{fault:?} and the command");
    }
    set.device.set_fault(Fault::Slow(Duration::from_millis(150)));
    let start = Instant::now();
    assert!(set.run("true")?.status.success());
    assert!(start.elapsed() > Duration::from_millis(450), "it is not slow: {:?}", start.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_stops_restarts_changes_its_key_and_passes_connections_on() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let target = set.device.target()?;
    set.device.stop();
    assert!(!set.client.logs_in(&target, &set.right.file)?, "a stopped device answers");
    set.device.restart().await?;
    assert!(set.client.logs_in(&target, &set.right.file)?, "a restarted device doesn't answer");
    set.device.replace_host_key()?;
    assert!(!set.client.logs_in(&target, &set.right.file)?, "the host key is the old one");
    assert!(set.logs_in(&set.right)?, "the new host key doesn't work");
    let behind = Embedded::start(Config { banner: Some("Hello.\n".to_owned()), ..Config::default() }).await?;
    behind.write_authorized_keys(set.right.public.as_bytes())?;
    let (jump, end) = (set.device.target()?, behind.target()?);
    let output = set.client.run_through(&jump, &end, &set.right.file, "pwd")?;
    assert_eq!(stdout(&output).trim(), behind.home().to_str().unwrap(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Hello."), "the banner isn't shown: {output:?}");
    assert!(set.events().contains(&Event::Forwarded { port: behind.port() }), "the way isn't recorded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_device_leaves_neither_its_folder_nor_processes() -> Result<(), FleetError> {
    let set = Setting::new().await?;
    let mark = format!("sleep {}", 200_000 + u32::from(set.device.port()));
    set.run(&format!("setsid {mark} >/dev/null 2>&1 </dev/null & exit"))?;
    let running = || {
        let list = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        stdout(&list).lines().any(|line| line == mark)
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !running() {
        assert!(Instant::now() < deadline, "the command doesn't run, so this test would see nothing");
    }
    let (home, port) = (set.device.home().to_owned(), set.device.port());
    drop(set.device);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!home.exists(), "its folder is left");
    assert!(!running(), "its process is left");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody listens on its port");
    Ok(())
}
