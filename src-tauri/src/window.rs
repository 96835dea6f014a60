//! The one window, and the program around it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keywheel_core::data_dir::default_data_dir;
use keywheel_core::error::{Explain, Sentences};
use tauri::{App, AppHandle, Context, Manager, RunEvent, Runtime, WebviewUrl, WebviewWindowBuilder, WindowEvent};

use crate::arguments::Arguments;
use crate::desk::{Desk, Happened, Notice, retire, start_due};
use crate::keyring::Keyring;
use crate::place::Place;
use crate::tray::{self, Tray};
use crate::{closing, commands, instance, notifications};

/// The window's label, which `capabilities/main.json` names.
pub(crate) const LABEL: &str = "main";

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WindowError {
    /// This session has no display.
    #[cfg(target_os = "linux")]
    #[error("Keywheel's window can't be opened because there is no display.")]
    NoDisplay(#[source] gtk::glib::BoolError),
    /// The web view or the system's part of the window failed.
    #[error("Keywheel's window can't be opened: {0}.")]
    NotOpened(#[source] tauri::Error),
}

impl Explain for WindowError {
    fn code(&self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::NoDisplay(_) => "no-display",
            Self::NotOpened(_) => "window-not-opened",
        }
    }

    fn hint(&self) -> String {
        match self {
            #[cfg(target_os = "linux")]
            Self::NoDisplay(_) => {
                "Start it in a graphical session, or use the command line: keywheel --help.".to_owned()
            }
            Self::NotOpened(_) => {
                "Install the web view of this system (WebKitGTK 4.1 or WebView2) and start it again.".to_owned()
            }
        }
    }

    /// There is no window to say it in another language.
    fn sentences(_: &mut Sentences) {}
}

/// Opens the window and stays until the program ends.
///
/// # Errors
/// When the system has no display or no web view.
pub(crate) fn run(arguments: Arguments) -> Result<(), WindowError> {
    // Asked first, because tao answers a missing display with a panic.
    #[cfg(target_os = "linux")]
    gtk::init().map_err(WindowError::NoDisplay)?;
    let given = arguments.data_dir.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    let data_dir = given.clone().or_else(default_data_dir);
    let name = instance::name(data_dir.as_deref());
    let mut context = tauri::generate_context!();
    if !cfg!(target_os = "linux") {
        // Elsewhere the plugin for one instance goes by this name alone.
        context.config_mut().identifier.clone_from(&name);
    }
    let (desk, happened) = Desk::new(data_dir, Arc::new(Keyring));
    let app = build(tauri::Builder::default(), context, Arc::new(desk), given.as_deref(), name)?;
    let hidden = arguments.hidden;
    start(app.handle(), happened, hidden).map_err(WindowError::NotOpened)?;
    app.run(|app, event| match event {
        // The last window went without being closed by us: the session ends, or the web view failed.
        RunEvent::ExitRequested { code: None, api, .. } if app.state::<Arc<Desk>>().running.any() => {
            api.prevent_exit();
            tauri::async_runtime::spawn(closing::stop_and_end(app.clone()));
        }
        RunEvent::ExitRequested { .. } => remember_place(app),
        RunEvent::Exit => {
            let desk = app.state::<Arc<Desk>>();
            tauri::async_runtime::block_on(desk.anchor());
            desk.close();
        }
        _ => {}
    });
    Ok(())
}

fn build(
    builder: tauri::Builder<tauri::Wry>,
    context: Context,
    desk: Arc<Desk>,
    given: Option<&Path>,
    name: String,
) -> Result<App, WindowError> {
    let one = tauri_plugin_single_instance::Builder::new().dbus_id(name).callback(|app, _, _| {
        show(app);
        app.state::<Arc<Desk>>().notices.tell(Notice::Show { change: None });
    });
    let builder = builder
        // First: a second start ends here, before anything is opened.
        .plugin(one.build())
        .plugin(at_login(given))
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_notification::init())
        .manage(desk)
        .manage(Tray::<tauri::Wry>::default())
        .on_window_event(|window, event| match event {
            WindowEvent::CloseRequested { api, .. } => {
                api.prevent_close();
                tauri::async_runtime::spawn(closing::close(window.app_handle().clone()));
            }
            // The command line may have worked meanwhile.
            WindowEvent::Focused(true) => window.state::<Arc<Desk>>().notices.tell(Notice::Catalogue),
            _ => {}
        })
        .invoke_handler(commands::handler());
    builder.build(context).map_err(WindowError::NotOpened)
}

