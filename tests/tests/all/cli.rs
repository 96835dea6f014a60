//! The program `keywheel` with a real keyring and real `sshd`s, from the first device to the undone change.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::catalogue::CredentialId;
use keywheel_core::clock::{Clock, SystemClock, Timestamp};
use keywheel_core::lock::{CredentialLock, Sharing};
use keywheel_core::rotation::Rotate;
use keywheel_core::vault::OsKeyring;
use keywheel_fleet::keyring::PrivateKeyring;
use keywheel_fleet::{Client, ClientKey, Fleet, Sshd, Trouble, available, watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A user with a keyring and a data directory.
pub(crate) struct User {
    pub(crate) keyring: PrivateKeyring,
    pub(crate) client: Client,
    dir: TempDir,
}

pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn code(&self) -> &str {
        self.lines.last().and_then(|line| line["error"]["code"].as_str()).unwrap_or_default()
    }

    pub(crate) fn last(&self) -> &Value {
        self.lines.last().expect("a line of JSON")
    }
}

/// The program beside the tests' own: both are built into the same folder.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("keywheel");
    assert!(program.exists(), "{} is missing; build it with: cargo build -p keywheel", program.display());
    program
}

impl User {
    pub(crate) fn new() -> Result<Self, Trouble> {
        let dir = tempfile::tempdir()?;
        let keyring = PrivateKeyring::start(dir.path())?;
        Ok(Self { keyring, client: Client::new()?, dir })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        self.keyring.set_environment(&mut command);
        command.env("KEYWHEEL_DATA_DIR", self.path("data")).arg("--json").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Ran, Trouble> {
        self.run_with(arguments, "")
    }

    /// Runs the program, and once more where the keyring fell over under it and nothing was begun.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Result<Ran, Trouble> {
        let falls = self.keyring.falls();
        let ran = self.run_once(arguments, input)?;
        if ran.status != Some(5) || !matches!(ran.code(), "keyring-failed" | "keyring-missing") {
            return Ok(ran);
        }
        self.keyring.wait()?;
        if self.keyring.falls() == falls {
            return Ok(ran);
        }
        self.run_once(arguments, input)
    }

