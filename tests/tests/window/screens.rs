//! Every screen, page and dialog: what a screen reader reads there, what axe-core finds, and names that try to be more.

use std::collections::{BTreeMap, BTreeSet};

use keywheel_core::catalogue::{CredentialId, DeviceId, PersonId};
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::device::NewDevice;
use keywheel_core::key::PrivateKey;
use keywheel_core::person::NewPerson;
use keywheel_core::rotation::Rotate;
use keywheel_core::rotation::decide::Outcome;
use keywheel_fleet::keyring::Start;
use keywheel_fleet::window::{Page, Place, keys};
use keywheel_fleet::{Account, Client, Fleet, Sshd, Trouble, watch};

use crate::scene::{ACCOUNT, add};

/// What the things of a world are called.
pub(crate) struct Names {
    /// Two real devices, and one that does not answer and has no host key.
    pub(crate) devices: [&'static str; 3],
    /// An SSH key on both devices that was changed once, and a password.
    pub(crate) credentials: [&'static str; 2],
    /// Who owns the key.
    pub(crate) person: &'static str,
    /// A tag of everything.
    pub(crate) tag: &'static str,
}

/// Names as people give them.
pub(crate) const PLAIN: Names =
    Names { devices: ["web-1", "web-2", "db-1"], credentials: ["deploy", "admin"], person: "Ada Byron", tag: "prod" };

/// A vault that has something to show on every screen.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) names: Names,
    person: PersonId,
    device: DeviceId,
    key: CredentialId,
    password: CredentialId,
    _devices: Vec<Sshd>,
}

impl World {
    pub(crate) async fn new(names: Names) -> Result<Self, Trouble> {
        let place = Place::new()?;
        let keywheel = place.keywheel()?;
        let new = NewPerson { name: names.person.to_owned(), email: "ada@example.org".to_owned(), active: true };
        let person = keywheel.add_person(new).await?.id;
        let account = Account::new(ACCOUNT).password("correct horse");
        let devices = Fleet::start_like(2, &Sshd::builder().account(account))?.devices;
        let client = Client::new()?;
        let key = client.key(ACCOUNT, "ed25519")?;
        let mut ids = Vec::new();
        for (name, device) in names.devices.iter().zip(&devices) {
            device.write_authorized_keys(format!("# theirs\n{}\n", key.public).as_bytes())?;
            ids.push(add(&keywheel, name, device).await?);
        }
        let [_, _, silent] = names.devices;
        let tags = vec![names.tag.to_owned()];
        // Port 1 of loopback: nothing listens there.
        let new = NewDevice { port: 1, tags: tags.clone(), ..NewDevice::new(silent, "127.0.0.1") };
        keywheel.add_device(new).await?;

        let imported = PrivateKey::import(&std::fs::read(&key.file)?, None)?;
        let secret = NewSecret::Imported { key: imported, from: Some(key.file.clone()) };
        let [key_name, password_name] = names.credentials;
        let new = NewCredential::new(key_name, ACCOUNT, ids[0], secret);
        let new = NewCredential { devices: ids.clone(), tags: tags.clone(), owner: Some(person), ..new };
        let key = keywheel.add_credential(new).await?.id;
        let secret = NewSecret::Password("correct horse".into());
        let password = keywheel.add_credential(NewCredential::new(password_name, ACCOUNT, ids[0], secret)).await?.id;
        let request = Rotate { credential: key_name.to_owned(), ..Rotate::default() };
        let finished = keywheel.rotate(&request, watch().0).await?;
        assert_eq!(finished.outcome, Outcome::Changed, "the world must be as it is described: {finished:?}");
        Ok(Self { place, names, person, device: ids[0], key, password, _devices: devices })
    }

