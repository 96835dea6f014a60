//! Changes that begin by themselves: asked for at a time, begun by the window, taken back, begun at once; and the pause.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keywheel_core::clock::{Clock as _, SystemClock};
use keywheel_core::rotation::Rotate;
use keywheel_fleet::Trouble;
use keywheel_fleet::window::Page;

use crate::scene::{ACCOUNT, Scene};

/// Asks in the window for a change at an hour that is far away.
async fn ask_for_later(scene: &Scene, page: &Page) -> Result<(), Trouble> {
    scene.open_change(page).await?;
    page.button("Options").await?;
    page.click("radio", "At…").await?;
    page.fill("Begins at", "2999-12-24 22:00").await?;
    let button = page.name_beginning("button", "Change key on 1 device at").await?;
    page.button(&button).await?;
    page.sees("Its devices are checked when it begins.").await
}

#[tokio::test]
async fn a_change_that_was_asked_for_at_a_time_begins_by_itself_and_the_program_after_it_runs() -> Result<(), Trouble> {
    let scene = Scene::new(1).await?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("note");
    fs::write(&program, "#!/bin/sh\nexit 3\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    scene.keywheel.set_setting("program-after-change", &program.to_string_lossy()).await?;
    let window = scene.place.open().await?;

    let request = Rotate { credential: ACCOUNT.to_owned(), ..Rotate::default() };
    let soon = SystemClock.now() + std::time::Duration::from_secs(3);
    scene.keywheel.request_change(request, soon).await?;
    window.link("Changes").await?;
    window.sees(ACCOUNT).await?;
    window.open_row(ACCOUNT).await?;
    window.sees("1 device accepts the new key and refuses the old").await?;
    window.sees("The program after this change failed").await?;
    window.sees("ended with status 3").await?;
    scene.assert_changed(0).await?;
    window.close().await
}

#[tokio::test]
async fn a_change_that_waits_is_taken_back_or_begun_at_once() -> Result<(), Trouble> {
    let scene = Scene::new(1).await?;
    let window = scene.place.open().await?;
    ask_for_later(&scene, &window).await?;
    window.button("Cancel").await?;
    window.sees("Cancelled before it began").await?;
    assert!(scene.old_key_logs_in(0)?, "what was taken back has changed something");

    ask_for_later(&scene, &window).await?;
    window.button("Run now").await?;
    window.sees("1 device accepts the new key and refuses the old").await?;
    scene.assert_changed(0).await?;
    window.close().await
}

#[tokio::test]
async fn a_pause_is_seen_on_every_screen_and_ended_there() -> Result<(), Trouble> {
    let scene = Scene::new(1).await?;
    let window = scene.place.open().await?;
    window.link("Settings").await?;
    window.choose("Pause automatic changes", "Until it is switched off").await?;
    window.sees("Automatic changes are paused.").await?;
    window.link("Devices").await?;
    window.sees("Automatic changes are paused.").await?;
    window.button("Go on").await?;
    window.sees_no_more("Automatic changes are paused.").await?;
    let views = scene.keywheel.setting_views().await?;
    let pause = views.iter().find(|view| view.name == "pause-automatic-changes").ok_or("the setting is gone")?;
    assert_eq!(pause.value, "off");
    window.close().await
}
