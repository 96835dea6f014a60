//! What happens to a change before and after its straight way: causes, leaving out, retrying, going back.

use std::fs;

use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_fleet::window::Page;
use keywheel_fleet::{Account, Sshd, Sudo, Trouble};
use secrecy::SecretString;

use crate::scene::{ACCOUNT, Scene};

const PASSWORD: &str = "correct horse";

async fn unfold_options(page: &Page) -> Result<(), Trouble> {
    page.button("Options").await
}

/// Undoes or rolls back: the button on the page, then the one in the dialog that asks.
async fn confirm(page: &Page, button: &str, dialog: &str, answer: &str) -> Result<(), Trouble> {
    let button = page.name_beginning("button", button).await?;
    page.button(&button).await?;
    page.find("dialog", dialog).await?;
    page.button(answer).await?;
    page.gone("dialog", dialog).await
}

async fn roll_back(page: &Page) -> Result<(), Trouble> {
    confirm(page, "Roll back", "Roll back this change?", "Roll back").await
}

#[tokio::test]
async fn a_failed_device_says_why_and_retry_failed_brings_it_along() -> Result<(), Trouble> {
    let scene = Scene::new(3).await?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    unfold_options(&window).await?;
    window.choose("New key", "ECDSA P-256").await?;
    window.click("radio", "Go on with the others").await?;
    window.sees("3 of 3 ready").await?;

    // Between the check and the change somebody switches the new kind of key off.
    let config = scene.devices[1].root()?.join("etc/ssh/sshd_config");
    let before = fs::read_to_string(&config)?;
    fs::write(&config, format!("PubkeyAcceptedAlgorithms ssh-ed25519\n{before}"))?;
    scene.devices[1].restart()?;
    window.button("Change key on 3 devices").await?;
    window.sees("Only 2 of 3 devices accept the new key and refuse the old").await?;
    window.sees("1 device needs a look").await?;
    window.sees("PubkeyAcceptedAlgorithms").await?;
    scene.assert_changed(0).await?;
    assert!(scene.old_key_logs_in(1)?, "the device that failed must be left on the old key");
    scene.assert_changed(2).await?;

    fs::write(&config, before)?;
    scene.devices[1].restart()?;
    window.button("Retry failed").await?;
    window.sees("3 of 3 devices accept the new key and refuse the old").await?;
    for index in 0..3 {
        scene.assert_changed(index).await?;
    }
    window.close().await
}

#[tokio::test]
async fn a_device_that_is_not_ready_is_left_out_and_brought_along_later() -> Result<(), Trouble> {
    let scene = Scene::new(3).await?;
    scene.devices[1].stop()?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.sees("2 of 3 ready").await?;
    window.sees("1 device is not ready.").await?;
    assert!(
        !window.find("button", "Change key on 3 devices").await?.is_enabled().await?,
        "a change may not begin while a device is not ready"
    );
    window.button("Leave out the one that is not ready").await?;
    window.sees("1 device is left out: it stays on the old key until “Retry failed”.").await?;
    window.button("Change key on 2 devices").await?;
    window.sees("Only 2 of 3 devices accept the new key and refuse the old").await?;
    scene.assert_changed(0).await?;
    scene.assert_changed(2).await?;

    scene.devices[1].start()?;
    assert!(scene.old_key_logs_in(1)?, "a device that is left out must be left alone");
    window.button("Retry failed").await?;
    window.sees("3 of 3 devices accept the new key and refuse the old").await?;
    scene.assert_changed(1).await?;
    window.close().await
}

#[tokio::test]
async fn a_partly_changed_change_is_rolled_back() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    scene.devices[1].stop()?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.button("Leave out the one that is not ready").await?;
    window.button("Change key on 1 device").await?;
    window.sees("Only 1 of 2 devices accept the new key and refuse the old").await?;
    scene.assert_changed(0).await?;
    roll_back(&window).await?;
    // The device that was left out does not answer, so nothing may be said of it.
    window.sees("Everything was taken back: 1 of 2 devices is proven on the old key").await?;
    scene.devices[1].start()?;
    for index in 0..2 {
        scene.assert_as_before(index).await?;
    }
    window.close().await
}

#[tokio::test]
async fn a_finished_change_is_undone() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    confirm(&window, "Undo (until ", "Undo this change?", "Undo").await?;
    window.sees("2 of 2 devices accept the key from before and refuse the other").await?;
    for index in 0..2 {
        scene.assert_as_before(index).await?;
    }
    let credential = scene.keywheel.find_credential(ACCOUNT).await?;
    let undone = credential.key_version(2).ok_or("the version that was undone")?;
    let text = scene.keywheel.read_key(&credential, undone).await?.write_openssh(None)?;
    let file = scene.client.key_file("undone", &text)?;
    for device in &scene.devices {
        assert!(!scene.client.logs_in(&device.target()?, &file)?, "a device still accepts the key that was undone");
    }
    window.close().await
}