    /// The address of the key's page.
    pub(crate) fn address(&self) -> String {
        format!("#/credentials/{}", self.key)
    }
}

/// Shows a place and waits until it says what only it says.
pub(crate) async fn go(page: &Page, address: &str, says: &str) -> Result<(), Trouble> {
    page.run("window.location.hash = arguments[0];", vec![address.into()]).await?;
    page.sees(says).await
}

async fn escape(page: &Page, role: &str, name: &str) -> Result<(), Trouble> {
    page.press(&[], keys::ESCAPE).await?;
    page.gone(role, name).await
}

/// Presses a control whose name only begins so.
async fn press_begun(page: &Page, role_name: &str, begin: &str) -> Result<(), Trouble> {
    let script = "const it = all(document).find((it) => role(it) === arguments[0] && name(it).startsWith(arguments[1]) && shown(it));
         it?.click();
         return it !== undefined;";
    page.wait(&format!("the {role_name} \"{begin}…\""), script, vec![role_name.into(), begin.into()]).await?;
    Ok(())
}

/// Shows every screen, page and dialog of a vault in use, one after the other, and hands each over by a name.
pub(crate) async fn visit<F>(page: &Page, world: &World, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    still(page).await?;
    go(page, "#/overview", "Changes per week").await?;
    each("overview").await?;
    visit_credentials(page, world, each).await?;
    visit_form(page, world, each).await?;
    visit_changes(page, world, each).await?;
    visit_devices(page, world, each).await?;

    go(page, "#/people", "1 person").await?;
    each("people").await?;
    page.button(&format!("Remove {}", world.names.person)).await?;
    page.sees("What happens with the credentials").await?;
    each("people: removal").await?;
    page.button("Cancel").await?;
    go(page, &format!("#/people/{}", world.person), "Only an active person").await?;
    each("people: person").await?;
    escape(page, "textbox", "E-mail").await?;
    go(page, "#/policies", "Standard").await?;
    each("policies").await?;
    go(page, "#/policies/new", "Maximum key age").await?;
    each("policies: new").await?;
    page.button("Simulate").await?;
    page.find("table", "The next 90 days").await?;
    each("policies: simulation").await?;
    go(page, "#/audit", "Every action, chained").await?;
    page.wait("rows", "return document.querySelector('[role=row][data-index]');", Vec::new()).await?;
    each("audit").await?;
    page.button("Export…").await?;
    page.find("menuitem", "CSV").await?;
    each("audit: export").await?;
    escape(page, "menuitem", "CSV").await?;
    page.open_row("person-add").await?;
    page.sees("Hash").await?;
    each("audit: row").await?;
    page.button("Close").await?;
    go(page, "#/settings", "Stage timeout").await?;
    each("settings").await?;
    page.press(&[keys::CONTROL], 'k').await?;
    page.find("dialog", "Search everything").await?;
    page.types("e").await?;
    page.wait("results", "return document.querySelector('#search-hits [role=option]');", Vec::new()).await?;
    each("search").await?;
    escape(page, "dialog", "Search everything").await
}

async fn visit_credentials<F>(page: &Page, world: &World, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    let address = world.address();
    let [_, password] = world.names.credentials;
    go(page, "#/credentials", password).await?;
    each("credentials").await?;
    page.click("checkbox", "Select all shown").await?;
    page.find("button", "Change keys now").await?;
    each("credentials: selection").await?;
    page.button("Filter: State").await?;
    page.find("menuitemcheckbox", "On request 1").await?;
    each("credentials: filter").await?;
    page.press(&[], keys::ESCAPE).await?;
    go(page, &address, "Key versions").await?;
    each("credential").await?;
    page.button("More actions").await?;
    page.find("menuitem", "Reveal private key").await?;
    each("credential: actions").await?;
    page.click("menuitem", "Reveal private key").await?;
    page.sees("Type the credential’s name").await?;
    each("credential: revealing").await?;
    page.button("Cancel").await?;
    page.button("More actions").await?;
    page.click("menuitem", "Delete").await?;
    page.sees("Remove the public key from these devices").await?;
    each("credential: deletion").await?;
    page.button("Cancel").await?;
    go(page, &format!("#/credentials/{}", world.password), "Used to authenticate to devices").await?;
    each("credential: password").await
}

async fn visit_form<F>(page: &Page, world: &World, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    go(page, "#/credentials/new", "Its key is always changed first").await?;
    page.button("Save").await?;
    page.sees("Give it a name").await?;
    each("form: errors").await?;
    go(page, "#/credentials", "Key age").await?;
    go(page, "#/credentials/new", "Its key is always changed first").await?;
    each("form: Information").await?;
    page.click("combobox", "Original device").await?;
    page.press(&[], keys::DOWN).await?;
    page.find("option", "New device…").await?;
    each("form: Original device").await?;
    page.press(&[], keys::ESCAPE).await?;
    page.click("tab", "Key").await?;
    each("form: Key").await?;
    page.button("Generate a new key").await?;
    page.sees("Generated just now").await?;
    each("form: generated key").await?;
    page.click("tab", "Additional settings").await?;
    page.click("checkbox", "Enable automatic change").await?;
    each("form: Additional settings").await?;
    page.click("tab", "Devices").await?;
    page.find("checkbox", "Select all shown").await?;
    each("form: Devices").await?;
    page.click("tab", "Information").await?;
    page.click("radio", "Password").await?;
    page.click("tab", "Password").await?;
    each("form: Password").await?;
    page.button("Cancel").await?;
    page.sees("Leave without saving?").await?;
    each("unsaved changes").await?;
    page.button("Discard").await?;
    page.gone("dialog", "Leave without saving?").await?;
    go(page, &format!("#/credentials/{}/edit", world.key), "Make a copy for another account").await?;
    each("form: saved").await?;
    page.click("tab", "Key").await?;
    page.sees("A key is not replaced here").await?;
    each("form: saved key").await?;
    page.click("tab", "Devices").await?;
    page.find("checkbox", "Select all shown").await?;
    each("form: saved devices").await
}

async fn visit_changes<F>(page: &Page, world: &World, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    let address = world.address();
    let [first, ..] = world.names.devices;
    go(page, &format!("{address}/change"), "2 of 2 ready").await?;
    each("change key now").await?;
    page.button("Options").await?;
    page.button(&format!("1: {first} 127.0.0.1, Ready, with a warning")).await?;
    page.sees("authorized_keys").await?;
    each("change key now: Options").await?;
    go(page, &format!("{address}/install"), "Choose in “Options” what to connect with").await?;
    each("install key on devices").await?;
    go(page, "#/changes", "Requested by").await?;
    each("changes").await?;
    page.button("New change").await?;
    page.sees("Its devices are checked before").await?;
    each("changes: new").await?;
    escape(page, "dialog", "New change").await?;
    go(page, "#/changes/1", "2 of 2 devices accept the new key and refuse the old").await?;
    page.button(&format!("1: {first} 127.0.0.1, Accepts only the new key")).await?;
    page.sees("Last seen to accept").await?;
    each("change").await?;
    press_begun(page, "button", "Undo (until").await?;
    page.sees("Undo this change?").await?;
    each("change: undo").await?;
    page.button("Cancel").await?;
    page.gone("dialog", "Undo this change?").await
}

async fn visit_devices<F>(page: &Page, world: &World, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    let [_, _, silent] = world.names.devices;
    go(page, "#/devices", silent).await?;
    page.find("button", "Import CSV…").await?;
    each("devices").await?;
    go(page, "#/devices/new", "A disabled device is never connected to").await?;
    page.button("Save").await?;
    page.sees("The device has no name").await?;
    each("devices: new").await?;
    page.button("Cancel").await?;
    page.gone("dialog", "New device").await?;
    go(page, &format!("#/devices/{}", world.device), "Credentials on this device").await?;
    each("device").await?;
    go(page, &format!("#/devices/{}/edit", world.device), "The device through which this one is reached").await?;
    each("device: edit").await?;
    escape(page, "textbox", "Address").await?;
    go(page, "#/devices/scan?ids=all", "3 devices asked").await?;
    each("scan").await?;
    page.run("find('grid', 'Offered host keys').querySelector('[data-index]').click();", Vec::new()).await?;
    page.sees("Randomart").await?;
    each("scan: host key").await?;
    page.press(&[], keys::ESCAPE).await?;
    page.sees_no_more("Randomart").await?;
    press_begun(page, "tab", "Not reached (1)").await?;
    page.sees("What to do").await?;
    each("scan: not reached").await?;
    go(page, "#/devices/import", "Nothing is imported until you confirm").await?;
    each("import").await
}

/// Shows what a vault shows in which nothing is yet.
async fn visit_empty<F>(page: &Page, each: &mut F) -> Result<(), Trouble>
where
    F: AsyncFnMut(&str) -> Result<(), Trouble>,
{
    still(page).await?;
    for (address, says) in [
        ("#/overview", "0 of 5 done"),
        ("#/credentials", "Add devices first"),
        ("#/devices", "No devices yet"),
        ("#/people", "No people yet"),
        ("#/changes", "No key has been changed yet"),
        ("#/credentials/new", "Its key is always changed first"),
    ] {
        go(page, address, says).await?;
        each(&format!("{address} of an empty vault")).await?;
    }
    Ok(())
}

/// Lets nothing move, so that colours are read where they end.
async fn still(page: &Page) -> Result<(), Trouble> {
    page.find("link", "Overview").await?;
    let script = "const sheet = new CSSStyleSheet();
         sheet.replaceSync('*, ::before, ::after { transition: none !important; animation: none !important; }');
         document.adoptedStyleSheets = [sheet];";
    page.run(script, Vec::new()).await?;
    Ok(())
}

/// Every control that can be reached, as [scope, role, name, what it leads to]. A radio is told from another by its
/// group, an entry by its list, everything else by the landmark or the dialog that it stands in.
const CONTROLS: &str = "
    const scope = [floating(), top()].find((it) => it !== undefined);
    const places = 'nav, main, [role=dialog], [role=alertdialog], [role=menu], [role=listbox], fieldset';
    const wanted = new Set(['button', 'link', 'checkbox', 'radio', 'switch', 'tab', 'textbox', 'searchbox', 'combobox',
      'spinbutton', 'slider', 'menuitem', 'menuitemcheckbox', 'menuitemradio', 'option', 'dialog', 'alertdialog', 'grid',
      'tablist', 'group', 'listbox', 'menu', 'progressbar']);
    return [...scope.querySelectorAll('*'), ...(scope === document ? [] : [scope])]
      .filter((it) => wanted.has(role(it)) && shown(it))
      .map((it) => {
        const place = it.parentElement?.closest(places);
        const called = !place || place.matches('nav, main') ? '' : name(place);
        return [place ? `${role(place) ?? place.tagName} ${called}` : '', role(it), name(it), it.getAttribute('href') ?? ''];
      });";

/// What is wrong with the names of the controls on what is shown now; adds each control to those that were found.
async fn misnamed(page: &Page, screen: &str, found: &mut BTreeSet<(String, String)>) -> Result<Vec<String>, Trouble> {
    let controls: Vec<[String; 4]> = serde_json::from_value(page.run(CONTROLS, Vec::new()).await?)?;
    assert!(!controls.is_empty(), "{screen}: no control was found, so nothing was looked at");
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<(&str, &str, &str), &str> = BTreeMap::new();
    for [place, role, name, target] in &controls {
        if name.is_empty() {
            wrong.push(format!("{screen}: a {role} in \"{place}\" has no name"));
        }
        let before = seen.insert((place, role, name), target);
        // Two links that lead to the same place are one, and so are a dialog's two ways to close it.
        let same =
            !target.is_empty() && before == Some(target.as_str()) || place.starts_with("dialog") && name == "Close";
        if before.is_some() && !same {
            wrong.push(format!("{screen}: two of {role} \"{name}\" in \"{place}\""));
        }
        found.insert((role.clone(), name.clone()));
    }
    Ok(wrong)
}

/// The labels of product.md that exist by now: where, as what, and word for word.
const LABELS: &[(&str, &str, &[&str])] = &[
    ("overview", "link", &["Overview", "Credentials", "Devices", "People", "Changes", "Policies", "Audit", "Settings"]),
    ("credentials", "button", &["New credential"]),
    ("credentials: selection", "button", &["Change keys now"]),
    ("form: Information", "tab", &["Information", "Key", "Additional settings", "Devices"]),
    ("form: Information", "textbox", &["Name", "Username", "Tags"]),
    ("form: Information", "group", &["Kind", "Status"]),
    ("form: Information", "radio", &["SSH key", "Password", "Enabled", "Disabled"]),
    ("form: Information", "combobox", &["Original device"]),
    ("form: Information", "button", &["Save", "Cancel"]),
    ("form: Original device", "option", &["New device…"]),
    ("form: Key", "combobox", &["Algorithm"]),
    ("form: Key", "button", &["Generate a new key", "Choose file…", "Paste from clipboard"]),
    ("form: generated key", "button", &["Copy public key"]),
    (
        "form: Additional settings",
        "combobox",
        &["Credential owner", "Credential or SSH key for authentication", "Policy"],
    ),
    ("form: Additional settings", "checkbox", &["Enable automatic change", "Use the key itself to connect"]),
    ("form: Devices", "checkbox", &["Select all shown"]),
    ("form: Devices", "button", &["Check devices"]),
    ("form: Password", "tab", &["Password"]),
    ("form: Password", "textbox", &["Password"]),
    ("credential", "button", &["Change key now", "Check devices", "Copy public key", "Edit"]),
    ("credential: actions", "menuitem", &["Install key on devices", "Reveal private key", "Disable", "Delete"]),
    ("credential: deletion", "radio", &["Remove the public key from these devices", "Leave it there"]),
    ("change key now", "button", &["Options", "Change key on 2 devices"]),
    ("change key now: Options", "combobox", &["Connect with", "New key"]),
    ("change key now: Options", "group", &["Strategy", "If a device fails"]),
    (
        "change key now: Options",
        "radio",
        &[
            "All together: the old key stays until every device is proven",
            "Device by device",
            "Take everything back",
            "Go on with the others",
        ],
    ),
    ("change key now: Options", "textbox", &["Devices at once"]),
    ("changes", "button", &["New change"]),
    ("devices", "button", &["New device", "Scan host keys", "Import CSV…"]),
    ("devices: new", "textbox", &["Name", "Address", "Port", "Tags", "authorized_keys path"]),
    ("devices: new", "combobox", &["Jump device", "Credential for the jump device"]),
    ("devices: new", "checkbox", &["Enabled"]),
    ("scan", "button", &["Pin the matching", "Pin selected"]),
    ("people", "button", &["New person"]),
    ("people: person", "textbox", &["Name", "E-mail"]),
    ("people: person", "checkbox", &["Active"]),
    ("policies", "button", &["New policy"]),
    (
        "policies: new",
        "textbox",
        &[
            "Name",
            "Maximum key age",
            "From",
            "To",
            "Retries",
            "Interval between retries",
            "Days of warning",
            "Change after reveal",
            "Devices at once",
        ],
    ),
    ("policies: new", "group", &["Days", "Strategy", "If a device fails", "After an interruption"]),
    ("policies: new", "radio", &["Resume", "Roll back"]),
    ("policies: new", "combobox", &["Algorithm for new keys"]),
    ("policies: new", "button", &["Simulate", "Save", "Cancel"]),
    ("audit", "button", &["Export…", "Verify chain"]),
    ("audit", "searchbox", &["Search the audit"]),
    ("settings", "combobox", &["Theme", "Language"]),
    ("settings", "switch", &["Start at login", "Keep running in the tray", "Notifications"]),
    ("settings", "textbox", &["Days of undo", "Connection timeout", "Stage timeout"]),
];

#[tokio::test]
async fn every_control_has_a_role_and_a_name_of_its_own_and_the_labels_are_those_of_the_product() -> Result<(), Trouble>
{
    let world = World::new(PLAIN).await?;
    let window = world.place.open().await?;
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut wrong = Vec::new();
    visit(&window, &world, &mut async |screen| {
        wrong.extend(misnamed(&window, screen, found.entry(screen.to_owned()).or_default()).await?);
        Ok(())
    })
    .await?;
    window.close().await?;
    for (screen, role, labels) in LABELS {
        let controls = found.get(*screen).ok_or_else(|| format!("the screen \"{screen}\" was not visited"))?;
        for label in *labels {
            if !controls.contains(&((*role).to_owned(), (*label).to_owned())) {
                wrong.push(format!("{screen}: product.md's \"{label}\" is no {role}; there are {controls:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "a person who hears the screens would be lost:\n{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn an_empty_vault_and_a_locked_keyring_are_named_and_clean_too() -> Result<(), Trouble> {
    let mut wrong = Vec::new();
    let place = Place::new()?;
    let window = place.open().await?;
    visit_empty(&window, &mut async |screen| {
        wrong.extend(misnamed(&window, screen, &mut BTreeSet::new()).await?);
        wrong.extend(axe_in_both_themes(&window, screen).await?);
        Ok(())
    })
    .await?;
    window.close().await?;

    let place = Place::with(Start::Locked)?;
    let window = place.open().await?;
    window.find("heading", "The keyring can’t be used").await?;
    wrong.extend(misnamed(&window, "keyring", &mut BTreeSet::new()).await?);
    wrong.extend(axe_in_both_themes(&window, "keyring").await?);
    window.close().await?;
    assert!(wrong.is_empty(), "not everybody could use this:\n{}", wrong.join("\n"));
    Ok(())
}

async fn axe_in_both_themes(page: &Page, screen: &str) -> Result<Vec<String>, Trouble> {
    let theme = "document.documentElement.dataset.theme = arguments[0];";
    page.run(theme, vec!["dark".into()]).await?;
    let dark = page.axe_colours().await?;
    page.run(theme, vec!["light".into()]).await?;
    let light = page.axe().await?;
    let dark = dark.into_iter().map(|finding| format!("{screen}, dark: {finding}"));
    Ok(dark.chain(light.into_iter().map(|finding| format!("{screen}, light: {finding}"))).collect())
}

#[tokio::test]
async fn axe_finds_nothing_on_any_screen_in_either_theme() -> Result<(), Trouble> {
    let world = World::new(PLAIN).await?;
    let window = world.place.open().await?;
    let mut wrong = Vec::new();
    visit(&window, &world, &mut async |screen| {
        wrong.extend(axe_in_both_themes(&window, screen).await?);
        Ok(())
    })
    .await?;
    window.close().await?;
    assert!(wrong.is_empty(), "not everybody could use this:\n{}", wrong.join("\n"));
    Ok(())
}
