use crate::error::{Class, Explain};
use crate::key::KeyError;

/// Why a CSV file, or a row of it, can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is not UTF-8.
    #[error("The file is not UTF-8 (byte {at}).")]
    NotUtf8 {
        /// The first byte that can't be read, from 0.
        at: usize,
    },
    /// The file has no header or no rows.
    #[error("The file has no rows.")]
    Empty,
    /// A column that must be there is not.
    #[error("The header has no column \"{column}\".")]
    MissingColumn {
        /// The column.
        column: &'static str,
    },
    /// A column is unknown or there twice.
    #[error("The header has a column \"{column}\" that is unknown, or there twice.")]
    UnknownColumn {
        /// What stands in the header.
        column: String,
    },
    /// The row has too many or too few cells.
    #[error("The row has {found} cells, the header {expected}.")]
    Cells {
        /// How many the header has.
        expected: u64,
        /// How many the row has.
        found: u64,
    },
    /// The row can't be read as CSV.
    #[error("The row is no CSV: {source}.")]
    Csv {
        /// Why not.
        source: csv::Error,
    },
    /// The port is no number.
    #[error("\"{given}\" is no port.")]
    Port {
        /// What stands there.
        given: String,
    },
    /// The host key is no public key.
    #[error("The host key can't be used: {source}")]
    HostKey {
        /// Why not.
        source: KeyError,
    },
    /// The name stands in an earlier row too.
    #[error("The name \"{name}\" stands in line {line} already.")]
    Twice {
        /// The name.
        name: String,
        /// The earlier line.
        line: u64,
    },
    /// The file or the devices changed since the preview.
    #[error("The import would do something else now than what was shown.")]
    Changed,
}

impl Explain for ImportError {
    crate::sentences! {
        NotUtf8 { at } => "csv-not-utf8",
        Empty => "csv-empty",
        MissingColumn { column } => "csv-missing-column",
        UnknownColumn { column } => "csv-unknown-column",
        Cells { expected, found } => "csv-bad-row",
        Csv { source } => "csv-bad-row" as "csv-no-csv",
        Port { given } => "bad-port" as "csv-bad-port",
        Twice { name, line } => "name-twice",
        Changed => "import-changed";
        around HostKey(source: KeyError) {} => "bad-host-key" as "csv-bad-host-key"
    }

    fn hint(&self) -> String {
        match self {
            Self::NotUtf8 { .. } => "Save the file as UTF-8.".to_owned(),
            Self::Empty | Self::MissingColumn { .. } => {
                "Begin the file with a header that names at least name,address.".to_owned()
            }
            Self::UnknownColumn { .. } => {
                "Use only name, address, port, jump, tags, authorized_keys_path and host_key, each once.".to_owned()
            }
            Self::Cells { .. } | Self::Csv { .. } => {
                "Put cells with commas, quotes or line breaks into double quotes.".to_owned()
            }
            Self::Port { .. } => "Give a port from 1 to 65535, or leave the cell empty.".to_owned(),
            Self::HostKey { .. } => {
                "Give the key as ssh-keyscan prints it after the host: type and base64 text.".to_owned()
            }
            Self::Twice { .. } => "Take one of the two rows out.".to_owned(),
            Self::Changed => "Look at the new preview and confirm again.".to_owned(),
        }
    }

    fn class(&self) -> Class {
        Class::BadInput
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Port { .. } => Some("port"),
            Self::HostKey { .. } => Some("host_key"),
            Self::Twice { .. } => Some("name"),
            Self::NotUtf8 { .. }
            | Self::Empty
            | Self::MissingColumn { .. }
            | Self::UnknownColumn { .. }
            | Self::Cells { .. }
            | Self::Csv { .. }
            | Self::Changed => None,
        }
    }
}
