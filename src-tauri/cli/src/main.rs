//! `keywheel`: the command line onto keywheel-core.

mod arguments;
mod audit;
mod backup;
mod change;
mod check;
mod completions;
mod credential;
mod device;
mod error;
mod output;
mod person;
mod policy;
mod programs;
mod progress;
mod prompt;
mod report;
mod rotate;
mod settings;
mod shell;
mod timer;
mod warnings;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command};
use crate::error::{Ending, Failure};
use crate::shell::Shell;

fn main() -> ExitCode {
    keywheel_core::process::harden();
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(ending) => return ending.into(),
    };
    warnings::show(arguments.global.verbose);
    let shell = Shell::new(arguments.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return shell.end(Err(error::ShellError::Runtime { source }.into())).into(),
    };
    let done = runtime.block_on(run(&shell, arguments.command));
    let ending = shell.end(done);
    // All is told; a program that takes its time holds up nothing but this process.
    runtime.block_on(async {
        programs::wait(&shell).await;
        shell.anchor().await;
    });
    ending.into()
}

async fn run(shell: &Shell, command: Command) -> Result<Ending, Failure> {
    match command {
        Command::Person { command } => person::run(shell, command).await,
        Command::Device { command } => device::run(shell, *command).await,
        Command::Credential { command } => credential::run(shell, *command).await,
        Command::Policy { command } => policy::run(shell, command).await,
        Command::Check(check) => check::run(shell, &check).await,
        Command::Install(install) => rotate::install(shell, install).await,
        Command::Uninstall(uninstall) => rotate::uninstall(shell, uninstall).await,
        Command::Rotate(rotate) => rotate::rotate(shell, rotate).await,
        Command::Change { command } => change::run(shell, command).await,
        Command::Audit { command } => audit::run(shell, command).await,
        Command::Timer { command } => timer::run(shell, &command).await,
        Command::Report { command } => report::run(shell, command).await,
        Command::Backup { command } => backup::run(shell, command).await,
        Command::Settings { command } => settings::run(shell, command).await,
        Command::Completions(completions) => completions::run(shell, &completions),
    }
}
