//! A keyring that is locked or not there, and data that can't be used.

use std::fs::File;
use std::os::unix::fs::FileExt;

use keywheel_fleet::Trouble;
use keywheel_fleet::window::Place;

use crate::scene::Scene;

const TITLE: &str = "The keyring can’t be used";

#[tokio::test]
async fn a_locked_keyring_is_said_at_once_and_gone_when_it_is_unlocked() -> Result<(), Trouble> {
    let place = Place::new()?;
    place.keyring.lock()?;
    let window = place.open().await?;
    window.find("heading", TITLE).await?;
    window.sees("The keyring is locked.").await?;
    window.find("heading", "How to unlock it").await?;
    window.sees("open “Passwords and Keys” and unlock the keyring “Login”").await?;
    assert!(!window.has("link", "Credentials").await?, "the screens are offered though nothing can be done on them");
    place.keyring.unlock()?;
    window.find("link", "Credentials").await?;
    assert!(!window.has("heading", TITLE).await?, "the keyring is unlocked, and the window still says it is not");
    window.close().await
}

#[tokio::test]
async fn a_keyring_that_is_locked_meanwhile_keeps_a_change_from_beginning() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.sees("2 of 2 ready").await?;
    let stored = scene.place.keyring.items()?.len();
    scene.place.keyring.lock()?;
    window.button("Change key on 2 devices").await?;
    window.sees("The keyring is locked.").await?;
    window.find("heading", "Change key now").await?;
    assert!(scene.keywheel.change_views().await?.is_empty(), "a change was begun without a keyring");
    assert_eq!(scene.place.keyring.items()?.len(), stored, "a key was stored in a locked keyring");
    for index in 0..2 {
        assert!(scene.old_key_logs_in(index)?, "a device was touched");
    }
    scene.place.keyring.unlock()?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    window.close().await
}

#[tokio::test]
async fn a_keyring_that_is_locked_meanwhile_does_not_take_away_what_was_entered() -> Result<(), Trouble> {
    let place = Place::new()?;
    let window = place.open().await?;
    window.link("Devices").await?;
    window.button("New device").await?;
    window.fill("Name", "half-entered").await?;
    place.keyring.lock()?;
    // Coming back to the window asks the keyring anew.
    window.focus()?;
    window.sees("The keyring can’t be used: nothing can be changed until it is unlocked.").await?;
    window.fill("Address", "127.0.0.1").await?;
    window.button("Save").await?;
    window.find("heading", "half-entered").await?;
    window.button("Show how").await?;
    window.find("heading", TITLE).await?;
    place.keyring.unlock()?;
    window.find("heading", "half-entered").await?;
    window.close().await
}

#[tokio::test]
async fn a_session_without_a_keyring_is_told_what_is_missing() -> Result<(), Trouble> {
    let mut place = Place::new()?;
    // The session bus of the tests themselves, which has no Secret Service and starts none.
    let bus =
        std::env::var("DBUS_SESSION_BUS_ADDRESS").map_err(|_| "the window tests need a session bus: make window")?;
    place.set("DBUS_SESSION_BUS_ADDRESS", &bus);
    let window = place.open().await?;
    window.find("heading", TITLE).await?;
    window.sees("No keyring of the operating system can be reached.").await?;
    window.sees("install and start gnome-keyring").await?;
    window.button("Look around meanwhile").await?;
    window.sees("The keyring can’t be used: nothing can be changed until it is unlocked.").await?;
    window.link("Devices").await?;
    window.find("button", "New device").await?;
    window.close().await
}

#[tokio::test]
async fn a_session_without_a_bus_has_a_window_all_the_same() -> Result<(), Trouble> {
    let mut place = Place::new()?;
    let nowhere = place.path().join("no-bus");
    place.set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", nowhere.display()));
    let window = place.open().await?;
    window.find("heading", TITLE).await?;
    window.sees("No keyring of the operating system can be reached.").await?;
    window.ask_to_close()?;
    window.ended().await
}

#[tokio::test]
async fn data_from_a_newer_version_is_named_and_left_alone() -> Result<(), Trouble> {
    let place = Place::new()?;
    drop(place.keywheel()?);
    let file = place.data_dir().join("keywheel.db");
    // The user version in the header (SQLite Database File Format, section 1.3.13).
    File::options().write(true).open(&file)?.write_all_at(&999_u32.to_be_bytes(), 60)?;
    let before = std::fs::read(&file)?;
    let window = place.open().await?;
    window.find("heading", "The vault can’t be opened").await?;
    window.sees("was made by a newer version of Keywheel (database version 999").await?;
    window.sees("Install the newer version again").await?;
    window.sees(&place.data_dir().display().to_string()).await?;
    window.ask_to_close()?;
    window.ended().await?;
    assert!(std::fs::read(&file)? == before, "a database that could not be read was written");
    Ok(())
}
