//! `make demo` shows what it says, and leaves nothing behind, however it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use keywheel_fleet::Trouble;
use keywheel_fleet::snapshot::{Processes, Scope, Snapshot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The daemons have so long to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The demo in a build folder of its own, with a home of its own: all that it makes or starts names this folder.
struct Place {
    dir: tempfile::TempDir,
    program: PathBuf,
    before: Snapshot,
}

impl Place {
    fn new() -> Result<Self, Trouble> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("t/d/demo");
        fs::create_dir_all(dir.path().join("t/d"))?;
        fs::copy(env!("CARGO_BIN_EXE_demo"), &program)?;
        for folder in ["home/.ssh", "tmp", "run"] {
            fs::create_dir_all(dir.path().join(folder))?;
        }
        fs::write(dir.path().join("home/.ssh/authorized_keys"), "# the user's own\n")?;
        let here = dir.path().display().to_string();
        let scope = Scope {
            roots: vec![dir.path().to_owned()],
            except: Vec::new(),
            processes: Processes::Containing(vec![here]),
        };
        let before = Snapshot::take(&scope)?;
        Ok(Self { dir, program, before })
    }

    fn start(&self, arguments: &[&str]) -> Result<(Child, BufReader<ChildStdout>), Trouble> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.env("HOME", self.dir.path().join("home")).env("TMPDIR", self.dir.path().join("tmp"));
        command.env("XDG_RUNTIME_DIR", self.dir.path().join("run"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("the demo has no output")?;
        Ok((child, BufReader::new(stdout)))
    }

    /// Runs the demo until it has written this, sends it a signal, and gives its output and exit code.
    fn stop_at(&self, text: &str, signal: Signal) -> Result<(String, Option<i32>), Trouble> {
        let (mut child, mut stdout) = self.start(&[])?;
        let mut output = String::new();
        while !output.contains(text) {
            assert!(stdout.read_line(&mut output)? > 0, "the demo ended before {text:?}: {output}");
        }
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        stdout.read_to_string(&mut output)?;
        let status = child.wait()?;
        assert!(status.signal().is_none() || signal == Signal::SIGKILL, "the signal must not end it unprepared");
        Ok((output, status.code()))
    }

    fn assert_nothing_is_left(&self) -> Result<(), Trouble> {
        let left = self.before.differences_within(PATIENCE)?;
        assert!(left.is_empty(), "this is left behind or changed: {left:#?}");
        Ok(())
    }
}

#[test]
fn shows_every_stage_and_the_proof_and_leaves_nothing() -> Result<(), Trouble> {
    let place = Place::new()?;
    let (mut child, mut stdout) = place.start(&[])?;
    let mut output = String::new();
    stdout.read_to_string(&mut output)?;
    assert_eq!(child.wait()?.code(), Some(0), "{output}");
    for device in ["web-1", "web-2", "db-1", "backup-1", "far-1"] {
        for stage in ["check", "add", "prove", "remove", "refuse"] {
            let line = format!("  {device:<10} {stage:<7} done");
            assert!(output.contains(&line), "the stage {stage} of {device} is not shown: {output}");
        }
        let proof = format!("  {device:<10} ✓ refused          ✓ accepted         ✓ as before, to the byte");
        assert!(output.contains(&proof), "the proof of {device} is not shown: {output}");
    }
    let line = |sign: &str| format!("  {sign}from=\"127.0.0.0/8\",no-agent-forwarding ssh-ed25519 AAAA");
    assert!(output.contains(&line("-")) && output.contains(&line("+")), "the diff is not shown: {output}");
    assert!(output.contains("5 of 5 devices accept the new key and refuse the old one"), "{output}");
    assert!(!output.contains('\x1b'), "no colours where the output is no terminal: {output}");
    place.assert_nothing_is_left()
}

#[test]
fn leaves_nothing_when_it_is_stopped() -> Result<(), Trouble> {
    let place = Place::new()?;
    for (text, signal, expected) in [
        ("Keywheel:", Signal::SIGINT, 130),
        ("add     done", Signal::SIGINT, 130),
        ("remove  done", Signal::SIGTERM, 143),
    ] {
        let (output, code) = place.stop_at(text, signal)?;
        assert_eq!(code, Some(expected), "{output}");
        assert!(output.contains("Stopped. Everything the demo made is removed again."), "{output}");
        assert!(!output.contains("5 of 5 devices accept"), "what was stopped must not claim a result: {output}");
        place.assert_nothing_is_left()?;
    }
    Ok(())
}

#[test]
fn a_killed_demo_takes_its_processes_along_and_the_next_one_its_files() -> Result<(), Trouble> {
    let place = Place::new()?;
    place.stop_at("prove   done", Signal::SIGKILL)?;
    let only_files = |left: &[keywheel_fleet::snapshot::Difference]| {
        left.iter().all(|difference| {
            matches!(difference, keywheel_fleet::snapshot::Difference::NewFile(path)
            if path.starts_with(place.dir.path().join("t")))
        })
    };
    let begun = std::time::Instant::now();
    loop {
        let left = place.before.differences()?;
        assert!(!left.is_empty(), "the folder of a killed demo is still there; else this test shows nothing");
        if only_files(&left) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "more than files in the build folder is left: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (output, _) = place.stop_at("Devices", Signal::SIGINT)?;
    assert!(output.contains("removed again"), "{output}");
    place.assert_nothing_is_left()
}

#[test]
fn runs_a_command_of_ones_own_in_its_place() -> Result<(), Trouble> {
    let place = Place::new()?;
    let script = "echo $(wc -l <devices.csv) $(stat -c %a id_deploy) $KEYWHEEL_DATA_DIR; exit 7";
    let (mut child, mut stdout) = place.start(&["--", "sh", "-c", script])?;
    let mut output = String::new();
    stdout.read_to_string(&mut output)?;
    assert_eq!(child.wait()?.code(), Some(7), "the command's exit code must be the demo's: {output}");
    let data = output.strip_prefix("6 600 ").map(|path| PathBuf::from(path.trim()));
    let data = data.ok_or("no list of five devices, no key of mode 0600, or more output than the command's own")?;
    assert!(data.starts_with(place.dir.path().join("t")), "the data directory must be the demo's own: {data:?}");
    place.assert_nothing_is_left()
}
