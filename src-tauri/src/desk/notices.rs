//! What the window is told without having asked.

use std::sync::Mutex;

use keywheel_core::journal::ChangeId;
use keywheel_core::rotation::changes::ChangeView;
use keywheel_core::rotation::event::Event;
use serde::Serialize;
use tauri::ipc::Channel;
use ts_rs::TS;

use super::lock;

/// Something that happened by itself.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub(crate) enum Notice {
    /// An event of a change that runs here.
    Change(Event),
    /// Anything that is listed may have changed: it is to be read again.
    Catalogue,
    /// The window was to be closed while changes run and there is no tray to go on in.
    CloseAsked {
        /// The changes.
        running: Vec<ChangeView>,
    },
    /// The person asked, outside the window, to see something.
    Show {
        /// The change; none: only the window.
        change: Option<ChangeId>,
    },
}

/// The page that listens, if one does.
#[derive(Default)]
pub(crate) struct Notices(Mutex<Option<Channel<Notice>>>);

impl Notices {
    /// Sends to this page from now on; one that was loaded before listens no more.
    pub(crate) fn listen(&self, page: Channel<Notice>) {
        *lock(&self.0) = Some(page);
    }

    /// Tells the page. Where none listens, nothing is lost: a page reads everything when it opens.
    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(page) = lock(&self.0).as_ref()
            && let Err(error) = page.send(notice)
        {
            tracing::debug!(%error, "the page does not listen");
        }
    }
}
