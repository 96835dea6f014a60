//! Key changes in a file that others write too: a foreign process, another Keywheel on the same vault, another vault.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use keywheel_core::rotation::{Finished, Rotate, Strategy, decide::Outcome};
use keywheel_fleet::{Desk, Sshd, Trial, Trouble, Way, available, watch};
use nix::sys::signal::Signal;

use crate::cli::{User, is_stage};

const STRATEGIES: [Strategy; 2] = [Strategy::TwoPhase, Strategy::DeviceByDevice];

/// How a foreign program writes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Adds a line at the end, as `echo >>` does.
    Append,
    /// Renames a whole new file over it, as `sed -i` and configuration managers do.
    Replace,
    /// Empties it and writes it anew, as simple editors do.
    Rewrite,
}

/// When it writes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// All the time, whatever happens.
    Always,
    /// So many times, each time when a temporary file of Keywheel's has just appeared beside the file.
    Between(usize),
}

/// A foreign program that adds numbered lines to a file until it is told to end.
struct Writer {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<usize>>,
}

impl Writer {
    fn start(file: &Path, manner: Manner, moment: Moment) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (file, flag) = (file.to_owned(), Arc::clone(&ended));
        let thread = std::thread::spawn(move || write_until(&file, manner, moment, &flag));
        Self { ended, thread }
    }

    /// Ends it, and gives how many lines it has written.
    fn end(self) -> Result<usize, Trouble> {
        self.ended.store(true, Ordering::SeqCst);
        Ok(self.thread.join().map_err(|_| "the writer panicked")??)
    }
}

