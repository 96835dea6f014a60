//! A user with a real keyring, real devices and the real program, which is killed and must lose nothing.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use keywheel_fleet::keyring::PrivateKeyring;
use keywheel_fleet::kill::{Done, Killer, Point, program};
use keywheel_fleet::{Client, Fleet, Sshd, Trouble, available};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Lines that are nobody's business: a comment, bytes that are no text, somebody's key.
const OTHERS: &[u8] = b"# theirs \xff\r\ncommand=\"true\",no-pty ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other\n";

/// The exit status that says that the vault can't be used and nothing was begun.
const NO_VAULT: i32 = 5;
/// The exit status that says that something was begun and can be resumed.
const INTERRUPTED: i32 = 4;

/// How a change that was broken off is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Resume,
    RollBack,
}

impl Ending {
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::RollBack => "roll-back",
        }
    }

    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Resume => "changed",
            Self::RollBack => "rolled-back",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Resume => Self::RollBack,
            Self::RollBack => Self::Resume,
        }
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) killed: bool,
    pub(crate) lines: Vec<Value>,
    text: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let stdout = text(&output.stdout);
        Self {
            status: output.status.code(),
            killed: output.status.signal() == Some(9),
            // The last line of a killed program may be torn.
            lines: stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            text: stdout + &text(&output.stderr),
        }
    }
}

impl Ran {
    /// Whether this is among what it wrote, on either output.
    pub(crate) fn says(&self, sentence: &str) -> bool {
        self.text.contains(sentence)
    }
}

/// A credential "deploy" whose key stands on every device, between the lines of others.
pub(crate) struct Scene {
    pub(crate) killer: Killer,
    pub(crate) devices: Vec<Sshd>,
    keyring: PrivateKeyring,
    client: Client,
    dir: TempDir,
}

impl Scene {
    /// Sets everything up; none if the machine can't.
    pub(crate) fn new(devices: usize) -> Result<Option<Self>, Trouble> {
        let (Some(fleet), Some(killer)) = (available(Fleet::start(devices))?, available(Killer::build())?) else {
            return Ok(None);
        };
        let dir = tempfile::tempdir()?;
        let keyring = PrivateKeyring::start(dir.path())?;
        let scene = Self { killer, devices: fleet.devices, keyring, client: Client::new()?, dir };
        scene.done(&["settings", "set", "stage-timeout", "1"])?;
        let key = scene.client.key("deploy", "ed25519")?;
        let file = key.file.display().to_string();
        let mut add = vec!["credential", "add", "--name", "deploy", "--import", &file];
        add.extend(["--username", scene.devices[0].account(), "--original-device", "web-1"]);
        let names: Vec<String> = (1..=devices).map(|number| format!("web-{number}")).collect();
        for (name, sshd) in names.iter().zip(&scene.devices) {
            sshd.write_authorized_keys(&file_with(&key.public))?;
            let port = sshd.port().to_string();
            scene.done(&["device", "add", "--name", name, "--address", "127.0.0.1", "--port", &port])?;
            add.extend(["--device", name]);
        }
        let mut trust = vec!["device", "trust"];
        trust.extend(names.iter().map(String::as_str));
        scene.done(&trust)?;
        scene.done(&add)?;
        Ok(Some(scene))
    }

    /// Where the database lies.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A folder that ends with the scene.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command, Trouble> {
        let mut command = Command::new(program()?);
        self.keyring.set_environment(&mut command);
        command.env("KEYWHEEL_DATA_DIR", self.data()).args(["--json", "--yes"]).args(arguments);
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the program, and once more where it found the keyring gone that fell over when a program before was killed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Ran, Trouble> {
        let falls = self.keyring.falls();
        let ran = Ran::of(&output(&mut self.command(arguments)?)?);
        if ran.status != Some(NO_VAULT) {
            return Ok(ran);
        }
        self.keyring.wait()?;
        if self.keyring.falls() == 0 {
            return Ok(ran);
        }
        eprintln!("{arguments:?} found no keyring, which has fallen over {falls} times before: {}", self.keyring.log());
        Ok(Ran::of(&output(&mut self.command(arguments)?)?))
    }

