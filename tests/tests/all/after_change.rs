//! The user's program after each change, run by the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keywheel_fleet::{Sshd, Trouble};
use serde_json::Value;

use crate::cli::User;

#[test]
fn a_program_gets_each_change_that_ended_and_its_failure_is_a_warning() -> Result<(), Trouble> {
    let sshd = Sshd::builder().start()?;
    let user = User::new()?;
    user.deploy(&[&sshd])?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("note it");
    let told = |number: &str| -> Result<Value, Trouble> {
        Ok(serde_json::from_slice(&fs::read(folder.path().join(format!("change-{number}")))?)?)
    };
    fs::write(&program, "#!/bin/sh\ncat > \"$(dirname \"$0\")/change-$KEYWHEEL_CHANGE\"\nexit 3\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    user.refused(&["settings", "set", "program-after-change", "note it"], 2, "bad-program")?;
    user.done(&["settings", "set", "program-after-change", &program.display().to_string()])?;

    let rotated = user.done(&["rotate", "deploy"])?;
    assert_eq!(rotated.last()["event"], "finished", "what the program did is no part of the change");
    assert!(rotated.stderr.contains("ended with status 3"), "nobody would know that it failed: {}", rotated.stderr);
    let change = told("1")?;
    assert_eq!((&change["id"], &change["state"]), (&1.into(), &"changed".into()));
    let shown = user.done(&["change", "show", "1", "--recorded"])?;
    assert_eq!(shown.last()["state"], "changed");
    assert_eq!(shown.last()["program"]["error"]["code"], "after-change-failed");
    let audit = user.done(&["audit", "list"])?;
    assert_eq!(
        (&audit.last()["action"], &audit.last()["code"]),
        (&"program-ran".into(), &"after-change-failed".into())
    );

    sshd.stop()?;
    let failed = user.run(&["rotate", "deploy"])?;
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    assert_ne!(told("2")?["state"], "changed", "a change that did not get through is told as well");
    Ok(())
}
