//! Many rows and long names.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::SystemClock;
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_core::person::NewPerson;
use keywheel_core::vault::MemoryVault;
use keywheel_fleet::Trouble;
use keywheel_fleet::embedded::Fault;
use keywheel_fleet::window::{Page, Place};

use crate::camera::{Camera, go};
use crate::world::World;

/// A name as long as some make them.
const LONG: &str =
    "payments-settlement-reconciliation-batch-processing-worker-node-0042.eu-central-1b.internal.example.org";

/// Lists of five thousand rows, with names that are too long for their columns.
pub(crate) async fn lists(camera: &Camera) -> Result<(), Trouble> {
    let pictures = [
        ("crowd-overview", "#/overview", "2 of 5 done"),
        ("crowd-credentials", "#/credentials", "5,000"),
        ("crowd-devices", "#/devices", "5,000 devices"),
        ("crowd-people", "#/people", "301 people"),
        ("crowd-audit", "#/audit", "ana@desk"),
        ("long-device", "#/devices/1", "Credentials on this device"),
        ("long-credential", "#/credentials/1", "Install key on devices"),
        ("long-form", "#/credentials/1/edit", "Original device"),
        ("long-change-key", "#/credentials/1/change", "on 20 devices"),
    ];
    if !camera.wants_any(&pictures.map(|(name, ..)| name)) {
        return Ok(());
    }
    let place = Place::on_this_display()?;
    let vault = Arc::new(MemoryVault::new());
    let keywheel = Keywheel::open(&place.data_dir(), vault, Arc::new(SystemClock), Actor::named("ana@desk"))?;
    let mut csv = format!("name,address,tags\n{LONG},10.1.0.1,production;{}\n", "a-tag-that-says-much".repeat(2));
    for number in 2..=5000 {
        writeln!(csv, "node-{number:04},10.0.{}.{},rack-{}", number / 250, number % 250, number % 40)?;
    }
    let preview = keywheel.preview_import(csv.clone().into_bytes()).await?;
    keywheel.import_devices(csv.into_bytes(), preview).await?;
    let devices = keywheel.devices().await?;
    let owner = NewPerson {
        name: "Maria Aparecida dos Santos Albuquerque de Figueiredo e Vasconcelos".to_owned(),
        email: format!("maria.aparecida@{LONG}"),
        active: true,
    };
    let owner = keywheel.add_person(owner).await?.id;
    for number in 1..=300 {
        let person = NewPerson { name: format!("Person {number}"), email: String::new(), active: number % 9 != 0 };
        keywheel.add_person(person).await?;
    }
    for (number, device) in devices.iter().enumerate() {
        let name = if number == 0 { LONG.to_owned() } else { format!("account {number:04}") };
        let username = if number == 0 { "svc_payments_settlement_batch" } else { "deploy" };
        let key = PrivateKey::generate(Algorithm::Ed25519, &name)?;
        let mut new = NewCredential::new(name, username, device.id, NewSecret::Generated(key));
        if number == 0 {
            new.owner = Some(owner);
            new.devices = devices.iter().take(20).map(|device| device.id).collect();
        }
        keywheel.add_credential(new).await?;
    }
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    for (name, address, sees) in pictures {
        camera.visit(&window, name, address, sees).await?;
    }
    window.close().await
}

/// One change of five hundred devices, one of which refuses the new key.
pub(crate) async fn change(camera: &Camera) -> Result<(), Trouble> {
    if !camera.wants_any(&["many-key", "many-begun", "many-middle", "many-done"]) {
        return Ok(());
    }
    let place = Place::on_this_display()?;
    let world = World::many(&place, 500).await?;
    let window = place.open().await?;
    go(&window, "#/credentials/1/change").await?;
    sees_at_last(&window, "500 of 500 ready").await?;
    camera.take(&window, "many-key").await?;
    window
        .run("all(document).find((it) => role(it) === 'button' && name(it).startsWith('Options')).click();", Vec::new())
        .await?;
    window.click("radio", "Go on with the others").await?;
    window.button("Change key on 500 devices").await?;
    sees_at_last(&window, "499 of 500 checked").await?;
    world.server("node-003")?.set_fault(Fault::RefuseEveryKey);
    sees_at_last(&window, "5 of 500 proven on the new key").await?;
    camera.take(&window, "many-begun").await?;
    sees_at_last(&window, "200 of 500 proven on the new key").await?;
    camera.take(&window, "many-middle").await?;
    sees_at_last(&window, "Only 499 of 500 devices").await?;
    camera.take(&window, "many-done").await?;
    window.close().await
}

/// Waits for what takes minutes.
async fn sees_at_last(page: &Page, text: &str) -> Result<(), Trouble> {
    for _ in 0..120 {
        if page.text().await?.contains(text) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        if page.sees(text).await.is_ok() {
            return Ok(());
        }
    }
    Err(format!("the page never showed \"{text}\"").into())
}
