//! The private halves of retired keys go when nobody needs them any more, and not before.

use std::{sync::Arc, time::Duration};

use keywheel_core::{
    Keywheel,
    catalogue::{CredentialId, DeviceId, VersionState},
    clock::{Clock, SystemClock, Timestamp},
    credential::{EditCredential, Standing},
    device::EditDevice,
    error::Explain as _,
    journal::ChangeId,
    rotation::{Destroy, Rotate, decide::Outcome},
    vault,
    vault::Vault as _,
};
use keywheel_fleet::{Desk, Fleet, Trouble, available, watch};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock of this machine, so much later.
#[derive(Debug)]
struct Later(Duration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

/// Devices on which the key of a credential "deploy" was changed once, named web-1 and so on.
struct Scene {
    fleet: Fleet,
    desk: Desk,
    id: CredentialId,
    devices: Vec<DeviceId>,
    change: ChangeId,
}

impl Scene {
    async fn new(count: usize) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start(count))? else { return Ok(None) };
        let desk = Desk::open()?;
        desk.keywheel.set_setting("connection-timeout", "1").await?;
        let key = desk.client.key("deploy", "ed25519")?;
        let mut devices = Vec::new();
        for (index, sshd) in fleet.devices.iter().enumerate() {
            sshd.write_authorized_keys(key.public.as_bytes())?;
            devices.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
        }
        let id = desk.credential("deploy", fleet.devices[0].account(), &key.file, &devices).await?.id;
        let change = rotate(&desk.keywheel).await?;
        Ok(Some(Self { fleet, desk, id, devices, change }))
    }

    /// The desk after so much time.
    fn after(&self, time: Duration) -> Result<Keywheel, Trouble> {
        self.desk.reopen_at(Arc::new(Later(time)))
    }

    async fn state(&self, version: u32) -> Result<(VersionState, bool), Trouble> {
        let credential = self.desk.keywheel.find_credential("deploy").await?;
        let known = credential.key_version(version).ok_or("no such version")?;
        Ok((known.state, self.desk.vault.read(&known.item).await?.is_some()))
    }

    async fn destroy(&self, keywheel: &Keywheel, give_up: &[&str]) -> Result<(), keywheel_core::Error> {
        let give_up = give_up.iter().map(|device| (*device).to_owned()).collect();
        keywheel.destroy_version(&Destroy { credential: self.id, version: 1, give_up }).await
    }
}

