//! The first key change and its undo without a pointer: everything is reached in a sane order, and what has the focus shows it.

use keywheel_fleet::window::{Page, Place, keys};
use keywheel_fleet::{Account, Client, Fleet, Sshd, Trouble};
use serde_json::Value;

use crate::scene::ACCOUNT;

const PASSWORD: &str = "correct horse";

/// The most presses of Tab with which anything is reached; every page has fewer controls in its order.
const MOST: usize = 40;

const FOCUSED: &str = "
    const it = document.activeElement;
    if (it === null || it === document.body) return null;
    const ringed = (element) => {
      const style = getComputedStyle(element);
      return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    };
    // A field of several parts draws the ring around all of them.
    const visible = it.matches(':focus-visible') && (ringed(it) || ringed(it.parentElement));
    return { role: role(it), name: name(it), visible };";

/// Whether what has the focus is this control; in a name, `*` at the end stands for anything.
fn is(focused: &Value, role: &str, name: &str) -> bool {
    let found = focused["name"].as_str().unwrap_or_default();
    let named = name.strip_suffix('*').map_or(found == name, |begin| found.starts_with(begin));
    focused["role"] == role && named
}

/// Presses Tab, with these keys held, until a control has the focus.
async fn tab(page: &Page, held: &[char], role: &str, name: &str) -> Result<(), Trouble> {
    if let Some(begin) = name.strip_suffix('*') {
        page.sees(begin).await?;
    } else {
        // What is not there yet, or is not active yet, is not in the order.
        let active = "const it = find(...arguments); return it !== null && !it.disabled;";
        page.wait(&format!("the active {role} \"{name}\""), active, vec![role.into(), name.into()]).await?;
    }
    let mut passed = Vec::new();
    for _ in 0..MOST {
        let focused = page.run(FOCUSED, Vec::new()).await?;
        if is(&focused, role, name) {
            assert_eq!(focused["visible"], true, "nobody sees that {role} \"{name}\" has the focus");
            return Ok(());
        }
        passed.push(format!("{} \"{}\"", focused["role"], focused["name"].as_str().unwrap_or_default()));
        page.press(held, keys::TAB).await?;
    }
    Err(format!("{MOST} presses of Tab do not reach {role} \"{name}\"; they lead to: {}", passed.join(", ")).into())
}

async fn to(page: &Page, role: &str, name: &str) -> Result<(), Trouble> {
    tab(page, &[], role, name).await
}

async fn back_to(page: &Page, role: &str, name: &str) -> Result<(), Trouble> {
    tab(page, &[keys::SHIFT], role, name).await
}

/// Reaches a button or a link and presses it.
async fn enter(page: &Page, role: &str, name: &str) -> Result<(), Trouble> {
    to(page, role, name).await?;
    page.press(&[], keys::ENTER).await
}

/// Reaches a field and types into it.
async fn fill(page: &Page, role: &str, name: &str, text: &str) -> Result<(), Trouble> {
    to(page, role, name).await?;
    page.press(&[keys::CONTROL], 'a').await?;
    page.types(text).await
}

/// Reaches a field that is searched by typing, and takes what is found first.
async fn pick(page: &Page, name: &str, text: &str) -> Result<(), Trouble> {
    fill(page, "combobox", name, text).await?;
    let marked = "const it = document.getElementById(document.activeElement.getAttribute('aria-activedescendant'));
         return it !== null && name(it).startsWith(arguments[0]);";
    page.wait(&format!("\"{text}\" as what is found first"), marked, vec![text.into()]).await?;
    page.press(&[], keys::ENTER).await
}

async fn shortcut(page: &Page, key: char) -> Result<(), Trouble> {
    page.press(&[keys::CONTROL], key).await
}

/// Waits until a page's button is active, and presses the shortcut for it.
async fn main_button(page: &Page, name: &str) -> Result<(), Trouble> {
    let active = "const it = find('button', arguments[0]); return it !== null && !it.disabled;";
    page.wait(&format!("the active button \"{name}\""), active, vec![name.into()]).await?;
    shortcut(page, keys::ENTER).await
}

/// Adds a device; the list of devices is shown, or was when this device's page was opened.
async fn add_device(page: &Page, name: &str, device: &Sshd) -> Result<(), Trouble> {
    shortcut(page, 'n').await?;
    page.find("dialog", "New device").await?;
    fill(page, "textbox", "Name", name).await?;
    fill(page, "textbox", "Address", "127.0.0.1").await?;
    fill(page, "textbox", "Port", &device.port().to_string()).await?;
    shortcut(page, 's').await?;
    page.find("heading", name).await?;
    page.press(&[], keys::ESCAPE).await?;
    page.gone("heading", name).await
}

