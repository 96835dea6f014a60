//! The one window.

use tauri::{WebviewUrl, WebviewWindowBuilder};

use crate::arguments::Arguments;
use crate::commands;

/// The window's label, which `capabilities/main.json` names.
const LABEL: &str = "main";

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When the system has no display or no web view.
pub(crate) fn run(arguments: Arguments) -> tauri::Result<()> {
    tauri::Builder::default()
        .manage(arguments)
        .setup(|app| {
            WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
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
                })
                .build()?;
            Ok(())
        })
        .invoke_handler(tauri::generate_handler![commands::about::about])
        .run(tauri::generate_context!())
}

/// Whether a WebDriver drives the window, as tauri-driver tells by this variable.
///
/// WebKitGTK lets itself be driven only where its context is not an ephemeral one.
fn under_automation() -> bool {
    std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some_and(|value| value == "true")
}
