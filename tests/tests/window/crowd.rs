//! 10,000 devices and 2,000 credentials: what the window draws of them, and how long its frames take.

use keywheel_core::Keywheel;
use keywheel_core::catalogue::CredentialId;
use keywheel_core::database::DatabaseError;
use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_fleet::Trouble;
use keywheel_fleet::window::{Page, Place};
use serde_json::{Value, json};

const DEVICES: usize = 10_000;
const CREDENTIALS: usize = 2_000;
const BAD: usize = 50;

/// The most rows that may ever be in the document.
const ROWS: u64 = 200;

/// A list that drew all of its rows would take longer for every frame, on any machine; one slow frame of a busy machine
/// says nothing, so the middle one is held against this.
const MILLISECONDS: f64 = 250.0;

/// Draws frames and notes how long each took and how many rows there were, until `stop` is set.
const WATCH: &str = "
    const seen = { frames: [], rows: 0, stop: false };
    window.seen = seen;
    let last = performance.now();
    const each = (now) => {
      seen.frames.push(now - last);
      last = now;
      seen.rows = Math.max(seen.rows, document.querySelectorAll('[role=row][data-index]').length);
      if (!seen.stop) requestAnimationFrame(each);
    };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(each); });";

/// Scrolls a grid from its first row to its last: a step a frame, a second in all where every frame is in time.
const SCROLL: &str = "
    const grid = find('grid', arguments[0]);
    const steps = 60;
    let step = 0;
    const each = () => {
      step += 1;
      grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * step / steps;
      if (step < steps) requestAnimationFrame(each);
      else requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
    };
    requestAnimationFrame(each);";

/// A CSV file with so many good devices and so many bad ones among them.
fn csv() -> Vec<u8> {
    let mut text = String::from("name,address,port,tags\n");
    for index in 0..DEVICES {
        text.push_str(&format!(
            "host-{index:05},10.{}.{}.{},22,rack-{}\n",
            index >> 16,
            index >> 8 & 255,
            index & 255,
            index % 40
        ));
        if index % (DEVICES / BAD) == 0 {
            text.push_str(&format!("bad-{index},10.0.0.1,70000,\n"));
        }
    }
    text.into_bytes()
}

/// Adds credentials as rows alone: their keys lie in no keyring, and no list asks for that.
fn add_credentials(keywheel: &Keywheel) -> Result<(), Trouble> {
    let key = PrivateKey::generate(Algorithm::Ed25519, "crowd")?;
    let public = key.public_key().to_openssh();
    let fingerprint = key.public_key().fingerprint().to_string();
    let now = keywheel.now().to_string();
    keywheel.database().write(|tx| -> Result<(), DatabaseError> {
        for index in 1..=CREDENTIALS {
            let id = i64::try_from(index).unwrap();
            tx.execute(
                "INSERT INTO credential (id, name, kind, username, original_device, enabled, automatic_change, policy, ready, created)
                 SELECT ?1, ?2, 'ssh-key', 'deploy', ?1, 1, 0, (SELECT min(id) FROM policy), 1, ?3",
                (id, format!("key-{index:04}"), &now),
            )?;
            for device in [id, id + 2_000, id + 4_000] {
                tx.execute("INSERT INTO credential_device (credential, device) VALUES (?1, ?2)", (id, device))?;
            }
            tx.execute(
                "INSERT INTO key_version (credential, version, state, public_key, fingerprint, item, compromised, created)
                 VALUES (?1, 1, 'current', ?2, ?3, ?4, 0, ?5)",
                (id, &public, &fingerprint, keywheel.item_name(CredentialId(id), 1, &fingerprint).to_string(), &now),
            )?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Ends the watch, prints what it saw and judges it.
async fn judge(page: &Page, what: &str) -> Result<(), Trouble> {
    let seen = page.run("window.seen.stop = true; return window.seen;", Vec::new()).await?;
    let mut frames: Vec<f64> = seen["frames"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    frames.sort_by(f64::total_cmp);
    let at = |part: f64| frames[((frames.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: {} frames, median {:.0} ms, 95 % under {:.0} ms, longest {:.0} ms, {} over 50 ms; at most {} rows",
        frames.len(),
        at(0.5),
        at(0.95),
        at(1.0),
        frames.iter().filter(|frame| **frame > 50.0).count(),
        seen["rows"],
    );
    assert!(frames.len() > 10, "{what}: hardly a frame was drawn");
    assert!(
        seen["rows"].as_u64().is_some_and(|rows| (1..=ROWS).contains(&rows)),
        "{what}: rows in the document: {}",
        seen["rows"]
    );
    assert!(at(0.5) < MILLISECONDS, "{what}: half of the frames took {:.0} ms or more", at(0.5));
    Ok(())
}

/// Scrolls through a list and searches it.
async fn goes_through(
    page: &Page,
    grid: &str,
    search: &str,
    last: &str,
    searched: &str,
    found: &str,
) -> Result<(), Trouble> {
    page.run(WATCH, Vec::new()).await?;
    page.ask(SCROLL, vec![json!(grid)]).await?;
    page.sees(last).await?;
    judge(page, &format!("{grid}, scrolled from first to last")).await?;

    page.click("searchbox", search).await?;
    page.run(WATCH, Vec::new()).await?;
    for letter in searched.chars() {
        page.types(&letter.to_string()).await?;
    }
    page.sees(found).await?;
    judge(page, &format!("{grid}, searched for \"{searched}\"")).await
}

#[tokio::test]
async fn ten_thousand_devices_and_two_thousand_credentials_are_drawn_a_screenful_at_a_time() -> Result<(), Trouble> {
    let place = Place::new()?;
    let keywheel = place.keywheel()?;
    let preview = keywheel.preview_import(csv()).await?;
    assert_eq!(
        (preview.new.len(), preview.bad.len()),
        (DEVICES, BAD),
        "the file's bad rows are told from the good ones"
    );
    keywheel.import_devices(csv(), preview).await?;
    add_credentials(&keywheel)?;
    let window = place.open().await?;

    window.link("Devices").await?;
    window.sees("10,000 devices").await?;
    let all = "const begun = performance.now();
         find('checkbox', 'Select all shown').click();
         requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));";
    let took = window.ask(all, Vec::new()).await?;
    window.sees("10,000 devices selected").await?;
    println!("Devices, \"Select all shown\": {:.0} ms until it was drawn", took.as_f64().unwrap_or(f64::NAN));
    window.button("Clear the selection").await?;
    goes_through(&window, "Devices", "Search devices", "host-09999", "host-0777", "10 of 10,000 devices").await?;

    window.link("Credentials").await?;
    window.sees("2,000").await?;
    goes_through(&window, "Credentials", "Search credentials", "key-2000", "key-077", "10 of 2,000").await?;
    window.close().await
}