fn write_until(file: &Path, manner: Manner, moment: Moment, ended: &AtomicBool) -> std::io::Result<usize> {
    let mut count = 0;
    let mut known = BTreeSet::new();
    while !ended.load(Ordering::SeqCst) {
        match moment {
            Moment::Always => {
                add_line(file, manner, count)?;
                count += 1;
                std::thread::sleep(Duration::from_millis(10) * [1, 1, 2, 2, 4, 4, 8, 48][count % 8]);
            }
            Moment::Between(times) => {
                let appeared = temporaries(file)?.into_iter().filter(|name| known.insert(name.clone())).count();
                if appeared > 0 && count < times {
                    add_line(file, manner, count)?;
                    count += 1;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
    Ok(count)
}

fn temporaries(file: &Path) -> std::io::Result<Vec<OsString>> {
    let folder = file.parent().unwrap_or(file);
    let names = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    let ours = |name: &OsString| name.to_string_lossy().starts_with(".kw-") && name.to_string_lossy().ends_with(".new");
    Ok(names.filter(ours).collect())
}

fn add_line(file: &Path, manner: Manner, number: usize) -> std::io::Result<()> {
    let line = foreign(number);
    if let Manner::Append = manner {
        return fs::File::options().append(true).open(file)?.write_all(line.as_bytes());
    }
    let aside: PathBuf = file.ancestors().nth(2).unwrap_or(file).join("foreign");
    loop {
        let before = fs::read(file)?;
        let text = [before.as_slice(), line.as_bytes()].concat();
        fs::write(&aside, &text)?;
        let metadata = fs::metadata(file)?;
        fs::set_permissions(&aside, metadata.permissions())?;
        std::os::unix::fs::chown(&aside, Some(metadata.uid()), Some(metadata.gid()))?;
        // It is careful, too: what has changed since it read is read again.
        if fs::read(file)? != before {
            continue;
        }
        return match manner {
            Manner::Rewrite => fs::write(file, &text),
            Manner::Append | Manner::Replace => fs::rename(&aside, file),
        };
    }
}

fn foreign(number: usize) -> String {
    format!("# foreign {number}\n")
}

/// A trial whose file ends with an end of line, so that a line can be added behind it.
async fn trial(way: Way) -> Result<Option<Trial>, Trouble> {
    let Some(sshd) = available(way.device("").start())? else { return Ok(None) };
    let trial = Trial::at(sshd).await?;
    trial.sshd.write_authorized_keys(&[&trial.text(), b"\n".as_slice()].concat())?;
    Ok(Some(trial))
}

/// Asserts that a file holds every line of a foreign program once, all that stood there, and this key instead of the old.
async fn assert_kept(trial: &Trial, before: &[u8], lines: usize) -> Result<(), Trouble> {
    let text = trial.sshd.authorized_keys()?;
    let shown = String::from_utf8_lossy(&text).into_owned();
    for number in 0..lines {
        let line = foreign(number);
        let count = shown.lines().filter(|is| *is == line.trim_end()).count();
        assert_eq!(count, 1, "the foreign line {number} of {lines} was lost or doubled:\n{shown}");
    }
    let without_foreign: Vec<&[u8]> =
        text.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"# foreign ")).collect();
    let credential = trial.credential().await?;
    let current = credential.current_key().ok_or("a current key")?.public_key.to_openssh();
    let expected = String::from_utf8_lossy(before).replace(&trial.key.public, &current);
    assert_eq!(String::from_utf8_lossy(&without_foreign.concat()), expected, "another line is otherwise");
    assert_eq!(fs::read_dir(trial.sshd.home().join(".ssh"))?.count(), 1, "a temporary file stays");
    trial.assert_true().await
}

fn codes(finished: &Finished) -> Vec<&str> {
    finished.devices.iter().filter_map(|device| device.error.as_ref()).map(|cause| cause.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_appends_all_the_time_loses_no_line() -> Result<(), Trouble> {
    for way in Way::BOTH {
        for strategy in STRATEGIES {
            let Some(trial) = trial(way).await? else { return Ok(()) };
            let before = trial.sshd.authorized_keys()?;
            let writer = Writer::start(&trial.files[0], Manner::Append, Moment::Always);
            let finished = trial.change(strategy).await;
            let lines = writer.end()?;
            let finished = finished?;
            match finished.outcome {
                Outcome::Changed => {}
                outcome => {
                    assert_ne!(outcome, Outcome::Interrupted, "{finished:?}");
                    assert_eq!(codes(&finished), ["changed-by-someone-else"], "{finished:?}");
                }
            }
            // A change that found no gap to take the old line out in goes on when there is peace.
            if finished.outcome == Outcome::PartlyChanged {
                let (watch, _watching) = watch();
                let retried = trial.desk.keywheel.retry(finished.change, watch).await?;
                assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
            }
            assert!(lines > 0, "nobody wrote");
            assert_kept(&trial, &before, lines).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_comes_between_is_waited_for() -> Result<(), Trouble> {
    for way in Way::BOTH {
        for manner in [Manner::Append, Manner::Replace, Manner::Rewrite] {
            let Some(trial) = trial(way).await? else { return Ok(()) };
            let before = trial.sshd.authorized_keys()?;
            let writer = Writer::start(&trial.files[0], manner, Moment::Between(3));
            let finished = trial.change(Strategy::TwoPhase).await;
            let lines = writer.end()?;
            let finished = finished?;
            assert_eq!(finished.outcome, Outcome::Changed, "{way:?}, {manner:?}: {finished:?}");
            assert_eq!(lines, 3, "{way:?}, {manner:?}: it did not come between");
            assert_kept(&trial, &before, lines).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_comes_between_every_time_is_named_and_all_is_as_before() -> Result<(), Trouble> {
    for way in Way::BOTH {
        for (manner, strategy) in [(Manner::Replace, Strategy::TwoPhase), (Manner::Rewrite, Strategy::DeviceByDevice)] {
            let Some(trial) = trial(way).await? else { return Ok(()) };
            let before = trial.sshd.authorized_keys()?;
            let writer = Writer::start(&trial.files[0], manner, Moment::Between(usize::MAX));
            let finished = trial.change(strategy).await;
            let lines = writer.end()?;
            let finished = finished?;
            assert_eq!(finished.outcome, Outcome::RolledBack, "{way:?}, {manner:?}: {finished:?}");
            assert_eq!(codes(&finished), ["changed-by-someone-else"], "{way:?}, {manner:?}: {finished:?}");
            assert_eq!(lines, 5, "{way:?}, {manner:?}: there are five tries");
            assert_kept(&trial, &before, lines).await?;
        }
    }
    Ok(())
}

#[test]
fn a_second_program_on_the_same_vault_is_told_that_it_is_busy() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let before = sshd.authorized_keys()?;
    let stages = [("add", "two-phase"), ("prove", "device-by-device"), ("refuse", "two-phase")];
    for (number, (stage, strategy)) in (1..).zip(stages) {
        let first = user.start_until(&["rotate", "deploy", "--strategy", strategy], |event| {
            is_stage(event, "web-1", stage, "running")
        })?;
        // It stands still wherever it is, holding what it holds.
        first.signal(Signal::SIGSTOP)?;
        user.refused(&["rotate", "deploy"], 1, "busy")?;
        user.refused(&["change", "roll-back", &number.to_string()], 1, "busy")?;
        first.signal(Signal::SIGCONT)?;
        let (status, last) = first.end()?;
        assert_eq!((status, &last["outcome"]), (Some(0), &serde_json::json!("changed")), "{last}");
    }
    let text = String::from_utf8_lossy(&sshd.authorized_keys()?).into_owned();
    let others = |text: &str| text.lines().filter(|line| !line.contains("ssh-ed25519")).collect::<Vec<_>>().join("\n");
    assert_eq!(others(&text), others(&String::from_utf8_lossy(&before)), "another line was changed");
    assert_eq!(text.matches("ssh-ed25519").count(), 1, "one key stands there: {text}");
    user.done(&["check", "deploy"])?;
    Ok(())
}

#[test]
fn two_programs_change_two_credentials_of_one_account_at_once() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let mut add = vec!["credential", "add", "--name", "backup", "--original-device", "web-1", "--generate"];
    add.extend(["--username", sshd.account()]);
    user.done(&add)?;
    user.done(&["install", "backup", "--auth-with", "deploy"])?;
    for _ in 0..3 {
        let begun = |event: &serde_json::Value| event["event"] == "started";
        let (deploy, backup) =
            (user.start_until(&["rotate", "deploy"], begun)?, user.start_until(&["rotate", "backup"], begun)?);
        for (name, started) in [("deploy", deploy), ("backup", backup)] {
            let (status, last) = started.end()?;
            if status != Some(0) {
                let code = &last["devices"][0]["error"]["code"];
                assert_eq!(code, "changed-by-someone-else", "{name} ended with {status:?}: {last}");
                assert!(["failed", "rolled-back"].iter().any(|ended| last["outcome"] == *ended), "{name}: {last}");
            }
            user.done(&["check", name])?;
        }
        let text = String::from_utf8_lossy(&sshd.authorized_keys()?).into_owned();
        assert_eq!(text.matches("ssh-ed25519").count(), 2, "each credential has one line:\n{text}");
        assert!(text.starts_with("# kept\nfrom=\"127.0.0.1\" ssh-ed25519 ") && text.contains("\nlast\n"), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_vaults_change_their_keys_in_one_file_at_once() -> Result<(), Trouble> {
    for way in Way::BOTH {
        let Some(sshd) = available(way.device("").start())? else { return Ok(()) };
        let desks = [Desk::open()?, Desk::open()?];
        let mut text = b"# kept\n".to_vec();
        for (number, desk) in desks.iter().enumerate() {
            let key = desk.client.key(&format!("admin-{number}"), "ed25519")?;
            text.extend_from_slice(format!("no-pty {}\n# behind {number}\n", key.public).as_bytes());
            let device = desk.device("web-1", &sshd).await?;
            desk.credential("deploy", sshd.account(), &key.file, &[device]).await?;
        }
        sshd.write_authorized_keys(&text)?;
        let mut expected = String::from_utf8_lossy(&text).into_owned();
        for strategy in STRATEGIES {
            let request = Rotate { credential: "deploy".into(), strategy: Some(strategy), ..Rotate::default() };
            let change = async |desk: &Desk| {
                let (watch, _watching) = watch();
                desk.keywheel.rotate(&request, watch).await
            };
            let olds = [current(&desks[0]).await?, current(&desks[1]).await?];
            let (one, other) = tokio::join!(change(&desks[0]), change(&desks[1]));
            for ((desk, old), finished) in desks.iter().zip(olds).zip([one?, other?]) {
                if finished.outcome != Outcome::Changed {
                    assert_eq!(codes(&finished), ["changed-by-someone-else"], "{way:?}, {strategy:?}: {finished:?}");
                    let as_before = matches!(finished.outcome, Outcome::RolledBack | Outcome::Failed);
                    assert!(as_before, "{way:?}, {strategy:?}: {finished:?}");
                }
                let new = current(desk).await?;
                expected = expected.replace(&old.1, &new.1);
                let file = desk.key_file("deploy", new.0).await?;
                assert!(sshd.ssh_logs_in(&file, sshd.account())?, "{way:?}, {strategy:?}: a vault is locked out");
            }
            assert_eq!(String::from_utf8_lossy(&sshd.authorized_keys()?), expected, "{way:?}, {strategy:?}");
        }
        assert_eq!(fs::read_dir(sshd.home().join(".ssh"))?.count(), 1, "a temporary file stays");
    }
    Ok(())
}

/// The current version's number and public key.
async fn current(desk: &Desk) -> Result<(u32, String), Trouble> {
    let credential = desk.keywheel.find_credential("deploy").await?;
    let current = credential.current_key().ok_or("a current key")?;
    Ok((current.version, current.public_key.to_openssh()))
}
