//! The one window.

use keywheel_core::error::Explain;
use tauri::{WebviewUrl, WebviewWindowBuilder};

use crate::arguments::Arguments;
use crate::commands;

/// The window's label, which `capabilities/main.json` names.
const LABEL: &str = "main";

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
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When the system has no display or no web view.
pub(crate) fn run(arguments: Arguments) -> Result<(), WindowError> {
    // Asked first, because tao answers a missing display with a panic.
    #[cfg(target_os = "linux")]
    gtk::init().map_err(WindowError::NoDisplay)?;
    tauri::Builder::default()
        .setup(move |app| {
            let mut window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
                .title("Keywheel")
                .inner_size(1280.0, 800.0)
                .min_inner_size(1024.0, 640.0)
                // All that lasts is in the database and the keyring; the web view keeps no copy of it on disk.
                .incognito(!under_automation())
                // The interface is one page; nothing in it may lead the window anywhere else.
                .on_navigation(|url| {
                    matches!(
                        (url.scheme(), url.host_str()),
                        ("tauri", Some("localhost")) | ("http", Some("tauri.localhost"))
                    )
                });
            if let Some(folder) = arguments.data_dir {
                // What the web view's engine writes for itself (salts, its cache's index) stays with the rest, too.
                window = window.data_directory(std::path::absolute(folder)?.join("web-view"));
            }
            window.build()?;
            Ok(())
        })
        .invoke_handler(tauri::generate_handler![commands::about::about])
        .run(tauri::generate_context!())
        .map_err(WindowError::NotOpened)
}

/// Whether a WebDriver drives the window, as tauri-driver tells by this variable.
///
/// WebKitGTK lets itself be driven only where its context is not an ephemeral one.
fn under_automation() -> bool {
    std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some_and(|value| value == "true")
}
