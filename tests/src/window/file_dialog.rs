//! The file dialog of the toolkit: a window of its own, that no WebDriver reaches. It is answered as a person does who types.

use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, Window as Id,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::PATIENCE;
use crate::Trouble;

const AGAIN: Duration = Duration::from_millis(20);

// keysymdef.h of the X protocol; what is printable in ASCII stands for itself.
const RETURN: u32 = 0xff0d;
const ESCAPE: u32 = 0xff1b;
const SHIFT: u32 = 0xffe1;
const CONTROL: u32 = 0xffe3;

/// An open file dialog.
pub(super) struct FileDialog {
    server: RustConnection,
    root: Id,
    window: Id,
}

impl FileDialog {
    /// Waits until one is shown on a display, and gives it the focus.
    pub(super) async fn shown(display: Option<&str>) -> Result<Self, Trouble> {
        let (server, screen) = x11rb::connect(display)?;
        let root = server.setup().roots.get(screen).ok_or("the display has no screen")?.root;
        let begun = Instant::now();
        loop {
            let windows = server.query_tree(root)?.reply()?.children;
            let mut dialog = None;
            for window in windows {
                if is_dialog(&server, window)? {
                    dialog = Some(window);
                }
            }
            if let Some(window) = dialog {
                for focused in [root, window] {
                    server.set_input_focus(InputFocus::PARENT, focused, x11rb::CURRENT_TIME)?.check()?;
                }
                return Ok(Self { server, root, window });
            }
            if begun.elapsed() > PATIENCE {
                return Err("no file dialog came".into());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Types a path in place of the name that is proposed, and confirms it. Where none is, a slash opens a field for it.
    pub(super) async fn choose(self, path: &str) -> Result<(), Trouble> {
        self.press(&[CONTROL], u32::from('a'))?;
        for character in path.chars() {
            self.press(&[], u32::from(character))?;
        }
        self.press(&[], RETURN)?;
        self.gone().await
    }

    /// Closes it without a choice.
    pub(super) async fn cancel(self) -> Result<(), Trouble> {
        self.press(&[], ESCAPE)?;
        self.gone().await
    }

    async fn gone(self) -> Result<(), Trouble> {
        let begun = Instant::now();
        while is_dialog(&self.server, self.window)? {
            if begun.elapsed() > PATIENCE {
                return Err("the file dialog does not close".into());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// Presses and releases the key that has a sign while others are held; shift, too, where the sign stands above another.
    fn press(&self, held: &[u32], sign: u32) -> Result<(), Trouble> {
        let (key, shifted) = self.key(sign)?;
        let mut keys = Vec::new();
        for held in held.iter().copied().chain(shifted.then_some(SHIFT)) {
            keys.push(self.key(held)?.0);
        }
        keys.push(key);
        let down = keys.iter().map(|key| (KEY_PRESS_EVENT, *key));
        let up = keys.iter().rev().map(|key| (KEY_RELEASE_EVENT, *key));
        for (stroke, key) in down.chain(up) {
            self.server.xtest_fake_input(stroke, key, x11rb::CURRENT_TIME, self.root, 0, 0, 0)?.check()?;
        }
        Ok(())
    }

    fn key(&self, sign: u32) -> Result<(u8, bool), Trouble> {
        let setup = self.server.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self.server.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        let keys = map.keysyms.chunks(map.keysyms_per_keycode.into()).zip(first..=last);
        let found = keys.filter_map(|(signs, key)| {
            let place = signs.iter().take(2).position(|known| *known == sign)?;
            Some((key, place == 1))
        });
        found.min_by_key(|(_, shifted)| *shifted).ok_or_else(|| format!("no key has the sign {sign:#x}").into())
    }
}

/// Whether a window is shown and says that it is a dialog (Extended Window Manager Hints, `_NET_WM_WINDOW_TYPE`).
fn is_dialog(server: &RustConnection, window: Id) -> Result<bool, Trouble> {
    let Ok(attributes) = server.get_window_attributes(window)?.reply() else { return Ok(false) };
    if attributes.map_state != MapState::VIEWABLE {
        return Ok(false);
    }
    let atom = |name: &str| -> Result<u32, Trouble> { Ok(server.intern_atom(false, name.as_bytes())?.reply()?.atom) };
    let (kind, dialog) = (atom("_NET_WM_WINDOW_TYPE")?, atom("_NET_WM_WINDOW_TYPE_DIALOG")?);
    let kinds = server.get_property(false, window, kind, AtomEnum::ATOM, 0, 8)?;
    Ok(kinds.reply().is_ok_and(|kinds| kinds.value32().is_some_and(|mut kinds| kinds.any(|known| known == dialog))))
}
