//! Keys from the clipboard: what can't be taken is refused with its reason where the key would stand.

use std::path::Path;
use std::process::Command;

use arboard::Clipboard;
use keywheel_fleet::window::Place;
use keywheel_fleet::{Client, Trouble};

const PASSPHRASE: &str = "open sesame";

/// A DSA key's frame: newer versions of ssh-keygen make none, and what it is stands in the first line.
const DSA: &str = "-----BEGIN DSA PRIVATE KEY-----\nMIIBuwIBAAKBgQD8\n-----END DSA PRIVATE KEY-----\n";

const PUTTY: &str = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: mine\nPublic-Lines: 2\n";

fn keygen(file: &Path, arguments: &[&str]) -> Result<String, Trouble> {
    let done = Command::new("ssh-keygen").arg("-q").args(arguments).arg("-f").arg(file).status()?;
    assert!(done.success(), "ssh-keygen {arguments:?} failed");
    Ok(std::fs::read_to_string(file)?)
}

#[tokio::test]
async fn a_pasted_key_that_can_not_be_taken_is_refused_with_its_reason() -> Result<(), Trouble> {
    let place = Place::on_this_display()?;
    let short = keygen(&place.path().join("short"), &["-t", "rsa", "-b", "1024", "-N", ""])?;
    let encrypted = keygen(&place.path().join("encrypted"), &["-t", "ed25519", "-N", PASSPHRASE, "-C", "from-paste"])?;
    let public = Client::new()?.key("other", "ed25519")?.public;
    // What is copied lives as long as this does.
    let mut clipboard = Clipboard::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    window.run("window.location.hash = '#/credentials/new';", Vec::new()).await?;
    window.click("tab", "Key").await?;

    for (text, says, hint) in [
        (
            "\u{0}\u{fffd} not a key {count} <img src=x>".repeat(200),
            "The file holds no private key.",
            "Choose a private key",
        ),
        (public, "The file holds a public key, not a private key.", "Choose the private half"),
        (PUTTY.to_owned(), "The file is a PuTTY key file.", "export it as OpenSSH"),
        (DSA.to_owned(), "The key is a DSA key.", "no longer accepted"),
        (short, "The RSA key has only 1024 bits.", "not safe"),
        (encrypted[..encrypted.len() / 2].to_owned(), "The key file is damaged.", "Use another copy"),
    ] {
        clipboard.set_text(text)?;
        window.button("Paste from clipboard").await?;
        window.sees(says).await?;
        window.sees(hint).await?;
        assert!(!window.has("button", "Discard this key").await?, "{says}: nothing is to be kept of it");
    }

    clipboard.set_text(encrypted.replace('\n', "\r\n"))?;
    window.button("Paste from clipboard").await?;
    window.sees("The pasted key is encrypted").await?;
    window.fill("Passphrase", "open wheat").await?;
    window.button("Unlock").await?;
    window.sees("The passphrase does not open the key file").await?;
    let described = "const it = find('textbox', 'Passphrase');
         const about = document.getElementById((it.getAttribute('aria-describedby') ?? '').split(' ').at(-1));
         return it.getAttribute('aria-invalid') === 'true' && (about?.innerText.includes('does not open') ?? false);";
    assert_eq!(window.run(described, Vec::new()).await?, true, "the refusal does not stand at its field");
    window.fill("Passphrase", PASSPHRASE).await?;
    window.button("Unlock").await?;
    window.sees("This key is stored when you save").await?;
    window.sees("from-paste").await?;
    let kept = window.run("return [document.documentElement.outerHTML, ...[...document.querySelectorAll('input')].map((it) => it.value)].join();", Vec::new()).await?;
    let kept = kept.as_str().unwrap_or_default();
    assert!(!kept.contains(PASSPHRASE) && !kept.contains("PRIVATE KEY"), "the page holds a secret");
    window.close().await
}
