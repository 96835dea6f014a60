//! `keywheel credential`.

mod destroy;
mod edit;
mod history;
mod secret;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use keywheel_core::Keywheel;
use keywheel_core::catalogue::{DeviceId, PersonId, PolicyId};
use keywheel_core::credential::{AuthenticationView, Automatic, CredentialView, NewCredential, NewSecret};
use keywheel_core::rotation::accepts::Accepts;

pub(crate) use self::destroy::destroy_due;
use crate::device::{Status, credential_id};
use crate::error::{Ending, Failure};
use crate::output::{Form, fields, list, or_dash, time};
use crate::prompt;
use crate::shell::Shell;

/// What is to be done with credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Add a credential: a new key, a key from a file, or a password
    #[command(after_help = "Examples:
  keywheel credential add --name deploy --username deploy --original-device web-1 --import ~/.ssh/id_ed25519
  keywheel credential add --name deploy --username deploy --original-device web-1 --device web-2 --generate
  pass show admin | keywheel credential add --name admin --username admin --original-device web-1 \\
      --kind password --password-stdin")]
    Add(Box<AddCredential>),
    /// List credentials
    List,
    /// Show a credential
    Show {
        /// The credential's name
        name: String,
    },
    /// Change a credential's fields; what is left out stays
    #[command(after_help = "Examples:
  keywheel credential edit deploy --status disabled
  keywheel credential edit deploy --device web-1 --device web-2     (all its devices)
  keywheel credential edit deploy --owner ''                        (nobody)")]
    Edit(Box<EditCredentialArguments>),
    /// Remove a credential, and destroy its secrets in the keyring
    Remove {
        /// The credential's name
        name: String,
        #[command(flatten)]
        standing: StandingArguments,
    },
    /// Print the current public key
    PublicKey {
        /// The credential's name
        name: String,
    },
    /// List the key versions and changes of a credential
    History {
        /// The credential's name
        name: String,
    },
    /// Write the private key to a new file with mode 0600
    #[command(after_help = "Asks for the credential's name. The file is encrypted where a passphrase is given.

Example:
  keywheel credential reveal deploy --out deploy.key")]
    Reveal {
        /// The credential's name
        name: String,
        /// The file; one that exists is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Read the passphrase to encrypt it with from standard input
        #[arg(long)]
        passphrase_stdin: bool,
    },
    /// Destroy the private half of a retired key version before its time
    #[command(
        after_help = "Asks for the credential's name. The key goes only when every device on which it ever stood accepts a
newer one by a login and refuses this one, when asked once more; a device that is gone for good is given up by its name.
Keys whose days of undo are over go by themselves.

Examples:
  keywheel credential destroy deploy --key-version 1
  keywheel credential destroy deploy --key-version 1 --give-up web-7

Exit status: 0 its private half is gone; 1 it is kept, because something may still need it."
    )]
    Destroy {
        /// The credential's name
        name: String,
        /// The version
        #[arg(long, value_name = "VERSION")]
        key_version: u32,
        /// A device that no longer holds it up, by name or number; can be given several times
        #[arg(long, value_name = "DEVICE")]
        give_up: Vec<String>,
    },
    /// Ask each device which key versions it accepts now
    Accepts {
        /// The credential's name
        name: String,
    },
}