    fn run_once(&self, arguments: &[&str], input: &str) -> Result<Ran, Trouble> {
        let mut child = self.command(arguments).spawn()?;
        // A command that takes no input may have ended already.
        let _ = child.stdin.take().ok_or("no input")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        let stdout = String::from_utf8(output.stdout)?;
        let lines = stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Ran { status: output.status.code(), lines, stdout, stderr: String::from_utf8(output.stderr)? })
    }

    /// Runs what must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> Result<Ran, Trouble> {
        let ran = self.run(arguments)?;
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        Ok(ran)
    }

    pub(crate) fn refused(&self, arguments: &[&str], status: i32, code: &str) -> Result<Ran, Trouble> {
        let ran = self.run(arguments)?;
        assert_eq!((ran.status, ran.code()), (Some(status), code), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        Ok(ran)
    }

    /// Adds devices of a fleet as web-1, web-2, …, trusted, with a credential "deploy" whose key stands on all of them.
    pub(crate) fn deploy(&self, devices: &[&Sshd]) -> Result<ClientKey, Trouble> {
        let key = self.client.key("deploy", "ed25519")?;
        let file = key.file.display().to_string();
        let mut add = vec!["credential", "add", "--name", "deploy", "--original-device", "web-1", "--import", &file];
        add.extend(["--username", devices[0].account()]);
        let names: Vec<String> = (1..=devices.len()).map(|number| format!("web-{number}")).collect();
        for (name, sshd) in names.iter().zip(devices) {
            sshd.write_authorized_keys(format!("# kept\nfrom=\"127.0.0.1\" {}\nlast", key.public).as_bytes())?;
            let port = sshd.port().to_string();
            self.done(&["device", "add", "--name", name, "--address", "127.0.0.1", "--port", &port])?;
            add.extend(["--device", name]);
        }
        let mut trust = vec!["device", "trust", "--yes"];
        trust.extend(names.iter().map(String::as_str));
        self.done(&trust)?;
        self.done(&add)?;
        Ok(key)
    }

    /// Starts a change and reads its events until one is as wanted.
    pub(crate) fn start_until(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Result<Started, Trouble> {
        let mut child = self.command(arguments).spawn()?;
        let mut events = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut seen = Vec::new();
        loop {
            let line = events.next().ok_or_else(|| format!("it ended before: {seen:?}"))??;
            let event: Value = serde_json::from_str(&line)?;
            let found = wanted(&event);
            seen.push(event);
            if found {
                return Ok(Started { child, events: Box::new(events) });
            }
        }
    }
}

pub(crate) struct Started {
    child: Child,
    events: Box<dyn Iterator<Item = std::io::Result<String>>>,
}

impl Started {
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// The exit status and the last event.
    pub(crate) fn end(mut self) -> Result<(Option<i32>, Value), Trouble> {
        let mut last = Value::Null;
        for line in self.events {
            last = serde_json::from_str(&line?)?;
        }
        Ok((self.child.wait()?.code(), last))
    }
}

pub(crate) fn is_stage(event: &Value, device: &str, stage: &str, state: &str) -> bool {
    event["event"] == "stage" && event["device"] == device && event["stage"] == stage && event["state"] == state
}

#[test]
fn a_first_run_goes_from_a_person_to_an_undone_change() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let [first, second] = fleet.devices.as_slice() else { panic!("two devices were asked for") };
    let user = User::new()?;
    let key = user.client.key("deploy", "ed25519")?;
    let before = format!("# kept\r\n\nfrom=\"127.0.0.1\",no-pty {}\n\u{fe}no end", key.public).into_bytes();
    for sshd in [first, second] {
        sshd.write_authorized_keys(&before)?;
    }
    user.done(&["person", "add", "--name", "Ana"])?;
    for (name, sshd) in [("web-1", first), ("db-1", second)] {
        let port = sshd.port().to_string();
        user.done(&["device", "add", "--name", name, "--address", "127.0.0.1", "--port", &port])?;
    }
    let scanned = user.done(&["device", "scan", "web-1"])?;
    let fingerprints: Vec<&str> = scanned.lines.iter().filter_map(|line| line["fingerprint"].as_str()).collect();
    assert_eq!(fingerprints.len(), 3, "a key of each type the host has: {}", scanned.stdout);
    assert!(scanned.lines.iter().all(|line| line["state"] == "new" && line["randomart"].is_string()));
    assert_eq!(user.done(&["device", "show", "web-1"])?.last()["host_keys"], json!([]), "a scan pins nothing");
    user.refused(&["device", "trust", "web-1"], 2, "question-unanswered")?;
    user.done(&["device", "trust", "web-1", "db-1", "--yes"])?;
    let pinned = user.done(&["device", "show", "web-1"])?;
    assert_eq!(pinned.last()["host_keys"].as_array().map(Vec::len), Some(3));

    let file = key.file.display().to_string();
    let mut add = vec!["credential", "add", "--name", "deploy", "--username", first.account(), "--owner", "Ana"];
    add.extend(["--original-device", "db-1", "--device", "web-1", "--import", &file]);
    let added = user.done(&add)?;
    assert_eq!(added.last()["devices"], json!(["db-1", "web-1"]), "the original device is the first");
    let checked = user.done(&["check", "deploy"])?;
    for finding in &checked.lines {
        assert_eq!((&finding["ready"], &finding["old_key_lines"]), (&json!(true), &json!(1)), "{}", checked.stdout);
    }
    let planned = user.done(&["rotate", "deploy", "--dry-run"])?;
    let plans: Vec<&Value> = planned.lines.iter().filter(|line| line["event"] == "plan").collect();
    assert_eq!(plans.len(), 2, "{}", planned.stdout);
    assert!(plans[0]["diff"].as_str().is_some_and(|diff| diff.contains("+from=")), "{}", planned.stdout);
    assert_eq!(first.authorized_keys()?, before, "a dry run writes nothing");
    assert_eq!(user.done(&["change", "list"])?.lines, Vec::<Value>::new(), "a dry run is no change");

    let rotated = user.done(&["rotate", "deploy"])?;
    let started = &rotated.lines[0];
    assert_eq!((&started["event"], &started["devices"]), (&json!("started"), &json!(["db-1", "web-1"])));
    let finished = rotated.last();
    assert_eq!((&finished["event"], &finished["outcome"]), (&json!("finished"), &json!("changed")));
    assert_eq!(finished["devices"][0]["accepts"], json!([started["new_fingerprint"]]));
    let id = finished["change"].to_string();
    let out = user.path("revealed");
    let out = out.display().to_string();
    user.refused(&["credential", "reveal", "deploy", "--out", &out], 2, "question-unanswered")?;
    user.done(&["credential", "reveal", "deploy", "--out", &out, "--yes"])?;
    user.refused(&["credential", "reveal", "deploy", "--out", &out, "--yes"], 2, "file-exists")?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out)?.permissions());
    assert_eq!(mode & 0o777, 0o600, "others could read the key");
    for sshd in [first, second] {
        assert!(sshd.ssh_logs_in(Path::new(&out), sshd.account())?, "the new key must log in: {}", sshd.log()?);
        assert!(!sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key must be refused");
    }
    let new = user.done(&["credential", "public-key", "deploy"])?;
    let line = |public: &str| public.split(' ').nth(1).unwrap_or_default().to_owned();
    let expected = String::from_utf8_lossy(&before)
        .replace(&line(&key.public), &line(new.last()["public_key"].as_str().unwrap_or_default()));
    assert_eq!(String::from_utf8_lossy(&first.authorized_keys()?), expected, "no byte but the key's own may change");

    let accepts = user.done(&["credential", "accepts", "deploy"])?;
    assert_eq!(accepts.lines[0]["versions"][0]["answer"], "accepted", "{}", accepts.stdout);
    assert_eq!(accepts.lines[0]["versions"][1]["answer"], "refused", "{}", accepts.stdout);
    let listed = user.done(&["change", "list"])?;
    let change = listed.last();
    for (name, value) in
        [("credential", json!("deploy")), ("state", json!("changed")), ("strategy", json!("two-phase"))]
    {
        assert_eq!(change[name], value);
    }
    assert_eq!((&change["devices_done"], &change["devices"]), (&json!(2), &json!(2)));
    assert_eq!(user.done(&["change", "show", &id])?.last()["possible"], json!(["undo"]));
    for step in ["run", "cancel", "resume", "retry", "roll-back"] {
        user.refused(&["change", step, &id], 1, "change-state")?;
    }

    let undone = user.done(&["change", "undo", &id])?;
    assert_eq!(undone.last()["outcome"], "changed");
    assert_eq!(first.authorized_keys()?, before, "an undo brings every byte back");
    for sshd in [first, second] {
        assert!(sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key must log in again");
        assert!(!sshd.ssh_logs_in(Path::new(&out), sshd.account())?, "the undone key must be refused");
    }
    assert_eq!(user.done(&["audit", "verify"])?.last()["chain"], "whole");
    let history = user.done(&["credential", "history", "deploy"])?;
    assert!(history.lines.iter().any(|line| line["key_version"]["version"] == 2), "{}", history.stdout);
    assert!(history.lines.iter().any(|line| line["change"]["kind"] == "undo"), "{}", history.stdout);
    Ok(())
}

#[test]
fn a_policy_is_made_simulated_and_decides_when_a_key_changes() -> Result<(), Trouble> {
    let user = User::new()?;
    let add = ["policy", "add", "--name", "Weekends", "--age", "30", "--days", "sun,sat", "--hours", "22:00-6:00"];
    let added = user.done(&add)?;
    for (field, value) in [
        ("name", json!("Weekends")),
        ("maximum_age_days", json!(30)),
        ("days", json!(["sat", "sun"])),
        ("from", json!("22:00")),
        ("to", json!("06:00")),
        ("retries", json!(3)),
        ("after_reveal_hours", json!(null)),
        ("credentials", json!(0)),
    ] {
        assert_eq!(added.last()[field], value, "{field}");
    }
    user.refused(&add, 2, "name-taken")?;
    user.refused(&["policy", "add", "--name", "Never", "--hours", "22:00-25:00"], 2, "bad-hour")?;
    user.refused(&["policy", "add", "--name", "Never", "--age", "0"], 2, "bad-policy-number")?;
    user.refused(&["policy", "edit", "Weekends"], 2, "nothing-to-edit")?;
    let edited = user.done(&["policy", "edit", "Weekends", "--after-reveal", "24", "--retries", "1"])?;
    assert_eq!((&edited.last()["after_reveal_hours"], &edited.last()["retries"]), (&json!(24), &json!(1)));
    let edited = user.done(&["policy", "edit", "Weekends", "--after-reveal", ""])?;
    assert_eq!(edited.last()["after_reveal_hours"], json!(null));
    let drawn = user.done(&["policy", "simulate", "Weekends"])?;
    assert_eq!(drawn.last()["days"].as_array().map(Vec::len), Some(90));
    assert_eq!(drawn.last()["changes"][0]["reason"]["kind"], "age");

    user.done(&["device", "add", "--name", "web-1", "--address", "127.0.0.1"])?;
    let credential = |name| {
        ["credential", "add", "--name", name, "--username", "deploy", "--original-device", "web-1", "--generate"]
    };
    let mut deploy = credential("deploy").to_vec();
    deploy.extend(["--automatic-change", "--use-itself", "--policy", "Weekends"]);
    let deploy = user.done(&deploy)?;
    assert_eq!(
        (&deploy.last()["policy"], &deploy.last()["next_change_reason"]["days"]),
        (&json!("Weekends"), &json!(30))
    );
    let times =
        ["next_change", "next_change_due"].map(|field| deploy.last()[field].as_str().unwrap_or_default().to_owned());
    let [next, due] = times.map(|text| text.parse::<Timestamp>());
    assert!(next? >= due?, "it would change before it is due");
    user.done(&credential("other"))?;
    let listed = user.done(&["credential", "list"])?;
    let other = listed.lines.iter().find(|line| line["name"] == "other").expect("it was added");
    assert_eq!((&other["policy"], &other["next_change"]), (&json!("Standard"), &json!(null)));
    assert_eq!(user.done(&["policy", "show", "Weekends"])?.last()["credentials"], json!(1));
    user.refused(&["policy", "remove", "Weekends", "--yes"], 2, "policy-used")?;
    user.refused(&["policy", "remove", "Standard", "--yes"], 2, "policy-standard")?;
    user.done(&["credential", "edit", "deploy", "--policy", "Standard"])?;
    user.done(&["policy", "remove", "Weekends", "--yes"])?;
    assert_eq!(user.done(&["policy", "list"])?.lines.len(), 1);
    assert_eq!(user.done(&["audit", "verify"])?.last()["chain"], "whole");
    Ok(())
}

#[test]
fn a_signal_finishes_the_device_in_hand_and_a_resume_the_rest() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(5))? else { return Ok(()) };
    let user = User::new()?;
    let key = user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    let started = user.start_until(&["rotate", "deploy"], |event| is_stage(event, "web-1", "add", "done"))?;
    started.signal(Signal::SIGTERM)?;
    let (status, last) = started.end()?;
    assert_eq!((status, &last["outcome"]), (Some(4), &json!("interrupted")), "{last}");
    for sshd in &fleet.devices {
        assert!(sshd.ssh_logs_in(&key.file, sshd.account())?, "nobody may be locked out meanwhile");
    }
    let listed = user.done(&["change", "list"])?;
    assert_eq!(listed.last()["state"], "interrupted");
    let id = listed.last()["id"].to_string();
    user.refused(&["rotate", "deploy"], 1, "change-open")?;
    let resumed = user.done(&["change", "resume", &id])?;
    assert_eq!(resumed.last()["outcome"], "changed", "{}", resumed.stdout);
    for sshd in &fleet.devices {
        assert!(!sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key must be refused");
    }
    Ok(())
}

