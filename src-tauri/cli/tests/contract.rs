//! What scripts rely on: exit statuses, JSON shapes and the two streams, as far as no device and no keyring is needed.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "what fails here fails a test")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
}

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.stdout.lines().map(parse).collect()
    }

    fn code(&self) -> String {
        let last = self.lines().pop().unwrap_or_default();
        last["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Runs `keywheel` without terminal, keyring and home of the user.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywheel"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("KEYWHEEL_DATA_DIR", self.path("data"))
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.path("no-bus")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that takes no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn json(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["--json"], arguments].concat())
    }

    /// Runs what must succeed, and answers its lines.
    fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let ran = self.json(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran.lines()
    }

    fn refused(&self, arguments: &[&str], status: i32, code: &str) {
        let ran = self.json(arguments);
        assert_eq!((ran.status, ran.code().as_str()), (status, code), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("error"), "{arguments:?}: a person is told nothing");
    }
}

const ADD_WEB: [&str; 6] = ["device", "add", "--name", "web-1", "--address", "10.0.0.5"];

#[test]
fn help_and_version_are_everywhere_and_end_with_0() {
    let place = Place::new();
    let version = place.run(&["--version"]);
    assert_eq!((version.status, version.stdout.trim()), (0, concat!("keywheel ", env!("CARGO_PKG_VERSION"))));
    for noun in ["person", "device", "credential", "change", "audit", "settings", "rotate", "check", "install"] {
        let help = place.run(&[noun, "--help"]);
        assert_eq!(help.status, 0, "{noun}: {}", help.stderr);
        assert!(help.stdout.contains("Usage:") && help.stderr.is_empty(), "help is data: {noun}");
    }
    assert!(!Path::new(&place.path("data")).exists(), "asking for help made a data directory");
}

#[test]
fn completions_are_written_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.status, 0, "{shell}: {}", ran.stderr);
        assert!(ran.stdout.contains("public-key"), "{shell}: the commands are not completed");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_an_error_object() {
    let place = Place::new();
    for arguments in [&["nonsense"][..], &["person", "add"], &["rotate"], &["change", "show", "seven"]] {
        place.refused(arguments, 2, "usage");
    }
    place.refused(&["rotate", "deploy", "--strategy", "emergency", "--on-failure", "continue"], 2, "emergency-goes-on");
    place.refused(&["rotate", "deploy", "--strategy", "panic"], 2, "usage");
    let ran = place.run(&["nonsense"]);
    assert!(ran.stdout.is_empty(), "messages are not data: {}", ran.stdout);
}

#[test]
fn people_have_the_shape_of_the_design() {
    let place = Place::new();
    assert_eq!(place.done(&["person", "list"]), Vec::<Value>::new());
    let added = place.done(&["person", "add", "--name", "Ana", "--email", "ana@example.org"]);
    assert_eq!(added, [json!({ "id": 1, "name": "Ana", "email": "ana@example.org", "active": true })]);
    let edited = place.done(&["person", "edit", "Ana", "--email", "", "--status", "inactive"]);
    assert_eq!(edited, [json!({ "id": 1, "name": "Ana", "email": null, "active": false })]);
    assert_eq!(place.done(&["person", "list"]), edited);
    assert_eq!(place.done(&["person", "show", "Ana"]), edited);
    place.refused(&["person", "edit", "Ana"], 2, "nothing-to-edit");
    place.refused(&["person", "remove", "Ana"], 2, "question-unanswered");
    place.done(&["person", "remove", "Ana", "--yes"]);
    place.refused(&["person", "show", "Ana"], 2, "unknown-name");
}

