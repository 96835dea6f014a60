//! The clipboard, used from Rust alone: what is pasted may be a private key.

use std::sync::Mutex;

use arboard::Clipboard;
use zeroize::Zeroizing;

use crate::desk::lock;
use crate::error::DeskError;

/// The one that offers what was copied: on X11 and Wayland the program itself hands it out, for as long as this lives.
static OFFERED: Mutex<Option<Clipboard>> = Mutex::new(None);

/// Puts public text into the clipboard. Blocks.
///
/// # Errors
/// The system has no clipboard, or does not give it.
pub(crate) fn copy(text: &str) -> Result<(), DeskError> {
    let failed = |source| DeskError::Clipboard { source };
    let mut offered = lock(&OFFERED);
    let clipboard = match offered.as_mut() {
        Some(clipboard) => clipboard,
        None => offered.insert(Clipboard::new().map_err(failed)?),
    };
    clipboard.set_text(text).map_err(failed)
}

/// Reads the clipboard's text, which is wiped after use. Blocks.
///
/// # Errors
/// It holds no text; as [`copy`].
pub(crate) fn paste() -> Result<Zeroizing<Vec<u8>>, DeskError> {
    let text = Clipboard::new().and_then(|mut clipboard| clipboard.get_text());
    match text {
        Ok(text) if !text.trim().is_empty() => Ok(Zeroizing::new(text.into_bytes())),
        Ok(_) | Err(arboard::Error::ContentNotAvailable) => Err(DeskError::NothingToPaste),
        Err(source) => Err(DeskError::Clipboard { source }),
    }
}
