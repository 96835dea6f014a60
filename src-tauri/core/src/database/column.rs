//! Reads columns into the types they stand for.

use std::error::Error;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Result, Row, RowIndex};

/// Reads text that parses into a type; text that doesn't is a damaged database.
pub(crate) fn parsed<T>(row: &Row<'_>, column: impl RowIndex + Copy) -> Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unreadable(row, column, error))
}

/// As [`parsed`], where the column may be NULL.
pub(crate) fn parsed_if_any<T>(row: &Row<'_>, column: impl RowIndex + Copy) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => text.parse().map(Some).map_err(|error| unreadable(row, column, error)),
        None => Ok(None),
    }
}

/// Reads a time.
pub(crate) fn time(row: &Row<'_>, column: impl RowIndex + Copy) -> Result<Timestamp> {
    parsed(row, column)
}

/// Reads a time that may be NULL.
pub(crate) fn time_if_any(row: &Row<'_>, column: impl RowIndex + Copy) -> Result<Option<Timestamp>> {
    parsed_if_any(row, column)
}

/// The error for a stored value that can't be what it must be.
pub(crate) fn unreadable(
    row: &Row<'_>,
    column: impl RowIndex,
    error: impl Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column.idx(row.as_ref()).unwrap_or(0), Type::Text, Box::new(error))
}
