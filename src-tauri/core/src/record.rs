//! What can be done with the audit.

use std::path::Path;

use serde_json::json;

use crate::audit::{self, Action, Filter, Format, Page, Record, Verdict};
use crate::error::Error;
use crate::keywheel::Keywheel;

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

    /// Says whether the audit's chain holds, or which row is the first bad one.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn verify_audit(&self) -> Result<Verdict, Error> {
        self.database().run_read(|conn| Ok(audit::verify(conn)?)).await
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