#[test]
fn a_killed_change_is_shown_as_interrupted_and_can_be_rolled_back() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(3))? else { return Ok(()) };
    let user = User::new()?;
    let key = user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    let before = fleet.devices[0].authorized_keys()?;
    user.done(&["settings", "set", "stage-timeout", "3"])?;
    let started = user.start_until(&["rotate", "deploy"], |event| is_stage(event, "web-1", "add", "done"))?;
    started.signal(Signal::SIGKILL)?;
    started.end()?;
    let listed = user.done(&["change", "list"])?;
    assert_eq!(listed.last()["state"], "interrupted", "a dead process works on nothing");
    let back = user.done(&["change", "roll-back", &listed.last()["id"].to_string()])?;
    assert_eq!(back.last()["outcome"], "rolled-back", "{}", back.stdout);
    for sshd in &fleet.devices {
        assert_eq!(sshd.authorized_keys()?, before, "everything is as before, to the byte");
        assert!(sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key logs in as before");
    }
    Ok(())
}

#[test]
fn an_unreachable_device_ends_with_1_or_with_3_as_was_chosen() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let user = User::new()?;
    let key = user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    fleet.devices[1].stop()?;
    let checked = user.run(&["check", "deploy"])?;
    assert_eq!(checked.status, Some(1), "{}", checked.stdout);
    assert_eq!(checked.lines[1]["problems"][0]["code"], "connection-refused", "{}", checked.stdout);
    let failed = user.run(&["rotate", "deploy"])?;
    assert_eq!((failed.status, &failed.last()["outcome"]), (Some(1), &json!("failed")), "{}", failed.stdout);
    assert!(fleet.devices[0].ssh_logs_in(&key.file, fleet.devices[0].account())?);
    let partly = user.run(&["rotate", "deploy", "--on-failure", "continue"])?;
    assert_eq!((partly.status, &partly.last()["outcome"]), (Some(3), &json!("partly-changed")), "{}", partly.stdout);
    fleet.devices[1].start()?;
    let retried = user.done(&["change", "retry", &partly.last()["change"].to_string()])?;
    assert_eq!(retried.last()["outcome"], "changed", "{}", retried.stdout);
    Ok(())
}

