//! `keywheel timer`.

use clap::Subcommand;
use keywheel_core::timer::{MINUTES, Tick, TimerView};

use crate::error::{Ending, Failure, ShellError};
use crate::output::{fields, list};
use crate::shell::Shell;

/// What is to be done with the system's timer.
#[derive(Debug, Subcommand)]
pub(crate) enum TimerCommand {
    /// Write the timer and switch it on: it runs `keywheel rotate --due` every few minutes
    Install,
    /// Switch the timer off and remove its files
    Remove,
    /// Show how the timer stands
    Status,
}

pub(crate) async fn run(shell: &Shell, command: &TimerCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    let program = std::env::current_exe().map_err(|source| ShellError::NoProgram { source })?;
    let data_dir = match shell.data_dir() {
        // The timer's working directory is another one.
        Some(dir) => Some(std::path::absolute(dir).map_err(|source| ShellError::NoProgram { source })?),
        None => None,
    };
    let tick = Tick { program, data_dir };
    let view = match command {
        TimerCommand::Install => keywheel.install_timer(tick).await?,
        TimerCommand::Remove => keywheel.remove_timer(tick).await?,
        TimerCommand::Status => keywheel.timer(tick).await?,
    };
    shell.output().item(&view, text);
    match command {
        TimerCommand::Install => {
            shell.output().message(&format!(
                "Every {MINUTES} minutes what is due is begun. It works only while the keyring is unlocked, which it \
                 usually is while you are logged in; until then what is due waits."
            ));
        }
        TimerCommand::Remove => shell.output().message("The timer is removed."),
        TimerCommand::Status => {}
    }
    if !view.to_run.is_empty() {
        shell.output().message("The system did not answer. Run what is left yourself:");
        view.to_run.iter().for_each(|command| shell.output().message(&format!("  {command}")));
    }
    Ok(Ending::Done)
}

fn text(view: &TimerView) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    fields(&[("installed", yes(view.installed)), ("active", yes(view.active)), ("files", list(&view.files))])
}