#[test]
fn devices_have_the_shape_of_the_design() {
    let place = Place::new();
    place.done(&ADD_WEB);
    let arguments = ["device", "add", "--name", "db-1", "--address", "::1", "--port", "2222", "--jump", "web-1"];
    let added = place.done(&[&arguments[..], &["--tag", "db", "--tag", "a"]].concat());
    let listed = place.done(&["device", "list"]);
    assert_eq!(listed[1], added[0]);
    let expected = json!({
        "id": 2, "name": "db-1", "address": "::1", "port": 2222, "jump": "web-1", "tags": ["a", "db"], "enabled": true,
        "host_keys": []
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&added[0][name], value, "{name} is promised");
    }
    assert_eq!(place.done(&["device", "show", "2"]), added, "a device can be given by its ID");
    let edited = place.done(&["device", "edit", "db-1", "--jump", "", "--tag", "", "--status", "disabled"]);
    assert_eq!(
        (&edited[0]["jump"], &edited[0]["tags"], &edited[0]["enabled"]),
        (&Value::Null, &json!([]), &json!(false))
    );
    place.done(&["device", "remove", "2", "--yes"]);
    assert_eq!(place.done(&ADD_WEB.map(|word| if word == "web-1" { "db-2" } else { word }))[0]["id"], 3);
}

#[test]
fn every_bad_field_ends_with_2_and_its_code() {
    let place = Place::new();
    place.done(&ADD_WEB);
    place.done(&["person", "add", "--name", "Ana"]);
    let device = |name: &'static str, more: &[&'static str]| [&["device", "add", "--name", name][..], more].concat();
    let address = ["--address", "10.0.0.6"];
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (device("", &address), "name-empty"),
        (device("  ", &address), "name-empty"),
        (device("web-1", &address), "name-taken"),
        (device("12", &address), "name-digits"),
        (device("a\tb", &address), "name-control"),
        (device("b", &["--address", "10.0.0.6", "--port", "0"]), "bad-port"),
        (device("b", &["--address", "10.0.0.6", "--port", "65536"]), "bad-port"),
        (device("b", &["--address", "10.0.0.6", "--port", "-1"]), "bad-port"),
        (device("b", &["--address", "10.0.0.6", "--port", "ssh"]), "usage"),
        (device("b", &["--address", "no host"]), "bad-address"),
        (device("b", &["--address", "10.0.0.256"]), "bad-address"),
        (device("b", &["--address", "10.0.0.6", "--jump", "nobody"]), "unknown-name"),
        (device("b", &["--address", "10.0.0.6", "--tag", "a;b"]), "bad-tag"),
        (device("b", &["--address", "10.0.0.6", "--authorized-keys", "/etc/"]), "bad-path"),
        (vec!["device", "edit", "web-1", "--jump", "web-1"], "jump-loop"),
        (vec!["person", "add", "--name", ""], "name-empty"),
        (vec!["person", "add", "--name", "Ana"], "name-taken"),
        (vec!["person", "add", "--name", "7"], "name-digits"),
        (vec!["person", "add", "--name", "Bea", "--email", "bea"], "bad-email"),
        (vec!["settings", "set", "stage-timeout", "0"], "bad-setting"),
        (vec!["settings", "set", "stage-timeout", "-1"], "bad-setting"),
        (vec!["settings", "set", "nonsense", "1"], "unknown-setting"),
        (vec!["change", "show", "7"], "no-such-change"),
        (vec!["change", "resume", "7"], "no-such-change"),
        (vec!["change", "run", "7"], "no-such-change"),
        (vec!["credential", "show", "nobody"], "unknown-name"),
        (vec!["check", "nobody"], "unknown-name"),
        (vec!["rotate", "nobody"], "unknown-name"),
        (vec!["rotate", "nobody", "--dry-run"], "unknown-name"),
        (vec!["install", "nobody", "--auth-with", "nobody"], "unknown-name"),
        (vec!["uninstall", "nobody", "--yes"], "unknown-name"),
        (vec!["device", "trust", "web-1", "web-1", "--fingerprint", FINGERPRINT], "usage"),
    ];
    for (arguments, code) in cases {
        place.refused(&arguments, 2, code);
    }
    assert_eq!(place.done(&["device", "list"]).len(), 1, "something was added all the same");
    assert_eq!(place.done(&["person", "list"]).len(), 1, "something was added all the same");
}

const FINGERPRINT: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

