//! What can be done with the audit.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Transaction;
use serde_json::json;
use tokio::runtime;

use crate::audit::anchor::{self, Move};
use crate::audit::{self, Action, Anchor, Filter, Format, Kept, Page, Record, Verdict};
use crate::error::{Error, Report};
use crate::keywheel::Keywheel;
use crate::vault::{AnchorName, Vault, VaultError};

/// How long a change or a process waits in the end for its rows to be anchored.
const ANCHORED_WITHIN: Duration = Duration::from_secs(5);

/// How long the database may stay locked for it; others wait up to 10 seconds for their turn.
const LOCKED_WITHIN: Duration = Duration::from_secs(3);

impl Keywheel {
    /// Lists rows of the audit, oldest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn audit_rows(&self, filter: Filter) -> Result<Vec<Record>, Error> {
        self.database().run_read(move |conn| Ok(audit::list(conn, &filter)?)).await
    }

    /// Lists a page of the audit, newest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn audit_page(&self, page: Page) -> Result<Vec<Record>, Error> {
        self.database().run_read(move |conn| Ok(audit::page(conn, &page)?)).await
    }

    /// Says whether the audit's chain holds and is the one that the keyring vouches for, or which row is the first bad one.
    ///
    /// # Errors
    /// The database's own failure; a keyring that can't be asked is a part of the answer.
    pub async fn verify_audit(&self) -> Result<Verdict, Error> {
        let kept = self.kept_anchor().await;
        self.database().run_read(move |conn| Ok(audit::verify(conn, &kept)?)).await
    }

    /// What the keyring says of the audit's anchor; asked before the rows are read, since it only moves on.
    pub(crate) async fn kept_anchor(&self) -> Kept {
        match self.audit_anchor().await {
            Ok(Some(anchor)) => Kept::Anchor(anchor),
            Ok(None) => Kept::Nothing,
            Err(error) => Kept::Unread(Report::of(&error)),
        }
    }

    /// Reads the anchor that the keyring holds for a vault, which may be another than this one.
    pub(crate) async fn anchor_of(&self, vault: &str) -> Result<Option<Anchor>, VaultError> {
        read_anchor(self.vault().as_ref(), &AnchorName::new(vault)).await
    }

    /// The audit is another one since a backup took its place, and is to be anchored whatever was anchored before.
    pub(crate) fn forget_what_is_anchored(&self) {
        self.anchored_until.store(0, Ordering::Relaxed);
    }

    /// Reads the anchor that the keyring holds; none if no row was ever anchored.
    ///
    /// # Errors
    /// The keyring can't be used, or holds something else under that name.
    pub async fn audit_anchor(&self) -> Result<Option<Anchor>, VaultError> {
        read_anchor(self.vault().as_ref(), &self.anchor_name()).await
    }

    /// Keeps the last row in the keyring, if rows were written since this was opened or the last one was kept: called at the
    /// end of each change and of each process.
    ///
    /// It may fail without harm (a keyring that is locked meanwhile): the rows are then not yet anchored, and the next
    /// process that writes one anchors them.
    pub async fn anchor_audit(&self) {
        match tokio::time::timeout(ANCHORED_WITHIN, self.move_anchor()).await {
            Ok(Ok(Move::Refused)) => tracing::warn!(
                "The audit is not the one that its anchor in the keyring names; \"keywheel audit verify\" says more."
            ),
            Ok(Ok(Move::Stays | Move::To(_))) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the audit was not anchored"),
            Err(_) => tracing::debug!("the audit was not anchored in time"),
        }
    }

    /// Moves the anchor under the database's write lock, so that of two processes none sets it back.
    async fn move_anchor(&self) -> Result<Move, Error> {
        let end = self.database().run_read(anchor::end).await?;
        if end.is_none_or(|end| end.row <= self.anchored_until.load(Ordering::Relaxed)) {
            return Ok(Move::Stays);
        }
        // A keyring that does not answer is found out before others have to wait for the lock.
        self.vault().check().await?;
        let this = self.clone();
        self.database()
            .run(move |database| {
                // A runtime of its own: the other one's threads may all wait for the database meanwhile.
                let waiting =
                    runtime::Builder::new_current_thread().enable_all().build().map_err(VaultError::failed)?;
                database.write(|tx| waiting.block_on(this.move_anchor_now(tx)))
            })
            .await
    }

    async fn move_anchor_now(&self, tx: &Transaction<'_>) -> Result<Move, Error> {
        let (vault, name) = (self.vault().as_ref(), self.anchor_name());
        let moving = async {
            let now = read_anchor(vault, &name).await?;
            let next = anchor::next(tx, now.as_ref())?;
            if let Move::To(end) = next {
                vault.replace(&name, end.to_string().as_bytes()).await?;
            }
            Ok::<_, Error>(next)
        };
        let moved = tokio::time::timeout(LOCKED_WITHIN, moving).await;
        let moved = moved.unwrap_or(Err(VaultError::Timeout { limit: LOCKED_WITHIN }.into()))?;
        if let Some(end) = anchor::end(tx)? {
            self.anchored_until.store(end.row, Ordering::Relaxed);
        }
        Ok(moved)
    }

    fn anchor_name(&self) -> AnchorName {
        AnchorName::new(&self.database().vault_id())
    }

    /// Writes the whole audit to a new file with mode 0600; that it was exported is its next row.
    ///
    /// # Errors
    /// The file exists or can't be written.
    pub async fn export_audit(&self, format: Format, to: &Path) -> Result<u64, Error> {
        let to = to.to_owned();
        let action =
            Action::unnamed("audit-export", "audit").with(json!({ "file": to.to_string_lossy(), "format": format }));
        self.change(action, move |tx, action| {
            let rows = audit::export(tx, format, &to)?;
            if let Some(detail) = action.detail.as_object_mut() {
                detail.insert("rows".to_owned(), rows.into());
            }
            Ok(rows)
        })
        .await
    }
}

async fn read_anchor(vault: &dyn Vault, name: &AnchorName) -> Result<Option<Anchor>, VaultError> {
    let Some(text) = vault.read(name.item()).await? else { return Ok(None) };
    let anchor = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
    anchor.map(Some).ok_or_else(|| VaultError::Mismatch { name: name.item().clone() })
}
