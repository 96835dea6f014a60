//! Devices: their list, host keys, and a CSV file with many.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keywheel_core::Keywheel;
use keywheel_core::catalogue::DeviceId;
use keywheel_core::device::{DeviceRow, KnownHosts, NewDevice, OfferedKeyView, Pinned, Preview};
use keywheel_core::error::Report;
use serde::{Deserialize, Serialize};
use tauri::ipc::Channel;
use tauri::{Runtime, State, WebviewWindow};
use tokio::task::JoinSet;
use ts_rs::TS;

use super::off_thread;
use crate::desk::{Desk, Draft, Notice};
use crate::error::{Answer, DeskError, report};
use crate::files;

/// No file with devices is larger; a file given by mistake is not read whole.
const LARGEST_CSV: u64 = 64 * 1024 * 1024;

/// How many devices are scanned at once.
const SCANS_AT_ONCE: usize = 8;

/// What one device offered in a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct Scanned {
    /// The device's number.
    pub(crate) device_id: DeviceId,
    /// The device's name.
    pub(crate) device: String,
    /// The host keys that it offers.
    pub(crate) keys: Vec<OfferedKeyView>,
    /// Why it could not be asked.
    pub(crate) error: Option<Report>,
}

/// A host key to be pinned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
pub(crate) struct Pin {
    /// The device's number.
    pub(crate) device_id: DeviceId,
    /// The fingerprint, as it was shown.
    pub(crate) fingerprint: String,
    /// Whether the person has decided that it takes the place of another.
    pub(crate) replace: bool,
}

/// What pinning came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct PinsDone {
    /// How many are pinned.
    pub(crate) pinned: usize,
    /// Why the others are not.
    pub(crate) failed: Vec<Report>,
}

/// A CSV file that was chosen, with what its import would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct CsvDraft {
    /// Its number.
    pub(crate) draft: u32,
    /// The file.
    pub(crate) file: String,
    /// What its import would do.
    pub(crate) preview: Preview,
}

/// Lists the devices.
#[tauri::command]
pub(crate) async fn devices(desk: State<'_, Arc<Desk>>) -> Answer<Vec<DeviceRow>> {
    desk.keywheel()?.device_rows().await.map_err(report)
}

/// Adds a device, or gives one these fields.
#[tauri::command]
pub(crate) async fn save_device(
    desk: State<'_, Arc<Desk>>,
    id: Option<DeviceId>,
    form: NewDevice,
) -> Answer<DeviceRow> {
    let saved = desk.changed(desk.keywheel()?.save_device(id, form).await)?;
    // It may have another address now: what was shown for the one before is not to be pinned.
    desk.scans.remember(saved.view.id, Vec::new());
    Ok(saved)
}

/// Removes a device.
#[tauri::command]
pub(crate) async fn remove_device(desk: State<'_, Arc<Desk>>, id: DeviceId) -> Answer<()> {
    desk.changed(desk.keywheel()?.remove_device(id).await)
}

/// Asks devices which host keys they offer, several at once.
#[tauri::command]
pub(crate) async fn scan_devices(
    desk: State<'_, Arc<Desk>>,
    ids: Vec<DeviceId>,
    scanned: Channel<Scanned>,
) -> Answer<()> {
    let keywheel = desk.keywheel()?;
    let stop = desk.scans.stops.begin();
    let known_hosts = off_thread(known_hosts).await.map(Arc::new);
    let mut waiting = ids.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < SCANS_AT_ONCE && !*stop.borrow() {
            let Some(id) = waiting.next() else { break };
            running.spawn(scan(Arc::clone(&desk), keywheel.clone(), id, known_hosts.clone()));
        }
        match running.join_next().await {
            None => break,
            Some(Ok(answer)) => drop(scanned.send(answer)),
            Some(Err(_)) => return Err(report(DeskError::Broken)),
        }
    }
    // What was seen of the devices stands in their rows.
    desk.notices.tell(Notice::Catalogue);
    Ok(())
}

