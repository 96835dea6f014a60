//! What a desktop does with a window from outside it: gives it the focus, presses its close button, offers a tray.

use std::time::{Duration, Instant};

use nix::unistd::Pid;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, CLIENT_MESSAGE_EVENT, ClientMessageData, ClientMessageEvent, ConnectionExt as _, EventMask,
    InputFocus, MapState, Window as Id,
};
use x11rb::rust_connection::RustConnection;
use zbus::blocking::{Connection, connection};

use super::PATIENCE;
use crate::Trouble;

const AGAIN: Duration = Duration::from_millis(20);

/// The window of a process, as the X server knows it.
pub(super) struct Outside {
    server: RustConnection,
    root: Id,
    window: Id,
    protocols: Atom,
    delete: Atom,
}

impl Outside {
    /// Finds the window of a process on a display (none: that of this process): the one that can be asked to close.
    pub(super) fn of(process: Pid, display: Option<&str>) -> Result<Self, Trouble> {
        let (server, screen) = x11rb::connect(display)?;
        let root = server.setup().roots.get(screen).ok_or("the display has no screen")?.root;
        let atom =
            |name: &str| -> Result<Atom, Trouble> { Ok(server.intern_atom(false, name.as_bytes())?.reply()?.atom) };
        let (protocols, delete, owner) = (atom("WM_PROTOCOLS")?, atom("WM_DELETE_WINDOW")?, atom("_NET_WM_PID")?);
        let numbers = |window: Id, property: Atom, kind: AtomEnum| -> Option<Vec<u32>> {
            let reply = server.get_property(false, window, property, kind, 0, 32).ok()?.reply().ok()?;
            Some(reply.value32()?.collect())
        };
        let id = u32::try_from(process.as_raw())?;
        let closable = |window: &Id| {
            numbers(*window, owner, AtomEnum::CARDINAL).is_some_and(|owners| owners.contains(&id))
                && numbers(*window, protocols, AtomEnum::ATOM).is_some_and(|known| known.contains(&delete))
        };
        // GTK has small windows of its own that look the same and are never shown.
        let size = |window: &Id| {
            let place = server.get_geometry(*window).ok()?.reply().ok()?;
            Some(u32::from(place.width) * u32::from(place.height))
        };
        let found = server.query_tree(root)?.reply()?.children.into_iter().filter(closable).max_by_key(size);
        let window = found.ok_or("the program has no window that could be closed")?;
        Ok(Self { server, root, window, protocols, delete })
    }

    /// Asks the window to close, as the close button in its frame does (ICCCM, section 4.2.8.1).
    pub(super) fn ask_to_close(&self) -> Result<(), Trouble> {
        let message = ClientMessageEvent {
            response_type: CLIENT_MESSAGE_EVENT,
            format: 32,
            sequence: 0,
            window: self.window,
            type_: self.protocols,
            data: ClientMessageData::from([self.delete, x11rb::CURRENT_TIME, 0, 0, 0]),
        };
        self.server.send_event(false, self.window, EventMask::NO_EVENT, message)?.check()?;
        Ok(())
    }

    /// Gives the window the focus, which something else has had.
    pub(super) fn focus(&self) -> Result<(), Trouble> {
        for window in [self.root, self.window] {
            self.server.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?.check()?;
        }
        Ok(())
    }

    /// Waits until the window is shown, or is not.
    pub(super) async fn wait_until(&self, shown: bool) -> Result<(), Trouble> {
        let begun = Instant::now();
        while (self.server.get_window_attributes(self.window)?.reply()?.map_state == MapState::VIEWABLE) != shown {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the window never came to be {}", if shown { "shown" } else { "hidden" }).into());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }
}

/// The tray of a desktop, as programs see it: somebody to whom icons are given (freedesktop.org, StatusNotifierWatcher).
pub struct Tray {
    _bus: Connection,
}

struct Watcher;

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }

    fn register_status_notifier_item(&self, _service: &str) {}

    fn register_status_notifier_host(&self, _service: &str) {}
}

impl Tray {
    /// Puts a tray on a session bus, for as long as this value lives.
    pub(super) fn on(address: &str) -> Result<Self, Trouble> {
        let bus = connection::Builder::address(address)?
            .serve_at("/StatusNotifierWatcher", Watcher)?
            .name("org.kde.StatusNotifierWatcher")?
            .build()?;
        Ok(Self { _bus: bus })
    }
}
