//! `keywheel device`.

mod host_keys;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keywheel_core::Keywheel;
use keywheel_core::catalogue::{CredentialId, DeviceId};
use keywheel_core::device::{DEFAULT_PORT, DeviceView, EditDevice, NewDevice, Preview};
use keywheel_core::key::Fingerprint;

use crate::error::{Ending, Failure, ShellError};
use crate::output::{Form, fields, list, or_dash, time};
use crate::prompt;
use crate::shell::Shell;

/// No list of devices is larger; a file given by mistake is not read whole.
const LARGEST_CSV: u64 = 64 * 1024 * 1024;

/// What is to be done with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Add a device
    #[command(after_help = "Examples:
  keywheel device add --name web-1 --address 10.0.0.5
  keywheel device add --name db-1 --address db-1.internal --port 2222 --jump hop --jump-with admin --tag db")]
    Add(AddDevice),
    /// List devices
    List,
    /// Show a device
    Show {
        /// The device's name or ID
        device: String,
    },
    /// Change a device's fields; what is left out stays
    #[command(after_help = "Examples:
  keywheel device edit web-1 --address 10.0.0.6
  keywheel device edit web-1 --tag web --tag production     (all its tags)
  keywheel device edit web-1 --jump ''                      (none any more)")]
    Edit(EditDeviceArguments),
    /// Remove a device
    Remove {
        /// The device's name or ID
        device: String,
    },
    /// Add and change devices from a CSV file
    #[command(after_help = "The file is UTF-8 with a header: name,address and any of
port,jump,tags,authorized_keys_path,host_key (tags and host keys separated by ;).
What it would do is shown first.

Example:
  keywheel device import hosts.csv")]
    Import {
        /// The file
        file: PathBuf,
    },
    /// Show the host keys that devices offer
    #[command(after_help = "Example:\n  keywheel device scan web-1 web-2")]
    Scan {
        /// The devices' names or IDs
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
    },
    /// Pin the host keys that devices offer
    #[command(
        after_help = "New keys are shown and asked about. A changed key is pinned only where its fingerprint is given.

Examples:
  keywheel device trust web-1 web-2
  keywheel device trust web-1 --fingerprint SHA256:…"
    )]
    Trust {
        /// The devices' names or IDs
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
        /// Pin only the key of this fingerprint, also where another one is pinned
        #[arg(long, value_name = "SHA256:…")]
        fingerprint: Option<Fingerprint>,
    },
}

/// The options of `device add`.
#[derive(Debug, Args)]
pub(crate) struct AddDevice {
    /// The device's name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A host name or an IP address
    #[arg(long, value_name = "ADDRESS")]
    address: String,
    /// The port of its SSH server
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_PORT.into(), allow_negative_numbers = true)]
    port: i64,
    /// The device over which it is reached
    #[arg(long, value_name = "DEVICE")]
    jump: Option<String>,
    /// The credential for the jump device
    #[arg(long, value_name = "CREDENTIAL")]
    jump_with: Option<String>,
    /// A tag; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Where authorized_keys lies [default: found out]
    #[arg(long, value_name = "PATH")]
    authorized_keys: Option<String>,
}

/// The options of `device edit`.
#[derive(Debug, Args)]
pub(crate) struct EditDeviceArguments {
    /// The device's name or ID
    device: String,
    /// The new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A host name or an IP address; pinned host keys stay
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The port of its SSH server
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    port: Option<i64>,
    /// The device over which it is reached; empty: none
    #[arg(long, value_name = "DEVICE")]
    jump: Option<String>,
    /// The credential for the jump device; empty: none
    #[arg(long, value_name = "CREDENTIAL")]
    jump_with: Option<String>,
    /// All its tags; can be given several times; empty: none
    #[arg(long = "tag", value_name = "TAG")]
    tags: Option<Vec<String>>,
    /// Where authorized_keys lies; empty: found out
    #[arg(long, value_name = "PATH")]
    authorized_keys: Option<String>,
    /// Whether it is connected to
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
}

/// Whether a thing is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    /// It is used
    Enabled,
    /// It is not
    Disabled,
}

pub(crate) async fn run(shell: &Shell, command: DeviceCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        DeviceCommand::Add(add) => {
            let new = NewDevice {
                name: add.name,
                address: add.address,
                port: add.port,
                jump: device_id(&keywheel, add.jump).await?,
                jump_with: credential_id(&keywheel, add.jump_with).await?,
                tags: add.tags,
                authorized_keys_path: add.authorized_keys.unwrap_or_default(),
                enabled: true,
            };
            let added = keywheel.add_device(new).await?;
            let view = keywheel.device_view(added.id).await?;
            shell.output().item(&view, text);
            shell.output().message(&format!(
                "The device \"{0}\" is added. Pin its host keys with `keywheel device trust {0}`.",
                view.name
            ));
        }
        DeviceCommand::List => {
            let row = |device: &DeviceView| {
                vec![
                    device.id.to_string(),
                    device.name.clone(),
                    device.address.clone(),
                    device.port.to_string(),
                    or_dash(device.jump.as_ref()),
                    list(&device.tags),
                    if device.host_keys.is_empty() { "not pinned" } else { "pinned" }.to_owned(),
                    status(device).to_owned(),
                ]
            };
            let header = ["id", "name", "address", "port", "jump", "tags", "host keys", "status"];
            let devices = keywheel.device_views().await?;
            shell.output().table(
                &devices,
                &header,
                row,
                "There are no devices yet. Add one with `keywheel device add`.",
            );
        }
        DeviceCommand::Show { device } => {
            let found = keywheel.find_device(&device).await?;
            shell.output().item(&keywheel.device_view(found.id).await?, text);
        }
        DeviceCommand::Edit(edit) => {
            let found = keywheel.find_device(&edit.device).await?;
            let edit = edited(&keywheel, edit).await?;
            if edit == EditDevice::default() {
                return Err(ShellError::NothingToEdit { name: found.name }.into());
            }
            keywheel.edit_device(found.id, edit).await?;
            shell.output().item(&keywheel.device_view(found.id).await?, text);
        }
        DeviceCommand::Remove { device } => {
            let found = keywheel.find_device(&device).await?;
            let question = format!("Remove the device \"{}\" with its pinned host keys?", found.name);
            prompt::confirm(shell, &question)?;
            keywheel.remove_device(found.id).await?;
            shell.output().message(&format!("The device \"{}\" is removed.", found.name));
        }
        DeviceCommand::Import { file } => return import(shell, &keywheel, file).await,
        DeviceCommand::Scan { devices } => return host_keys::scan(shell, &keywheel, &devices).await,
        DeviceCommand::Trust { devices, fingerprint } => {
            return host_keys::trust(shell, &keywheel, &devices, fingerprint).await;
        }
    }
    Ok(Ending::Done)
}

