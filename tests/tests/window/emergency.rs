//! "Key is compromised…", clicked through: the question, past a dead device, the other keys, and no way back.

use keywheel_core::catalogue::VersionState;
use keywheel_fleet::Trouble;

use crate::scene::{ACCOUNT, Device as _, Scene};

#[tokio::test]
async fn a_compromised_key_is_changed_past_a_dead_device_and_the_thief_s_own_key_is_shown() -> Result<(), Trouble> {
    let scene = Scene::new(3).await?;
    let thief = scene.client.key("thief", "ed25519")?;
    let line = format!("# theirs\n{}\n{}\n", scene.key.public, thief.public);
    scene.devices[2].write_keys(line.as_bytes())?;
    // The original device, of all.
    scene.devices[0].stop()?;
    let window = scene.place.open().await?;
    window.link("Credentials").await?;
    window.open_row(ACCOUNT).await?;
    window.button("More actions").await?;
    window.click("menuitem", "Key is compromised…").await?;
    window.find("heading", "Key is compromised").await?;
    window.sees("2 of 3 ready").await?;
    window.sees("1 other key on 1 device").await?;
    assert_eq!(window.axe().await?, Vec::<String>::new(), "the page can't be used by everybody");

    let button = "Change the compromised key on 3 devices";
    assert!(!window.find("button", button).await?.is_enabled().await?, "nobody has typed the credential's name");
    window.fill("Type the credential’s name", ACCOUNT).await?;
    window.button(button).await?;
    window.sees("Only 2 of 3 devices accept the new key and refuse the old").await?;
    window.sees("emergency: the key is compromised").await?;
    window.sees("Sessions that were opened with the old key are still open").await?;
    window.sees("web-3: 1 other key").await?;
    for index in [1, 2] {
        scene.assert_changed(index).await?;
    }
    assert!(!window.has("button", "Roll back").await?, "a compromised key is never put back");

    scene.devices[0].start()?;
    window.button("Retry failed").await?;
    window.sees("3 of 3 devices accept the new key and refuse the old").await?;
    scene.assert_changed(0).await?;
    assert!(!window.text().await?.contains("Undo"), "there is no undo of an emergency");
    let credential = scene.keywheel.find_credential(ACCOUNT).await?;
    let old = credential.key_version(1).ok_or("version 1")?;
    assert_eq!((old.compromised, old.state), (true, VersionState::Retired), "it is kept until a minute has passed");
    window.close().await
}
