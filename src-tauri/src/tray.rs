//! The icon in the tray: open, what goes on, pause, quit.

pub(crate) mod words;

use std::sync::{Arc, Mutex};

use tauri::menu::{Menu, MenuItem};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager, Runtime};
use tokio::sync::oneshot;

use crate::closing;
use crate::desk::{Desk, Notice, Preferences, lock};
use crate::window;

const OPEN: &str = "open";
const STATE: &str = "state";
const PAUSE: &str = "pause";
const QUIT: &str = "quit";

/// The icon, once there is one.
pub(crate) struct Tray<R: Runtime>(Mutex<Option<Icon<R>>>);

impl<R: Runtime> Default for Tray<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

struct Icon<R: Runtime> {
    // Dropped, it vanishes.
    _icon: TrayIcon<R>,
    open: MenuItem<R>,
    state: MenuItem<R>,
    pause: MenuItem<R>,
    quit: MenuItem<R>,
}

/// Whether our icon is in a tray now. Asked anew each time, because a desktop's tray comes and goes with its shell; where
/// there is one and the icon is missing, it is made.
pub(crate) async fn offered<R: Runtime>(app: &AppHandle<R>) -> bool {
    if !desktop::has_tray().await {
        return false;
    }
    if lock(&app.state::<Tray<R>>().0).is_some() {
        return true;
    }
    let (made, is_made) = oneshot::channel();
    let this = app.clone();
    // Menus are made on the main thread.
    let asked = app.run_on_main_thread(move || {
        let done = make(&this);
        if let Err(error) = &done {
            tracing::warn!(%error, "the tray's icon could not be made");
        }
        let _ = made.send(done.is_ok());
    });
    asked.is_ok() && is_made.await.unwrap_or(false)
}

fn make<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let tray = app.state::<Tray<R>>();
    let mut icon = lock(&tray.0);
    if icon.is_some() {
        return Ok(());
    }
    let desk = app.state::<Arc<Desk>>();
    let preferences = desk.preferences();
    let language = preferences.language;
    let entry = |id, text: &str| MenuItem::with_id(app, id, text, true, None::<&str>);
    let open = entry(OPEN, words::open(language))?;
    let state = entry(STATE, &words::state(language, &desk.running.progress(), desk.running.waits_for_keyring()))?;
    let pause = entry(PAUSE, words::pause(language, preferences.paused))?;
    let quit = entry(QUIT, words::quit(language))?;
    let menu = Menu::with_items(app, &[&open, &state, &pause, &quit])?;
    let mut builder = TrayIconBuilder::with_id("keywheel").tooltip("Keywheel").menu(&menu);
    if let Some(picture) = app.default_window_icon() {
        builder = builder.icon(picture.clone());
    }
    let made = builder.on_menu_event(|app, event| chosen(app, event.id().as_ref())).build(app)?;
    *icon = Some(Icon { _icon: made, open, state, pause, quit });
    Ok(())
}

fn chosen<R: Runtime>(app: &AppHandle<R>, entry: &str) {
    let desk = app.state::<Arc<Desk>>();
    match entry {
        OPEN => {
            window::show(app);
            desk.notices.tell(Notice::Show { change: None });
        }
        STATE => {
            window::show(app);
            let change = desk.running.progress().first().map(|running| running.change);
            desk.notices.tell(Notice::Show { change });
        }
        PAUSE => turn_pause(app),
        QUIT => closing::quit(app),
        _ => {}
    }
}

/// Pauses automatic changes until a person lets them go on, or lets them go on.
fn turn_pause<R: Runtime>(app: &AppHandle<R>) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let desk = app.state::<Arc<Desk>>();
        let Ok(keywheel) = desk.keywheel() else { return };
        let value = if desk.preferences().paused { "off" } else { "on" };
        if let Err(report) = desk.changed(keywheel.set_setting("pause-automatic-changes", value).await) {
            tracing::warn!(code = %report.code, "automatic changes could not be paused, or let go on");
        }
        desk.read_preferences().await;
        tell(&app);
    });
}

/// Writes into the menu what goes on now, in the language that is set.
pub(crate) fn tell<R: Runtime>(app: &AppHandle<R>) {
    let desk = app.state::<Arc<Desk>>();
    let Preferences { language, paused, .. } = desk.preferences();
    let (running, waits) = (desk.running.progress(), desk.running.waits_for_keyring());
    let this = app.clone();
    // The main thread may hold the icon while it is made, so only the main thread takes it.
    let asked = app.run_on_main_thread(move || {
        let tray = this.state::<Tray<R>>();
        let icon = lock(&tray.0);
        let Some(icon) = icon.as_ref() else { return };
        let write = |entry: &MenuItem<R>, text: &str| {
            // Each text goes over the session bus, and a change tells much that the menu does not show.
            if entry.text().is_ok_and(|shown| shown == text) { Ok(()) } else { entry.set_text(text) }
        };
        let written = [
            write(&icon.open, words::open(language)),
            write(&icon.state, &words::state(language, &running, waits)),
            write(&icon.pause, words::pause(language, paused)),
            write(&icon.quit, words::quit(language)),
        ];
        for error in written.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "the tray's menu could not be written");
        }
    });
    if let Err(error) = asked {
        tracing::debug!(%error, "the tray's menu could not be written");
    }
}

#[cfg(target_os = "linux")]
mod desktop {
    use std::time::Duration;

    use zbus::fdo::DBusProxy;
    use zbus::names::BusName;

    /// A session bus that does not answer must not hold up the window's closing.
    const LIMIT: Duration = Duration::from_secs(2);

    /// Who shows tray icons on a Linux desktop (freedesktop.org, StatusNotifierItem).
    const WATCHER: &str = "org.kde.StatusNotifierWatcher";

    /// Whether this desktop shows tray icons.
    pub(super) async fn has_tray() -> bool {
        has_library() && matches!(tokio::time::timeout(LIMIT, watched()).await, Ok(Ok(true)))
    }

    async fn watched() -> zbus::Result<bool> {
        let bus = zbus::Connection::session().await?;
        Ok(DBusProxy::new(&bus).await?.name_has_owner(BusName::try_from(WATCHER)?).await?)
    }

    /// Whether a library is installed that the icon is made with; the crate that loads it panics where it is not.
    fn has_library() -> bool {
        ["libayatana-appindicator3.so.1", "libappindicator3.so.1"].iter().any(|name| {
            // SAFETY: loading runs the library's own initialisers, as the crate that uses it does right after.
            unsafe { libloading::Library::new(name) }.is_ok()
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod desktop {
    /// Windows and macOS always show tray icons.
    pub(super) async fn has_tray() -> bool {
        true
    }
}
