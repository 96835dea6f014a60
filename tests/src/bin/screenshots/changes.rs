//! Key changes: before, while and after they run.

use std::time::Duration;

use keywheel_core::catalogue::OnFailure;
use keywheel_fleet::Trouble;
use keywheel_fleet::embedded::Fault;
use keywheel_fleet::window::{Page, Place};

use crate::camera::{Camera, go};
use crate::world::World;

/// How long a device that is held waits before each answer; far below every timeout.
const HELD: Duration = Duration::from_secs(4);

/// "Change key now", for one and for several credentials.
pub(crate) async fn asked(camera: &Camera, page: &Page, world: &World) -> Result<(), Trouble> {
    let asked = ["change-key", "change-key-options", "change-key-diff"];
    if camera.wants_any(&asked) {
        go(page, "#/credentials/4/change").await?;
        page.sees("9 of 9 ready").await?;
        camera.take(page, "change-key").await?;
        if camera.wants("change-key-options") {
            page.run(
                "all(document).find((it) => role(it) === 'button' && name(it).startsWith('Options')).click();",
                Vec::new(),
            )
            .await?;
            page.sees("If a device fails").await?;
            camera.take(page, "change-key-options").await?;
            go(page, "#/credentials/4").await?;
        }
    }
    if camera.wants_any(&["change-key-not-ready", "change-key-checking"]) {
        go(page, "#/credentials/4").await?;
        world.server("web-3")?.stop();
        world.server("db-2")?.set_fault(Fault::RefuseEveryKey);
        world.server("backup-1")?.set_fault(Fault::Slow(HELD));
        go(page, "#/credentials/4/change").await?;
        page.sees("Checking: 8 of 9").await?;
        camera.take(page, "change-key-checking").await?;
        world.server("backup-1")?.clear_faults();
        page.sees("7 of 9 ready").await?;
        camera.take(page, "change-key-not-ready").await?;
        world.server("web-3")?.restart().await?;
        world.server("db-2")?.clear_faults();
    }
    if camera.wants("change-keys") {
        go(page, "#/credentials/change?ids=2,3,4,5").await?;
        page.sees("Change the keys of 4 credentials").await?;
        page.sees_no_more("Waits to be checked").await?;
        page.sees_no_more("Checking:").await?;
        camera.take(page, "change-keys").await?;
    }
    if camera.wants("key-compromised") {
        go(page, "#/credentials/4/compromised").await?;
        page.sees("9 of 9 ready").await?;
        camera.take(page, "key-compromised").await?;
    }
    camera.visit(page, "change-install", "#/credentials/6/install", "Install key on 12 devices").await
}

/// A change of the team's, held in the middle so that it can be looked at.
pub(crate) async fn running(camera: &Camera, page: &Page, world: &World) -> Result<(), Trouble> {
    if !camera.wants_any(&["change-running", "change-finished", "change-accepts", "key-destroy"]) {
        return Ok(());
    }
    go(page, "#/credentials/4/change").await?;
    page.sees("9 of 9 ready").await?;
    world.slow_down();
    page.button("Change key on 9 devices").await?;
    page.sees("1 of 9 proven on the new key").await?;
    world.server("db-1")?.set_fault(Fault::Slow(HELD));
    page.sees("4 of 9 proven on the new key").await?;
    camera.take(page, "change-running").await?;
    world.speed_up();
    page.sees("9 of 9 devices accept the new key and refuse the old").await?;
    camera.take(page, "change-finished").await?;
    if camera.wants("change-accepts") {
        page.button("Ask the devices now").await?;
        page.sees("As the devices answered").await?;
        camera.take(page, "change-accepts").await?;
    }
    if camera.wants("key-destroy") {
        go(page, "#/credentials/4").await?;
        page.button("Destroy now…").await?;
        page.sees("can’t be brought back").await?;
        camera.take(page, "key-destroy").await?;
        page.button("Cancel").await?;
    }
    Ok(())
}

/// Five devices: nothing to do, then changes at their beginning, middle and end, one that was stopped, one with causes.
pub(crate) async fn of_five(camera: &Camera) -> Result<(), Trouble> {
    let held = [
        ("five-checking", "web-1", "Checking", "0 of 5 checked"),
        ("five-begun", "web-1", "1 of 5 checked", "0 of 5 proven on the new key"),
        ("five-middle", "web-3", "0 of 5 proven", "2 of 5 proven on the new key"),
        ("five-removing", "web-4", "1 of 5 refuse", "3 of 5 refuse the old key"),
    ];
    let names: Vec<&str> = held.iter().map(|(name, ..)| *name).collect();
    if !camera.wants_any(&names) && !camera.wants_any(&["overview-calm", "five-done", "five-stopped", "five-partly"]) {
        return Ok(());
    }
    let place = Place::on_this_display()?;
    let world = World::five(&place).await?;
    let window = place.open().await?;
    camera.visit(&window, "overview-calm", "#/overview", "Nothing needs").await?;
    for (name, device, before, sees) in held {
        if camera.wants(name) {
            begin(&window, &world, device, before, sees).await?;
            camera.take(&window, name).await?;
            world.speed_up();
            window.sees("5 of 5 devices accept the new key and refuse the old").await?;
            camera.take(&window, "five-done").await?;
        }
    }
    if camera.wants("five-stopped") {
        begin(&window, &world, "web-3", "0 of 5 proven", "2 of 5 proven on the new key").await?;
        window.button("Stop").await?;
        window.sees("Finishing the device in hand").await?;
        world.speed_up();
        window.find("button", "Leave it for later").await?;
        camera.take(&window, "five-stopped").await?;
        window.button("Resume").await?;
        window.sees("5 of 5 devices accept the new key and refuse the old").await?;
    }
    if camera.wants("five-partly") {
        world.server("web-2")?.set_fault(Fault::RefuseEveryKey);
        world.server("web-4")?.replace_host_key()?;
        world.server("web-5")?.stop();
        world.change("deploy", OnFailure::Continue).await?;
        let address = format!("#/changes/{}", world.newest_change().await?);
        camera.visit(&window, "five-partly", &address, "Only 2 of 5 devices").await?;
        camera.visit(&window, "overview-partly", "#/overview", "Partly changed").await?;
    }
    window.close().await
}

/// Begins a change of the five, and holds a device in it: once `before` is shown, until long after `sees` is.
async fn begin(page: &Page, world: &World, device: &str, before: &str, sees: &str) -> Result<(), Trouble> {
    go(page, "#/credentials/1").await?;
    go(page, "#/credentials/1/change").await?;
    page.sees("5 of 5 ready").await?;
    world.slow_down();
    if before == "Checking" {
        world.server(device)?.set_fault(Fault::Slow(HELD));
    }
    page.button("Change key on 5 devices").await?;
    if before != "Checking" {
        page.sees(before).await?;
        world.server(device)?.set_fault(Fault::Slow(HELD));
    }
    page.sees(sees).await
}
