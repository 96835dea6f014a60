//! What the window's close button, "Quit" and a signal do while changes run, and while none does.

use std::sync::Arc;

use keywheel_core::process::Signals;
use tauri::{AppHandle, Manager, Runtime};

use crate::desk::{Desk, Notice};
use crate::{tray, window};

/// What happens when the window is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// The window goes, the program stays in the tray.
    Hide,
    /// The window stays and asks.
    Ask,
    /// The program ends.
    End,
}

/// A running change always goes on: in the tray if there is one, else the window asks first.
fn decide(tray: bool, keep_in_tray: bool, changing: bool) -> Close {
    match (tray, keep_in_tray, changing) {
        (true, true, _) | (true, false, true) => Close::Hide,
        (false, _, true) => Close::Ask,
        (true, false, false) | (false, _, false) => Close::End,
    }
}

/// Closes the window as it is set and as it can be. The answer takes a question to the desktop, so the window's own closing
/// was prevented.
pub(crate) async fn close<R: Runtime>(app: AppHandle<R>) {
    window::remember_place(&app);
    let tray = tray::offered(&app).await;
    let desk = app.state::<Arc<Desk>>();
    match decide(tray, desk.preferences().keep_in_tray, desk.running.any()) {
        Close::Hide => window::hide(&app),
        Close::Ask => ask(&app).await,
        Close::End => end(&app).await,
    }
}

/// Ends the program; while changes run, the window asks first.
pub(crate) fn quit<R: Runtime>(app: &AppHandle<R>) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if app.state::<Arc<Desk>>().running.any() {
            window::show(&app);
            ask(&app).await;
        } else {
            end(&app).await;
        }
    });
}

/// Ends the program, when the user's programs after changes have ended; nobody has to look at the window meanwhile.
pub(crate) async fn end<R: Runtime>(app: &AppHandle<R>) {
    window::hide(app);
    if let Ok(keywheel) = app.state::<Arc<Desk>>().keywheel() {
        // What failed is in the audit and on the change's page.
        keywheel.programs_ended().await;
    }
    app.exit(0);
}

async fn ask<R: Runtime>(app: &AppHandle<R>) {
    let desk = app.state::<Arc<Desk>>();
    let views = match desk.keywheel() {
        Ok(keywheel) => keywheel.change_views().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let running = views.into_iter().filter(|view| desk.running.runs(view.id)).collect();
    desk.notices.tell(Notice::CloseAsked { running });
}

/// Stops the running changes after the devices in hand, and ends the program then.
pub(crate) async fn stop_and_end<R: Runtime>(app: AppHandle<R>) {
    app.state::<Arc<Desk>>().running.stop_all().await;
    end(&app).await;
}

/// Ends the program in order when the session or a person at a terminal asks; asked twice, it ends at once, and the changes
/// are left to be resumed.
pub(crate) async fn on_signals<R: Runtime>(app: AppHandle<R>) {
    let Ok(mut signals) = Signals::open() else { return };
    signals.next().await;
    tauri::async_runtime::spawn(stop_and_end(app));
    signals.next().await;
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_change_never_ends_with_the_window() {
        for (tray, keep) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_ne!(
                decide(tray, keep, true),
                Close::End,
                "tray {tray}, keep {keep}: the change would be broken off"
            );
        }
        assert_eq!(decide(false, true, true), Close::Ask, "there is no tray to go on in");
        assert_eq!(decide(true, false, true), Close::Hide);
    }

    #[test]
    fn without_a_change_the_setting_decides_and_no_window_is_lost() {
        assert_eq!(decide(true, true, false), Close::Hide);
        assert_eq!(decide(true, false, false), Close::End);
        assert_eq!(decide(false, true, false), Close::End, "the window would be hidden where nothing brings it back");
    }
}
