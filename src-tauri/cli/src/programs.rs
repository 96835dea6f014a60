//! The programs that the user has run after changes: they are waited for when all else is done.

use std::time::Duration;

use keywheel_core::error::Explain;
use keywheel_core::process::Signals;
use tokio::time::timeout;

use crate::shell::Shell;

/// After this time the person is told what the command still waits for.
const SILENCE: Duration = Duration::from_secs(1);

/// Waits for the programs, and warns of those that did not end well; how the command ends stays as it is. Ctrl+C leaves them.
pub(crate) async fn wait(shell: &Shell) {
    let Some(keywheel) = shell.opened() else { return };
    let ended = keywheel.programs_ended();
    tokio::pin!(ended);
    let failed = match timeout(SILENCE, &mut ended).await {
        Ok(failed) => failed,
        Err(_) => {
            shell.output().message("Waiting for the program after the change. Ctrl+C ends it.");
            let Ok(mut signals) = Signals::open() else { return };
            tokio::select! {
                failed = ended => failed,
                () = signals.next() => return,
            }
        }
    };
    for error in failed {
        shell.output().message(&format!("warning: {error}\n  {}", error.hint()));
    }
}