async fn scan(desk: Arc<Desk>, keywheel: Keywheel, id: DeviceId, known_hosts: Option<Arc<KnownHosts>>) -> Scanned {
    let answer = async {
        let device = keywheel.device(id).await?;
        let offered = keywheel.scan_device(id, known_hosts.as_deref()).await;
        Ok::<_, keywheel_core::Error>((device, offered))
    };
    match answer.await {
        Ok((device, Ok(offered))) => {
            let keys = offered.iter().map(|offered| offered.view(&device)).collect();
            desk.scans.remember(id, offered);
            Scanned { device_id: id, device: device.name, keys, error: None }
        }
        Ok((device, Err(error))) => {
            desk.scans.remember(id, Vec::new());
            Scanned { device_id: id, device: device.name, keys: Vec::new(), error: Some(report(error)) }
        }
        Err(error) => Scanned { device_id: id, device: id.to_string(), keys: Vec::new(), error: Some(report(error)) },
    }
}

/// What OpenSSH trusts for this account and this host. It is a help to compare, so a scan goes on without it.
fn known_hosts() -> Option<KnownHosts> {
    let own = std::env::home_dir().map(|home| home.join(".ssh/known_hosts"));
    let all = Path::new("/etc/ssh/ssh_known_hosts");
    let paths: Vec<&Path> = own.as_deref().into_iter().chain([all]).collect();
    KnownHosts::read(&paths).inspect_err(|error| tracing::warn!(%error, "known_hosts are not compared")).ok()
}

/// Stops a scan after the devices in hand.
#[tauri::command]
pub(crate) async fn stop_scan(desk: State<'_, Arc<Desk>>) -> Answer<()> {
    desk.scans.stops.stop();
    Ok(())
}

/// Pins keys of the last scan; one that can't be pinned doesn't keep the others from it.
#[tauri::command]
pub(crate) async fn pin_host_keys(desk: State<'_, Arc<Desk>>, pins: Vec<Pin>) -> Answer<PinsDone> {
    let keywheel = desk.keywheel()?;
    let mut done = PinsDone { pinned: 0, failed: Vec::new() };
    for pin in pins {
        let pinned = if pin.replace { Pinned::Replace } else { Pinned::Keep };
        match desk.scans.offered(pin.device_id, &pin.fingerprint) {
            Ok(key) => match keywheel.pin_host_keys(pin.device_id, vec![key], pinned).await {
                Ok(_) => done.pinned += 1,
                Err(error) => done.failed.push(report(error)),
            },
            Err(error) => done.failed.push(report(error)),
        }
    }
    desk.notices.tell(Notice::Catalogue);
    Ok(done)
}

/// Lets the person choose a CSV file and says what its import would do.
#[tauri::command]
pub(crate) async fn choose_csv<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<Option<CsvDraft>> {
    match files::to_read(&window).await {
        Some(path) => preview(&desk, path).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn preview(desk: &Desk, path: PathBuf) -> Answer<CsvDraft> {
    let file = path.display().to_string();
    let bytes = off_thread(move || files::read(&path, LARGEST_CSV)).await.map_err(report)?.to_vec();
    let shown = desk.keywheel()?.preview_import(bytes.clone()).await.map_err(report)?;
    let draft = desk.drafts().keep(Draft::Csv { bytes, shown: shown.clone() });
    Ok(CsvDraft { draft, file, preview: shown })
}

/// Imports the good rows of a CSV file, if that does exactly what was shown.
#[tauri::command]
pub(crate) async fn import_devices(desk: State<'_, Arc<Desk>>, draft: u32) -> Answer<Preview> {
    let (bytes, shown) = match desk.drafts().find(draft).map_err(report)? {
        Draft::Csv { bytes, shown } => (bytes.clone(), shown.clone()),
        _ => return Err(report(DeskError::DraftUnfit)),
    };
    let done = desk.changed(desk.keywheel()?.import_devices(bytes, shown).await)?;
    desk.drafts().forget(draft);
    Ok(done)
}
