//! Devices from a CSV file: parsed, shown, and only then written.
//!
//! The file is UTF-8 with a header: `name,address` and any of `port,jump,tags,authorized_keys_path,host_key`. Tags and
//! host keys are separated by `;`. An empty cell says nothing: a new device gets the default, a known one keeps what it has.

mod error;
mod parse;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::error::ImportError;
pub(super) use self::parse::{Row, parse};
use super::{EditDevice, NewDevice, Pinned, add, apply, pin};
use crate::audit::Action;
use crate::catalogue::device::{self, Device};
use crate::catalogue::{CatalogueError, Noun, text};
use crate::error::{Error, Report};
use crate::keywheel::Keywheel;

/// What an import does, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct Preview {
    /// Devices that are added.
    pub new: Vec<AddedDevice>,
    /// Devices that are changed.
    pub changed: Vec<ChangedDevice>,
    /// The names of devices that are already so.
    pub unchanged: Vec<String>,
    /// Rows that can't be used.
    pub bad: Vec<BadRow>,
}

/// A device that an import adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct AddedDevice {
    /// The line in the file.
    #[ts(type = "number")]
    pub line: u64,
    /// The name.
    pub name: String,
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// A device that an import changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct ChangedDevice {
    /// The line in the file.
    #[ts(type = "number")]
    pub line: u64,
    /// The name.
    pub name: String,
    /// The columns that differ.
    pub columns: Vec<String>,
}

/// A row that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct BadRow {
    /// The line in the file.
    #[ts(type = "number")]
    pub line: u64,
    /// The name in it, if there is one.
    pub name: String,
    /// The cause.
    pub error: Report,
}

impl Keywheel {
    /// Says what the import of a CSV file would do; nothing is written.
    ///
    /// # Errors
    /// The file as a whole can't be used; bad rows are in the preview.
    pub async fn preview_import(&self, csv: Vec<u8>) -> Result<Preview, Error> {
        let now = self.now();
        self.database()
            .run_write(move |tx| {
                let preview = try_import(tx, &csv, now)?;
                tx.execute_batch("ROLLBACK TO import")?;
                Ok(preview)
            })
            .await
    }

    /// Imports the good rows of a CSV file, if that does exactly what was shown before.
    ///
    /// # Errors
    /// The file as a whole can't be used; it, or the devices, changed since the preview.
    pub async fn import_devices(&self, csv: Vec<u8>, shown: Preview) -> Result<Preview, Error> {
        let now = self.now();
        self.change(Action::unnamed("device-import", "device"), move |tx, action| {
            let done = try_import(tx, &csv, now)?;
            if done != shown {
                return Err(ImportError::Changed.into());
            }
            action.detail = json!({
                "new": done.new.iter().map(|row| &row.name).collect::<Vec<_>>(),
                "changed": done.changed.iter().map(|row| &row.name).collect::<Vec<_>>(),
                "bad_lines": done.bad.iter().map(|row| row.line).collect::<Vec<_>>(),
            });
            Ok(done)
        })
        .await
    }
}

/// Imports within the transaction all rows that can be. A row that fails can spoil one that went in before it (a jump device
/// that is not there after all), so it is begun anew without each until no more fails.
fn try_import(tx: &Transaction<'_>, csv: &[u8], now: Timestamp) -> Result<Preview, Error> {
    let mut bad = BTreeMap::new();
    let mut rows = Vec::new();
    for parsed in parse(csv)? {
        match parsed {
            Ok(row) => rows.push(row),
            Err(row) => drop(bad.insert(row.line, row)),
        }
    }
    tx.execute_batch("SAVEPOINT import")?;
    loop {
        let (mut preview, failed) = import_all(tx, &rows, now)?;
        if failed.is_empty() {
            preview.bad = bad.into_values().collect();
            return Ok(preview);
        }
        tx.execute_batch("ROLLBACK TO import")?;
        rows.retain(|row| !failed.contains_key(&row.line));
        bad.extend(failed);
    }
}

fn import_all(tx: &Transaction<'_>, rows: &[Row], now: Timestamp) -> Result<(Preview, BTreeMap<u64, BadRow>), Error> {
    let mut preview = Preview::default();
    let mut failed = BTreeMap::new();
    let mut before = BTreeMap::new();
    for row in rows {
        match enter(tx, row, now) {
            Ok(known) => drop(before.insert(row.line, known)),
            Err(error) => drop(failed.insert(row.line, row.bad(&refused(error)?))),
        }
    }
    // Jump devices may stand further down in the file, so they come when all names are known.
    for row in rows.iter().filter(|row| !failed.contains_key(&row.line)).collect::<Vec<_>>() {
        if let Err(error) = enter_jump(tx, row) {
            failed.insert(row.line, row.bad(&refused(error)?));
        }
    }
    for row in rows {
        let Some(known) = before.remove(&row.line) else { continue };
        if failed.contains_key(&row.line) {
            continue;
        }
        let device = device::find(tx, &row.name)?;
        match known {
            None => preview.new.push(AddedDevice {
                line: row.line,
                name: device.name,
                address: device.address,
                port: device.port,
            }),
            Some(known) => {
                let columns = differing(&known, &device);
                if columns.is_empty() {
                    preview.unchanged.push(device.name);
                } else {
                    preview.changed.push(ChangedDevice { line: row.line, name: device.name, columns });
                }
            }
        }
    }
    Ok((preview, failed))
}

/// Lets through what is wrong with a row, and stops at what is wrong with the database.
fn refused(error: CatalogueError) -> Result<CatalogueError, Error> {
    match error {
        CatalogueError::Database(_) => Err(error.into()),
        _ => Ok(error),
    }
}

/// Adds or changes a row's device, but for its jump device; answers it as it was before.
fn enter(tx: &Transaction<'_>, row: &Row, now: Timestamp) -> Result<Option<Device>, CatalogueError> {
    let name = text::name(Noun::Device, &row.name)?;
    let known = match device::find(tx, &name) {
        Ok(device) => Some(device),
        Err(CatalogueError::Unknown { .. }) => None,
        Err(error) => return Err(error),
    };
    let device = match known.clone() {
        None => {
            let mut new = NewDevice::new(name, row.address.clone());
            new.port = row.port.unwrap_or(new.port);
            new.tags = row.tags.clone().unwrap_or_default();
            new.authorized_keys_path = row.authorized_keys_path.clone().unwrap_or_default();
            add(tx, new, now)?
        }
        Some(device) => {
            let edit = EditDevice {
                address: Some(row.address.clone()),
                port: row.port,
                tags: row.tags.clone(),
                authorized_keys_path: row.authorized_keys_path.clone(),
                ..EditDevice::default()
            };
            apply(tx, device, edit)?
        }
    };
    pin(tx, &device, &row.host_keys, Pinned::Keep, now)?;
    Ok(known)
}

fn enter_jump(tx: &Transaction<'_>, row: &Row) -> Result<(), CatalogueError> {
    let Some(jump) = &row.jump else { return Ok(()) };
    let device = device::find(tx, &row.name)?;
    let jump = device::find(tx, jump)?.id;
    apply(tx, device, EditDevice { jump: Some(Some(jump)), ..EditDevice::default() })?;
    Ok(())
}

fn differing(before: &Device, after: &Device) -> Vec<String> {
    [
        ("address", before.address != after.address),
        ("port", before.port != after.port),
        ("jump", before.jump != after.jump),
        ("tags", before.tags != after.tags),
        ("authorized_keys_path", before.authorized_keys_path != after.authorized_keys_path),
        ("host_key", before.host_keys != after.host_keys),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(column, _)| column.to_owned())
    .collect()
}
