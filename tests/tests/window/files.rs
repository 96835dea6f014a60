//! Files that are chosen in the dialogs of the desktop.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keywheel_fleet::Trouble;
use keywheel_fleet::window::Place;

use crate::scene::{ACCOUNT, Scene};

#[tokio::test]
async fn a_key_file_is_chosen_and_a_key_is_revealed_into_a_new_one() -> Result<(), Trouble> {
    let scene = Scene::new(1).await?;
    scene.place.keep_still()?;
    let window = scene.place.open().await?;
    let file = scene.place.path().join("id_other");
    fs::copy(scene.client.key("other", "ed25519")?.file, &file)?;

    window.find("link", "Overview").await?;
    window.run("window.location.hash = '#/credentials/new';", Vec::new()).await?;
    window.click("tab", "Key").await?;
    window.button("Choose file…").await?;
    window.choose_no_file().await?;
    window.find("button", "Choose file…").await?;
    assert!(!window.has("button", "Discard this key").await?, "nothing was chosen");
    window.button("Choose file…").await?;
    window.choose_file(&file).await?;
    window.sees("The file stays where it is and stops working at the first key change.").await?;
    window.sees(file.to_str().ok_or("a path that can be read")?).await?;

    window.run("window.location.hash = '#/credentials/1';", Vec::new()).await?;
    window.button("Discard").await?;
    window.find("heading", ACCOUNT).await?;
    window.button("More actions").await?;
    window.click("menuitem", "Reveal private key").await?;
    window.fill("Type the credential’s name", ACCOUNT).await?;
    window.button("Choose file and write").await?;
    window.choose_no_file().await?;
    window.find("button", "Choose file and write").await?;
    let revealed = scene.place.path().join("revealed");
    assert!(!window.text().await?.contains("The private key was written"), "nothing was chosen");
    let audit = scene.keywheel.audit_rows(Default::default()).await?;
    assert!(audit.iter().all(|row| row.action != "key-reveal"), "what nobody has seen is recorded as revealed");
    window.button("Choose file and write").await?;
    window.choose_file(&revealed).await?;
    window.sees("The private key was written").await?;
    let mode = fs::metadata(&revealed)?.permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "others could read the key");
    let credential = scene.keywheel.find_credential(ACCOUNT).await?;
    let key = scene.keywheel.read_current_key(&credential).await?;
    assert_eq!(fs::read_to_string(&revealed)?, *key.write_openssh(None)?, "another key was written");
    window.close().await
}

#[tokio::test]
async fn devices_are_imported_from_a_file_and_the_audit_is_exported_to_one() -> Result<(), Trouble> {
    let place = Place::new()?;
    place.keep_still()?;
    let csv = place.path().join("devices.csv");
    let mut rows = String::from("name,address,port\n");
    for number in 1..=2_000 {
        // Every hundredth has a port that is none.
        let port = if number % 100 == 0 { 70_000 } else { 22 };
        rows.push_str(&format!("web-{number},10.0.{}.{},{port}\n", number / 250, number % 250 + 1));
    }
    fs::write(&csv, rows)?;
    let window = place.open().await?;
    window.link("Devices").await?;
    window.button("Import CSV…").await?;
    window.button("Choose file…").await?;
    window.choose_no_file().await?;
    window.find("button", "Choose file…").await?;
    window.sees("Nothing is imported until you confirm the preview.").await?;
    window.button("Choose file…").await?;
    window.choose_file(&csv).await?;
    window.sees("1,980 new devices, none changed, none unchanged, 20 bad rows.").await?;
    let bad = window.name_beginning("tab", "Bad rows (20)").await?;
    window.click("tab", &bad).await?;
    window.sees("web-100").await?;
    assert!(place.keywheel()?.devices().await?.is_empty(), "nothing is imported before it is confirmed");
    window.button("Import 1,980 devices").await?;
    window.sees("1,980 devices are imported").await?;
    assert_eq!(place.keywheel()?.devices().await?.len(), 1_980);

    window.link("Audit").await?;
    window.button("Export…").await?;
    window.click("menuitem", "JSON").await?;
    window.choose_no_file().await?;
    window.gone("menuitem", "JSON").await?;
    window.button("Export…").await?;
    window.click("menuitem", "JSON").await?;
    let exported = place.path().join("audit.json");
    window.choose_file(&exported).await?;
    window.sees(exported.to_str().ok_or("a path that can be read")?).await?;
    assert!(fs::read_to_string(&exported)?.contains("device-import"), "the import is not in the audit's file");
    window.close().await
}
