//! What a signal does to a change: the first finishes the device in hand, the second ends at once.

use std::io::Write;
use std::process;

use keywheel_core::process::Signals;
use tokio::sync::watch;

use crate::error::Ending;

/// Whether a signal has asked to stop.
#[derive(Debug)]
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
}

impl Stop {
    /// Listens for signals from now on.
    pub(super) fn on_signals() -> Self {
        let (ask, asked) = watch::channel(false);
        tokio::spawn(listen(ask));
        Self { asked }
    }

    /// Turns true when a signal came.
    pub(super) fn asked(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// Whether a signal came.
    pub(super) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }
}

async fn listen(ask: watch::Sender<bool>) {
    let Ok(mut signals) = Signals::open() else { return };
    signals.next().await;
    tell("Stopping after the device in hand. A second signal ends at once.");
    // Where nobody listens any more, the change has ended.
    let _ = ask.send(true);
    signals.next().await;
    tell("Ended at once. See what is where with `keywheel change list`.");
    process::exit(Ending::Interrupted.status().into());
}

fn tell(text: &str) {
    // A terminal that went away is why some signals come.
    let _ = writeln!(std::io::stderr(), "\n{text}");
}