/// The options of `credential add`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("secret").args(["generate", "import", "password_stdin"]))]
#[command(group = ArgGroup::new("way").args(["use_itself", "auth_with"]))]
pub(crate) struct AddCredential {
    /// The credential's name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The account on the devices
    #[arg(long, value_name = "USERNAME")]
    username: String,
    /// The device it is created for, always changed first
    #[arg(long, value_name = "DEVICE")]
    original_device: String,
    /// Another device; can be given several times
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
    /// The person responsible
    #[arg(long, value_name = "PERSON")]
    owner: Option<String>,
    /// A tag; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// When and how its key changes by itself
    #[arg(long, value_name = "POLICY", default_value = "Standard")]
    policy: String,
    /// What kind of secret it is [default: ssh-key, or password with --password-stdin]
    #[arg(long, value_name = "KIND")]
    kind: Option<KindArgument>,
    /// The algorithm of the new key [default: ed25519]
    #[arg(long, value_name = "ALGORITHM", value_parser = ALGORITHMS, conflicts_with_all = ["import", "password_stdin"])]
    algorithm: Option<String>,
    /// Generate a new key
    #[arg(long)]
    generate: bool,
    /// Take a private key from a file, which stays where it is
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Read the passphrase of that file from standard input
    #[arg(long, requires = "import", conflicts_with_all = ["generate", "password_stdin"])]
    passphrase_stdin: bool,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Change the key by itself, when the policy says so
    #[arg(long)]
    automatic_change: bool,
    /// Connect with the key itself for that
    #[arg(long)]
    use_itself: bool,
    /// Connect with another credential for that
    #[arg(long, value_name = "CREDENTIAL")]
    auth_with: Option<String>,
}

/// The options of `credential edit`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("edited_way").args(["use_itself", "auth_with"]))]
pub(crate) struct EditCredentialArguments {
    /// The credential's name
    #[arg(value_name = "NAME")]
    credential: String,
    /// The new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The account on the devices; fixed once the key stands on one
    #[arg(long, value_name = "USERNAME")]
    username: Option<String>,
    /// The device that is always changed first
    #[arg(long, value_name = "DEVICE")]
    original_device: Option<String>,
    /// All its devices; can be given several times
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Option<Vec<String>>,
    /// The person responsible; empty: nobody
    #[arg(long, value_name = "PERSON")]
    owner: Option<String>,
    /// All its tags; can be given several times; empty: none
    #[arg(long = "tag", value_name = "TAG")]
    tags: Option<Vec<String>>,
    /// When and how its key changes by itself
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Whether it is changed and used to authenticate
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Read another password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Change the key by itself, when the policy says so
    #[arg(long, conflicts_with = "no_automatic_change")]
    automatic_change: bool,
    /// Change the key on request only
    #[arg(long)]
    no_automatic_change: bool,
    /// Connect with the key itself for automatic changes
    #[arg(long)]
    use_itself: bool,
    /// Connect with another credential for automatic changes
    #[arg(long, value_name = "CREDENTIAL")]
    auth_with: Option<String>,
    #[command(flatten)]
    standing: StandingArguments,
}

/// What happens with the key on devices that are taken away.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StandingArguments {
    /// Take the public key off devices that are no longer the credential's, without asking
    #[arg(long, conflicts_with = "leave_keys")]
    uninstall: bool,
    /// Leave the public key on devices that are no longer the credential's, without asking
    #[arg(long)]
    leave_keys: bool,
}

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArgument {
    /// A key pair
    SshKey,
    /// A password, to authenticate with
    Password,
}

/// The names of the algorithms that keys are made for, the default first.
pub(crate) const ALGORITHMS: [&str; 7] =
    ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096"];

pub(crate) async fn run(shell: &Shell, command: CredentialCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        CredentialCommand::Add(arguments) => add(shell, &keywheel, *arguments).await?,
        CredentialCommand::List => {
            let credentials = keywheel.credential_views().await?;
            let header = [
                "name",
                "kind",
                "username",
                "owner",
                "original device",
                "devices",
                "algorithm",
                "next change",
                "state",
            ];
            let empty = "There are no credentials yet. Add one with `keywheel credential add`.";
            shell.output().table(&credentials, &header, row, empty);
        }
        CredentialCommand::Show { name } => {
            let found = keywheel.find_credential(&name).await?;
            shell.output().item(&keywheel.credential_view(found.id).await?, text);
        }
        CredentialCommand::Edit(arguments) => return edit::edit(shell, &keywheel, *arguments).await,
        CredentialCommand::Remove { name, standing } => {
            return edit::remove(shell, &keywheel, &name, standing).await;
        }
        CredentialCommand::PublicKey { name } => public_key(shell, &keywheel, &name).await?,
        CredentialCommand::History { name } => history::history(shell, &keywheel, &name).await?,
        CredentialCommand::Reveal { name, out, passphrase_stdin } => {
            let found = keywheel.find_credential(&name).await?;
            let question = format!("Write the private key of \"{}\" to {}?", found.name, out.display());
            let passphrase = if passphrase_stdin { Some(prompt::secret_from_stdin()?) } else { None };
            prompt::confirm_name(shell, &question, &found.name)?;
            keywheel.reveal_key(found.id, &out, passphrase).await?;
            let done = serde_json::json!({ "file": out.display().to_string(), "encrypted": passphrase_stdin });
            if shell.output().form() == Form::Json {
                shell.output().json(&done);
            }
            shell.output().message(&format!("The private key of \"{}\" is in {}.", found.name, out.display()));
        }
        CredentialCommand::Destroy { name, key_version, give_up } => {
            destroy::destroy(shell, &keywheel, &name, key_version, give_up).await?;
        }
        CredentialCommand::Accepts { name } => return accepts(shell, &keywheel, &name).await,
    }
    Ok(Ending::Done)
}

