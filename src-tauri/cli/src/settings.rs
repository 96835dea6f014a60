//! `keywheel settings`.

use clap::Subcommand;
use keywheel_core::settings::SettingView;

use crate::error::{Ending, Failure};
use crate::shell::Shell;

/// What is to be done with settings.
#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// List the settings with their values
    List,
    /// Set a setting
    #[command(after_help = "Example:\n  keywheel settings set days-of-undo 14")]
    Set {
        /// The setting's name
        name: String,
        /// The value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

pub(crate) async fn run(shell: &Shell, command: SettingsCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        SettingsCommand::List => {
            let row = |setting: &SettingView| {
                vec![
                    setting.name.to_owned(),
                    setting.value.clone(),
                    setting.default.to_owned(),
                    setting.allowed.clone(),
                ]
            };
            let settings = keywheel.setting_views().await?;
            shell.output().table(&settings, &["name", "value", "default", "may be"], row, "There are no settings.");
        }
        SettingsCommand::Set { name, value } => {
            keywheel.set_setting(&name, &value).await?;
            let settings = keywheel.setting_views().await?;
            if let Some(setting) = settings.iter().find(|setting| setting.name == name.trim()) {
                shell.output().item(setting, |setting| format!("{} = {}", setting.name, setting.value));
            }
        }
    }
    Ok(Ending::Done)
}
