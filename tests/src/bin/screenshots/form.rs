//! The credential's form: four tabs, new and saved, with what is wrong in them.

use keywheel_fleet::Trouble;
use keywheel_fleet::window::Page;

use crate::camera::{Camera, go};

/// All pictures of the form.
pub(crate) async fn pictures(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    saved(camera, page).await?;
    if camera.wants_any(&[
        "form-new",
        "form-new-wrong",
        "form-new-key",
        "form-new-additional",
        "form-new-devices",
        "form-unsaved",
    ]) {
        new(camera, page).await?;
    }
    Ok(())
}

async fn saved(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    if !camera.wants_any(&["form", "form-key", "form-additional", "form-devices"]) {
        return Ok(());
    }
    go(page, "#/credentials/4/edit").await?;
    page.find("heading", "Edit deploy").await?;
    camera.take(page, "form").await?;
    tab(page, "Key").await?;
    page.sees("The key of this credential").await?;
    camera.take(page, "form-key").await?;
    tab(page, "Additional settings").await?;
    page.sees("SSH key renewal configuration").await?;
    camera.take(page, "form-additional").await?;
    tab(page, "Devices").await?;
    page.button("Check devices").await?;
    page.sees("9 devices are ready").await?;
    to_top(page).await?;
    camera.take(page, "form-devices").await?;
    page.button("Cancel").await?;
    page.gone("heading", "Edit deploy").await
}

async fn new(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    go(page, "#/credentials/new").await?;
    page.find("heading", "New credential").await?;
    camera.take(page, "form-new").await?;
    page.button("Save").await?;
    page.sees("Give it a name.").await?;
    camera.take(page, "form-new-wrong").await?;
    page.fill("Name", "reporting").await?;
    page.fill("Username", "deploy").await?;
    page.choose("Original device", "web-2").await?;
    tab(page, "Key").await?;
    camera.take(page, "form-new-key-wrong").await?;
    page.button("Generate a new key").await?;
    page.sees("This key is stored when you save").await?;
    camera.take(page, "form-new-key").await?;
    tab(page, "Additional settings").await?;
    page.click("checkbox", "Enable automatic change").await?;
    page.click("checkbox", "Use the key itself to connect").await?;
    page.button("Save").await?;
    page.sees("Choose a credential, or use the key itself.").await?;
    camera.take(page, "form-new-additional").await?;
    page.click("checkbox", "Use the key itself to connect").await?;
    tab(page, "Devices").await?;
    page.click("checkbox", "Select all shown").await?;
    page.button("Check devices").await?;
    page.sees("devices are not ready").await?;
    to_top(page).await?;
    camera.take(page, "form-new-devices").await?;
    page.button("Cancel").await?;
    page.button("Keep editing").await?;
    page.button("Cancel").await?;
    page.find("button", "Discard").await?;
    camera.take(page, "form-unsaved").await?;
    page.button("Discard").await?;
    page.gone("heading", "New credential").await
}

/// Scrolls back up: a click has brought what it was meant for into sight.
async fn to_top(page: &Page) -> Result<(), Trouble> {
    page.run("for (const it of document.querySelectorAll('main *')) it.scrollTop = 0;", Vec::new()).await?;
    Ok(())
}

/// Opens a tab, which may be marked with an error.
async fn tab(page: &Page, label: &str) -> Result<(), Trouble> {
    page.wait(
        &format!("the tab \"{label}\""),
        "const tab = all(document).find((it) => role(it) === 'tab' && shown(it)
           && (name(it) === arguments[0] || name(it).startsWith(`${arguments[0]} ,`) || name(it).startsWith(`${arguments[0]},`)));
         tab?.click();
         return tab !== undefined;",
        vec![label.into()],
    )
    .await?;
    Ok(())
}