#[test]
fn several_credentials_end_with_3_unless_all_end_alike() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let user = User::new()?;
    let [first, second] = fleet.devices.as_slice() else { panic!("two devices were asked for") };
    user.deploy(&[first])?;
    let port = second.port().to_string();
    user.done(&["device", "add", "--name", "db-1", "--address", "127.0.0.1", "--port", &port])?;
    user.done(&["device", "trust", "db-1", "--yes"])?;
    let mut add = vec!["credential", "add", "--name", "backup", "--original-device", "db-1", "--generate"];
    add.extend(["--username", second.account()]);
    user.done(&add)?;
    // The key of "backup" stands nowhere yet.
    let ran = user.run(&["rotate", "backup", "deploy"])?;
    assert_eq!(ran.status, Some(3), "{}{}", ran.stdout, ran.stderr);
    let ends: Vec<&Value> = ran.lines.iter().filter(|line| line["event"] == "finished").collect();
    assert_eq!((&ends[0]["outcome"], &ends[1]["outcome"]), (&json!("failed"), &json!("changed")), "{}", ran.stdout);
    let ran = user.refused(&["rotate", "deploy", "nobody"], 2, "unknown-name")?;
    assert_eq!(ran.lines.len(), 1, "nothing may begin where a name is unknown: {}", ran.stdout);
    Ok(())
}

