//! Files that the person chooses.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tauri::{Runtime, WebviewWindow};
use tauri_plugin_dialog::{DialogExt, FileDialogBuilder};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::error::DeskError;

/// Lets the person choose a file that is there; none where the dialog was cancelled.
pub(crate) async fn to_read<R: Runtime>(window: &WebviewWindow<R>) -> Option<PathBuf> {
    let (chosen, choice) = oneshot::channel();
    dialog(window).pick_file(move |file| drop(chosen.send(file)));
    choice.await.ok().flatten()?.into_path().ok()
}

/// Lets the person choose where a new file goes; none where the dialog was cancelled.
///
/// The dialog may ask whether to replace a file that is there. Whoever writes refuses that all the same: nothing that is
/// written here replaces another file.
pub(crate) async fn to_write<R: Runtime>(window: &WebviewWindow<R>, name: &str) -> Option<PathBuf> {
    let (chosen, choice) = oneshot::channel();
    dialog(window).set_file_name(name).save_file(move |file| drop(chosen.send(file)));
    choice.await.ok().flatten()?.into_path().ok()
}

/// Lets the person choose a folder; none where the dialog was cancelled.
pub(crate) async fn folder<R: Runtime>(window: &WebviewWindow<R>) -> Option<PathBuf> {
    let (chosen, choice) = oneshot::channel();
    dialog(window).pick_folder(move |folder| drop(chosen.send(folder)));
    choice.await.ok().flatten()?.into_path().ok()
}

fn dialog<R: Runtime>(window: &WebviewWindow<R>) -> FileDialogBuilder<R> {
    window.dialog().file().set_parent(window)
}

/// Reads a file up to a size that nothing of its kind exceeds. It may hold a private key, so what is read is wiped. Blocks.
///
/// # Errors
/// It can't be read, or is larger.
pub(crate) fn read(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, DeskError> {
    let unreadable = |source| DeskError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // The whole length at once: a buffer that grows leaves its old copies behind. A pipe has no length.
    let length = file.metadata().map_err(unreadable)?.len().clamp(64 * 1024, most.max(64 * 1024));
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(DeskError::TooLarge { path: path.to_owned(), most });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap().as_slice(), b"12345");
        assert!(matches!(read(&path, 4), Err(DeskError::TooLarge { most: 4, .. })));
        assert!(matches!(read(&dir.path().join("none"), 5), Err(DeskError::Unreadable { .. })));
    }
}
