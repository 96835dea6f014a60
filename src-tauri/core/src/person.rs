//! What can be done with people.

use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::Action;
use crate::catalogue::person::{self, Person};
use crate::catalogue::{CatalogueError, Noun, PersonId, text};
use crate::error::Error;
use crate::keywheel::Keywheel;

/// A person to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct NewPerson {
    /// The name.
    pub name: String,
    /// The e-mail address; empty: none.
    pub email: String,
    /// Whether credentials can be given to this person.
    pub active: bool,
}

/// What is to change of a person; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(default)]
pub struct EditPerson {
    /// The name.
    pub name: Option<String>,
    /// The e-mail address; empty: none.
    pub email: Option<String>,
    /// Whether credentials can be given to this person.
    pub active: Option<bool>,
}

/// A person as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct PersonView {
    /// The number.
    pub id: PersonId,
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether credentials can be given to this person.
    pub active: bool,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        Self { id: person.id, name: person.name, email: person.email, active: person.active }
    }
}

/// A person as the window lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct PersonRow {
    /// What every shell shows.
    #[serde(flatten)]
    pub view: PersonView,
    /// The names of the credentials that the person owns.
    pub credentials: Vec<String>,
}

impl Keywheel {
    /// Lists the people by name, each with what it owns.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn person_rows(&self) -> Result<Vec<PersonRow>, Error> {
        self.read(|conn| {
            let mut owned = person::owned_by_each(conn)?;
            let row = |person: Person| {
                let credentials = owned.remove(&person.id).unwrap_or_default();
                PersonRow { view: person.into(), credentials }
            };
            Ok(person::all(conn)?.into_iter().map(row).collect())
        })
        .await
    }

    /// Saves a whole form: a new person, or all fields of one that is known.
    ///
    /// # Errors
    /// As [`Keywheel::add_person`] and [`Keywheel::edit_person`].
    pub async fn save_person(&self, id: Option<PersonId>, form: NewPerson) -> Result<PersonRow, Error> {
        let saved = match id {
            None => self.add_person(form).await?,
            Some(id) => {
                let NewPerson { name, email, active } = form;
                let edit = EditPerson { name: Some(name), email: Some(email), active: Some(active) };
                self.edit_person(id, edit).await?
            }
        };
        self.read(move |conn| {
            let credentials = person::owned(conn, saved.id)?.into_iter().map(|(_, name)| name).collect();
            Ok(PersonRow { view: saved.into(), credentials })
        })
        .await
    }

    /// Lists the people by name.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn people(&self) -> Result<Vec<Person>, Error> {
        self.read(person::all).await
    }

    /// Finds a person by name.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn find_person(&self, name: &str) -> Result<Person, Error> {
        let name = name.to_owned();
        self.read(move |conn| person::by_name(conn, &name)).await
    }

    /// Adds a person.
    ///
    /// # Errors
    /// The name or the e-mail address can't be one, or the name is taken.
    pub async fn add_person(&self, new: NewPerson) -> Result<Person, Error> {
        let now = self.now();
        self.change(Action::new("person-add", "person", new.name.trim()), move |tx, _| {
            let name = text::name(Noun::Person, &new.name)?;
            let email = text::email(&new.email)?;
            let id = person::insert(tx, &name, email.as_deref(), new.active, now)?;
            Ok(person::by_id(tx, id)?)
        })
        .await
    }

    /// Changes a person's fields.
    ///
    /// # Errors
    /// As [`Keywheel::add_person`]; there is no such person.
    pub async fn edit_person(&self, id: PersonId, edit: EditPerson) -> Result<Person, Error> {
        let now = self.now();
        self.change(Action::unnamed("person-edit", "person"), move |tx, action| {
            let before = named(tx, id, action)?;
            let mut person = before.clone();
            if let Some(name) = edit.name {
                person.name = text::name(Noun::Person, &name)?;
            }
            if let Some(email) = edit.email {
                person.email = text::email(&email)?;
            }
            person.active = edit.active.unwrap_or(person.active);
            person.inactive_since = if person.active { None } else { person.inactive_since.or(Some(now)) };
            action.differs(&facts(&before), &facts(&person));
            person::update(tx, &person)?;
            Ok(person)
        })
        .await
    }

    /// Removes a person, after handing all credentials over to another if one is given.
    ///
    /// # Errors
    /// The person owns credentials and nobody gets them; the other is the same or not active; there is no such person.
    pub async fn remove_person(&self, id: PersonId, hand_over_to: Option<PersonId>) -> Result<(), Error> {
        let now = self.now();
        self.change(Action::unnamed("person-remove", "person"), move |tx, action| {
            let person = named(tx, id, action)?;
            let owned: Vec<String> = person::owned(tx, id)?.into_iter().map(|(_, name)| name).collect();
            if let Some(other) = hand_over_to {
                let other = person::by_id(tx, other)?;
                if other.id == id || !other.active {
                    return Err(CatalogueError::HandOver { person: other.name }.into());
                }
                person::hand_over(tx, id, other.id)?;
                action.detail = json!({ "handed_over_to": other.name, "credentials": owned });
            } else if !owned.is_empty() {
                return Err(CatalogueError::PersonOwns { person: person.name, credentials: owned }.into());
            }
            person::remove(tx, id, now)?;
            Ok(())
        })
        .await
    }
}

