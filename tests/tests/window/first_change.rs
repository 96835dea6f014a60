//! From the first start to the first finished key change, as a person does it who has just installed Keywheel.

use keywheel_fleet::window::{Page, Place};
use keywheel_fleet::{Account, Client, Fleet, Sshd, Trouble};

use crate::scene::ACCOUNT;

const PASSWORD: &str = "correct horse";

/// Adds a device by its dialog.
async fn add_device(page: &Page, name: &str, device: &Sshd) -> Result<(), Trouble> {
    page.link("Devices").await?;
    page.button("New device").await?;
    page.fill("Name", name).await?;
    page.fill("Address", "127.0.0.1").await?;
    page.fill("Port", &device.port().to_string()).await?;
    page.button("Save").await?;
    page.gone("dialog", "New device").await
}

/// Chooses all devices on the form's last tab and saves it.
async fn save_with_all_devices(page: &Page) -> Result<(), Trouble> {
    page.click("tab", "Devices").await?;
    page.click("checkbox", "Select all shown").await?;
    page.sees("2 devices chosen").await?;
    page.button("Save").await
}

#[tokio::test]
async fn from_the_first_start_to_a_finished_change_by_clicks_alone() -> Result<(), Trouble> {
    let account = Account::new(ACCOUNT).password(PASSWORD);
    let devices = Fleet::start_like(2, &Sshd::builder().account(account))?.devices;
    let place = Place::new()?;
    let window = place.open().await?;

    window.sees("0 of 5 done").await?;
    for (index, device) in devices.iter().enumerate() {
        add_device(&window, &format!("web-{}", index + 1), device).await?;
    }

    window.link("Overview").await?;
    window.sees("1 of 5 done").await?;
    window.button("Scan host keys").await?;
    window.sees("2 devices asked, 6 host keys offered").await?;
    window.click("checkbox", "Select all shown").await?;
    window.button("Pin selected").await?;
    window.sees("6 host keys are pinned").await?;

    window.link("Overview").await?;
    window.sees("2 of 5 done").await?;
    window.button("New credential").await?;
    window.fill("Name", "admin").await?;
    window.fill("Username", ACCOUNT).await?;
    window.click("radio", "Password").await?;
    window.choose("Original device", "web-1").await?;
    window.click("tab", "Password").await?;
    window.fill("Password", PASSWORD).await?;
    save_with_all_devices(&window).await?;
    window.find("heading", "admin").await?;

    window.link("Credentials").await?;
    window.button("New credential").await?;
    window.fill("Name", ACCOUNT).await?;
    window.fill("Username", ACCOUNT).await?;
    window.choose("Original device", "web-1").await?;
    window.click("tab", "Key").await?;
    window.button("Generate a new key").await?;
    window.sees("Generated just now").await?;
    save_with_all_devices(&window).await?;
    window.find("heading", ACCOUNT).await?;

    window.button("Install key on devices").await?;
    window.choose("Connect with", "admin").await?;
    window.button("Install key on 2 devices").await?;
    window.sees("2 of 2 devices accept the key").await?;

    window.link("Credentials").await?;
    window.open_row(ACCOUNT).await?;
    window.sees("On request").await?;
    window.button("Change key now").await?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;
    window.sees("Undo (until").await?;

    let keywheel = place.keywheel()?;
    let credential = keywheel.find_credential(ACCOUNT).await?;
    let client = Client::new()?;
    for version in [1, 2] {
        let known = credential.key_version(version).ok_or("two versions were made")?;
        let text = keywheel.read_key(&credential, known).await?.write_openssh(None)?;
        let file = client.key_file(&format!("version-{version}"), &text)?;
        for device in &devices {
            let logs_in = client.logs_in(&device.target()?, &file)?;
            assert_eq!(logs_in, version == 2, "the window said that it was changed: version {version}");
        }
    }
    window.link("Overview").await?;
    window.sees_no_more("First steps").await?;
    window.close().await
}