#[test]
fn a_changed_host_key_is_pinned_only_by_its_fingerprint() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    sshd.replace_host_key()?;
    let checked = user.run(&["check", "deploy"])?;
    assert_eq!((checked.status, &checked.lines[0]["problems"][0]["code"]), (Some(1), &json!("host-key-changed")));
    let rotated = user.run(&["rotate", "deploy"])?;
    assert_eq!(rotated.status, Some(1), "{}", rotated.stdout);
    let refused = user.refused(&["device", "trust", "web-1", "--yes"], 1, "host-key-changed")?;
    let changed = &refused.lines[0];
    assert_eq!((&changed["state"], changed["instead_of"].as_array().map(Vec::len)), (&json!("changed"), Some(3)));
    let unknown = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    user.refused(&["device", "trust", "web-1", "--fingerprint", unknown], 1, "host-key-not-offered")?;
    let fingerprint = changed["fingerprint"].as_str().unwrap_or_default();
    user.done(&["device", "trust", "web-1", "--fingerprint", fingerprint])?;
    let shown = user.done(&["device", "show", "web-1"])?;
    let pinned = |found: &Value| found["fingerprint"] == fingerprint;
    assert!(shown.last()["host_keys"].as_array().is_some_and(|keys| keys.iter().any(pinned)), "{}", shown.stdout);
    Ok(())
}

#[test]
fn a_locked_keyring_ends_with_5_and_nothing_is_begun() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    user.keyring.lock()?;
    for arguments in [&["rotate", "deploy"][..], &["check", "deploy"], &["credential", "remove", "deploy", "--yes"]] {
        let ran = user.refused(arguments, 5, "keyring-locked")?;
        assert!(ran.stderr.contains("unlock"), "nobody learns what to do: {}", ran.stderr);
    }
    assert_eq!(user.done(&["change", "list"])?.lines, Vec::<Value>::new());
    user.done(&["credential", "public-key", "deploy"])?;
    user.keyring.unlock()?;
    user.done(&["check", "deploy"])?;
    Ok(())
}

#[test]
fn a_change_at_a_time_is_listed_taken_back_or_run_by_hand() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    user.refused(&["rotate", "deploy", "--at", "2020-01-01T00:00"], 2, "time-passed")?;
    user.refused(&["rotate", "deploy", "--at", "soon"], 2, "bad-time")?;
    let first = user.done(&["rotate", "deploy", "--at", "2099-01-01T00:00:00Z"])?;
    assert_eq!((&first.last()["state"], &first.last()["attempts"]), (&json!("scheduled"), &json!(0)));
    assert_eq!(first.last()["scheduled_for"], "2099-01-01T00:00:00.000Z");
    user.refused(&["rotate", "deploy", "--at", "2099-01-02T00:00"], 1, "already-scheduled")?;
    let id = first.last()["id"].to_string();
    assert_eq!(user.done(&["change", "show", &id, "--recorded"])?.last()["possible"], json!(["run", "cancel"]));
    assert_eq!(user.done(&["rotate", "--due"])?.lines, Vec::<Value>::new(), "its time has not come");
    assert_eq!(user.done(&["change", "cancel", &id])?.last()["state"], "cancelled");
    user.refused(&["change", "run", &id], 1, "change-state")?;
    let second = user.done(&["rotate", "deploy", "--at", "2099-01-01T00:00:00Z"])?;
    let id = second.last()["id"].to_string();
    let run = user.done(&["change", "run", &id])?;
    assert_eq!((&run.last()["outcome"], run.last()["change"].to_string()), (&json!("changed"), id.clone()));
    user.refused(&["change", "cancel", &id], 1, "change-state")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_listed_and_waits_for_the_keyring_and_is_then_begun() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    let key = user.deploy(&[&sshd])?;
    assert_eq!(user.done(&["rotate", "--due", "--dry-run"])?.lines, Vec::<Value>::new());
    let vault = Arc::new(keywheel_core::vault::MemoryVault::new());
    let earlier = Keywheel::open(&user.path("data"), vault, Arc::new(LastWeek), Actor::named("tester"))?;
    let request = Rotate { credential: "deploy".into(), ..Rotate::default() };
    let id = earlier.request_change(request, earlier.now() + std::time::Duration::from_secs(3600)).await?;
    let listed = user.done(&["rotate", "--due", "--dry-run"])?;
    assert_eq!((&listed.last()["start"], &listed.last()["change"]), (&json!("run"), &json!(id.0)), "{}", listed.stdout);
    user.keyring.lock()?;
    user.refused(&["rotate", "--due"], 5, "keyring-waited-for")?;
    user.keyring.unlock()?;
    let run = user.done(&["rotate", "--due"])?;
    assert_eq!(run.last()["outcome"], "changed", "{}", run.stdout);
    assert!(!sshd.ssh_logs_in(&key.file, sshd.account())?, "the old key must be refused");
    assert!(user.done(&["rotate", "--due"])?.stderr.contains("Nothing is due."));
    Ok(())
}

