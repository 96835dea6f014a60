//! What the program does without a window.

use keywheel_fleet::Trouble;
use keywheel_fleet::window::{Place, desktop};

#[test]
fn the_program_tells_its_version_and_its_options_without_a_window() -> Result<(), Trouble> {
    let place = Place::new()?;
    let program = desktop()?;
    let run = |arguments: &[&str]| place.command(&program).env_remove("DISPLAY").args(arguments).output();
    let version = run(&["--version"])?;
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8(version.stdout)?,
        format!("keywheel-desktop {}\n", env!("CARGO_PKG_VERSION")),
        "--version must be answered on standard output"
    );
    let help = run(&["--help"])?;
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout)?;
    assert!(help.contains("--data-dir") && help.contains("KEYWHEEL_DATA_DIR"), "--help must name its options: {help}");

    let wrong = run(&["--data-dir", program.to_str().unwrap()])?;
    assert_eq!(wrong.status.code(), Some(2), "a file in place of the data directory is bad input");
    assert!(wrong.stdout.is_empty(), "a message belongs on standard error");
    assert!(!wrong.stderr.is_empty(), "a refusal must say why");
    Ok(())
}

#[test]
fn without_a_display_the_program_says_so_and_names_the_command_line() -> Result<(), Trouble> {
    let place = Place::new()?;
    let answer = place.command(desktop()?).env_remove("DISPLAY").output()?;
    let told = String::from_utf8(answer.stderr)?;
    assert_eq!(answer.status.code(), Some(1), "no window was opened, and nothing is changed: {told}");
    assert!(told.contains("there is no display") && told.contains("keywheel --help"), "what to do is missing: {told}");
    assert!(!told.contains("panicked"), "a missing display is no bug: {told}");
    Ok(())
}
