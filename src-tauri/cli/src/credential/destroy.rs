//! `keywheel credential destroy`, and destroying what is due.

use keywheel_core::Keywheel;
use keywheel_core::catalogue::CredentialId;
use keywheel_core::rotation::Destroy;

use crate::error::Failure;
use crate::output::Form;
use crate::prompt;
use crate::shell::Shell;

pub(super) async fn destroy(
    shell: &Shell,
    keywheel: &Keywheel,
    name: &str,
    version: u32,
    give_up: Vec<String>,
) -> Result<(), Failure> {
    let found = keywheel.find_credential(name).await?;
    let mut question = format!(
        "Destroy the private key of \"{}\", version {version}? A change can no longer be undone to it.",
        found.name
    );
    if !give_up.is_empty() {
        question.push_str(&format!(" Where {} accepts no other key, nobody can log in any more.", give_up.join(", ")));
    }
    prompt::confirm_name(shell, &question, &found.name)?;
    keywheel.destroy_version(&Destroy { credential: found.id, version, give_up }).await?;
    if shell.output().form() == Form::Json {
        shell.output().json(&serde_json::json!({ "credential": found.name, "destroyed": version }));
    }
    shell.output().message(&format!("The private key of \"{}\", version {version}, is destroyed.", found.name));
    Ok(())
}

/// Destroys the retired keys of a credential whose time has come. What came of a change does not depend on it.
pub(crate) async fn destroy_due(shell: &Shell, keywheel: &Keywheel, credential: CredentialId) {
    let ended = match keywheel.destroy_due(credential).await {
        Ok(ended) => ended,
        Err(error) => {
            shell.output().message(&format!("note: Retired keys are kept for now. {error}"));
            return;
        }
    };
    for key in ended {
        let what = format!("private key of \"{}\", version {}", key.credential, key.version);
        if key.held_by.is_empty() {
            shell.output().message(&format!("The retired {what}, is destroyed."));
            continue;
        }
        for held in &key.held_by {
            shell.output().message(&format!("note: The retired {what}, is kept. {}", held.reason.message));
        }
    }
}
