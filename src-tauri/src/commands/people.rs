//! People.

use std::sync::Arc;

use keywheel_core::catalogue::PersonId;
use keywheel_core::person::{NewPerson, PersonRow};
use tauri::State;

use crate::desk::Desk;
use crate::error::{Answer, report};

/// Lists the people.
#[tauri::command]
pub(crate) async fn people(desk: State<'_, Arc<Desk>>) -> Answer<Vec<PersonRow>> {
    desk.keywheel()?.person_rows().await.map_err(report)
}

/// Adds a person, or gives one these fields.
#[tauri::command]
pub(crate) async fn save_person(
    desk: State<'_, Arc<Desk>>,
    id: Option<PersonId>,
    form: NewPerson,
) -> Answer<PersonRow> {
    desk.changed(desk.keywheel()?.save_person(id, form).await)
}

/// Removes a person, after handing the credentials over.
#[tauri::command]
pub(crate) async fn remove_person(
    desk: State<'_, Arc<Desk>>,
    id: PersonId,
    hand_over_to: Option<PersonId>,
) -> Answer<()> {
    desk.changed(desk.keywheel()?.remove_person(id, hand_over_to).await)
}