async fn add(shell: &Shell, keywheel: &Keywheel, arguments: AddCredential) -> Result<(), Failure> {
    // All that is named must be known before a key is made or a secret asked for.
    let original_device = keywheel.find_device(&arguments.original_device).await?.id;
    let devices = device_ids(keywheel, &arguments.devices).await?;
    let owner = person_id(keywheel, arguments.owner.clone()).await?;
    let policy = policy_id(keywheel, &arguments.policy).await?;
    let automatic = Automatic {
        change: arguments.automatic_change,
        use_itself: arguments.use_itself,
        auth_with: credential_id(keywheel, arguments.auth_with.clone()).await?,
    };
    let secret = secret::new(&arguments).await?;
    let imported = match &secret {
        NewSecret::Imported { key, .. } => Some(key.public_key().fingerprint()),
        _ => None,
    };
    let new = NewCredential {
        devices,
        owner,
        tags: arguments.tags,
        automatic,
        policy: Some(policy),
        ..NewCredential::new(arguments.name, arguments.username, original_device, secret)
    };
    let added = keywheel.add_credential(new).await?;
    let view = keywheel.credential_view(added.id).await?;
    shell.output().item(&view, text);
    shell.output().message(&format!("The credential \"{}\" is added.", view.name));
    if let Some(fingerprint) = imported {
        let others = keywheel.others_with_key(fingerprint, Some(added.id)).await?;
        if !others.is_empty() {
            let others = others.join("\", \"");
            shell.output().message(&format!(
                "warning: \"{others}\" has the same key; a change of one will not change the other."
            ));
        }
        shell.output().message("The file stays where it is, and stops working at the first change.");
    }
    Ok(())
}

async fn public_key(shell: &Shell, keywheel: &Keywheel, name: &str) -> Result<(), Failure> {
    let found = keywheel.find_credential(name).await?;
    let Some(current) = found.current_key() else {
        return Err(keywheel_core::Error::from(keywheel_core::catalogue::CatalogueError::NoSecret {
            credential: found.name,
            secret: "key",
        })
        .into());
    };
    let line = current.public_key.to_openssh();
    let value = serde_json::json!({ "public_key": line, "fingerprint": current.fingerprint().to_string() });
    shell.output().item(&value, |_| line);
    Ok(())
}

async fn accepts(shell: &Shell, keywheel: &Keywheel, name: &str) -> Result<Ending, Failure> {
    let answers = keywheel.accepts(name).await?;
    for answer in &answers {
        shell.output().item(answer, accepts_text);
    }
    // A device that could not be asked is an answer that is missing.
    let all_asked = answers.iter().all(|answer| answer.error.is_none());
    Ok(if all_asked { Ending::Done } else { Ending::NotDone })
}

