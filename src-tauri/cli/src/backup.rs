//! `keywheel backup`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use keywheel_core::Keywheel;
use keywheel_core::backup::{
    BackupStanding, Comparison, Created, Identities, Lock, Opened, PreviewRow, Proof, RestorePreview, Restored, Target,
    Unlock,
};

use crate::error::{Ending, Failure, ShellError};
use crate::output::{fields, or_dash, time};
use crate::prompt;
use crate::shell::{Shell, read_file};

/// No file of identities is larger; a file given by mistake is not read whole.
const LARGEST_IDENTITIES: u64 = 64 * 1024;
/// So many names are told of each kind, then how many more there are.
const NAMES: usize = 20;

/// What is to be done with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write a backup: one sealed file with the catalogue, the audit and all secrets of the keyring
    #[command(
        after_help = "The file has the format of age (https://age-encryption.org). It is read back before this is done.

Example:
  keywheel backup create --out vault.age
  keywheel backup create --out vault.age --recipient age1…"
    )]
    Create {
        /// The file; one that exists is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Who can open it, instead of a passphrase: the public half of an age key; can be repeated
        #[arg(long = "recipient", value_name = "AGE1…")]
        recipients: Vec<String>,
        /// Read the passphrase from standard input
        #[arg(long, conflicts_with = "recipients")]
        passphrase_stdin: bool,
    },
    /// Restore a backup into an empty data directory, or bring what this vault lacks
    #[command(after_help = "What is here is never changed or overwritten. Devices are not contacted.

Exit status: 0 restored; 1 the backup can't be opened, and nothing is changed.

Example:
  keywheel backup restore vault.age --dry-run
  keywheel --data-dir ~/restored backup restore vault.age")]
    Restore {
        /// The backup
        file: PathBuf,
        /// Read the passphrase from standard input
        #[arg(long)]
        passphrase_stdin: bool,
        /// The file with the private half of an age key, for a backup that was made for recipients
        #[arg(long, value_name = "FILE", conflicts_with = "passphrase_stdin")]
        identity: Option<PathBuf>,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Say when the newest backup was made and what it lacks
    Status,
}

pub(crate) async fn run(shell: &Shell, command: BackupCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        BackupCommand::Create { out, recipients, passphrase_stdin } => {
            let lock = if !recipients.is_empty() {
                Lock::Recipients(recipients.join(" ").parse()?)
            } else if passphrase_stdin {
                Lock::Passphrase(prompt::secret_from_stdin()?)
            } else {
                Lock::Passphrase(prompt::new_secret("Passphrase for the backup", "--passphrase-stdin")?)
            };
            let created = keywheel.create_backup(&out, lock).await?;
            for credential in &created.missing {
                shell.output().message(&format!(
                    "warning: The keyring does not hold the current secret of \"{credential}\", so the backup does not either."
                ));
            }
            shell.output().item(&created, told_of_created);
        }
        BackupCommand::Restore { file, passphrase_stdin, identity, dry_run } => {
            let opened = open(&keywheel, &file, passphrase_stdin, identity.as_deref()).await?;
            if dry_run {
                shell.output().item(opened.preview(), told_of_preview);
                return Ok(Ending::Done);
            }
            shell.output().message(told_of_preview(opened.preview()).trim_end());
            prompt::confirm(shell, "Restore this backup?")?;
            let restored = keywheel.restore_backup(opened).await?;
            shell.output().item(&restored, told_of_restored);
        }
        BackupCommand::Status => {
            let standing = keywheel.backup_standing().await?;
            shell.output().item(&standing, told_of_standing);
        }
    }
    Ok(Ending::Done)
}

async fn open(
    keywheel: &Keywheel,
    file: &Path,
    passphrase_stdin: bool,
    identity: Option<&Path>,
) -> Result<Opened, Failure> {
    let unlock = match identity {
        Some(path) => {
            let bytes = read_file(path, LARGEST_IDENTITIES)?;
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            Unlock::Identities(Identities::from_text(text)?)
        }
        None if passphrase_stdin => Unlock::Passphrase(prompt::secret_from_stdin()?),
        None if !file.exists() => {
            // Whoever mistyped the name should not be asked for a passphrase first.
            let source = std::io::ErrorKind::NotFound.into();
            return Err(ShellError::Unreadable { path: file.to_owned(), source }.into());
        }
        None => Unlock::Passphrase(prompt::secret("Passphrase of the backup", "--passphrase-stdin or --identity")?),
    };
    Ok(keywheel.open_backup(file, unlock).await?)
}

