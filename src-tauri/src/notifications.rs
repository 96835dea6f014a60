//! What the desktop is told of changes: the tray's menu, and a notification when one ends or the program after it fails.

use std::sync::Arc;

use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_notification::NotificationExt;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::desk::{Desk, Happened, Notice};
use crate::tray::{self, words};

/// Tells the page, the tray and the desktop what happens to changes, for as long as the program runs.
pub(crate) async fn tell<R: Runtime>(app: AppHandle<R>, mut happened: UnboundedReceiver<Happened>) {
    let desk = Arc::clone(&app.state::<Arc<Desk>>());
    while let Some(happened) = happened.recv().await {
        match happened {
            Happened::Told(event) => desk.notices.tell(Notice::Change(event)),
            Happened::Ended { credential, outcome } => {
                // Also where it was broken off after its last event: the page asks again, and sees how it stands.
                desk.notices.tell(Notice::Catalogue);
                let preferences = desk.preferences();
                if preferences.notifications {
                    show(&app, &words::ended(preferences.language, &credential, outcome));
                }
                tauri::async_runtime::spawn(tell_programs(app.clone()));
            }
            Happened::NotBegun | Happened::WaitsNoLonger => desk.notices.tell(Notice::Catalogue),
            Happened::Waits => {
                desk.notices.tell(Notice::Catalogue);
                let preferences = desk.preferences();
                if preferences.notifications {
                    show(&app, words::waits(preferences.language));
                }
            }
        }
        tray::tell(&app);
    }
}

/// Tells what came of the programs after changes, when they have ended.
async fn tell_programs<R: Runtime>(app: AppHandle<R>) {
    let desk = app.state::<Arc<Desk>>();
    let Ok(keywheel) = desk.keywheel() else { return };
    let failed = keywheel.programs_ended().await;
    desk.notices.tell(Notice::Catalogue);
    let preferences = desk.preferences();
    if preferences.notifications && !failed.is_empty() {
        show(&app, words::program_failed(preferences.language));
    }
}

fn show<R: Runtime>(app: &AppHandle<R>, text: &str) {
    // Names are the person's own and may look like markup, which notification servers render.
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    if let Err(error) = app.notification().builder().title("Keywheel").body(text).show() {
        tracing::debug!(%error, "the desktop shows no notifications");
    }
}