/// What a device accepts now, or accepted when it was last asked.
pub(crate) fn accepts_text(answer: &Accepts) -> String {
    use keywheel_core::journal::Proof;
    let mut text = format!("{}:\n", answer.device);
    for version in &answer.versions {
        let by = match (version.by, version.answer.as_str(), &version.last) {
            (Some(Proof::Login), ..) => "by a login".to_owned(),
            (Some(Proof::Question), "accepted", _) => "asked only: would be offered".to_owned(),
            (Some(Proof::Question), ..) => "asked only".to_owned(),
            (None, _, Some(last)) => {
                let answer = if last.accepted { "accepted" } else { "refused" };
                format!("not asked; {answer} at {}", time(&last.at))
            }
            (None, _, None) => "not asked".to_owned(),
        };
        let line = format!("  version {} {}: {} ({by})\n", version.version, version.fingerprint, version.answer);
        text.push_str(&line);
    }
    if let Some(error) = &answer.error {
        text.push_str(&crate::check::reported("problem", error));
    }
    crate::output::printable(&text)
}

async fn device_ids(keywheel: &Keywheel, names: &[String]) -> Result<Vec<DeviceId>, Failure> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(keywheel.find_device(name).await?.id);
    }
    Ok(ids)
}

async fn person_id(keywheel: &Keywheel, name: Option<String>) -> Result<Option<PersonId>, Failure> {
    Ok(match name {
        Some(name) => Some(keywheel.find_person(&name).await?.id),
        None => None,
    })
}

async fn policy_id(keywheel: &Keywheel, name: &str) -> Result<PolicyId, Failure> {
    Ok(keywheel.find_policy(name).await?.id)
}

fn row(credential: &CredentialView) -> Vec<String> {
    vec![
        credential.name.clone(),
        credential.kind.to_string(),
        credential.username.clone(),
        or_dash(credential.owner.as_ref()),
        credential.original_device.clone(),
        credential.devices.len().to_string(),
        or_dash(credential.algorithm.as_ref()),
        next_change(credential),
        credential.state.to_string(),
    ]
}

fn next_change(credential: &CredentialView) -> String {
    credential.next_change.as_deref().map_or_else(|| "-".to_owned(), time)
}

/// When it changes next and why: "2027-06-01 09:00:00Z, 90 days after 2027-03-03 09:00:00Z".
fn next_change_with_reason(credential: &CredentialView) -> String {
    let Some(reason) = &credential.next_change_reason else { return next_change(credential) };
    let allowed = if credential.next_change == credential.next_change_due { "" } else { ", next allowed hour" };
    format!("{}, {}{allowed}", next_change(credential), crate::policy::reason(reason))
}

fn text(credential: &CredentialView) -> String {
    let automatic = match (&credential.authentication, credential.automatic_change) {
        (_, false) => "no, on request only".to_owned(),
        (AuthenticationView::Itself, true) => "yes, with the key itself".to_owned(),
        (AuthenticationView::Credential(name), true) => format!("yes, with {name}"),
    };
    let mut rows = vec![
        ("name", credential.name.clone()),
        ("kind", credential.kind.to_string()),
        ("username", credential.username.clone()),
        ("owner", or_dash(credential.owner.as_ref())),
        ("devices", format!("{} (in the order of change)", list(&credential.devices))),
        ("tags", list(&credential.tags)),
        ("status", credential.status.to_owned()),
    ];
    if let Some(public_key) = &credential.public_key {
        rows.extend([
            ("algorithm", or_dash(credential.algorithm.as_ref())),
            ("fingerprint", or_dash(credential.fingerprint.as_ref())),
            ("public key", public_key.clone()),
            ("automatic change", automatic),
            ("policy", credential.policy.clone()),
            ("next change", next_change_with_reason(credential)),
        ]);
    }
    rows.push(("state", credential.state.to_string()));
    if let Some(file) = &credential.imported_from {
        rows.push(("imported from", file.clone()));
    }
    fields(&rows)
}

#[cfg(test)]
mod tests {
    use keywheel_core::key::Algorithm;

    use super::*;

    #[test]
    fn every_algorithm_that_can_be_generated_has_its_name_here() {
        assert_eq!(Algorithm::GENERATED.map(|algorithm| algorithm.to_string()), ALGORITHMS);
    }
}