fn told_of_created(created: &Created) -> String {
    let proof = match created.proof {
        Proof::Opened => "It was opened with the passphrase, and all that was put in is in it.",
        Proof::Bytes => "Its bytes were read back; only who has the identity can open it.",
    };
    format!(
        "{} holds the catalogue and {} secret{} ({} bytes). {proof}",
        created.file.display(),
        created.secrets,
        if created.secrets == 1 { "" } else { "s" },
        created.bytes
    )
}

fn told_of_preview(preview: &RestorePreview) -> String {
    let into = match preview.into {
        Target::Empty => "goes into an empty data directory, which becomes its vault",
        Target::Same => "brings what this vault lacks; what is here stays as it is",
    };
    let mut text = format!("The backup of {} by {} {into}.\n", time(&preview.created), preview.actor);
    for (noun, rows) in
        [("People", &preview.people), ("Devices", &preview.devices), ("Credentials", &preview.credentials)]
    {
        text.push_str(&told_of_rows(noun, rows));
    }
    let secrets = &preview.secrets;
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "Secrets: {} come into the keyring, {} are there already, {} are left out.",
        secrets.new, secrets.same, secrets.left
    );
    if preview.key_versions > 0 {
        let _ = writeln!(text, "Keys of credentials that are here: {} come.", preview.key_versions);
    }
    for newer in &preview.newer_here {
        let _ = writeln!(
            text,
            "\"{}\" has gone on to version {} (the backup: {}) and keeps that.",
            newer.credential, newer.here, newer.backup
        );
    }
    for name in &preview.without_secret {
        let _ =
            writeln!(text, "\"{name}\" will have no secret: neither the backup nor the keyring holds the current one.");
    }
    text
}

fn told_of_rows(noun: &str, rows: &[PreviewRow]) -> String {
    let kinds = [
        (Comparison::New, "come"),
        (Comparison::Same, "are the same"),
        (Comparison::Differs, "differ and stay as they are here"),
        (Comparison::OnlyHere, "are only here"),
        (Comparison::Removed, "were removed here and stay so"),
        (Comparison::CannotCome, "can't come, because their names or numbers are taken or what they need is not here"),
    ];
    let mut text = String::new();
    for (kind, words) in kinds {
        let names: Vec<&str> = rows.iter().filter(|row| row.comparison == kind).map(|row| row.name.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let _ = write!(text, "{noun}: {} {words}", names.len());
        // What stays the same needs no names.
        if kind != Comparison::Same {
            let shown: Vec<&str> = names.iter().take(NAMES).copied().collect();
            let more = names.len() - shown.len();
            let _ = write!(text, " ({}", shown.join(", "));
            let _ = if more > 0 { write!(text, " and {more} more)") } else { write!(text, ")") };
        }
        text.push_str(".\n");
    }
    text
}

fn told_of_restored(restored: &Restored) -> String {
    format!(
        "{} people, {} devices, {} credentials and {} more keys came; {} secrets were put into the keyring.",
        restored.people, restored.devices, restored.credentials, restored.key_versions, restored.secrets
    )
}

fn told_of_standing(standing: &BackupStanding) -> String {
    let lacks = match standing.last {
        None => format!("{} key versions are in no backup", standing.lacks),
        Some(_) => format!("{} key versions", standing.lacks),
    };
    fields(&[
        ("newest", standing.last.as_deref().map_or_else(|| "-".to_owned(), time)),
        ("file", or_dash(standing.path.as_ref().map(|path| path.display().to_string()).as_ref())),
        ("lacks", lacks),
        ("after each change", if standing.automatic { "yes" } else { "no" }.to_owned()),
        ("failed", or_dash(standing.failed.as_ref().map(|report| report.message.clone()).as_ref())),
    ])
}
