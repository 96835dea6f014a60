use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::stat::Mode;

use super::*;
use crate::catalogue::{CredentialId, OnFailure, Strategy};
use crate::credential::{NewCredential, NewSecret};
use crate::device::NewDevice;
use crate::journal::{self, Begin, Kind, Origin, Snapshot};
use crate::key::{Algorithm, PrivateKey};
use crate::keywheel::testing::keywheel;

/// A program for `sh` in a folder of its own; what it writes beside itself goes with it.
struct Script {
    dir: tempfile::TempDir,
}

impl Script {
    fn new(lines: &str) -> Self {
        let script = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(script.path(), format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(script.path(), fs::Permissions::from_mode(0o700)).unwrap();
        script
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("note it")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("note it.{name}"))
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.beside(name)).unwrap()
    }

    async fn run(&self, text: &[u8]) -> Result<(), ProgramError> {
        Begun::begin(&self.path(), ChangeId(7)).await?.end(text.to_vec(), LIMIT).await
    }
}

#[tokio::test]
async fn it_reads_the_text_to_its_end_and_knows_the_changes_number() {
    let script = Script::new("cat > \"$0.in\"\necho \"$KEYWHEEL_CHANGE\" > \"$0.id\"");
    let text = "{\"id\":7}".repeat(100_000);
    script.run(text.as_bytes()).await.unwrap();
    assert!(script.written("in") == text, "more than a pipe holds was lost");
    assert_eq!(script.written("id"), "7\n");
}

#[tokio::test]
async fn one_that_reads_nothing_or_writes_much_is_no_failure() {
    let text = vec![b'x'; 1 << 20];
    Script::new("exec <&-").run(&text).await.unwrap();
    Script::new("exit 0").run(&text).await.unwrap();
    Script::new("head -c 100000000 /dev/zero; head -c 100000000 /dev/zero >&2").run(&text).await.unwrap();
}

#[tokio::test]
async fn how_it_failed_is_said() {
    let failed = Script::new("exit 3").run(b"{}").await;
    assert!(matches!(failed, Err(ProgramError::Failed { status: 3, .. })), "{failed:?}");
    let killed = Script::new("kill -9 $$").run(b"{}").await;
    assert!(matches!(killed, Err(ProgramError::Killed { .. })), "{killed:?}");
    let script = Script::new("exit 0");
    fs::set_permissions(script.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(script.run(b"{}").await, Err(ProgramError::NotStarted { .. })));
    fs::remove_file(script.path()).unwrap();
    assert!(matches!(script.run(b"{}").await, Err(ProgramError::NotStarted { .. })));
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started() {
    let script = Script::new("exec 9> \"$0.up\"\necho up >&9\nsleep 100000 &\nsleep 100000");
    let up = script.beside("up");
    nix::unistd::mkfifo(&up, Mode::S_IRWXU).unwrap();
    let begun = Begun::begin(&script.path(), ChangeId(7)).await.unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut pipe = fs::File::open(up).unwrap();
        let mut said = [0; 3];
        pipe.read_exact(&mut said).unwrap();
        (pipe, said)
    });
    let (mut pipe, said) = reading.await.unwrap();
    assert_eq!(&said, b"up\n");
    let ended = begun.end(b"{}".to_vec(), Duration::from_millis(1)).await;
    assert!(matches!(ended, Err(ProgramError::TooLong { .. })), "{ended:?}");
    // It ends when nobody is left who could write into it.
    let rest = tokio::task::spawn_blocking(move || pipe.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(rest.unwrap(), 0, "what it started would go on for ever");
}

