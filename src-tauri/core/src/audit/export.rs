//! The record as a file for others.

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{AuditError, Record, record};
use crate::private_file;

/// The format of an exported record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// One array of objects.
    Json,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

/// The format is neither CSV nor JSON.
#[derive(Debug, thiserror::Error)]
#[error("an export is either csv or json")]
pub struct UnknownFormat;

/// Writes the whole record to a new file with mode 0600, and answers how many rows it holds.
///
/// # Errors
/// The file exists already or can't be written; the database's own failure. What was begun of the file is removed.
pub fn export(conn: &Connection, format: Format, path: &Path) -> Result<u64, AuditError> {
    let mut count = 0;
    let mut failed = None;
    let mut statement = conn.prepare("SELECT * FROM audit ORDER BY id").map_err(AuditError::from)?;
    let written = private_file::create(path, |file| {
        let mut rows = Rows::begin(format, io::BufWriter::new(file))?;
        let found = statement.query_map([], record).and_then(|records| {
            for record in records {
                let record = record?;
                if let Err(error) = rows.row(&record) {
                    return Ok(Some(error));
                }
                count += 1;
            }
            Ok(None)
        });
        match found {
            Ok(None) => rows.end(),
            Ok(Some(error)) => Err(error),
            Err(error) => {
                failed = Some(error);
                Err(io::Error::other("the record could not be read"))
            }
        }
    });
    match (failed, written) {
        (Some(error), _) => Err(error.into()),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(count),
    }
}

enum Rows<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json { out: W, first: bool },
}

impl<W: Write> Rows<W> {
    fn begin(format: Format, mut out: W) -> io::Result<Self> {
        match format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record([
                    "id",
                    "at",
                    "actor",
                    "action",
                    "subject_kind",
                    "subject",
                    "result",
                    "code",
                    "detail",
                    "hash",
                ])?;
                Ok(Self::Csv(Box::new(writer)))
            }
            Format::Json => {
                out.write_all(b"[")?;
                Ok(Self::Json { out, first: true })
            }
        }
    }

    fn row(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Self::Csv(writer) => {
                let detail = if record.detail.is_null() { String::new() } else { record.detail.to_string() };
                writer.write_record([
                    record.id.to_string().as_str(),
                    &record.at,
                    &record.actor,
                    &record.action,
                    &record.subject_kind,
                    record.subject.as_deref().unwrap_or_default(),
                    record.result.as_str(),
                    record.code.as_deref().unwrap_or_default(),
                    &detail,
                    &record.hash,
                ])?;
                Ok(())
            }
            Self::Json { out, first } => {
                out.write_all(if *first { b"\n" } else { b",\n" })?;
                *first = false;
                serde_json::to_writer(out, record)?;
                Ok(())
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            Self::Json { mut out, .. } => {
                out.write_all(b"\n]\n")?;
                out.flush()
            }
        }
    }
}
