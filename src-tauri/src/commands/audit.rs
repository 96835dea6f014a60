//! The audit.

use std::sync::Arc;

use keywheel_core::audit::{Format, Page, Record, Verdict};
use serde::Serialize;
use tauri::{Runtime, State, WebviewWindow};
use ts_rs::TS;

use crate::desk::Desk;
use crate::error::{Answer, report};
use crate::files;

/// A file that the audit was written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct Exported {
    /// The file.
    pub(crate) file: String,
    /// How many rows it holds.
    pub(crate) rows: u64,
}

/// Lists rows, newest first.
#[tauri::command]
pub(crate) async fn audit(desk: State<'_, Arc<Desk>>, filter: Page) -> Answer<Vec<Record>> {
    desk.keywheel()?.audit_page(filter).await.map_err(report)
}

/// Says whether the chain holds.
#[tauri::command]
pub(crate) async fn verify_audit(desk: State<'_, Arc<Desk>>) -> Answer<Verdict> {
    desk.keywheel()?.verify_audit().await.map_err(report)
}

/// Lets the person choose a file and writes the whole audit to it.
#[tauri::command]
pub(crate) async fn export_audit<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    format: Format,
) -> Answer<Option<Exported>> {
    let name = match format {
        Format::Csv => "keywheel-audit.csv",
        Format::Json => "keywheel-audit.json",
    };
    let Some(path) = files::to_write(&window, name).await else { return Ok(None) };
    let rows = desk.keywheel()?.export_audit(format, &path).await.map_err(report)?;
    Ok(Some(Exported { file: path.display().to_string(), rows }))
}
