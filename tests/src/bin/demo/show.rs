//! The demo itself: set up, check, change, prove.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::SystemClock;
use keywheel_core::credential::{NewCredential, NewSecret};
use keywheel_core::key::{Algorithm, PrivateKey, PublicKey};
use keywheel_core::rotation::decide::Outcome;
use keywheel_core::rotation::{ConnectWith, Finished, Rotate};
use keywheel_core::vault::OsKeyring;
use keywheel_fleet::keyring::PrivateKeyring;
use keywheel_fleet::{Trouble, watch};
use similar::TextDiff;

use crate::devices::{self, ACCOUNT, Device};
use crate::screen::{Paint, Screen};
use crate::track::Track;

pub(crate) const CREDENTIAL: &str = "deploy";
/// The device whose file is shown.
const SHOWN: &str = "web-2";
const FRAME: Duration = Duration::from_millis(60);

/// Whether the demo showed what it is there to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Every device accepts the new key and refuses the old one.
    Changed,
    /// Not so.
    NotChanged,
}

/// Shows a key change on five devices, with everything in this folder. What runs ends with this future.
pub(crate) async fn demo(folder: &Path, screen: &mut Screen) -> Result<Shown, Trouble> {
    screen
        .line(&screen.paint(Paint::Strong, "Keywheel: one key on five devices, changed without locking anyone out"))?;
    screen.line("")?;
    screen.line("  Everything here is thrown away at the end: a data directory, a keyring of its own (a private")?;
    screen.line("  D-Bus session with gnome-keyring), five SSH servers on 127.0.0.1 with real files and a real sh.")?;
    screen.line(&format!("  All of it lies in {}", folder.display()))?;
    let place = folder.to_owned();
    let keyring = tokio::task::spawn_blocking(move || PrivateKeyring::start(&place)).await??;
    let vault = Arc::new(OsKeyring::open_at(&keyring.address()));
    let keywheel = Keywheel::open(&folder.join("data"), vault, Arc::new(SystemClock), Actor::named("demo"))?;
    let devices = devices::start(folder).await?;
    let old = set_up(&keywheel, &devices).await?;

    screen.heading("Devices", "keywheel device list")?;
    for (number, device) in (1..).zip(&devices) {
        let about = screen.paint(Paint::Quiet, device.about);
        screen.line(&format!("  {number}  {:<10} 127.0.0.1:{:<7} {about}", device.name, device.server.port()))?;
    }
    screen.line(&format!("\n  Credential \"{CREDENTIAL}\": Ed25519, {}", old.fingerprint()))?;
    screen.line("  Its private key is in the keyring and nowhere else; its public key stands on all five devices.")?;

    check(&keywheel, screen).await?;
    let before = files(&devices)?;
    let begun = Instant::now();
    let finished = change(&keywheel, &devices, screen).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let shown = prove(&keywheel, &devices, &before, &old, screen).await?;
    keep_account(&keyring, screen)?;
    for device in &finished.devices {
        if let Some(error) = &device.error {
            let text = format!("{}: {} {}", device.device, error.message, error.hint);
            screen.line(&format!("  {}", screen.paint(Paint::Danger, &text)))?;
        }
    }
    screen.line("")?;
    let all = devices.len();
    if finished.outcome == Outcome::Changed && shown == all {
        let mark = screen.paint(Paint::Good, "✓");
        screen.line(&format!(
            "{mark} {shown} of {all} devices accept the new key and refuse the old one; no other byte changed; {seconds:.1} s."
        ))?;
        return Ok(Shown::Changed);
    }
    let text = format!("✗ The change ended {}; proven on {shown} of {all} devices.", finished.outcome);
    screen.line(&screen.paint(Paint::Danger, &text))?;
    Ok(Shown::NotChanged)
}

/// Adds the devices and a credential, and puts its public key on all of them.
pub(crate) async fn set_up(keywheel: &Keywheel, devices: &[Device]) -> Result<PublicKey, Trouble> {
    let mut ids = Vec::new();
    for device in devices {
        ids.push(device.add_to(keywheel).await?);
    }
    let original = ids.first().copied().ok_or("there is no device")?;
    let key = PrivateKey::generate(Algorithm::Ed25519, CREDENTIAL)?;
    let mut new = NewCredential::new(CREDENTIAL, ACCOUNT, original, NewSecret::Generated(key));
    new.devices = ids;
    let credential = keywheel.add_credential(new).await?;
    let public = credential.current_key().ok_or("the credential has no key")?.public_key.clone();
    for device in devices {
        device.put_key(&public)?;
    }
    Ok(public)
}

async fn check(keywheel: &Keywheel, screen: &mut Screen) -> Result<(), Trouble> {
    screen.heading("Check", &format!("keywheel check {CREDENTIAL}"))?;
    for finding in keywheel.check(CREDENTIAL, &ConnectWith::AsStored).await? {
        let state = match finding.ready {
            true => screen.paint(Paint::Good, "✓ ready    "),
            false => screen.paint(Paint::Danger, "✗ not ready"),
        };
        let lines = finding.old_key_lines;
        let way = finding.method.as_deref().unwrap_or("no way");
        let about = format!("by {way}, the key on {lines} line{}", if lines == 1 { "" } else { "s" });
        screen.line(&format!("  {:<10} {state}  {}", finding.device, screen.paint(Paint::Quiet, &about)))?;
        for problem in finding.problems.iter().chain(&finding.warnings) {
            screen.line(&format!("    {} {}", problem.message, problem.hint))?;
        }
    }
    Ok(())
}