async fn rotate(keywheel: &Keywheel) -> Result<ChangeId, Trouble> {
    let (watch, _watching) = watch();
    let finished = keywheel.rotate(&Rotate { credential: "deploy".to_owned(), ..Rotate::default() }, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    Ok(finished.change)
}

/// What holds the only key up whose time has come, as devices and codes.
async fn held(keywheel: &Keywheel, id: CredentialId) -> Result<Vec<(Option<String>, String)>, Trouble> {
    let ended = keywheel.destroy_due(id).await?;
    assert_eq!(ended.len(), 1, "one key is due: {ended:?}");
    Ok(ended[0].held_by.iter().map(|held| (held.device.clone(), held.reason.code.clone())).collect())
}

fn on(device: &str, code: &str) -> (Option<String>, String) {
    (Some(device.to_owned()), code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_goes_when_its_days_are_over_and_every_device_refuses_it() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let early = scene.after(6 * DAY)?;
    assert_eq!(early.destroy_due(scene.id).await?, [], "the change can be undone still");
    assert_eq!(scene.state(1).await?, (VersionState::Retired, true));
    let told = early.retired(scene.id).await?;
    assert_eq!((told.len(), told[0].version, told[0].due, told[0].held_by.len()), (1, 1, false, 0), "{told:?}");

    let late = scene.after(7 * DAY + Duration::from_secs(1))?;
    assert!(late.retired(scene.id).await?[0].due);
    assert_eq!(held(&late, scene.id).await?, []);
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false), "its private half must be gone");
    assert_eq!(scene.state(2).await?, (VersionState::Current, true), "the only key that logs in");
    assert_eq!(late.retired(scene.id).await?, []);
    assert_eq!(late.destroy_due(scene.id).await?, [], "nothing is left to do");
    let rows = late.audit_rows(Default::default()).await?;
    let destroyed: Vec<_> = rows.iter().filter(|row| row.action == "key-destroy").collect();
    assert_eq!(destroyed.len(), 1, "it stands in the record once: {destroyed:?}");
    assert_eq!(rotate(&scene.desk.keywheel).await?.0, scene.change.0 + 1, "the next change goes as ever");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_destroyed_before_its_days_but_not_right_after_a_write() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let error = scene.destroy(&scene.desk.keywheel, &[]).await.expect_err("the device may lose power");
    assert_eq!((error.code(), error.class()), ("key-needed", keywheel_core::error::Class::NotDone), "{error}");
    assert!(error.to_string().contains("less than a minute ago"), "{error}");
    assert_eq!(scene.state(1).await?, (VersionState::Retired, true));
    scene.desk.keywheel.set_setting("days-of-undo", "0").await?;
    assert_eq!(scene.desk.keywheel.destroy_due(scene.id).await?, [], "nor by itself without days of undo");

    let soon = scene.after(Duration::from_secs(90))?;
    soon.set_setting("days-of-undo", "7").await?;
    for (version, code) in [(2, "not-retired"), (7, "no-such-version")] {
        let wrong = Destroy { credential: scene.id, version, give_up: Vec::new() };
        assert_eq!(soon.destroy_version(&wrong).await.expect_err("no retired one").code(), code);
    }
    assert_eq!(soon.change_details(scene.change).await?.possible.len(), 1, "it can be undone until then");
    scene.destroy(&soon, &[]).await?;
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false));
    assert_eq!(soon.change_details(scene.change).await?.possible, [], "there is no way back to a key that is gone");
    let (watch, _watching) = watch();
    assert_eq!(soon.undo(scene.change, watch).await.expect_err("its key is gone").code(), "no-undo");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_accepts_the_old_key_again_holds_it_up() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    let after = scene.fleet.devices[1].authorized_keys()?;
    let late = scene.after(8 * DAY)?;
    // What its backup did to it.
    let old = scene.desk.keywheel.find_credential("deploy").await?.key_versions[0].public_key.to_openssh();
    scene.fleet.devices[1].write_authorized_keys(old.as_bytes())?;
    assert_eq!(held(&late, scene.id).await?, [on("web-2", "old-key-accepted")], "its private half is the only way in");
    let error = scene.destroy(&late, &[]).await.expect_err("nor is it destroyed at a person's wish");
    assert!(error.code() == "key-needed" && error.to_string().contains("web-2"), "{error}");
    let told = late.retired(scene.id).await?;
    assert_eq!(told[0].held_by[0].reason.code, "old-key-accepted", "the page says so: {told:?}");

    scene.fleet.devices[1].write_authorized_keys(b"")?;
    assert_eq!(held(&late, scene.id).await?, [on("web-2", "newer-key-refused")], "a device that accepts neither");
    assert_eq!(scene.state(1).await?, (VersionState::Retired, true));
    scene.fleet.devices[1].write_authorized_keys(&after)?;
    assert_eq!(held(&late, scene.id).await?, []);
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_taken_off_deleted_or_switched_off_are_asked_or_given_up_by_name() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(4).await? else { return Ok(()) };
    let keywheel = &scene.desk.keywheel;
    let [one, two, three, four] = scene.devices[..] else { unreachable!() };
    let off = EditCredential { devices: Some(vec![one, four]), ..EditCredential::default() };
    keywheel.edit_credential(scene.id, off, Standing::LeaveThere).await?;
    keywheel.remove_device(three).await?;
    let disabled = EditDevice { enabled: Some(false), ..EditDevice::default() };
    keywheel.edit_device(four, disabled).await?;
    scene.fleet.devices[2].stop()?;

    let late = scene.after(8 * DAY)?;
    let told = held(&late, scene.id).await?;
    assert_eq!(told[0].0.as_deref(), Some("web-3"), "a deleted device had the key too: {told:?}");
    assert_eq!(told[1..], [on("web-4", "device-disabled")], "web-2, taken off, has answered: {told:?}");
    let known = late.installed(scene.id).await?;
    let asked = known.iter().find(|known| known.version == 1 && known.device == two).ok_or("web-2")?;
    assert!(asked.refused_at.is_some_and(|at| at > Later(7 * DAY).now()), "it was asked once more: {asked:?}");

    let nobody = scene.destroy(&late, &["web-9"]).await.expect_err("no such device");
    assert_eq!((nobody.code(), nobody.class()), ("not-on-device", keywheel_core::error::Class::BadInput));
    assert_eq!(scene.destroy(&late, &["web-3"]).await.expect_err("web-4").code(), "key-needed");
    scene.destroy(&late, &["4"]).await?;
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false));
    let rows = late.audit_rows(Default::default()).await?;
    let given_up = rows.iter().filter(|row| row.action == "device-give-up").count();
    assert_eq!(given_up, 2, "who is given up stands in the record");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_began_to_destroy_is_finished_by_the_next() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(1).await? else { return Ok(()) };
    let soon = scene.after(Duration::from_secs(90))?;
    // The keyring has done it, and nobody lives to note it.
    scene.desk.vault.set_fault(Some(vault::Fault::LosesTheAnswer));
    let error = scene.destroy(&soon, &[]).await.expect_err("the answer is lost");
    assert_eq!(error.code(), "keyring-timeout");
    scene.desk.vault.set_fault(None);
    assert_eq!(scene.state(1).await?, (VersionState::Retired, false));
    assert_eq!(held(&soon, scene.id).await?, [], "it was begun, so that its days don't count");
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false));

    // A locked keyring, on the other hand, does nothing; then each device is asked anew.
    rotate(&soon).await?;
    let later = scene.after(8 * DAY)?;
    scene.desk.vault.set_fault(Some(vault::Fault::Locked));
    assert_eq!(later.destroy_due(scene.id).await.expect_err("it is locked").code(), "keyring-locked");
    scene.desk.vault.set_fault(None);
    assert_eq!(scene.state(2).await?, (VersionState::Retired, true));
    assert_eq!(held(&later, scene.id).await?, []);
    assert_eq!(scene.state(2).await?, (VersionState::Destroyed, false));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_change_is_open_no_key_goes() -> Result<(), Trouble> {
    let Some(scene) = Scene::new(2).await? else { return Ok(()) };
    scene.fleet.devices[1].stop()?;
    let late = scene.after(8 * DAY)?;
    let (one, _watching) = watch();
    let go_on = Rotate {
        credential: "deploy".to_owned(),
        on_failure: Some(keywheel_core::rotation::OnFailure::Continue),
        ..Rotate::default()
    };
    let partly = late.rotate(&go_on, one).await?;
    assert_eq!(partly.outcome, Outcome::PartlyChanged, "{partly:?}");
    assert_eq!(held(&late, scene.id).await?, [(None, "change-open".to_owned())]);
    assert_eq!(scene.state(1).await?, (VersionState::Retired, true));

    scene.fleet.devices[1].start()?;
    let (two, _watching) = watch();
    let retried = late.retry(partly.change, two).await?;
    assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
    assert_eq!(held(&late, scene.id).await?, [], "the files that were written just now never held the first key");
    assert_eq!(scene.state(1).await?, (VersionState::Destroyed, false));
    assert_eq!(scene.state(2).await?, (VersionState::Retired, true), "its own days have only begun");
    Ok(())
}