#[test]
fn every_unusable_key_file_ends_with_2_and_its_reason() {
    let place = Place::new();
    place.done(&ADD_WEB);
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/keys");
    std::fs::write(place.path("ppk"), "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n").unwrap();
    std::fs::write(place.path("empty"), "").unwrap();
    std::fs::write(place.path("text"), "not a key\n").unwrap();
    let file = |name: &str| keys.join(name).display().to_string();
    for (path, code) in [
        (place.path("ppk"), "putty-file"),
        (place.path("empty"), "key-file-empty"),
        (place.path("text"), "not-a-private-key"),
        (place.path("missing"), "file-unreadable"),
        (place.path(""), "file-unreadable"),
        (file("refused/public.openssh"), "public-key-given"),
        (file("refused/certificate.openssh"), "certificate-given"),
        (file("refused/dsa.openssh"), "dsa-not-supported"),
        (file("refused/dsa.pem"), "dsa-not-supported"),
        (file("refused/rsa-1024.openssh"), "rsa-too-short"),
        (file("sealed/ed25519.aes256-ctr"), "passphrase-needed"),
        (file("pem/rsa-2048.aes128"), "passphrase-needed"),
    ] {
        let arguments = ["credential", "add", "--name", "deploy", "--username", "deploy", "--original-device", "web-1"];
        place.refused(&[&arguments[..], &["--import", &path]].concat(), 2, code);
    }
    let sealed = file("sealed/ed25519.aes256-ctr");
    let arguments = ["--json", "credential", "add", "--name", "deploy", "--username", "deploy", "--original-device"];
    let arguments = [&arguments[..], &["web-1", "--import", &sealed, "--passphrase-stdin"]].concat();
    let ran = place.run_with(&arguments, b"wrong\n");
    assert_eq!((ran.status, ran.code().as_str()), (2, "wrong-passphrase"), "{}", ran.stderr);
    assert_eq!(place.done(&["credential", "list"]), Vec::<Value>::new());
}

#[test]
fn secrets_are_never_asked_for_without_a_terminal() {
    let place = Place::new();
    place.done(&ADD_WEB);
    let add = ["credential", "add", "--name", "admin", "--username", "admin", "--original-device", "web-1"];
    place.refused(&[&add[..], &["--kind", "password"]].concat(), 2, "secret-missing");
    place.refused(&add, 2, "usage");
    place.refused(&[&add[..], &["--kind", "password", "--generate"]].concat(), 2, "usage");
    place.refused(&[&add[..], &["--kind", "ssh-key", "--password-stdin"]].concat(), 2, "usage");
    for bad in [&b""[..], b"\n", b"two\nlines\n"] {
        let ran = place.run_with(&[&["--json"], &add[..], &["--password-stdin"]].concat(), bad);
        assert_eq!((ran.status, ran.code().as_str()), (2, "bad-secret"), "{bad:?}");
    }
}