/// Begins a credential and says whose it is.
async fn begin_credential(page: &Page, name: &str) -> Result<(), Trouble> {
    shortcut(page, 'n').await?;
    fill(page, "textbox", "Name", name).await?;
    fill(page, "textbox", "Username", ACCOUNT).await?;
    pick(page, "Original device", "web-1").await
}

/// Goes from the first tab of the form to its last, chooses every device and saves.
async fn save_with_all_devices(page: &Page, from: &str) -> Result<(), Trouble> {
    back_to(page, "tab", from).await?;
    page.press(&[], keys::END).await?;
    to(page, "tab", "Devices").await?;
    to(page, "checkbox", "Select all shown").await?;
    page.types(" ").await?;
    page.sees("2 devices chosen").await?;
    shortcut(page, 's').await
}

#[tokio::test]
async fn the_first_change_and_its_undo_by_the_keyboard_alone() -> Result<(), Trouble> {
    let account = Account::new(ACCOUNT).password(PASSWORD);
    let devices = Fleet::start_like(2, &Sshd::builder().account(account))?.devices;
    let place = Place::new()?;
    let window = place.open().await?;
    let page: &Page = &window;

    page.sees("0 of 5 done").await?;
    enter(page, "link", "Devices").await?;
    page.find("heading", "Devices").await?;
    for (index, device) in devices.iter().enumerate() {
        add_device(page, &format!("web-{}", index + 1), device).await?;
    }
    enter(page, "button", "Scan host keys").await?;
    page.sees("2 devices asked, 6 host keys offered").await?;
    to(page, "checkbox", "Select all shown").await?;
    page.types(" ").await?;
    page.sees("6 selected").await?;
    main_button(page, "Pin selected").await?;
    page.sees("6 host keys are pinned").await?;

    enter(page, "link", "Credentials").await?;
    page.find("heading", "Credentials").await?;
    begin_credential(page, "admin").await?;
    back_to(page, "radio", "SSH key").await?;
    page.press(&[], keys::DOWN).await?;
    back_to(page, "tab", "Information").await?;
    page.press(&[], keys::RIGHT).await?;
    fill(page, "textbox", "Password", PASSWORD).await?;
    save_with_all_devices(page, "Password").await?;
    page.find("heading", "admin").await?;
    page.press(&[], keys::ESCAPE).await?;
    page.gone("heading", "admin").await?;

    begin_credential(page, ACCOUNT).await?;
    back_to(page, "tab", "Information").await?;
    page.press(&[], keys::RIGHT).await?;
    enter(page, "button", "Generate a new key").await?;
    page.sees("Generated just now").await?;
    save_with_all_devices(page, "Key").await?;
    page.find("heading", ACCOUNT).await?;

    main_button(page, "Install key on devices").await?;
    page.find("heading", "Install key on devices").await?;
    pick(page, "Connect with", "admin").await?;
    main_button(page, "Install key on 2 devices").await?;
    page.sees("2 of 2 devices accept the key").await?;

    // The search leads everywhere, and Escape leaves it.
    shortcut(page, 'k').await?;
    page.find("dialog", "Search everything").await?;
    page.press(&[], keys::ESCAPE).await?;
    page.gone("dialog", "Search everything").await?;
    shortcut(page, 'k').await?;
    page.find("dialog", "Search everything").await?;
    page.types(ACCOUNT).await?;
    page.wait(
        "the credential found",
        "return find('listbox', 'Results')?.innerText.includes('Credentials');",
        Vec::new(),
    )
    .await?;
    page.press(&[], keys::ENTER).await?;
    page.sees("On request").await?;
    main_button(page, "Change key now").await?;
    page.find("heading", "Change key now").await?;
    main_button(page, "Change key on 2 devices").await?;
    page.sees("2 of 2 devices accept the new key and refuse the old").await?;
    expect_logins(&place, &devices, 2).await?;

    enter(page, "button", "Undo (until*").await?;
    page.find("dialog", "Undo this change?").await?;
    enter(page, "button", "Undo").await?;
    page.sees("2 of 2 devices accept the key from before and refuse the other").await?;
    expect_logins(&place, &devices, 1).await?;
    window.close().await
}

/// Only this version of the key logs in, on every device.
async fn expect_logins(place: &Place, devices: &[Sshd], expected: u32) -> Result<(), Trouble> {
    let keywheel = place.keywheel()?;
    let credential = keywheel.find_credential(ACCOUNT).await?;
    let client = Client::new()?;
    for version in [1, 2] {
        let known = credential.key_version(version).ok_or("two versions were made")?;
        let text = keywheel.read_key(&credential, known).await?.write_openssh(None)?;
        let file = client.key_file(&format!("version-{version}"), &text)?;
        for device in devices {
            let logs_in = client.logs_in(&device.target()?, &file)?;
            assert_eq!(
                logs_in,
                version == expected,
                "the window said that version {expected} logs in: version {version}"
            );
        }
    }
    Ok(())
}
