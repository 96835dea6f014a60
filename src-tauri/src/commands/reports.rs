//! Reports: proofs of changes, and how all keys stand.

use std::path::Path;
use std::sync::Arc;

use keywheel_core::journal::ChangeId;
use keywheel_core::report::{FleetFormat, ProofFormat, ReportFile, Verdict};
use serde::Serialize;
use tauri::{Runtime, State, WebviewWindow};
use ts_rs::TS;

use super::off_thread;
use crate::desk::Desk;
use crate::error::{Answer, report};
use crate::files;

/// No proof is larger: ten thousand devices take a quarter of it.
const LARGEST: u64 = 512 * 1024 * 1024;

/// A proof that was compared with the journal and the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct ProofVerified {
    /// The file.
    pub(crate) file: String,
    /// What it is worth.
    pub(crate) verdict: Verdict,
}

/// Lets the person choose a file and writes to it how all credentials stand.
#[tauri::command]
pub(crate) async fn write_fleet_report<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    format: FleetFormat,
) -> Answer<Option<ReportFile>> {
    let Some(path) = files::to_write(&window, &format!("keywheel-fleet.{format}")).await else { return Ok(None) };
    desk.keywheel()?.write_fleet_report(format, &path).await.map(Some).map_err(report)
}

/// Lets the person choose a file and writes the proof of a change to it.
#[tauri::command]
pub(crate) async fn write_proof<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    id: ChangeId,
    format: ProofFormat,
) -> Answer<Option<ReportFile>> {
    let Some(path) = files::to_write(&window, &format!("keywheel-change-{id}.{format}")).await else { return Ok(None) };
    desk.keywheel()?.write_proof(id, format, &path).await.map(Some).map_err(report)
}

/// Lets the person choose a proof and compares it with the journal and the audit.
#[tauri::command]
pub(crate) async fn verify_proof<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<Option<ProofVerified>> {
    let Some(path) = files::to_read(&window).await else { return Ok(None) };
    verify(&desk, &path).await.map(Some)
}

/// Compares the proof in this file.
pub(super) async fn verify(desk: &Desk, path: &Path) -> Answer<ProofVerified> {
    let from = path.to_owned();
    let bytes = off_thread(move || files::read(&from, LARGEST)).await.map_err(report)?;
    let verdict = desk.keywheel()?.verify_proof(bytes.to_vec()).await.map_err(report)?;
    Ok(ProofVerified { file: path.display().to_string(), verdict })
}