#[test]
fn a_missing_keyring_ends_with_5_and_says_what_to_do() {
    let place = Place::new();
    place.done(&ADD_WEB);
    let add = ["credential", "add", "--name", "deploy", "--username", "deploy", "--original-device", "web-1"];
    place.refused(&[&add[..], &["--generate"]].concat(), 5, "keyring-missing");
    let ran = place.run(&[&add[..], &["--generate"]].concat());
    assert!(ran.stderr.contains("gnome-keyring-daemon --unlock"), "nobody learns how to unlock it: {}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert_eq!(place.done(&["device", "list"]).len(), 1, "what needs no secret works without keyring");
}

#[test]
fn an_unusable_database_ends_with_5() {
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    std::fs::write(place.path("data/keywheel.db"), vec![7; 4096]).unwrap();
    let ran = place.json(&["device", "list"]);
    let named: Vec<String> = std::fs::read_dir(place.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(ran.status, 5, "{named:?}: {}{}", ran.stdout, ran.stderr);
    let ran = place.run(&["--data-dir", "/proc/keywheel", "device", "list"]);
    assert_eq!(ran.status, 5, "{}", ran.stderr);
}

#[test]
fn a_file_with_devices_is_imported_but_for_its_bad_rows() {
    let place = Place::new();
    let file = place.path("hosts.csv");
    std::fs::write(&file, "name,address,port\nweb-1,10.0.0.5,\nweb-2,no host,\nweb-3,10.0.0.7,70000\n").unwrap();
    place.refused(&["device", "import", &file], 2, "question-unanswered");
    assert_eq!(place.done(&["device", "list"]), Vec::<Value>::new(), "nothing is imported until it is confirmed");
    let ran = place.json(&["device", "import", &file, "--yes"]);
    assert_eq!((ran.status, ran.code().as_str()), (2, "csv-bad-row"), "{}", ran.stderr);
    let bad = &ran.lines()[0]["bad"];
    assert_eq!((&bad[0]["line"], &bad[1]["line"]), (&json!(3), &json!(4)), "the bad rows are named by their lines");
    assert!(ran.stderr.contains("line 3") && ran.stderr.contains("line 4"), "{}", ran.stderr);
    assert_eq!(place.done(&["device", "list"])[0]["name"], "web-1");
    std::fs::write(&file, "name,address\nweb-1,10.0.0.5\n").unwrap();
    let ran = place.json(&["device", "import", &file]);
    assert_eq!(ran.status, 0, "nothing to do is no question: {}{}", ran.stdout, ran.stderr);
    std::fs::write(&file, "address\n10.0.0.5\n").unwrap();
    place.refused(&["device", "import", &file, "--yes"], 2, "csv-missing-column");
}

#[test]
fn the_audit_holds_and_a_changed_row_is_found() {
    let place = Place::new();
    place.done(&ADD_WEB);
    place.refused(&ADD_WEB, 2, "name-taken");
    let rows = place.done(&["audit", "list"]);
    assert_eq!((&rows[0]["action"], &rows[0]["result"]), (&json!("device-add"), &json!("ok")));
    assert_eq!((&rows[1]["result"], &rows[1]["code"]), (&json!("refused"), &json!("name-taken")));
    assert_eq!(place.done(&["audit", "list", "--newest", "1"]), [rows[1].clone()]);
    place.refused(&["audit", "verify"], 5, "anchor-unread");
    let unread = place.json(&["audit", "verify"]);
    let verdict = &unread.lines()[0];
    assert_eq!((&verdict["chain"], &verdict["rows"]), (&json!("whole"), &json!(2)), "the file itself is told of");
    assert_eq!((&verdict["anchor"], &verdict["unread"]["code"]), (&json!("unread"), &json!("keyring-missing")));
    assert_eq!((&verdict["anchored_row"], &verdict["not_yet_anchored"]), (&Value::Null, &Value::Null));
    let text = place.run(&["audit", "verify"]);
    assert!(text.stdout.contains("as far as the file tells"), "nothing vouches for the end: {}", text.stdout);
    let out = place.path("audit.csv");
    place.done(&["audit", "export", "--format", "csv", "--out", &out]);
    place.refused(&["audit", "export", "--format", "csv", "--out", &out], 2, "file-exists");
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("id,at,actor") && text.contains("name-taken"), "{text}");
    place.done(&["audit", "export", "--format", "json", "--out", &place.path("audit.json")]);
}

#[test]
fn settings_are_listed_and_set() {
    let place = Place::new();
    let set = place.done(&["settings", "set", "days-of-undo", "14"]);
    assert_eq!((&set[0]["name"], &set[0]["value"]), (&json!("days-of-undo"), &json!("14")));
    let listed = place.done(&["settings", "list"]);
    assert!(listed.contains(&set[0]), "what was set is not listed: {listed:?}");
}

#[test]
fn data_and_messages_go_their_own_ways() {
    let place = Place::new();
    let ran = place.run(&ADD_WEB);
    assert!(ran.stdout.contains("name:") && !ran.stdout.contains("is added"), "{}", ran.stdout);
    assert!(ran.stderr.contains("is added"), "{}", ran.stderr);
    let ran = place.run(&["device", "list"]);
    assert!(ran.stdout.contains("web-1") && ran.stderr.is_empty(), "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains('\u{1b}'), "no colours without a terminal");
}

#[cfg(unix)]
#[test]
fn what_is_made_is_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.done(&ADD_WEB);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Path::new(&place.path("data"))), 0o700);
    for entry in std::fs::read_dir(place.path("data")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn data_that_can_not_be_written_is_no_success() {
    let place = Place::new();
    place.done(&ADD_WEB);
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywheel"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = command.args(["--data-dir", &place.path("data"), "device", "list"]).stdout(full).output().unwrap();
    assert_eq!(status.status.code(), Some(1), "a full disk would be taken for an empty list");
}
