//! Importing devices from any bytes.

use std::sync::{Arc, OnceLock};

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::SystemClock;
use keywheel_core::vault::MemoryVault;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Desk {
    keywheel: Keywheel,
    runtime: Runtime,
    _dir: TempDir,
}

/// Opening a data directory takes a thousand times as long as a preview, which leaves nothing behind.
fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let vault = Arc::new(MemoryVault::new());
        let data = dir.path().join("data");
        let keywheel = Keywheel::open(&data, vault, Arc::new(SystemClock), Actor::named("ana@desk")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Desk { keywheel, runtime, _dir: dir }
    })
}

/// Takes any bytes for a CSV file, and looks at what its import would do.
///
/// # Panics
///
/// A row is in two lists, a row's line is not in the file, or looking left something in the database.
pub fn csv_import(bytes: &[u8]) {
    let desk = desk();
    desk.runtime.block_on(async {
        let Ok(preview) = desk.keywheel.preview_import(bytes.to_vec()).await else { return };
        let mut lines: Vec<u64> = preview.new.iter().map(|row| row.line).collect();
        lines.extend(preview.changed.iter().map(|row| row.line));
        lines.extend(preview.bad.iter().map(|row| row.line));
        lines.sort_unstable();
        let rows = lines.len();
        lines.dedup();
        assert_eq!(lines.len(), rows, "a row was counted twice");
        let ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
        assert!(lines.iter().all(|line| (2..=ends + 1).contains(line)), "a row that is not there: {lines:?}");
        assert!(preview.changed.is_empty() && preview.unchanged.is_empty(), "a device was left by looking");
        assert!(desk.keywheel.devices().await.unwrap().is_empty(), "a device was left by looking");
    });
}
