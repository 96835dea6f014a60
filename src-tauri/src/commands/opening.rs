//! What runs, the keyring, and what the page is told without having asked.

use std::env;
use std::sync::Arc;

use keywheel_core::error::Report;
use serde::Serialize;
use tauri::ipc::Channel;
use tauri::{AppHandle, Runtime, State};
use ts_rs::TS;

use super::off_thread;
use crate::desk::{Desk, Notice};
use crate::error::{Answer, report};
use crate::{clipboard, closing};

/// What runs, where its data lies, and why the data can't be used if so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct Opening {
    /// The version of the program that runs, which need not be the one that is installed by now.
    pub(crate) version: &'static str,
    /// The operating system, the processor and the desktop.
    pub(crate) system: String,
    /// Where the data lies.
    pub(crate) data_dir: String,
    /// The system's locale.
    pub(crate) locale: String,
    /// Why the data can't be used.
    pub(crate) problem: Option<Report>,
}

/// Tells what runs. Data that could not be opened is tried anew.
#[tauri::command]
pub(crate) async fn opening(desk: State<'_, Arc<Desk>>) -> Answer<Opening> {
    let opened = Arc::clone(&desk);
    let problem = off_thread(move || opened.open()).await;
    desk.read_preferences().await;
    let desktop = env::var("XDG_CURRENT_DESKTOP").ok().filter(|name| !name.is_empty());
    let parts = [Some(env::consts::OS.to_owned()), Some(env::consts::ARCH.to_owned()), desktop];
    Ok(Opening {
        version: env!("CARGO_PKG_VERSION"),
        system: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        data_dir: desk.data_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        locale: sys_locale::get_locale().unwrap_or_else(|| "en".to_owned()),
        problem,
    })
}

/// Says whether the keyring can be used now.
#[tauri::command]
pub(crate) async fn check_keyring(desk: State<'_, Arc<Desk>>) -> Answer<()> {
    desk.vault().check().await.map_err(report)
}

/// Tells this page, which was just loaded, from now on what happens by itself.
#[tauri::command]
pub(crate) async fn watch(desk: State<'_, Arc<Desk>>, notices: Channel<Notice>) -> Answer<()> {
    desk.begin_page(notices);
    Ok(())
}

/// Puts public text into the clipboard.
#[tauri::command]
pub(crate) async fn copy(text: String) -> Answer<()> {
    off_thread(move || clipboard::copy(&text)).await.map_err(report)
}

/// Lets the devices in hand be finished, leaves the running changes for later and ends the program.
#[tauri::command]
pub(crate) async fn stop_and_close<R: Runtime>(app: AppHandle<R>, desk: State<'_, Arc<Desk>>) -> Answer<()> {
    desk.running.stop_all().await;
    closing::end(&app).await;
    Ok(())
}
