//! Private bytes exist in the keyring and nowhere else: a whole change with marked keys, and a look at all that was written.

use keywheel_core::rotation::{Rotate, decide::Outcome};
use keywheel_fleet::{Desk, Fleet, Traces, Trouble, available, watch};

#[tokio::test(flavor = "multi_thread")]
async fn no_private_byte_is_written_or_told_anywhere_but_in_the_vault() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(2))? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let mut devices = Vec::new();
    for (index, sshd) in fleet.devices.iter().enumerate() {
        sshd.write_authorized_keys(format!("{}\n", key.public).as_bytes())?;
        devices.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
    }
    let account = fleet.devices[0].account();
    desk.credential("deploy", account, &key.file, &devices).await?;
    let (watch, mut watching) = watch();
    let request = Rotate { credential: "deploy".into(), ..Rotate::default() };
    let finished = desk.keywheel.rotate(&request, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    desk.keywheel.accepts("deploy").await?;

    let credential = desk.keywheel.find_credential("deploy").await?;
    let mut wanted = Traces::default();
    for version in &credential.key_versions {
        wanted = wanted.and(Traces::of_key(&desk.keywheel.read_key(&credential, version).await?)?);
    }
    // The search finds what is there: the imported key's own file holds its seed.
    let there = wanted.look("the imported file", &decoded(&std::fs::read_to_string(&key.file)?));
    assert!(!there.is_empty(), "the search itself is blind");

    let (mut found, files) = wanted.in_folder(desk.keywheel.database().dir())?;
    assert!(files >= 2, "the data directory was not looked through");
    for sshd in &fleet.devices {
        found.extend(wanted.in_folder(&sshd.home())?.0);
        found.extend(wanted.look("a device's log", sshd.log()?.as_bytes()));
    }
    let told: Vec<String> = watching.drain().iter().map(|event| format!("{event:?}")).collect();
    assert!(told.len() > 10, "the events were not looked through");
    found.extend(wanted.look("an event", told.join("\n").as_bytes()));
    found.extend(wanted.look("an answer", format!("{finished:?}{credential:?}").as_bytes()));
    assert!(found.is_empty(), "private bytes stand outside the vault: {found:?}");
    Ok(())
}

/// The bytes of a PEM file without its armour.
fn decoded(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(digit).collect();
    digits
        .chunks(4)
        .flat_map(|four| {
            let number = four.iter().fold(0_u32, |number, digit| number << 6 | digit) << (6 * (4 - four.len()));
            number.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}