fn facts(person: &Person) -> serde_json::Value {
    json!({ "name": person.name, "email": person.email, "active": person.active })
}

fn named(tx: &Transaction<'_>, id: PersonId, action: &mut Action) -> Result<Person, Error> {
    action.subject = Some(id.to_string());
    let person = person::by_id(tx, id)?;
    action.subject = Some(person.name.clone());
    Ok(person)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;
    use crate::keywheel::testing::keywheel;

    fn ana() -> NewPerson {
        NewPerson { name: "Ana".to_owned(), email: "ana@example.org".to_owned(), active: true }
    }

    #[tokio::test]
    async fn a_person_is_added_changed_and_removed() {
        let (keywheel, _dir) = keywheel();
        let added = keywheel.add_person(ana()).await.unwrap();
        let edit = EditPerson { email: Some(String::new()), active: Some(false), ..EditPerson::default() };
        let edited = keywheel.edit_person(added.id, edit).await.unwrap();
        assert_eq!((edited.name.as_str(), edited.email, edited.active), ("Ana", None, false));
        keywheel.remove_person(added.id, None).await.unwrap();
        assert_eq!(keywheel.people().await.unwrap(), []);
        let again = keywheel.add_person(ana()).await.unwrap();
        assert!(again.id > added.id, "a number must never be used twice");
    }

    #[tokio::test]
    async fn refuses_a_taken_name_also_when_renaming() {
        let (keywheel, _dir) = keywheel();
        keywheel.add_person(ana()).await.unwrap();
        assert_eq!(keywheel.add_person(ana()).await.unwrap_err().code(), "name-taken");
        let bea = keywheel.add_person(NewPerson { name: "Bea".to_owned(), ..ana() }).await.unwrap();
        let rename = EditPerson { name: Some(" Ana ".to_owned()), ..EditPerson::default() };
        assert_eq!(keywheel.edit_person(bea.id, rename).await.unwrap_err().code(), "name-taken");
        let same = EditPerson { name: Some("Bea".to_owned()), ..EditPerson::default() };
        keywheel.edit_person(bea.id, same).await.unwrap();
        keywheel.add_person(NewPerson { name: "ana".to_owned(), ..ana() }).await.unwrap();
    }

    #[tokio::test]
    async fn an_edit_that_changes_nothing_leaves_no_row_in_the_audit() {
        let (keywheel, _dir) = keywheel();
        let id = keywheel.add_person(ana()).await.unwrap().id;
        let rows = keywheel.audit_rows(Default::default()).await.unwrap().len();
        keywheel.save_person(Some(id), NewPerson { name: " Ana ".to_owned(), ..ana() }).await.unwrap();
        assert_eq!(keywheel.audit_rows(Default::default()).await.unwrap().len(), rows);
        let saved = keywheel.save_person(Some(id), NewPerson { active: false, ..ana() }).await.unwrap();
        assert!(!saved.view.active && saved.credentials.is_empty());
        assert_eq!(keywheel.audit_rows(Default::default()).await.unwrap().len(), rows + 1);
        assert_eq!(keywheel.save_person(None, ana()).await.unwrap_err().field(), Some("name"));
    }

    #[tokio::test]
    async fn an_unknown_person_is_bad_input() {
        let (keywheel, _dir) = keywheel();
        let error = keywheel.find_person("Zoe").await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("unknown-name", crate::error::Class::BadInput));
        assert!(error.to_string().contains("Zoe"));
        assert_eq!(keywheel.remove_person(PersonId(7), None).await.unwrap_err().code(), "unknown-name");
    }
}
