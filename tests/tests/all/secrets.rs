//! Private bytes exist in the keyring and nowhere else: a whole change with marked keys, and a look at all that was written.

use std::path::Path;

use keywheel_core::rotation::{Rotate, decide::Outcome};
use keywheel_fleet::{Desk, Fleet, Trouble, available, watch};

/// The forms in which bytes may stand in a file or an event.
fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("raw", secret.to_vec()),
        ("hexadecimal", hex.clone().into_bytes()),
        ("HEXADECIMAL", hex.to_uppercase().into_bytes()),
    ];
    // base64 depends on where the bytes begin: each of the three places gives another text.
    for skip in 0..3 {
        let whole = secret.get(skip..).unwrap_or_default();
        let text: Vec<u8> = whole
            .chunks_exact(3)
            .flat_map(|three| {
                let number = three.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
                [18, 12, 6, 0].map(|shift| DIGITS[number >> shift & 63])
            })
            .collect();
        forms.push(("base64", text));
    }
    forms
}

fn search(dir: &Path, forms: &[(&'static str, Vec<u8>)], found: &mut Vec<String>) -> std::io::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files += search(&path, forms, found)?;
        } else {
            files += 1;
            look(&path.display().to_string(), &std::fs::read(&path)?, forms, found);
        }
    }
    Ok(files)
}

fn look(place: &str, bytes: &[u8], forms: &[(&'static str, Vec<u8>)], found: &mut Vec<String>) {
    for (form, wanted) in forms {
        if bytes.windows(wanted.len()).any(|window| window == wanted) {
            found.push(format!("{form} in {place}"));
        }
    }
}

/// The secret half of an Ed25519 key in the OpenSSH binary format: the seed is what stands before the last 32 public bytes.
fn seed(secret: &[u8], public_blob: &[u8]) -> Result<Vec<u8>, Trouble> {
    let point = public_blob.get(public_blob.len() - 32..).ok_or("a public point")?;
    // The pair stands as seed and point, 64 bytes; the point alone stands twice more before it.
    let place = secret.windows(32).rposition(|window| window == point).ok_or("the point in the pair")?;
    Ok(secret.get(place - 32..place).ok_or("the seed before it")?.to_vec())
}

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
    let mut wanted = Vec::new();
    for version in &credential.key_versions {
        let private = desk.keywheel.read_key(&credential, version).await?;
        let seed = seed(&private.to_secret_bytes(), version.public_key.blob())?;
        assert_eq!(seed.len(), 32);
        wanted.extend(forms(&seed));
    }
    // The search finds what is there: the imported key's own file holds its seed.
    let mut there = Vec::new();
    look("the imported file", &decoded(&std::fs::read_to_string(&key.file)?), &wanted, &mut there);
    assert!(!there.is_empty(), "the search itself is blind");

    let mut found = Vec::new();
    let files = search(desk.keywheel.database().dir(), &wanted, &mut found)?;
    assert!(files >= 2, "the data directory was not looked through");
    for sshd in &fleet.devices {
        search(&sshd.home(), &wanted, &mut found)?;
        look("a device's log", sshd.log()?.as_bytes(), &wanted, &mut found);
    }
    let told: Vec<String> = watching.drain().iter().map(|event| format!("{event:?}")).collect();
    assert!(told.len() > 10, "the events were not looked through");
    look("an event", told.join("\n").as_bytes(), &wanted, &mut found);
    look("an answer", format!("{finished:?}{credential:?}").as_bytes(), &wanted, &mut found);
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
