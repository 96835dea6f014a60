//! People.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{CatalogueError, CredentialId, Noun, PersonId};
use crate::clock::rfc3339;
use crate::database::column;

/// An entry of People.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number.
    pub id: PersonId,
    /// The name, unique among people.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether credentials can be given to this person.
    pub active: bool,
    /// Since when credentials can't be given to them; none while they can.
    pub inactive_since: Option<Timestamp>,
    /// When the entry was made.
    pub created: Timestamp,
}

const COLUMNS: &str = "SELECT id, name, email, active, created, inactive_since FROM person WHERE removed_at IS NULL";

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: row.get(0)?,
        name: row.get(1)?,
        email: row.get(2)?,
        active: row.get(3)?,
        created: column::time(row, 4)?,
        inactive_since: column::time_if_any(row, 5)?,
    })
}

/// Lists people by name.
///
/// # Errors
/// The database's own failure.
pub fn all(conn: &Connection) -> Result<Vec<Person>, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY name, id"))?;
    Ok(statement.query_map([], person)?.collect::<Result<_, _>>()?)
}

/// Finds a person by number.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_id(conn: &Connection, id: PersonId) -> Result<Person, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} AND id = ?1"))?;
    statement.query_row([id], person).optional()?.ok_or_else(|| CatalogueError::unknown(Noun::Person, id))
}

/// Finds a person by name.
///
/// # Errors
/// There is none; the database's own failure.
pub fn by_name(conn: &Connection, name: &str) -> Result<Person, CatalogueError> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} AND name = ?1"))?;
    statement.query_row([name.trim()], person).optional()?.ok_or_else(|| CatalogueError::unknown(Noun::Person, name))
}

/// Adds a person; the fields were checked.
pub(crate) fn insert(
    conn: &Connection,
    name: &str,
    email: Option<&str>,
    active: bool,
    now: Timestamp,
) -> Result<PersonId, CatalogueError> {
    free(conn, name, None)?;
    conn.prepare_cached(
        "INSERT INTO person (name, email, active, created, inactive_since) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((name, email, active, rfc3339(now), (!active).then(|| rfc3339(now))))?;
    Ok(PersonId(conn.last_insert_rowid()))
}

/// Writes a person's fields; they were checked.
pub(crate) fn update(conn: &Connection, person: &Person) -> Result<(), CatalogueError> {
    free(conn, &person.name, Some(person.id))?;
    conn.prepare_cached("UPDATE person SET name = ?2, email = ?3, active = ?4, inactive_since = ?5 WHERE id = ?1")?
        .execute((person.id, &person.name, &person.email, person.active, person.inactive_since.map(rfc3339)))?;
    Ok(())
}

/// Removes a person; what he owned keeps no owner of that number, because the caller has handed it over.
pub(crate) fn remove(conn: &Connection, id: PersonId, now: Timestamp) -> Result<(), CatalogueError> {
    conn.prepare_cached("UPDATE person SET removed_at = ?2 WHERE id = ?1")?.execute((id, rfc3339(now)))?;
    Ok(())
}

/// Names the credentials that a person owns.
///
/// # Errors
/// The database's own failure.
pub fn owned(conn: &Connection, id: PersonId) -> Result<Vec<(CredentialId, String)>, CatalogueError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, name FROM credential WHERE owner = ?1 AND removed_at IS NULL AND ready = 1 ORDER BY name",
    )?;
    Ok(statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Names the credentials that each person owns.
pub(crate) fn owned_by_each(conn: &Connection) -> Result<HashMap<PersonId, Vec<String>>, CatalogueError> {
    let mut owned: HashMap<PersonId, Vec<String>> = HashMap::new();
    let mut statement = conn.prepare_cached(
        "SELECT owner, name FROM credential WHERE owner IS NOT NULL AND removed_at IS NULL AND ready = 1 ORDER BY name",
    )?;
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (owner, name) = row?;
        owned.entry(owner).or_default().push(name);
    }
    Ok(owned)
}

/// Makes a person the owner of all that another owns.
pub(crate) fn hand_over(conn: &Connection, from: PersonId, to: PersonId) -> Result<(), CatalogueError> {
    conn.prepare_cached("UPDATE credential SET owner = ?2 WHERE owner = ?1 AND removed_at IS NULL")?
        .execute((from, to))?;
    Ok(())
}

fn free(conn: &Connection, name: &str, but: Option<PersonId>) -> Result<(), CatalogueError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM person WHERE name = ?1 AND id IS NOT ?2 AND removed_at IS NULL")?;
    if statement.exists((name, but))? {
        return Err(CatalogueError::NameTaken { noun: Noun::Person, name: name.to_owned() });
    }
    Ok(())
}
