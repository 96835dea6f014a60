//! What the program does without a window, and beside one.

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

#[tokio::test]
async fn a_second_start_ends_in_order_and_leaves_one_program() -> Result<(), Trouble> {
    let place = Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    let first = window.process();
    let status = place.start_again().await?;
    assert_eq!(status.code(), Some(0), "a second start is no failure");
    assert_eq!(window.programs(), 1, "there are two programs on one data directory");
    assert_eq!(window.process(), first, "the first program was replaced");
    window.link("Devices").await?;
    window.find("button", "New device").await?;
    window.close().await
}

#[tokio::test]
async fn the_command_line_works_beside_the_window_which_shows_what_it_did() -> Result<(), Trouble> {
    let place = Place::new()?;
    let window = place.open().await?;
    window.link("Devices").await?;
    window.sees("No devices yet").await?;
    let added = place.command_line(&["device", "add", "--name", "db-1", "--address", "127.0.0.1"])?;
    assert!(added.status.success(), "the window keeps the command line out: {added:?}");
    window.focus()?;
    window.sees_no_more("No devices yet").await?;
    window.open_row("db-1").await?;
    window.find("heading", "db-1").await?;

    window.button("Edit").await?;
    window.fill("Name", "db-2").await?;
    window.button("Save").await?;
    window.find("heading", "db-2").await?;
    let listed = place.command_line(&["device", "list"])?;
    let listed = String::from_utf8(listed.stdout)?;
    assert!(listed.contains("db-2") && !listed.contains("db-1"), "the command line sees another state: {listed}");
    window.close().await
}

#[tokio::test]
async fn what_was_done_in_the_window_is_anchored_when_the_program_ends() -> Result<(), Trouble> {
    let place = Place::new()?;
    place.command_line(&["device", "add", "--name", "db-1", "--address", "127.0.0.1"])?;
    let window = place.open().await?;
    window.link("Devices").await?;
    window.open_row("db-1").await?;
    window.find("heading", "db-1").await?;
    window.button("Edit").await?;
    window.fill("Name", "db-2").await?;
    window.button("Save").await?;
    window.find("heading", "db-2").await?;
    window.link("Audit").await?;
    window.button("Verify chain").await?;
    window.sees("up to row 1; 1 row is not yet anchored").await?;
    window.terminate()?;
    window.ended().await?;
    let verified = place.command_line(&["audit", "verify"])?;
    let told = String::from_utf8(verified.stdout)?;
    assert!(told.contains("The chain of 2 rows holds") && told.contains("vouches for every row"), "{told}");
    Ok(())
}
