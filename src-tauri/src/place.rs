//! Where the window was: kept in the data directory, beside the rest.
//!
//! Tauri's plugin for this keeps its file in the account's configuration folder, where two data directories would share it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tauri::{PhysicalPosition, PhysicalSize, Runtime, WebviewWindow};

const FILE: &str = "window.json";

/// The window's size and place, in the screen's own pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    width: u32,
    height: u32,
    /// None where the desktop tells no window its place (Wayland).
    position: Option<(i32, i32)>,
    maximized: bool,
}

impl Place {
    /// Where the window is now; none while it is not to be seen.
    pub(crate) fn of<R: Runtime>(window: &WebviewWindow<R>) -> Option<Self> {
        if window.is_minimized().unwrap_or(false) || !window.is_visible().unwrap_or(true) {
            return None;
        }
        let size = window.inner_size().ok()?;
        let position = window.outer_position().ok().map(|position| (position.x, position.y));
        Some(Self {
            width: size.width,
            height: size.height,
            position,
            maximized: window.is_maximized().unwrap_or(false),
        })
    }

    /// Puts the window there. A place on a screen that is gone is left to the desktop.
    pub(crate) fn apply<R: Runtime>(self, window: &WebviewWindow<R>) -> tauri::Result<()> {
        window.set_size(PhysicalSize::new(self.width, self.height))?;
        if let Some((x, y)) = self.position {
            let screens = window.available_monitors()?;
            let visible = screens.iter().any(|screen| {
                let (place, size) = (screen.position(), screen.size());
                holds(place.x, size.width, x) && holds(place.y, size.height, y)
            });
            if visible {
                window.set_position(PhysicalPosition::new(x, y))?;
            }
        }
        if self.maximized {
            window.maximize()?;
        }
        Ok(())
    }

    /// Reads what was kept in a data directory; a file that is not ours counts as none.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read(dir.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps it in a data directory: written beside the old file and put in its place, so that it is never half.
    pub(crate) fn write(self, dir: &Path) -> io::Result<()> {
        let beside = dir.join(format!("{FILE}.new"));
        fs::write(&beside, serde_json::to_vec(&self)?)?;
        fs::rename(beside, dir.join(FILE))
    }
}

/// Whether a length from `start` holds a coordinate.
fn holds(start: i32, length: u32, at: i32) -> bool {
    (i64::from(start)..i64::from(start) + i64::from(length)).contains(&i64::from(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_and_another_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Place::read(dir.path()), None);
        let place = Place { width: 1280, height: 800, position: Some((-1920, 40)), maximized: false };
        place.write(dir.path()).unwrap();
        assert_eq!(Place::read(dir.path()), Some(place), "the window would open elsewhere");
        fs::write(dir.path().join(FILE), "{\"width\":-1}").unwrap();
        assert_eq!(Place::read(dir.path()), None, "the window would not open");
    }

    #[test]
    fn a_screen_holds_its_first_and_not_its_last_coordinate() {
        assert!(holds(-1920, 1920, -1920) && holds(-1920, 1920, -1));
        assert!(!holds(-1920, 1920, 0));
    }
}