    /// Runs what must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> Result<Ran, Trouble> {
        let ran = self.run(arguments)?;
        // The keyring is killed by nobody here: if it is gone, its daemons know why.
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}{}", ran.text, self.keyring.log());
        Ok(ran)
    }

    /// Runs what ends with one value.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<Value, Trouble> {
        let ran = self.done(arguments)?;
        Ok(ran.lines.into_iter().next_back().ok_or("an answer")?)
    }

    /// Runs to the end and tells which effects there were, in order.
    pub(crate) fn effects(&self, arguments: &[&str]) -> Result<Vec<Done>, Trouble> {
        let mut command = self.command(arguments)?;
        self.killer.load(&mut command, None);
        let ran = Ran::of(&output(&mut command)?);
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}", ran.text);
        Ok(self.killer.done()?)
    }

    /// Runs until the point where it is killed, or to its end where it has fewer effects this time.
    pub(crate) fn killed_at(&self, arguments: &[&str], point: Point) -> Result<Ran, Trouble> {
        let mut command = self.command(arguments)?;
        self.killer.load(&mut command, Some(point));
        Ok(Ran::of(&output(&mut command)?))
    }

    /// Runs until it is killed so long after so many events, or to its end.
    pub(crate) fn killed_behind(&self, arguments: &[&str], events: usize, pause: Duration) -> Result<(), Trouble> {
        let mut child = self.command(arguments)?.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        // The pipe stays open behind them: a program whose reader is gone would be another test.
        let mut lines = lines.map_while(Result::ok);
        lines.by_ref().take(events).for_each(drop);
        std::thread::sleep(pause);
        child.kill()?;
        child.wait()?;
        drop(lines);
        Ok(())
    }

    /// What the program says on a copy of the data directory.
    pub(crate) fn output_on(&self, data: &Path, arguments: &[&str]) -> Result<String, Trouble> {
        let ran = Ran::of(&self.command(arguments)?.env("KEYWHEEL_DATA_DIR", data).output()?);
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}", ran.text);
        Ok(ran.text)
    }

    /// Adds a credential "guest" whose key stands nowhere yet, where there is none.
    pub(crate) fn add_guest(&self) -> Result<(), Trouble> {
        if self.run(&["credential", "show", "guest"])?.status == Some(0) {
            return Ok(());
        }
        let mut add =
            vec!["credential", "add", "--name", "guest", "--generate", "--username", self.devices[0].account()];
        let names: Vec<String> = (1..=self.devices.len()).map(|number| format!("web-{number}")).collect();
        add.extend(["--original-device", "web-1"]);
        names.iter().for_each(|name| add.extend(["--device", name]));
        self.done(&add).map(drop)
    }

    /// Asserts that the guest's key stands at each file's end, once, and logs in.
    pub(crate) fn assert_guest(&self, at: &str) -> Result<(), Trouble> {
        let guest = self.show(&["credential", "show", "guest"])?["public_key"].as_str().ok_or("a key")?.to_owned();
        let deploy = self.show(&["credential", "show", "deploy"])?["public_key"].as_str().ok_or("a key")?.to_owned();
        let file = self.private_key("guest")?;
        for (index, device) in self.devices.iter().enumerate() {
            let expected = [file_with(&deploy).as_slice(), guest.as_bytes(), b"\n"].concat();
            assert_eq!(device.authorized_keys()?, expected, "{at}: the file of device {index} is otherwise");
            assert!(self.client.logs_in(&device.target()?, &file)?, "{at}: the key does not log in on device {index}");
        }
        Ok(())
    }

    /// The newest change, as `change show` has it.
    pub(crate) fn newest_change(&self) -> Result<Option<Value>, Trouble> {
        let changes = self.done(&["change", "list"])?.lines;
        let Some(id) = changes.first().and_then(|change| change["id"].as_i64()) else { return Ok(None) };
        Ok(Some(self.show(&["change", "show", "--recorded", &id.to_string()])?))
    }

    /// Ends the newest change, if it is open, and sees that nothing is lost, whatever was killed before.
    ///
    /// Gives whether there was something to end.
    pub(crate) fn recover(&self, ending: Ending, at: &str) -> Result<bool, Trouble> {
        let recovered = self.end_change(ending, &[ending.outcome()], at)?;
        self.assert_whole(at)?;
        Ok(recovered)
    }

    /// Ends the newest change, if it is open, in one of these ways.
    pub(crate) fn end_change(&self, ending: Ending, outcomes: &[&str], at: &str) -> Result<bool, Trouble> {
        let Some(change) = self.newest_change()? else { return Ok(false) };
        if change["state"] != "interrupted" {
            let ended = ["changed", "rolled-back", "failed"].iter().any(|state| change["state"] == *state);
            assert!(ended, "{at}: the change is left as {change}");
            return Ok(false);
        }
        // A compromised key is never put back.
        let emergency = change["strategy"] == "emergency";
        let possible = if emergency { "[\"resume\"]" } else { "[\"resume\",\"roll-back\"]" };
        assert_eq!(change["possible"].to_string(), possible, "{at}: {change}");
        let end = || self.run(&["change", ending.command(), &change["id"].to_string()]);
        let falls = self.keyring.falls();
        let mut ended = end()?;
        if ended.status == Some(INTERRUPTED) && self.keyring.falls() > falls {
            // The keyring had still to deal with the program that was killed before, and fell over.
            self.keyring.wait()?;
            ended = end()?;
        }
        let outcome = ended.lines.last().and_then(|line| line["outcome"].as_str()).unwrap_or_default();
        // A key that never reached the keyring leads nowhere but back.
        let wanted = outcomes.contains(&outcome) || (outcome == "rolled-back" && !self.is_stored(&change)?);
        assert!(wanted, "{at}: {} ended with {outcome:?}: {}", ending.command(), ended.text);
        Ok(true)
    }

    /// Whether the change's new key is in the keyring.
    fn is_stored(&self, change: &Value) -> Result<bool, Trouble> {
        let Some(new) = change["new_fingerprint"].as_str() else { return Ok(false) };
        Ok(self.keyring.items()?.iter().any(|item| item.name.ends_with(new)))
    }

    /// Asserts that the vault's current key logs in everywhere and no other does, that no byte of others is changed and no
    /// file is left over, and that the newest change says so.
    pub(crate) fn assert_whole(&self, at: &str) -> Result<(), Trouble> {
        let credential = self.show(&["credential", "show", "deploy"])?;
        let versions = credential["key_versions"].as_array().cloned().unwrap_or_default();
        let current: Vec<&Value> = versions.iter().filter(|version| version["state"] == "current").collect();
        assert_eq!(current.len(), 1, "{at}: {versions:?}");
        assert!(versions.iter().all(|version| version["state"] != "candidate"), "{at}: {versions:?}");
        let line = credential["public_key"].as_str().ok_or("the current key")?;
        let file = self.private_key("deploy")?;
        for (index, device) in self.devices.iter().enumerate() {
            let found = device.authorized_keys()?;
            assert_eq!(
                String::from_utf8_lossy(&found),
                String::from_utf8_lossy(&file_with(line)),
                "{at}: the file of device {index} holds something else than the current key and the lines of others"
            );
            assert_eq!(found, file_with(line), "{at}: bytes of others are changed on device {index}");
            assert!(self.client.logs_in(&device.target()?, &file)?, "{at}: device {index} is locked");
            assert_eq!(left_over(device)?, Vec::<String>::new(), "{at}: device {index} has temporary files");
        }
        if let Some(change) = self.newest_change()?.filter(|change| change["credential"] == "deploy") {
            let accepted = &credential["fingerprint"];
            for record in change["records"].as_array().into_iter().flatten() {
                let said: Vec<&Value> = record["accepts"].as_array().into_iter().flatten().collect();
                let known = said.is_empty() && record["state"] == "unchanged";
                assert!(known || said == [accepted], "{at}: {record} is said of a device that accepts {accepted}");
            }
        }
        Ok(())
    }

    /// Asserts what holds for the whole life of a scene: the audit record is unbroken, and each key in the keyring is known.
    pub(crate) fn assert_consistent(&self) -> Result<(), Trouble> {
        let audit = self.show(&["audit", "verify"])?;
        assert_eq!((audit["chain"].as_str(), audit["anchor"].as_str()), (Some("whole"), Some("holds")), "{audit}");
        let mut prints = Vec::new();
        for credential in self.done(&["credential", "list"])?.lines {
            let name = credential["name"].as_str().ok_or("a name")?;
            let shown = self.show(&["credential", "show", name])?;
            let versions = shown["key_versions"].as_array().cloned().unwrap_or_default();
            prints.extend(versions.iter().filter_map(|version| version["fingerprint"].as_str().map(str::to_owned)));
        }
        for item in self.keyring.items()? {
            let known = prints.iter().any(|print| item.name.ends_with(print.as_str()));
            assert!(known, "the keyring holds {}, which no version of a credential is", item.name);
        }
        Ok(())
    }

    /// The current private key of a credential, in a file for the OpenSSH client.
    fn private_key(&self, credential: &str) -> Result<PathBuf, Trouble> {
        let file = self.dir.path().join(format!("{credential}.key"));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        self.done(&["credential", "reveal", credential, "--out", &file.display().to_string()])?;
        Ok(file)
    }
}

/// Runs a program to its end. Where it would wait for the minute after which a compromised key may go, it is asked to leave
/// that to the next time.
fn output(command: &mut Command) -> Result<Output, Trouble> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut told = BufReader::new(child.stderr.take().ok_or("no messages")?);
    let mut answered = child.stdout.take().ok_or("no output")?;
    // Neither pipe may fill while the other one is read.
    let answers = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        answered.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut stderr = Vec::new();
    loop {
        let begin = stderr.len();
        if told.read_until(b'\n', &mut stderr)? == 0 {
            break;
        }
        if stderr[begin..].starts_with(b"The compromised key is destroyed in a minute") {
            kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
        }
    }
    let stdout = answers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(Output { status: child.wait()?, stdout, stderr })
}

fn file_with(public: &str) -> Vec<u8> {
    [OTHERS, b"no-pty ", public.as_bytes(), b"\n# end\n"].concat()
}

fn left_over(device: &Sshd) -> Result<Vec<String>, Trouble> {
    let entries = std::fs::read_dir(device.home().join(".ssh"))?.collect::<Result<Vec<_>, _>>()?;
    let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "authorized_keys").collect())
}
