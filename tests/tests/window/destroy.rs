//! "Destroy now…", clicked through: the name typed, a device that is gone given up, and the key gone.

use std::sync::Arc;
use std::time::Duration;

use keywheel_core::catalogue::VersionState;
use keywheel_core::clock::{Clock, SystemClock, Timestamp};
use keywheel_core::rotation::Rotate;
use keywheel_core::rotation::decide::Outcome;
use keywheel_core::vault::{OsKeyring, Vault as _};
use keywheel_fleet::{Trouble, watch};

use crate::scene::{ACCOUNT, Scene};

/// The clock of this machine an hour ago: what was changed by it was not changed just now.
#[derive(Debug)]
struct AnHourAgo;

impl Clock for AnHourAgo {
    fn now(&self) -> Timestamp {
        SystemClock.now() - Duration::from_secs(60 * 60)
    }
}

/// The state of the first key, and whether its private half is in the keyring.
async fn first_key(scene: &Scene) -> Result<(VersionState, bool), Trouble> {
    let credential = scene.keywheel.find_credential(ACCOUNT).await?;
    let known = credential.key_version(1).ok_or("version 1")?;
    let keyring = OsKeyring::open_at(&scene.place.keyring.address());
    Ok((known.state, keyring.read(&known.item).await?.is_some()))
}

#[tokio::test]
async fn a_retired_key_is_destroyed_once_the_device_that_can_t_be_asked_is_given_up() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let (watch, _watching) = watch();
    let rotate = Rotate { credential: ACCOUNT.to_owned(), ..Rotate::default() };
    let finished = scene.place.keywheel_at(Arc::new(AnHourAgo))?.rotate(&rotate, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    scene.devices[1].stop()?;

    let window = scene.place.open().await?;
    window.link("Credentials").await?;
    window.open_row(ACCOUNT).await?;
    window.sees("The private key of version 1 is kept for undo").await?;
    window.button("Destroy now…").await?;
    window.find("dialog", "Destroy version 1 of “deploy”").await?;
    window.fill("Type the credential’s name", "deplo").await?;
    let button = "Destroy the private key";
    assert!(!window.find("button", button).await?.is_enabled().await?, "that is not the credential's name");
    window.fill("Type the credential’s name", ACCOUNT).await?;
    window.button(button).await?;
    window.sees("The private key was kept").await?;
    assert_eq!(first_key(&scene).await?, (VersionState::Retired, true), "one device could not be asked");
    assert_eq!(window.axe().await?, Vec::<String>::new(), "the dialog can't be used by everybody");

    window.click("checkbox", "Give up web-2").await?;
    window.button(button).await?;
    window.gone("button", button).await?;
    window.sees("The private key of version 1 is destroyed").await?;
    assert_eq!(first_key(&scene).await?, (VersionState::Destroyed, false), "the window says more than is true");
    window.button("Close").await?;
    window.sees_no_more("The private key of version 1 is kept for undo").await?;
    assert!(!window.has("button", "Destroy now…").await?, "nothing is left to destroy");
    scene.assert_changed(0).await?;
    window.close().await
}