#[tokio::test]
async fn a_changed_host_key_is_compared_and_accepted_by_a_person_before_anything_connects() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let device = &scene.devices[1];
    let pinned = fingerprints(&device.host_keys_public()?)?;
    device.replace_host_key()?;
    let offered = fingerprints(&device.host_keys_public()?)?;
    let before = device.log()?.len();
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.sees("1 of 2 ready").await?;
    window.link("Look at the host keys of 1 device").await?;
    window.sees("3 changed host keys wait for your decision, each by itself.").await?;
    window.sees("3 host keys offered").await?;
    let log = device.log()?;
    assert!(!log[before..].contains("publickey"), "a key was shown to a host that is not the pinned one: {log}");
    for done in 1..=3 {
        window.button("Decide…").await?;
        window.find("dialog", "Another host key of web-2").await?;
        let text = window.text().await?;
        assert!(pinned.iter().any(|old| text.contains(old)), "the pinned host key is not shown: {text}");
        assert!(offered.iter().any(|new| text.contains(new)), "the offered host key is not shown: {text}");
        assert!(!device.log()?[before..].contains("publickey"), "something connected before the {done}. decision");
        window.button("Accept the new key").await?;
        window.gone("dialog", "Another host key of web-2").await?;
    }
    window.sees("The new host key of web-2 is pinned.").await?;
    scene.open_change(&window).await?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;
    scene.assert_changed(1).await?;
    window.close().await
}

fn fingerprints(keys: &[String]) -> Result<Vec<String>, Trouble> {
    let one = |key: &String| -> Result<String, Trouble> {
        Ok(keywheel_core::key::PublicKey::from_openssh(key)?.fingerprint().to_string())
    };
    keys.iter().map(one).collect()
}

/// A scene whose devices have another account, "admin", that may do everything with sudo, and a credential for it.
async fn with_admin() -> Result<Scene, Trouble> {
    let admin = Account::new("admin").password(PASSWORD).sudo(Sudo::WithPassword);
    let scene = Scene::like(2, &Sshd::builder().account(Account::new(ACCOUNT)).account(admin)).await?;
    let devices: Vec<_> = scene.keywheel.device_views().await?.iter().map(|device| device.id).collect();
    let secret = NewSecret::Password(SecretString::from(PASSWORD));
    let mut admin = NewCredential::new("admin", "admin", devices[0], secret);
    admin.devices = devices;
    scene.keywheel.add_credential(admin).await?;
    Ok(scene)
}

#[tokio::test]
async fn another_credential_connects_and_changes_the_key() -> Result<(), Trouble> {
    let scene = with_admin().await?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.sees("connects with the key itself").await?;
    unfold_options(&window).await?;
    window.choose("Connect with", "admin").await?;
    window.sees("connects with admin").await?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;
    for (index, device) in scene.devices.iter().enumerate() {
        scene.assert_changed(index).await?;
        assert!(device.log()?.contains("Accepted password for admin"), "device {index} was not entered as chosen");
    }
    window.close().await
}

#[tokio::test]
async fn the_form_lets_either_the_key_itself_or_another_credential_connect() -> Result<(), Trouble> {
    const ITSELF: &str = "Use the key itself to connect";
    const OTHER: &str = "Credential or SSH key for authentication";
    let scene = with_admin().await?;
    let window = scene.place.open().await?;
    window.link("Credentials").await?;
    window.open_row(ACCOUNT).await?;
    window.button("Edit").await?;
    window.click("tab", "Additional settings").await?;
    let active = async |role: &str, name: &str| -> Result<bool, Trouble> {
        Ok(window.find(role, name).await?.is_enabled().await?)
    };
    assert!(!active("checkbox", ITSELF).await?, "what belongs to automatic change is inactive without it");
    assert!(!active("combobox", OTHER).await?, "what belongs to automatic change is inactive without it");
    window.click("checkbox", "Enable automatic change").await?;
    assert!(active("checkbox", ITSELF).await?, "the choice must be offered");
    if !window.find("checkbox", ITSELF).await?.is_selected().await? {
        window.click("checkbox", ITSELF).await?;
    }
    assert!(!active("combobox", OTHER).await?, "with the key itself no other credential may be chosen");
    window.click("checkbox", ITSELF).await?;
    assert!(active("combobox", OTHER).await?, "without the key itself another credential must be chosen");
    window.button("Save").await?;
    window.sees("Choose a credential, or use the key itself.").await?;
    window.choose(OTHER, "admin").await?;
    window.button("Save").await?;
    window.find("heading", ACCOUNT).await?;
    scene.open_change(&window).await?;
    window.sees("connects with admin").await?;
    window.close().await
}

#[tokio::test]
async fn a_deleted_credential_is_taken_off_its_devices_first() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let window = scene.place.open().await?;
    window.link("Credentials").await?;
    window.open_row(ACCOUNT).await?;
    // Where the key stands is known once the devices have been checked.
    window.button("Check devices").await?;
    window.sees("All 2 devices are ready for a key change").await?;
    window.button("More actions").await?;
    window.click("menuitem", "Delete").await?;
    window.find("dialog", "Delete “deploy”").await?;
    window.click("radio", "Remove the public key from these devices").await?;
    for index in 0..2 {
        assert!(scene.old_key_logs_in(index)?, "nothing may be removed before it is confirmed");
    }
    window.button("Delete").await?;
    window.gone("dialog", "Delete “deploy”").await?;
    for (index, device) in scene.devices.iter().enumerate() {
        assert!(!scene.old_key_logs_in(index)?, "device {index} still accepts the key of the deleted credential");
        assert_eq!(device.authorized_keys()?, b"# theirs\n", "device {index}: a foreign line is gone");
    }
    assert!(scene.keywheel.find_credential(ACCOUNT).await.is_err(), "the credential is still there");
    assert!(scene.place.keyring.items()?.is_empty(), "the private key is still in the keyring");
    window.close().await
}
