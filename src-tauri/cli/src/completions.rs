//! `keywheel completions`.

use clap::Args;
use clap_complete::Shell as Completed;

use crate::arguments::Arguments;
use crate::error::{Ending, Failure};
use crate::shell::Shell;

/// The arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keywheel completions bash > ~/.local/share/bash-completion/completions/keywheel
  keywheel completions zsh > ~/.zfunc/_keywheel
  keywheel completions fish > ~/.config/fish/completions/keywheel.fish")]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Completed,
}

pub(crate) fn run(shell: &Shell, arguments: &CompletionsArguments) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::whole(), "keywheel", &mut script);
    shell.output().data(&String::from_utf8_lossy(&script));
    Ok(Ending::Done)
}
