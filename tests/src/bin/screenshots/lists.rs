//! The lists, the pages that lie over them, and their dialogs.

use keywheel_fleet::Trouble;
use keywheel_fleet::window::{Page, Place, keys};

use crate::camera::{Camera, go};
use crate::world::World;

/// Name, address, and a text that stands there once all of it is there.
type Visit = (&'static str, &'static str, &'static str);

const EMPTY: &[Visit] = &[
    ("first-start", "#/overview", "Add devices"),
    ("credentials-empty", "#/credentials", "Add devices first"),
    ("devices-empty", "#/devices", "No devices yet"),
    ("people-empty", "#/people", "No people yet"),
    ("changes-empty", "#/changes", "No key has been changed yet"),
    ("audit-empty", "#/audit", "Audit"),
];

const FULL: &[Visit] = &[
    ("overview", "#/overview", "Changes per week"),
    ("credentials", "#/credentials", "monitoring"),
    ("credential", "#/credentials/4", "Key versions"),
    ("credential-partly", "#/credentials/3", "Key versions"),
    ("credential-not-ready", "#/credentials/6", "Install key on devices"),
    ("credential-password", "#/credentials/7", "Keywheel never changes"),
    ("devices", "#/devices", "12 devices"),
    ("devices-none-found", "#/devices?search=nothing", "No device matches"),
    ("device", "#/devices/1", "Credentials on this device"),
    ("device-gone", "#/devices/999", "not in the list"),
    ("people", "#/people", "Chioma Eze"),
    ("changes", "#/changes", "Partly changed"),
    ("policies", "#/policies", "Standard"),
    ("policy", "#/policies/1", "Maximum key age"),
    ("audit", "#/audit", "ana@desk"),
    ("settings", "#/settings", "Days of undo"),
    ("change-partly", "#/changes/8", "Only 1 of 2 devices"),
    ("change-done", "#/changes/7", "9 of 9 devices accept"),
    ("change-failed", "#/changes/9", "Nothing was changed"),
];

const PORTUGUESE: &[Visit] = &[
    ("pt-overview", "#/overview", "Visão geral"),
    ("pt-credentials", "#/credentials", "monitoring"),
    ("pt-credential", "#/credentials/4", "deploy"),
    ("pt-devices", "#/devices", "edge-lisboa"),
    ("pt-device", "#/devices/1", "web-1"),
    ("pt-people", "#/people", "Chioma Eze"),
    ("pt-changes", "#/changes", "backup"),
    ("pt-change", "#/changes/8", "edge-lisboa"),
    ("pt-change-key", "#/credentials/4/change", "9 de 9"),
    ("pt-policies", "#/policies", "Standard"),
    ("pt-policy", "#/policies/1", "Idade máxima da chave"),
    ("pt-audit", "#/audit", "ana@desk"),
    ("pt-settings", "#/settings", "Idioma"),
    ("pt-form", "#/credentials/4/edit", "Informações"),
    ("pt-form-new", "#/credentials/new", "Nova credencial"),
];

/// A window on a vault with nothing in it.
pub(crate) async fn empty(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    page.find("link", "Overview").await?;
    visits(camera, page, EMPTY).await
}

/// A window on the vault of a team.
pub(crate) async fn full(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    page.find("link", "Overview").await?;
    visits(camera, page, FULL).await
}

/// The dialogs that lie over lists and pages.
pub(crate) async fn dialogs(camera: &Camera, page: &Page) -> Result<(), Trouble> {
    if camera.wants("person") {
        go(page, "#/people/new").await?;
        page.find("dialog", "New person").await?;
        page.button("Save").await?;
        page.sees("The person has no name.").await?;
        camera.take(page, "person").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.gone("dialog", "New person").await?;
    }
    if camera.wants("person-remove") {
        go(page, "#/people").await?;
        page.button("Remove Ana Souza").await?;
        page.sees("Somebody has to be responsible").await?;
        camera.take(page, "person-remove").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.sees_no_more("Somebody has to be responsible").await?;
    }
    if camera.wants("device-new") {
        go(page, "#/devices/new").await?;
        page.fill("Name", "web-1").await?;
        page.fill("Address", "not a host").await?;
        page.button("Save").await?;
        page.wait("an error", "return document.querySelector('[aria-invalid=true]') !== null;", Vec::new()).await?;
        camera.take(page, "device-new").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.button("Discard").await?;
        page.gone("dialog", "New device").await?;
    }
    if camera.wants("reveal") {
        go(page, "#/credentials/4").await?;
        page.button("More actions").await?;
        page.click("menuitem", "Reveal private key").await?;
        page.sees("Type the credential’s name").await?;
        camera.take(page, "reveal").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.sees_no_more("Type the credential’s name").await?;
    }
    if camera.wants("delete") {
        go(page, "#/credentials/4").await?;
        page.button("More actions").await?;
        page.click("menuitem", "Delete").await?;
        page.sees("Leave it there").await?;
        camera.take(page, "delete").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.sees_no_more("Leave it there").await?;
    }
    if camera.wants_any(&["search", "search-found"]) {
        go(page, "#/overview").await?;
        page.button("Search Ctrl K").await?;
        page.sees("Type a name, an address").await?;
        camera.take(page, "search").await?;
        page.types("web").await?;
        page.sees("web-4").await?;
        camera.take(page, "search-found").await?;
        page.press(&[], keys::ESCAPE).await?;
        page.sees_no_more("web-4").await?;
    }
    if camera.wants("change-new") {
        go(page, "#/changes/new").await?;
        page.sees("Choose the credential whose key is changed").await?;
        camera.take(page, "change-new").await?;
        page.press(&[], keys::ESCAPE).await?;
    }
    camera.visit(page, "import", "#/devices/import", "Header and example").await
}

/// The main screens in Portuguese.
pub(crate) async fn portuguese(camera: &Camera, place: &Place, world: &World) -> Result<(), Trouble> {
    if !camera.wants_any(&PORTUGUESE.iter().map(|(name, ..)| *name).collect::<Vec<_>>()) {
        return Ok(());
    }
    world.keywheel.set_setting("language", "pt-BR").await?;
    let window = place.open().await?;
    window.sees("Visão geral").await?;
    visits(camera, &window, PORTUGUESE).await?;
    window.close().await?;
    world.keywheel.set_setting("language", "en").await?;
    Ok(())
}

/// A scan in which there is everything: known, new, matching, changed, and a device that does not answer.
pub(crate) async fn host_keys(camera: &Camera, place: &Place, world: &mut World) -> Result<(), Trouble> {
    if !camera.wants_any(&["scan", "scan-unreached", "scan-changed", "devices-changed", "device-changed"]) {
        return Ok(());
    }
    world.newcomers(&place.keyring.home()).await?;
    let changed = world.server("legacy-warehouse-controller-17.internal")?;
    changed.replace_host_key()?;
    world.server("edge-lisboa")?.stop();
    // A check meets the changed key, which is how people mostly learn of it.
    world.keywheel.check("legacy", &keywheel_core::rotation::ConnectWith::AsStored).await?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    camera.visit(&window, "devices-changed", "#/devices", "Changed").await?;
    camera.visit(&window, "device-changed", "#/devices/12", "This device has shown another host key").await?;
    go(&window, "#/devices/scan?ids=all").await?;
    window.sees("15 devices asked").await?;
    camera.take(&window, "scan").await?;
    if camera.wants("scan-changed") {
        window.button("Decide…").await?;
        window.find("button", "Accept the new key").await?;
        camera.take(&window, "scan-changed").await?;
        window.press(&[], keys::ESCAPE).await?;
        window.gone("button", "Accept the new key").await?;
    }
    if camera.wants("scan-unreached") {
        window
            .run(
                "all(document).find((it) => role(it) === 'tab' && name(it).startsWith('Not reached')).click();",
                Vec::new(),
            )
            .await?;
        window.sees("edge-lisboa").await?;
        camera.take(&window, "scan-unreached").await?;
    }
    window.close().await?;
    world.server("edge-lisboa")?.restart().await?;
    Ok(())
}

/// A window whose keyring is locked.
pub(crate) async fn keyring(camera: &Camera, place: &Place) -> Result<(), Trouble> {
    if !camera.wants_any(&["keyring", "keyring-banner"]) {
        return Ok(());
    }
    place.keyring.lock()?;
    let window = place.open().await?;
    window.sees("The keyring can’t be used").await?;
    camera.take(&window, "keyring").await?;
    window.button("Look around meanwhile").await?;
    window.find("button", "Show how").await?;
    camera.take(&window, "keyring-banner").await?;
    window.close().await
}

async fn visits(camera: &Camera, page: &Page, visits: &[Visit]) -> Result<(), Trouble> {
    for (name, address, sees) in visits {
        camera.visit(page, name, address, sees).await?;
    }
    Ok(())
}
