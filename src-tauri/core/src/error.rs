//! What an error tells a person and a program.
//!
//! Each module has its own error enum; this trait is what the two shells need of all of them, so that a shell never
//! looks at an error's text or variants.

use serde::{Deserialize, Serialize};

/// The kind of answer an error asks for, from which a shell takes its exit status or its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What the person gave can't be used; nothing was begun.
    BadInput,
    /// The work was not done; nothing is changed.
    NotDone,
    /// The vault can't be used (keyring or database); nothing was begun.
    Unusable,
    /// The work was broken off after something was written, and can be resumed.
    Interrupted,
}

/// An error with two sentences for people and a stable code for programs.
///
/// `Display` is the first sentence: what happened, to which named thing.
pub trait Explain: std::error::Error {
    /// The stable code, in kebab-case (`host-key-changed`).
    fn code(&self) -> &'static str;
    /// The second sentence: what to do next.
    fn hint(&self) -> String;
    /// The name the user gave the thing it happened to, if there is one.
    fn subject(&self) -> Option<String> {
        None
    }
    /// What kind of answer it asks for.
    fn class(&self) -> Class {
        Class::NotDone
    }
    /// The field of a form that it is about, so that a window shows it there: `name`, `jump_with`.
    fn field(&self) -> Option<&'static str> {
        None
    }
}

/// Joins the modules' errors into one type that explains itself as they do.
macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident($error:ty)),+ $(,)?) => {
        /// Any error of the core: what its operations answer to a shell.
        #[derive(Debug, thiserror::Error)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])* #[error(transparent)] $variant(#[from] $error)),+
        }

        impl Explain for Error {
            fn code(&self) -> &'static str {
                match self { $(Self::$variant(error) => error.code()),+ }
            }

            fn hint(&self) -> String {
                match self { $(Self::$variant(error) => error.hint()),+ }
            }

            fn subject(&self) -> Option<String> {
                match self { $(Self::$variant(error) => error.subject()),+ }
            }

            fn class(&self) -> Class {
                match self { $(Self::$variant(error) => error.class()),+ }
            }

            fn field(&self) -> Option<&'static str> {
                match self { $(Self::$variant(error) => error.field()),+ }
            }
        }
    };
}

errors! {
    /// Of the database.
    Database(crate::database::DatabaseError),
    /// Of the catalogue.
    Catalogue(crate::catalogue::CatalogueError),
    /// Of a credential's secret.
    Credential(crate::credential::CredentialError),
    /// Of a CSV file with devices.
    Import(crate::device::ImportError),
    /// Of a `known_hosts` file.
    KnownHosts(crate::device::KnownHostsError),
    /// Of the audit.
    Audit(crate::audit::AuditError),
    /// Of a key.
    Key(crate::key::KeyError),
    /// Of the vault.
    Vault(crate::vault::VaultError),
    /// Of a file that was to be written.
    File(crate::private_file::PrivateFileError),
    /// Of a lock on a credential.
    Lock(crate::lock::LockError),
    /// Of the journal of changes.
    Journal(crate::journal::JournalError),
    /// Of a device that was to be reached.
    Remote(crate::remote::RemoteError),
    /// Of a key change.
    Rotation(crate::rotation::RotationError),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// An error in the one shape that both shells show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct Report {
    /// The stable code.
    pub code: String,
    /// What happened, to which named thing.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The name the user gave the thing.
    pub subject: Option<String>,
    /// The field of a form that it is about; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub field: Option<String>,
}

impl Report {
    /// Takes an error's two sentences, code, subject and field.
    pub fn of(error: &dyn Explain) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint(),
            subject: error.subject(),
            field: error.field().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CatalogueError;
    use crate::key::KeyError;

    #[test]
    fn a_report_names_its_field_only_where_there_is_one() {
        let port = Report::of(&Error::from(CatalogueError::Port { port: 0 }));
        assert_eq!(port.field.as_deref(), Some("port"), "the window would not know where to show it");
        let wrong = Report::of(&Error::from(KeyError::WrongPassphrase));
        assert_eq!(wrong.field.as_deref(), Some("passphrase"));
        let busy = crate::lock::LockError::Busy { credential: "deploy".to_owned() };
        let json = serde_json::to_value(Report::of(&busy)).unwrap();
        assert_eq!(json.get("field"), None, "what the command line prints would change");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap().field, None, "a stored report must stay readable");
    }
}
