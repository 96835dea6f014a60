//! Backups: making one, and the way back. What was opened stays here; the page sees what it will change.

use std::sync::Arc;

use keywheel_core::backup::{BackupStanding, Created, Identities, Lock, Recipients, RestorePreview, Restored, Unlock};
use serde::Serialize;
use tauri::{AppHandle, Runtime, State, WebviewWindow};
use ts_rs::TS;

use crate::desk::{Desk, Draft};
use crate::error::{Answer, DeskError, report};
use crate::files;
use crate::secret::Secret;
use crate::tray;

/// No file of identities is larger; a file given by mistake is not read whole.
const LARGEST_IDENTITIES: u64 = 64 * 1024;

/// A backup that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct ChosenBackup {
    /// Its number.
    pub(crate) draft: u32,
    /// The file.
    pub(crate) file: String,
}

/// Says how far the newest backup goes.
#[tauri::command]
pub(crate) async fn backup_standing(desk: State<'_, Arc<Desk>>) -> Answer<BackupStanding> {
    desk.keywheel()?.backup_standing().await.map_err(report)
}

/// Lets the person choose a file and writes a backup to it, for whoever has the passphrase, or for recipients.
#[tauri::command]
pub(crate) async fn create_backup<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    passphrase: Option<Secret>,
    recipient: String,
) -> Answer<Option<Created>> {
    let lock = match passphrase {
        Some(passphrase) => Lock::Passphrase(passphrase.into_inner()),
        None => Lock::Recipients(recipient.parse::<Recipients>().map_err(report)?),
    };
    lock.check().map_err(report)?;
    let Some(path) = files::to_write(&window, "keywheel-backup.age").await else { return Ok(None) };
    desk.changed(desk.keywheel()?.create_backup(&path, lock).await).map(Some)
}

/// Lets the person choose the folder for the backups that follow each change.
#[tauri::command]
pub(crate) async fn choose_backup_folder<R: Runtime>(window: WebviewWindow<R>) -> Answer<Option<String>> {
    Ok(files::folder(&window).await.map(|path| path.display().to_string()))
}

/// Lets the person choose a backup.
#[tauri::command]
pub(crate) async fn choose_backup<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<Option<ChosenBackup>> {
    let Some(path) = files::to_read(&window).await else { return Ok(None) };
    let file = path.display().to_string();
    let draft = desk.drafts().keep(Draft::Backup(path));
    Ok(Some(ChosenBackup { draft, file }))
}

/// Opens a backup that was chosen, with its passphrase, or with the identity in a file that the person chooses, and says what
/// restoring it will change. With a wrong passphrase it stays, to be tried again.
#[tauri::command]
pub(crate) async fn open_backup<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    draft: u32,
    passphrase: Option<Secret>,
) -> Answer<Option<RestorePreview>> {
    let path = match desk.drafts().find(draft).map_err(report)? {
        Draft::Backup(path) => path.clone(),
        _ => return Err(report(DeskError::DraftUnfit)),
    };
    let unlock = match passphrase {
        Some(passphrase) => Unlock::Passphrase(passphrase.into_inner()),
        None => match identities(&window).await? {
            Some(identities) => Unlock::Identities(identities),
            None => return Ok(None),
        },
    };
    let opened = desk.keywheel()?.open_backup(&path, unlock).await.map_err(report)?;
    let preview = opened.preview().clone();
    desk.drafts().replace(draft, Draft::Opened(Box::new(opened))).map_err(report)?;
    Ok(Some(preview))
}

async fn identities<R: Runtime>(window: &WebviewWindow<R>) -> Answer<Option<Identities>> {
    let Some(path) = files::to_read(window).await else { return Ok(None) };
    let bytes = super::off_thread(move || files::read(&path, LARGEST_IDENTITIES)).await.map_err(report)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Identities::from_text(text).map(Some).map_err(report)
}

/// Restores a backup that was opened.
#[tauri::command]
pub(crate) async fn restore_backup<R: Runtime>(
    app: AppHandle<R>,
    desk: State<'_, Arc<Desk>>,
    draft: u32,
) -> Answer<Restored> {
    let opened = match desk.drafts().take(draft).map_err(report)? {
        Draft::Opened(opened) => opened,
        _ => return Err(report(DeskError::DraftUnfit)),
    };
    let restored = desk.changed(desk.keywheel()?.restore_backup(*opened).await)?;
    // The settings may be the backup's from now on.
    desk.read_preferences().await;
    tray::tell(&app);
    Ok(restored)
}
