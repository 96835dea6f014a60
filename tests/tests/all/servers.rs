//! Key changes on SSH servers other than OpenSSH's.

use keywheel_core::rotation::{Rotate, decide::Outcome};
use keywheel_fleet::{Client, ClientKey, Desk, Dropbear, Target, Tinysshd, Trouble, available, watch};

fn rotate() -> Rotate {
    Rotate { credential: "deploy".into(), ..Rotate::default() }
}

/// Changes the key on one device, and asks it from outside.
async fn change(
    desk: &Desk,
    key: &ClientKey,
    target: &Target,
    read: impl Fn() -> Result<Vec<u8>, keywheel_fleet::FleetError>,
) -> Result<(), Trouble> {
    let device = desk.device_at("box-1", target.port, &target.host_keys).await?;
    desk.credential("deploy", &target.account, &key.file, &[device]).await?;
    let before = read()?;
    let (watch, _watching) = watch();
    let finished = desk.keywheel.rotate(&rotate(), watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let new = desk.key_file("deploy", 2).await?;
    assert!(desk.client.logs_in(target, &new)?, "the new key must log in");
    assert!(!desk.client.logs_in(target, &key.file)?, "the old key must be refused");
    let credential = desk.keywheel.find_credential("deploy").await?;
    let public = credential.key_version(2).ok_or("version 2")?.public_key.to_openssh();
    let swapped = String::from_utf8_lossy(&before)
        .replace(key.public.split(' ').nth(1).unwrap_or_default(), public.split(' ').nth(1).unwrap_or_default());
    assert_eq!(String::from_utf8_lossy(&read()?), swapped, "no byte but the key's own may change");
    Ok(())
}

fn text(client: &Client, key: &ClientKey) -> Result<Vec<u8>, Trouble> {
    let other = client.key("other", "ed25519")?;
    Ok(format!("# kept\n{}\n{}\n# end\n", other.public, key.public).into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_a_key_on_dropbear() -> Result<(), Trouble> {
    let Some(device) = available(Dropbear::start(&[]))? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    device.write_authorized_keys(&text(&desk.client, &key)?)?;
    change(&desk, &key, &device.target(), || device.authorized_keys()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_a_key_on_tinysshd() -> Result<(), Trouble> {
    let Some(device) = available(Tinysshd::start(&[]))? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    device.write_authorized_keys(&text(&desk.client, &key)?)?;
    change(&desk, &key, &device.target(), || device.authorized_keys()).await
}