#[test]
fn the_timer_is_written_for_this_program_and_leaves_foreign_files_alone() -> Result<(), Trouble> {
    let user = User::new()?;
    let service = user.path("k/home/.config/systemd/user/keywheel.service");
    let installed = user.done(&["timer", "install"])?;
    assert_eq!(installed.last()["installed"], true, "{}", installed.stdout);
    assert!(installed.stderr.contains("only while the keyring is unlocked"), "{}", installed.stderr);
    // No user manager answers here, so what is left is told.
    assert_eq!(installed.last()["to_run"][0], "systemctl --user daemon-reload", "{}", installed.stdout);
    let text = std::fs::read_to_string(&service)?;
    let data = user.path("data");
    let expected = format!("\"--data-dir\" \"{}\" \"rotate\" \"--due\"\n", data.display());
    assert!(text.contains(&expected), "{text}");
    user.done(&["timer", "install"])?;
    assert_eq!(user.done(&["timer", "status"])?.last()["active"], false);
    std::fs::write(&service, "[Service]\nExecStart=/usr/local/bin/mine\n")?;
    for command in ["install", "remove"] {
        user.refused(&["timer", command], 1, "timer-foreign")?;
    }
    assert_eq!(user.done(&["timer", "status"])?.last()["installed"], false);
    std::fs::remove_file(&service)?;
    user.done(&["timer", "remove"])?;
    assert!(!user.path("k/home/.config/systemd/user/keywheel.timer").exists());
    Ok(())
}

/// The clock of this machine, eight days ago.
#[derive(Debug)]
struct LastWeek;