/// A change in this state, and the program that is set.
async fn change(keywheel: &Keywheel, state: ChangeState) -> ChangeId {
    let device = keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await.unwrap();
    let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
    let new = NewCredential::new("deploy", "deploy", device.id, NewSecret::Generated(key));
    let credential: CredentialId = keywheel.add_credential(new).await.unwrap().id;
    let now = keywheel.now();
    let begun = keywheel.database().run_write(move |tx| -> Result<ChangeId, Error> {
        let snapshot = Snapshot {
            credential: "deploy".to_owned(),
            username: "deploy".to_owned(),
            auth_with: None,
            options: None,
            devices: Vec::new(),
        };
        let begin = Begin {
            credential,
            kind: Kind::Rotate,
            strategy: Strategy::TwoPhase,
            on_failure: OnFailure::RollBack,
            at_once: 1,
            from_version: Some(1),
            to_version: None,
            snapshot: &snapshot,
            requested_by: "ana@desk",
            origin: Origin::REQUEST,
            now,
        };
        let id = journal::change::begin(tx, &begin)?;
        journal::change::end(tx, id, 1, state, None, now)?;
        Ok(id)
    });
    begun.await.unwrap()
}

async fn set(keywheel: &Keywheel, script: &Script) {
    keywheel.set_setting("program-after-change", &script.path().to_string_lossy()).await.unwrap();
}

#[tokio::test]
async fn a_change_that_has_ended_is_told_to_the_program_once_and_recorded() {
    let (keywheel, _dir) = keywheel();
    let script = Script::new("cat >> \"$0.in\"");
    set(&keywheel, &script).await;
    let id = change(&keywheel, ChangeState::RolledBack).await;
    let shown = serde_json::to_string(&keywheel.change_details(id).await.unwrap()).unwrap();
    keywheel.begin_program_after(id);
    assert!(keywheel.programs_ended().await.is_empty());
    assert_eq!(script.written("in"), shown, "it is told another thing than `change show --recorded` says");
    let rows = keywheel.audit_rows(Default::default()).await.unwrap();
    let row = rows.last().unwrap();
    assert_eq!((row.action.as_str(), row.subject.as_deref(), row.result.as_str()), ("program-ran", Some("1"), "ok"));
    let run = keywheel.change_details(id).await.unwrap().program.unwrap();
    assert_eq!((run.program.as_str(), run.error), (&*script.path().to_string_lossy(), None));
}

#[tokio::test]
async fn a_program_that_fails_is_recorded_and_shown_and_the_change_stays_as_it_is() {
    let (keywheel, _dir) = keywheel();
    let script = Script::new("exit 3");
    set(&keywheel, &script).await;
    let id = change(&keywheel, ChangeState::Changed).await;
    keywheel.begin_program_after(id);
    let failed = keywheel.programs_ended().await;
    assert_eq!(failed.iter().map(Explain::code).collect::<Vec<_>>(), ["after-change-failed"]);
    assert!(keywheel.programs_ended().await.is_empty(), "it would be told again after every change");
    let details = keywheel.change_details(id).await.unwrap();
    assert_eq!(details.change.state, ChangeState::Changed);
    assert_eq!(details.program.unwrap().error, failed.first().map(|error| Report::of(error)));
    let rows = keywheel.audit_rows(Default::default()).await.unwrap();
    let row = rows.last().unwrap();
    assert_eq!((row.result.as_str(), row.code.as_deref()), ("failed", Some("after-change-failed")));
}

#[tokio::test]
async fn an_interrupted_change_is_not_told_because_it_goes_on() {
    let (keywheel, _dir) = keywheel();
    let script = Script::new("touch \"$0.ran\"");
    set(&keywheel, &script).await;
    let id = change(&keywheel, ChangeState::Interrupted).await;
    keywheel.begin_program_after(id);
    keywheel.programs_ended().await;
    assert!(!script.beside("ran").exists());
    assert_eq!(keywheel.change_details(id).await.unwrap().program, None);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_when_it_is_set() {
    let (keywheel, dir) = keywheel();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "no program").unwrap();
    let missing = dir.path().join("missing");
    for bad in [file.as_path(), dir.path(), missing.as_path()] {
        let refused = keywheel.set_setting("program-after-change", &bad.to_string_lossy()).await.unwrap_err();
        assert_eq!((refused.code(), refused.field()), ("bad-program", Some("value")), "{}", bad.display());
    }
    let script = Script::new("exit 0");
    set(&keywheel, &script).await;
    assert_eq!(keywheel.settings().await.unwrap().program_after_change, Some(script.path()));
    keywheel.set_setting("program-after-change", "").await.unwrap();
    assert_eq!(keywheel.settings().await.unwrap().program_after_change, None);
}
