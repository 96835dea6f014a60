//! Reads the text: pure.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord};

use super::{BadRow, ImportError};
use crate::error::{Explain, Report};
use crate::key::PublicKey;

const COLUMNS: [&str; 7] = ["name", "address", "port", "jump", "tags", "authorized_keys_path", "host_key"];

/// A row of the file; `None` is an empty cell or no such column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::device) struct Row {
    pub(in crate::device) line: u64,
    pub(in crate::device) name: String,
    pub(in crate::device) address: String,
    pub(in crate::device) port: Option<i64>,
    pub(in crate::device) jump: Option<String>,
    pub(in crate::device) tags: Option<Vec<String>>,
    pub(in crate::device) authorized_keys_path: Option<String>,
    pub(in crate::device) host_keys: Vec<PublicKey>,
}

impl Row {
    pub(super) fn bad(&self, error: &dyn Explain) -> BadRow {
        BadRow { line: self.line, name: self.name.clone(), error: Report::of(error) }
    }
}

/// Reads all rows, the bad ones with their cause.
pub(in crate::device) fn parse(csv: &[u8]) -> Result<Vec<Result<Row, BadRow>>, ImportError> {
    let text = std::str::from_utf8(csv).map_err(|error| ImportError::NotUtf8 { at: error.valid_up_to() })?;
    // Spreadsheets begin UTF-8 files with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|source| ImportError::Csv { source })?.clone();
    let columns = columns(&header)?;
    let mut rows = Vec::new();
    let mut places = Lines { text, at: 0, line: 1 };
    let mut lines: HashMap<String, u64> = HashMap::new();
    for record in reader.into_records() {
        let record = record.map_err(|source| ImportError::Csv { source })?;
        let begin = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or_default();
        let line = places.line(begin);
        let cell = |column: &str| columns.get(column).and_then(|place| record.get(*place)).unwrap_or_default().trim();
        let name = cell("name").to_owned();
        let bad = |error: &ImportError| BadRow { line, name: name.clone(), error: Report::of(error) };
        if record.len() != header.len() {
            let (expected, found) = (header.len() as u64, record.len() as u64);
            rows.push(Err(bad(&ImportError::Cells { expected, found })));
            continue;
        }
        if let Some(earlier) = lines.get(&name) {
            rows.push(Err(bad(&ImportError::Twice { name: name.clone(), line: *earlier })));
            continue;
        }
        lines.insert(name.clone(), line);
        rows.push(row(line, cell).map_err(|error| bad(&error)));
    }
    if rows.is_empty() { Err(ImportError::Empty) } else { Ok(rows) }
}

/// Counts lines. The reader's own count is one short where lines end in CR LF.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that begins at a byte or after the line ends that stand there; asked in ascending order.
    fn line(&mut self, begin: usize) -> u64 {
        let rest = self.text.get(begin..).unwrap_or_default();
        let begin = begin + (rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        let passed = self.text.get(self.at..begin).unwrap_or_default();
        self.line += passed.replace("\r\n", "\n").matches(['\r', '\n']).count() as u64;
        self.at = begin;
        self.line
    }
}

fn columns(header: &StringRecord) -> Result<HashMap<&'static str, usize>, ImportError> {
    let mut columns = HashMap::new();
    for (place, given) in header.iter().enumerate() {
        let given = given.trim();
        let known = COLUMNS.into_iter().find(|column| *column == given);
        match known {
            Some(column) if columns.insert(column, place).is_none() => {}
            _ if header.len() == 1 && given.is_empty() => return Err(ImportError::Empty),
            _ => return Err(ImportError::UnknownColumn { column: given.to_owned() }),
        }
    }
    for column in ["name", "address"] {
        if !columns.contains_key(column) {
            return Err(if columns.is_empty() { ImportError::Empty } else { ImportError::MissingColumn { column } });
        }
    }
    Ok(columns)
}

fn row<'a>(line: u64, cell: impl Fn(&str) -> &'a str) -> Result<Row, ImportError> {
    let text = |column: &str| Some(cell(column)).filter(|text| !text.is_empty()).map(str::to_owned);
    let list = |column: &str| {
        text(column).map(|text| {
            text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        })
    };
    let port = match text("port") {
        Some(given) => Some(given.parse().map_err(|_| ImportError::Port { given })?),
        None => None,
    };
    let host_keys = list("host_key").unwrap_or_default();
    let host_keys: Result<Vec<PublicKey>, _> = host_keys.iter().map(|key| PublicKey::from_openssh(key)).collect();
    Ok(Row {
        line,
        name: cell("name").to_owned(),
        address: cell("address").to_owned(),
        port,
        jump: text("jump"),
        tags: list("tags"),
        authorized_keys_path: text("authorized_keys_path"),
        host_keys: host_keys.map_err(|source| ImportError::HostKey { source })?,
    })
}