async fn change(keywheel: &Keywheel, devices: &[Device], screen: &mut Screen) -> Result<Finished, Trouble> {
    screen.heading("Key change", &format!("keywheel rotate {CREDENTIAL}"))?;
    let (watch, mut watching) = watch();
    let request = Rotate { credential: CREDENTIAL.to_owned(), ..Rotate::default() };
    let mut running = std::pin::pin!(keywheel.rotate(&request, watch));
    let mut track = Track::new(devices.iter().map(|device| device.name));
    let mut frames = tokio::time::interval(FRAME);
    let finished = loop {
        let finished = tokio::select! {
            finished = &mut running => Some(finished?),
            Some(event) = watching.events.recv() => {
                tell(&mut track, &event, screen)?;
                None
            }
            _ = frames.tick(), if screen.is_live() => None,
        };
        if screen.is_live() {
            screen.draw(&track.lines(screen))?;
        }
        if let Some(finished) = finished {
            break finished;
        }
    };
    for event in watching.drain() {
        tell(&mut track, &event, screen)?;
    }
    if screen.is_live() {
        screen.draw(&track.lines(screen))?;
    }
    screen.keep()?;
    Ok(finished)
}

fn tell(track: &mut Track, event: &keywheel_core::rotation::event::Event, screen: &mut Screen) -> Result<(), Trouble> {
    match track.take(event) {
        Some(line) if !screen.is_live() => Ok(screen.line(&line)?),
        _ => Ok(()),
    }
}

/// Asks every device anew, compares its file, and gives how many are as they should be.
async fn prove(
    keywheel: &Keywheel,
    devices: &[Device],
    before: &BTreeMap<&str, String>,
    old: &PublicKey,
    screen: &mut Screen,
) -> Result<usize, Trouble> {
    let credential = keywheel.find_credential(CREDENTIAL).await?;
    let new = credential.current_key().ok_or("the credential has no key")?.public_key.clone();
    let after = files(devices)?;
    screen.heading("Proof, asked anew of each device", &format!("keywheel credential accepts {CREDENTIAL}"))?;
    screen
        .line(&format!("  {:<10} {:<18} {:<18} {}", "device", "the old key", "the new key", "the rest of the file"))?;
    let mut shown = 0;
    for accepts in keywheel.accepts(CREDENTIAL).await? {
        let said = |key: &PublicKey| {
            let version = accepts.versions.iter().find(|version| version.fingerprint == key.fingerprint());
            version.map_or("unknown", |version| version.answer.as_str()).to_owned()
        };
        let (of_old, of_new) = (said(old), said(&new));
        let name = accepts.device.as_str();
        let kept = same_but_for_the_key(before.get(name), after.get(name), old, &new);
        shown += usize::from(of_old == "refused" && of_new == "accepted" && kept);
        let cell = |good: bool, text: &str| {
            let (paint, mark) = if good { (Paint::Good, "✓") } else { (Paint::Danger, "✗") };
            format!("{} {text:<16}", screen.paint(paint, mark))
        };
        let (refused, accepted) = (cell(of_old == "refused", &of_old), cell(of_new == "accepted", &of_new));
        let rest = cell(kept, if kept { "as before, to the byte" } else { "changed" });
        screen.line(&format!("  {name:<10} {refused} {accepted} {}", rest.trim_end()))?;
        if let Some(error) = accepts.error {
            screen.line(&format!("    {} {}", error.message, error.hint))?;
        }
    }
    screen.heading(&format!("authorized_keys of {SHOWN}, before and after"), "keys shortened")?;
    if let (Some(before), Some(after)) = (before.get(SHOWN), after.get(SHOWN)) {
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        let diff = diff.unified_diff().context_radius(3).header("before", "after").to_string();
        for line in diff.lines() {
            let text = shortened(line);
            let text = match line.chars().next() {
                Some('+') => screen.paint(Paint::Good, &text),
                Some('-') => screen.paint(Paint::Danger, &text),
                Some('@') => screen.paint(Paint::Accent, &text),
                _ => text,
            };
            screen.line(&format!("  {text}"))?;
        }
    }
    Ok(shown)
}

/// Says what the keyring holds now.
fn keep_account(keyring: &PrivateKeyring, screen: &mut Screen) -> Result<(), Trouble> {
    let items = keyring.items()?.len();
    screen.line("")?;
    Ok(screen.line(&match items {
        2 => "  The keyring holds both keys: the old one for as long as the change can be undone.".to_owned(),
        items => format!("  The keyring holds {items} of the two keys."),
    })?)
}

fn files(devices: &[Device]) -> Result<BTreeMap<&'static str, String>, Trouble> {
    let mut files = BTreeMap::new();
    for device in devices {
        files.insert(device.name, String::from_utf8(device.server.authorized_keys()?)?);
    }
    Ok(files)
}

/// Whether a file differs by the key itself and by nothing else: options, comment, order and line ends stay.
fn same_but_for_the_key(before: Option<&String>, after: Option<&String>, old: &PublicKey, new: &PublicKey) -> bool {
    let body = |key: &PublicKey| key.to_openssh().split(' ').nth(1).map(str::to_owned);
    let (Some(before), Some(after), Some(old), Some(new)) = (before, after, body(old), body(new)) else { return false };
    before.contains(&old) && before.replace(&old, &new) == *after
}

/// Shortens the keys of a line: their beginnings are all alike.
fn shortened(line: &str) -> String {
    let word = |word: &str| match word.strip_prefix("AAAA") {
        Some(rest) if rest.len() > 40 => format!("AAAA…{}", rest.get(rest.len() - 12..).unwrap_or_default()),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
