//! Settings, and what the desktop offers.

use std::sync::Arc;

use keywheel_core::error::Explain;
use keywheel_core::settings::{OnOff, SettingView};
use serde::Serialize;
use tauri::{AppHandle, Runtime, State};
use tauri_plugin_autostart::ManagerExt;
use ts_rs::TS;

use super::off_thread;
use crate::desk::Desk;
use crate::error::{Answer, DeskError, report};
use crate::tray;

/// What this desktop offers, and what of it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
pub(crate) struct Desktop {
    /// Whether it has a tray.
    pub(crate) tray: bool,
    /// Whether Keywheel starts at login; none where that can't be known.
    pub(crate) start_at_login: Option<bool>,
}

/// Lists the settings.
#[tauri::command]
pub(crate) async fn settings(desk: State<'_, Arc<Desk>>) -> Answer<Vec<SettingView>> {
    desk.keywheel()?.setting_views().await.map_err(report)
}

/// Sets a setting.
#[tauri::command]
pub(crate) async fn set_setting<R: Runtime>(
    app: AppHandle<R>,
    desk: State<'_, Arc<Desk>>,
    name: String,
    value: String,
) -> Answer<()> {
    desk.changed(desk.keywheel()?.set_setting(&name, &value).await)?;
    desk.read_preferences().await;
    tray::tell(&app);
    Ok(())
}

/// Says what this desktop offers.
#[tauri::command]
pub(crate) async fn desktop<R: Runtime>(app: AppHandle<R>) -> Answer<Desktop> {
    let tray = tray::offered(&app).await;
    let start_at_login = off_thread(move || app.autolaunch().is_enabled().ok()).await;
    Ok(Desktop { tray, start_at_login })
}

/// Says whether Keywheel starts at login.
#[tauri::command]
pub(crate) async fn set_start_at_login<R: Runtime>(
    app: AppHandle<R>,
    desk: State<'_, Arc<Desk>>,
    on: bool,
) -> Answer<()> {
    let keywheel = desk.keywheel()?;
    let set = off_thread(move || {
        let entry = app.autolaunch();
        if on { entry.enable() } else { entry.disable() }
    });
    let set = set.await.map_err(|source| DeskError::StartAtLogin { source });
    let value = if on { OnOff::On } else { OnOff::Off };
    keywheel.record_start_at_login(value, set.as_ref().err().map(|error| error as &(dyn Explain + Sync))).await;
    set.map_err(report)
}