impl Clock for LastWeek {
    fn now(&self) -> Timestamp {
        SystemClock.now() - std::time::Duration::from_secs(8 * 24 * 60 * 60)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_ends_with_the_keys_whose_days_are_over_and_shows_what_its_devices_say_now() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    let vault = Arc::new(OsKeyring::open_at(&user.keyring.address()));
    let last_week = Keywheel::open(&user.path("data"), vault, Arc::new(LastWeek), Actor::named("tester"))?;
    let (watch, _watching) = watch();
    last_week.rotate(&Rotate { credential: "deploy".to_owned(), ..Rotate::default() }, watch).await?;
    drop(last_week);

    let states = || -> Result<Vec<Value>, Trouble> {
        let history = user.done(&["credential", "history", "deploy"])?;
        Ok(history.lines.into_iter().filter(|line| line.get("key_version").is_some()).collect())
    };
    let before = states()?;
    assert_eq!(
        (&before[0]["key_version"]["state"], &before[1]["key_version"]["state"]),
        (&json!("retired"), &json!("current"))
    );
    assert!(before[0]["key_version"]["goes_at"].is_string(), "it says when it goes: {before:?}");
    assert_eq!(before[0]["key_version"]["held_by"], json!([]), "nothing holds it up");
    let rotated = user.done(&["rotate", "deploy"])?;
    assert_eq!(rotated.last()["event"], "finished", "the last line is the change's end");
    assert!(rotated.stderr.contains("version 1, is destroyed"), "{}", rotated.stderr);
    assert_eq!(states()?[0]["key_version"]["state"], "destroyed");
    assert_eq!(user.keyring.items()?.len(), 2, "its private half must be gone");

    let destroy = ["credential", "destroy", "deploy", "--key-version", "2"];
    user.refused(&destroy, 2, "question-unanswered")?;
    let held = user.refused(&[&destroy[..], &["--yes"]].concat(), 1, "key-needed")?;
    assert!(held.stderr.contains("less than a minute ago"), "{}", held.stderr);
    let nowhere = [&destroy[..], &["--give-up", "nowhere", "--yes"]].concat();
    user.refused(&nowhere, 2, "not-on-device")?;

    let id = rotated.last()["change"].to_string();
    let shown = user.done(&["change", "show", &id])?;
    let now = &shown.last()["accepts_now"];
    assert_eq!((&now[0]["versions"][0]["answer"], &now[0]["versions"][0]["by"]), (&json!("accepted"), &json!("login")));
    assert_eq!(now[0]["versions"][1]["answer"], "refused", "{}", shown.stdout);
    assert_eq!(shown.last()["state"], "changed", "what was there stays there: {}", shown.stdout);
    let recorded = user.done(&["change", "show", &id, "--recorded"])?;
    assert_eq!(recorded.last().get("accepts_now"), None, "nobody was asked");

    fleet.devices[1].stop()?;
    let shown = user.done(&["change", "show", &id])?;
    let away = &shown.last()["accepts_now"][1];
    assert_eq!(away["error"]["code"], "connection-refused", "{}", shown.stdout);
    assert_eq!(away["versions"][0]["last"]["accepted"], true, "its last proof, with its time: {}", shown.stdout);
    assert!(away["versions"][0]["last"]["at"].is_string());
    user.keyring.lock()?;
    let shown = user.done(&["change", "show", &id])?;
    assert_eq!(shown.last()["accepts_now"][0]["error"]["code"], "keyring-locked", "{}", shown.stdout);
    assert_eq!(shown.last()["accepts_now"][0]["versions"][0]["last"]["accepted"], true, "{}", shown.stdout);
    Ok(())
}

#[test]
fn a_second_process_is_told_that_the_credential_is_busy() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let lock = CredentialLock::take(&user.path("data"), CredentialId(1), "deploy", Sharing::Exclusive)?;
    user.refused(&["rotate", "deploy"], 1, "busy")?;
    drop(lock);
    user.done(&["rotate", "deploy"])?;
    Ok(())
}

#[test]
fn a_key_is_installed_with_another_credential_and_taken_off_again() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let before = sshd.authorized_keys()?;
    let mut add = vec!["credential", "add", "--name", "backup", "--original-device", "web-1", "--generate"];
    add.extend(["--username", sshd.account(), "--algorithm", "ecdsa-p256"]);
    user.done(&add)?;
    let installed =
        user.done(&["install", "backup", "--auth-with", "deploy", "--options", "from=\"127.0.0.1\",no-pty"])?;
    assert_eq!(installed.last()["outcome"], "changed", "{}", installed.stdout);
    let text = String::from_utf8_lossy(&sshd.authorized_keys()?).into_owned();
    assert!(text.contains("from=\"127.0.0.1\",no-pty ecdsa-sha2-nistp256 "), "{text}");
    user.done(&["rotate", "backup"])?;
    user.refused(&["uninstall", "backup"], 2, "question-unanswered")?;
    user.refused(&["credential", "remove", "backup"], 2, "question-unanswered")?;
    user.done(&["credential", "remove", "backup", "--yes", "--uninstall"])?;
    user.refused(&["credential", "show", "backup"], 2, "unknown-name")?;
    let text = String::from_utf8_lossy(&sshd.authorized_keys()?).into_owned();
    assert!(!text.contains("ecdsa-sha2-nistp256"), "the key was left there: {text}");
    assert!(text.starts_with(String::from_utf8_lossy(&before).trim_end()), "another line was changed: {text}");
    user.done(&["check", "deploy"])?;
    assert_eq!(user.keyring.items()?.len(), 1, "the secrets of a removed credential are destroyed");
    Ok(())
}

#[test]
fn no_secret_is_in_what_is_printed_or_stored_outside_the_keyring() -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().start())? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let add = ["credential", "add", "--name", "admin", "--username", "admin", "--original-device", "web-1"];
    let ran = user.run_with(&[&add[..], &["--password-stdin"]].concat(), "correct horse battery\n")?;
    assert_eq!((ran.status, &ran.last()["kind"]), (Some(0), &json!("password")), "{}", ran.stderr);
    let mut told = vec![ran.stdout, ran.stderr];
    for arguments in [&["credential", "show", "admin"][..], &["-v", "rotate", "deploy"], &["audit", "list"]] {
        let ran = user.done(arguments)?;
        told.extend([ran.stdout, ran.stderr]);
    }
    for entry in std::fs::read_dir(user.path("data"))? {
        let path = entry?.path();
        if path.is_file() {
            told.push(String::from_utf8_lossy(&std::fs::read(path)?).into_owned());
        }
    }
    for text in told {
        assert!(!text.contains("correct horse") && !text.contains("PRIVATE KEY"), "a secret is in: {text}");
    }
    Ok(())
}

