//! What is different where a key is compromised: the question before, what is told after, and letting the old key go.

use keywheel_core::Keywheel;
use keywheel_core::rotation::changes::ChangeDetails;
use keywheel_core::rotation::{Destroyed, OtherKey, Patience};

use super::signals::Stop;
use crate::error::Failure;
use crate::prompt;
use crate::shell::Shell;

/// Asks for the credential's name, and says how the change differs from any other.
pub(super) fn confirm(shell: &Shell, credential: &str) -> Result<(), Failure> {
    let question = format!(
        "Change the key of \"{credential}\" because it is compromised? Devices that fail are passed over, nothing is put \
         back, and there is no undo. Sessions that are open stay open."
    );
    prompt::confirm_name(shell, &question, credential)
}

/// What is told at the end of an emergency: whose keys are left in the files, and that sessions survive.
pub(crate) fn aftermath(details: &ChangeDetails) -> String {
    let mut text = String::new();
    for record in &details.records {
        if let Some(others) = record.other_keys.as_ref().filter(|others| !others.keys.is_empty()) {
            text.push_str(&other_keys(&record.device, &others.keys));
        }
    }
    if !text.is_empty() {
        text.insert_str(0, "Other keys in the files; take out those that you do not know:\n");
    }
    text.push_str("Sessions that were opened with the old key are still open; end them on the devices.\n");
    text
}

/// The lines of a device that let other keys in.
pub(crate) fn other_keys(device: &str, keys: &[OtherKey]) -> String {
    let mut text = format!("  {device}:\n");
    for key in keys {
        let authority = if key.certificate_authority { "certificate authority" } else { "" };
        let said = [key.key_type.as_str(), key.fingerprint.as_str(), &key.comment, &key.options, authority];
        let said: Vec<&str> = said.into_iter().filter(|word| !word.is_empty()).collect();
        text.push_str(&format!("    {}:{} {}\n", key.file, key.line, said.join(" ")));
    }
    text
}

/// Destroys the compromised keys that every device refuses by now. What fails here is told, and changes nothing of how the
/// command ends: the key is tried again the next time.
pub(super) async fn let_go(shell: &Shell, keywheel: &Keywheel, patience: Patience, stop: &Stop) {
    let stop = stop.asked();
    let mut done = keywheel.destroy_compromised(Patience::Leaves, &stop).await;
    let early = |done: &[Destroyed]| done.iter().flat_map(|one| &one.held_by).any(|held| held.device.is_none());
    if patience == Patience::Waits && done.as_ref().is_ok_and(|done| early(done)) {
        shell.output().message(
            "The compromised key is destroyed in a minute, once every device has refused it again. Ctrl+C leaves it to the \
             next time.",
        );
        done = keywheel.destroy_compromised(patience, &stop).await;
    }
    match done {
        Ok(done) => done.iter().for_each(|one| tell(shell, one)),
        Err(error) => shell.tell(&error),
    }
}

/// [`let_go`] where nothing else is to be done.
pub(crate) async fn let_go_now(shell: &Shell, keywheel: &Keywheel) {
    let_go(shell, keywheel, Patience::Waits, &Stop::on_signals()).await;
}

fn tell(shell: &Shell, one: &Destroyed) {
    let key = format!("The compromised key of \"{}\", version {},", one.credential, one.version);
    if one.held_by.is_empty() {
        shell.output().message(&format!("{key} is destroyed."));
        return;
    }
    shell.output().message(&format!("{key} is kept for now:"));
    for held in &one.held_by {
        shell.output().message(&format!("  {}", held.reason.message));
        if let Some(device) = &held.device {
            let (credential, version) = (&one.credential, one.version);
            let command =
                format!("keywheel credential destroy {credential} --key-version {version} --give-up {device}");
            shell.output().message(&format!("    Where the device is gone for good: `{command}`."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_is_told_with_all_that_finds_it() {
        let key = OtherKey {
            file: "/home/deploy/.ssh/authorized_keys".to_owned(),
            line: 3,
            key_type: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg".parse().unwrap(),
            comment: "nobody@nowhere".to_owned(),
            options: "no-pty".to_owned(),
            certificate_authority: true,
        };
        assert_eq!(
            other_keys("web-1", &[key]),
            "  web-1:\n    /home/deploy/.ssh/authorized_keys:3 ssh-ed25519 \
             SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg nobody@nowhere no-pty certificate authority\n"
        );
    }
}
