//! What is shown to others: that a key was changed, and how all keys stand.
//!
//! - [`proof`]: the facts of one change, from the journal and the audit
//! - [`fleet`]: every credential with its key's age, its last change, and what was left behind
//! - [`html`]: both as one file that loads nothing, for the screen and for paper
//! - [`verify`]: whether a proof says what this vault's journal and audit say
//!
//! No secret, no file's text and nobody else's line is in any of them. Each file that is written is a row of the audit with the
//! file's SHA-256, so that a proof can be recognised later, also when the change has gone on since.

mod csv;
pub mod fleet;
mod html;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod verify;

use std::io::Write as _;
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::fleet::Fleet;
pub use self::proof::Proof;
pub use self::verify::{Difference, Verdict};
use crate::audit::{Action, REPORT_WRITE};
use crate::catalogue::words;
use crate::clock::rfc3339;
use crate::error::{Class, Error, Explain};
use crate::journal::{self, ChangeId, ChangeState, JournalError};
use crate::keywheel::Keywheel;
use crate::private_file;

/// Why a file can't be read as a proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It is neither of the two forms.
    #[error("The file is not a proof of Keywheel's.")]
    NotAProof,
    /// It is one of a format that this version does not know.
    #[error("The proof has the format \"{format}\", which this version does not know.")]
    UnknownFormat {
        /// The format it names.
        format: String,
    },
    /// The facts in it can't be read.
    #[error("The facts of the proof can't be read: {source}.")]
    Unreadable {
        /// Why not.
        source: serde_json::Error,
    },
}

impl Explain for ReportError {
    crate::sentences! {
        NotAProof => "not-a-proof",
        UnknownFormat { format } => "proof-format",
        Unreadable { source } => "proof-unreadable",
    }

    fn hint(&self) -> String {
        match self {
            Self::NotAProof => "Choose a file that \"Save proof…\" or `keywheel report change` has written.".to_owned(),
            Self::UnknownFormat { .. } => "Verify it with the version of Keywheel that wrote it.".to_owned(),
            Self::Unreadable { .. } => "It was altered or cut after it was written; ask for the file anew.".to_owned(),
        }
    }

    fn class(&self) -> Class {
        Class::BadInput
    }
}

words! {
    /// The form of a proof.
    ProofFormat {
        /// A page to read and to print.
        Html = "html",
        /// For programs.
        Json = "json",
    }
}

words! {
    /// The form of the report on all credentials.
    FleetFormat {
        /// For spreadsheets: RFC 4180, with a header.
        Csv = "csv",
        /// For programs.
        Json = "json",
        /// A page to read and to print.
        Html = "html",
    }
}

/// When, by whom and by which version a report was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// When, in RFC 3339.
    pub at: String,
    /// Who asked for it.
    pub by: String,
    /// The version of Keywheel.
    pub version: String,
}

/// A report that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "ReportWritten")]
pub struct ReportFile {
    /// The file.
    pub file: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
}

impl Keywheel {
    /// Writes the proof of a change to a new file with mode 0600.
    ///
    /// The audit gets the SHA-256 of the file and of the facts in it, which makes both recognisable.
    ///
    /// # Errors
    /// There is no such change, or it is under way or has not begun; the file exists or can't be written.
    pub async fn write_proof(&self, id: ChangeId, format: ProofFormat, to: &Path) -> Result<ReportFile, Error> {
        let action = Action::new(REPORT_WRITE, "change", id.to_string()).with(json!({
            "change": id.0,
            "format": format,
            "file": to.to_string_lossy(),
        }));
        let (this, written) = (self.clone(), self.written());
        let made = self
            .database()
            .run(move |database| -> Result<Made, Error> {
                let proof = database.read(|conn| this.proof(conn, id, written))?;
                let text = match format {
                    ProofFormat::Json => proof.to_pretty_json(),
                    ProofFormat::Html => html::proof(&proof),
                };
                Ok(Made { text, facts: Some(proof.sha256()) })
            })
            .await;
        self.put(action, made, to).await
    }

    fn proof(&self, conn: &Connection, id: ChangeId, written: Written) -> Result<Proof, Error> {
        let change = journal::change::find(conn, id)?;
        let state = self.state_now(&change, &change.snapshot.credential)?;
        if matches!(state, ChangeState::Running | ChangeState::Scheduled) {
            return Err(JournalError::StateForbids { id, state, action: "proven" }.into());
        }
        proof::read(conn, &change, state, None, written)
    }

    /// Writes the report on all credentials to a new file with mode 0600.
    ///
    /// # Errors
    /// The file exists or can't be written; as [`Keywheel::credential_rows`].
    pub async fn write_fleet_report(&self, format: FleetFormat, to: &Path) -> Result<ReportFile, Error> {
        let action =
            Action::unnamed(REPORT_WRITE, "fleet").with(json!({ "format": format, "file": to.to_string_lossy() }));
        let made = match self.fleet().await {
            Ok(fleet) => self.database().run(move |_| Ok(fleet.in_format(format))).await,
            Err(error) => Err(error),
        };
        self.put(action, made, to).await
    }

    /// Reads how every credential stands, as the report tells it.
    ///
    /// # Errors
    /// As [`Keywheel::credential_rows`].
    pub async fn fleet(&self) -> Result<Fleet, Error> {
        fleet::read(self, self.written()).await
    }

    /// Compares a proof, in either form, with this vault's journal and audit.
    ///
    /// # Errors
    /// The bytes are no proof; the database's own failure.
    pub async fn verify_proof(&self, bytes: Vec<u8>) -> Result<Verdict, Error> {
        let (this, kept) = (self.clone(), self.kept_anchor().await);
        self.database().run_read(move |conn| verify::verify(&this, conn, &kept, &bytes)).await
    }

    /// Writes the file with its audit row. Whatever takes long is done before, so that nobody waits for the database.
    async fn put(&self, action: Action, made: Result<Made, Error>, to: &Path) -> Result<ReportFile, Error> {
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                self.record(action, Some(&error)).await;
                return Err(error);
            }
        };
        let to = to.to_owned();
        self.change(action, move |_, action| {
            let sha256 = journal::effect::hash(made.text.as_bytes());
            private_file::create(&to, |mut file| file.write_all(made.text.as_bytes()))?;
            if let Some(detail) = action.detail.as_object_mut() {
                detail.insert("sha256".to_owned(), sha256.clone().into());
                if let Some(facts) = made.facts {
                    detail.insert("facts_sha256".to_owned(), facts.into());
                }
            }
            Ok(ReportFile { file: to.display().to_string(), sha256 })
        })
        .await
    }

    fn written(&self) -> Written {
        Written { at: rfc3339(self.now()), by: self.actor().to_string(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// A report, before it is written.
struct Made {
    text: String,
    /// The SHA-256 of a proof's facts.
    facts: Option<String>,
}

impl Fleet {
    fn in_format(&self, format: FleetFormat) -> Made {
        let text = match format {
            FleetFormat::Csv => csv::fleet(self),
            FleetFormat::Json => self.to_pretty_json(),
            FleetFormat::Html => html::fleet(self),
        };
        Made { text, facts: None }
    }
}