async fn edited(keywheel: &Keywheel, edit: EditDeviceArguments) -> Result<EditDevice, Failure> {
    let jump = match edit.jump {
        Some(jump) if jump.is_empty() => Some(None),
        jump => device_id(keywheel, jump).await?.map(Some),
    };
    let jump_with = match edit.jump_with {
        Some(credential) if credential.is_empty() => Some(None),
        credential => credential_id(keywheel, credential).await?.map(Some),
    };
    Ok(EditDevice {
        name: edit.name,
        address: edit.address,
        port: edit.port,
        jump,
        jump_with,
        tags: edit.tags.map(all_tags),
        authorized_keys_path: edit.authorized_keys,
        enabled: edit.status.map(|status| status == Status::Enabled),
    })
}

/// The tags that are given; one empty one alone stands for none.
pub(crate) fn all_tags(tags: Vec<String>) -> Vec<String> {
    if tags.iter().all(|tag| tag.is_empty()) { Vec::new() } else { tags }
}

async fn device_id(keywheel: &Keywheel, device: Option<String>) -> Result<Option<DeviceId>, Failure> {
    Ok(match device {
        Some(device) => Some(keywheel.find_device(&device).await?.id),
        None => None,
    })
}

pub(crate) async fn credential_id(keywheel: &Keywheel, name: Option<String>) -> Result<Option<CredentialId>, Failure> {
    Ok(match name {
        Some(name) => Some(keywheel.find_credential(&name).await?.id),
        None => None,
    })
}

/// Shows what the file would do, asks, and does it. Bad rows are left out, and the exit status says so.
async fn import(shell: &Shell, keywheel: &Keywheel, file: PathBuf) -> Result<Ending, Failure> {
    let csv = crate::shell::read_file(&file, LARGEST_CSV)?.to_vec();
    let preview = keywheel.preview_import(csv.clone()).await?;
    let bad = preview.bad.len();
    for row in &preview.bad {
        shell.output().message(&format!("line {} ({}): {} {}", row.line, row.name, row.error.message, row.error.hint));
    }
    let to_do = preview.new.len() + preview.changed.len();
    if shell.output().form() == Form::Text || to_do == 0 {
        shell.output().message(&previewed(&preview));
    }
    if to_do > 0 {
        prompt::confirm(
            shell,
            &format!("Import {} new and {} changed devices?", preview.new.len(), preview.changed.len()),
        )?;
        let done = keywheel.import_devices(csv, preview).await?;
        shell
            .output()
            .item(&done, |done| format!("{} devices are added, {} are changed.", done.new.len(), done.changed.len()));
    } else {
        shell.output().item(&preview, |_| "Nothing is imported.".to_owned());
    }
    if bad == 0 { Ok(Ending::Done) } else { Err(ShellError::BadRows { path: file, bad }.into()) }
}

fn previewed(preview: &Preview) -> String {
    let mut text = String::new();
    for row in &preview.new {
        text.push_str(&format!("line {}: new: {} ({} port {})\n", row.line, row.name, row.address, row.port));
    }
    for row in &preview.changed {
        text.push_str(&format!("line {}: changed: {} ({})\n", row.line, row.name, row.columns.join(", ")));
    }
    text.push_str(&format!("{} devices are as the file says already.", preview.unchanged.len()));
    text
}

fn status(device: &DeviceView) -> &'static str {
    if device.enabled { "enabled" } else { "disabled" }
}

fn text(device: &DeviceView) -> String {
    let mut rows = vec![
        ("id", device.id.to_string()),
        ("name", device.name.clone()),
        ("address", device.address.clone()),
        ("port", device.port.to_string()),
        ("jump device", or_dash(device.jump.as_ref())),
        ("credential for the jump device", or_dash(device.jump_with.as_ref())),
        ("tags", list(&device.tags)),
        ("authorized_keys path", device.authorized_keys_path.clone().unwrap_or_else(|| "found out".to_owned())),
        ("status", status(device).to_owned()),
    ];
    if device.host_keys.is_empty() {
        rows.push(("host keys", "none pinned".to_owned()));
    }
    for key in &device.host_keys {
        rows.push(("host key", format!("{} {} (pinned {})", key.algorithm, key.fingerprint, time(&key.pinned_at))));
    }
    fields(&rows)
}