/// The entry for the start at login: of this data directory, and into the tray.
fn at_login<R: Runtime>(data_dir: Option<&Path>) -> tauri::plugin::TauriPlugin<R> {
    let entry = tauri_plugin_autostart::Builder::new().arg("--hidden");
    match data_dir {
        None => entry.app_name("Keywheel").build(),
        Some(dir) => entry
            .app_name(format!("Keywheel-{}", instance::short_hash(dir)))
            .arg(quoted(&format!("--data-dir={}", dir.to_string_lossy())))
            .build(),
    }
}

/// An argument as the entry's command line takes it, which the plugin joins with blanks: in quotes where it needs them
/// (freedesktop.org Desktop Entry Specification, "The Exec key"; Windows quotes alike).
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=".contains(c);
    // On macOS the entry is a list, which takes each argument as it is.
    if cfg!(target_os = "macos") || argument.chars().all(plain) {
        return argument.to_owned();
    }
    if cfg!(windows) {
        return format!("\"{argument}\"");
    }
    let mut text = String::from("\"");
    for c in argument.chars() {
        match c {
            '"' | '`' | '$' => text.extend(["\\\\", c.encode_utf8(&mut [0; 4])]),
            '\\' => text.push_str("\\\\\\\\"),
            '%' => text.push_str("%%"),
            _ => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Opens the data directory and the window, and begins to tell what happens.
fn start(app: &AppHandle, happened: tokio::sync::mpsc::UnboundedReceiver<Happened>, hidden: bool) -> tauri::Result<()> {
    let desk = Arc::clone(&app.state::<Arc<Desk>>());
    if let Some(problem) = desk.open() {
        tracing::warn!(problem = problem.message, "the data directory could not be opened");
    }
    let mut window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Keywheel")
        .inner_size(1280.0, 800.0)
        .min_inner_size(1024.0, 640.0)
        // Shown when it is in its place.
        .visible(false)
        // All that lasts is in the database and the keyring; the web view keeps no copy of it on disk.
        .incognito(!under_automation())
        // The interface is one page; nothing in it may lead the window anywhere else.
        .on_navigation(|url| {
            matches!((url.scheme(), url.host_str()), ("tauri", Some("localhost")) | ("http", Some("tauri.localhost")))
        });
    if let Some(dir) = desk.data_dir() {
        // What the web view's engine writes for itself (salts, its cache's index) stays with the rest, too.
        window = window.data_directory(dir.join("web-view"));
    }
    let window = window.build()?;
    if let Some(place) = desk.data_dir().and_then(Place::read) {
        place.apply(&window)?;
    }
    if !hidden {
        window.show()?;
    }
    tauri::async_runtime::spawn(closing::on_signals(app.clone()));
    tauri::async_runtime::spawn(notifications::tell(app.clone(), happened));
    tauri::async_runtime::spawn(retire(Arc::clone(&desk)));
    // Whoever drives the window waits for it.
    let period = Duration::from_secs(if under_automation() { 1 } else { 60 });
    tauri::async_runtime::spawn(start_due(app.clone(), period));
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        desk.read_preferences().await;
        let in_tray = tray::offered(&app).await;
        if hidden && !(in_tray && desk.preferences().keep_in_tray) {
            show(&app);
        }
    });
    Ok(())
}

/// Brings the window to the front.
pub(crate) fn show<R: Runtime>(app: &AppHandle<R>) {
    let Some(window) = app.get_webview_window(LABEL) else { return };
    for done in [window.show(), window.unminimize(), window.set_focus()] {
        if let Err(error) = done {
            tracing::debug!(%error, "the window could not be brought to the front");
        }
    }
}

/// Hides the window; the tray brings it back.
pub(crate) fn hide<R: Runtime>(app: &AppHandle<R>) {
    if let Some(window) = app.get_webview_window(LABEL)
        && let Err(error) = window.hide()
    {
        tracing::debug!(%error, "the window could not be hidden");
    }
}

/// Keeps the window's size and place for the next start.
pub(crate) fn remember_place<R: Runtime>(app: &AppHandle<R>) {
    let desk = app.state::<Arc<Desk>>();
    let place = app.get_webview_window(LABEL).and_then(|window| Place::of(&window));
    if let (Some(dir), Some(place)) = (desk.data_dir(), place)
        && let Err(error) = place.write(dir)
    {
        tracing::debug!(%error, "the window's place could not be kept");
    }
}

/// Whether a WebDriver drives the window, as tauri-driver tells by this variable.
///
/// WebKitGTK lets itself be driven only where its context is not an ephemeral one.
fn under_automation() -> bool {
    std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_and_another_is_quoted() {
        assert_eq!(quoted("--data-dir=/home/ana/data-1.x"), "--data-dir=/home/ana/data-1.x");
        if cfg!(target_os = "linux") {
            assert_eq!(quoted("--data-dir=/my data"), "\"--data-dir=/my data\"", "half a path would be started with");
            assert_eq!(quoted("a%f$x"), r#""a%%f\\$x""#);
        }
    }
}