#[test]
fn a_terminal_gets_a_line_per_device_and_a_sentence_at_the_end() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let user = User::new()?;
    user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    // script(1) runs a command on a terminal of its own.
    let mut command = Command::new("script");
    user.keyring.set_environment(&mut command);
    let rotate = format!("stty rows 24 cols 120; {} rotate deploy", program().display());
    command.args(["-qec", &rotate, "/dev/null"]).env("KEYWHEEL_DATA_DIR", user.path("data"));
    command.env("TERM", "xterm").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("\u{1b}[2A"), "the lines are redrawn in place: {text}");
    assert!(!text.contains("\u{1b}[3"), "NO_COLOR is respected: {text}");
    let last = text.lines().rfind(|line| line.contains("  web-2  ")).unwrap_or_default();
    for stage in ["✓ check ━━", "✓ add ━━", "✓ prove ━━", "✓ remove ━━", "✓ refuse"] {
        assert!(last.contains(stage), "{stage} is missing in: {last}");
    }
    assert!(text.contains("\"deploy\": 2 of 2 devices accept the new key and refuse the old"), "{text}");
    Ok(())
}

#[test]
fn a_compromised_key_is_changed_by_name_past_a_dead_device_and_never_put_back() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let user = User::new()?;
    let key = user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
    let thief = user.client.key("thief", "ed25519")?;
    for sshd in &fleet.devices {
        let text = String::from_utf8(sshd.authorized_keys()?)?;
        sshd.write_authorized_keys(format!("{text}\nno-pty {}\n", thief.public).as_bytes())?;
    }
    let emergency = ["rotate", "deploy", "--strategy", "emergency"];
    user.refused(&emergency, 2, "question-unanswered")?;
    user.refused(&[&emergency[..], &["--yes", "--on-failure", "continue"]].concat(), 2, "emergency-goes-on")?;
    let planned = user.done(&[&emergency[..], &["--dry-run"]].concat())?;
    let listed: Vec<_> = planned.lines.iter().filter(|line| line["event"] == "other-keys").collect();
    assert_eq!(listed.len(), 2, "each device's other keys are listed before: {}", planned.stdout);
    assert_eq!(listed[0]["keys"][0]["options"], "no-pty", "{}", planned.stdout);
    let checked = user.done(&["check", "deploy"])?;
    assert_eq!(checked.lines[0]["other_keys"][0]["comment"], listed[0]["keys"][0]["comment"], "{}", checked.stdout);

    fleet.devices[1].stop()?;
    let partly = user.run(&[&emergency[..], &["--yes"]].concat())?;
    assert_eq!((partly.status, &partly.last()["outcome"]), (Some(3), &json!("partly-changed")), "{}", partly.stdout);
    assert!(!fleet.devices[0].ssh_logs_in(&key.file, fleet.devices[0].account())?, "the thief would be let in");
    let id = partly.last()["change"].to_string();
    user.refused(&["change", "roll-back", &id], 1, "never-put-back")?;
    user.refused(&["change", "undo", &id], 1, "never-put-back")?;
    let shown = user.done(&["change", "show", &id])?;
    let others = &shown.last()["records"][0]["other_keys"];
    assert_eq!((&others["seen"], others["keys"].as_array().map(Vec::len)), (&json!("after"), Some(1)), "{others}");
    let history = user.done(&["credential", "history", "deploy"])?;
    let compromised = |version: u32| {
        let of = history.lines.iter().find(|line| line["key_version"]["version"] == version);
        of.map(|line| line["key_version"]["compromised"].clone())
    };
    assert_eq!((compromised(1), compromised(2)), (Some(json!(true)), Some(json!(false))), "{}", history.stdout);

    // The device is gone for good. What is left is a minute's wait, which a signal leaves to the next time.
    let mut child = user.command(&["change", "retry", &id, "--give-up", "web-2"]).spawn()?;
    let mut told = BufReader::new(child.stderr.take().ok_or("no messages")?).lines();
    let waits = told.by_ref().map_while(Result::ok).any(|line| line.contains("is destroyed in a minute"));
    assert!(waits, "it must say what it waits for");
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    assert_eq!(child.wait_with_output()?.status.code(), Some(0), "the change itself is done: {rest:?}");
    assert!(rest.iter().any(|line| line.contains("is kept for now")), "{rest:?}");
    let shown = user.done(&["change", "show", &id])?;
    assert_eq!(
        (&shown.last()["state"], &shown.last()["possible"]),
        (&json!("changed"), &json!([])),
        "{}",
        shown.stdout
    );
    assert_eq!(shown.last()["records"][1]["given_up"], true, "{}", shown.stdout);
    Ok(())
}
