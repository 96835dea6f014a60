//! `keywheel person`.

use clap::{Args, Subcommand, ValueEnum};
use keywheel_core::Keywheel;
use keywheel_core::person::{EditPerson, NewPerson, PersonView};

use crate::error::{Ending, Failure, ShellError};
use crate::output::{fields, or_dash};
use crate::prompt;
use crate::shell::Shell;

/// What is to be done with people.
#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Add a person
    #[command(after_help = "Example:\n  keywheel person add --name Ana --email ana@example.org")]
    Add(AddPerson),
    /// List people
    List,
    /// Show a person
    Show {
        /// The person's name
        name: String,
    },
    /// Change a person's fields; what is left out stays
    #[command(after_help = "Examples:
  keywheel person edit Ana --name \"Ana Silva\"
  keywheel person edit Ana --status inactive
  keywheel person edit Ana --email ''        (none any more)")]
    Edit(EditPersonArguments),
    /// Remove a person
    Remove {
        /// The person's name
        name: String,
        /// Who gets the credentials that the person owns
        #[arg(long, value_name = "PERSON")]
        hand_over_to: Option<String>,
    },
}

/// The options of `person add`.
#[derive(Debug, Args)]
pub(crate) struct AddPerson {
    /// The person's name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The e-mail address
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
}

/// The options of `person edit`.
#[derive(Debug, Args)]
pub(crate) struct EditPersonArguments {
    /// The person's name
    #[arg(value_name = "NAME")]
    person: String,
    /// The new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The e-mail address; empty: none
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// Whether credentials can be given to the person
    #[arg(long, value_name = "STATUS")]
    status: Option<PersonStatus>,
}

/// Whether credentials can be given to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PersonStatus {
    /// They can
    Active,
    /// They can't
    Inactive,
}

pub(crate) async fn run(shell: &Shell, command: PersonCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        PersonCommand::Add(add) => {
            let new = NewPerson { name: add.name, email: add.email.unwrap_or_default(), active: true };
            let added = PersonView::from(keywheel.add_person(new).await?);
            shell.output().item(&added, text);
            shell.output().message(&format!("The person \"{}\" is added.", added.name));
        }
        PersonCommand::List => {
            let people: Vec<PersonView> = keywheel.people().await?.into_iter().map(PersonView::from).collect();
            let row = |person: &PersonView| {
                vec![person.name.clone(), or_dash(person.email.as_ref()), status(person).to_owned()]
            };
            shell.output().table(&people, &["name", "e-mail", "status"], row, "There are no people yet.");
        }
        PersonCommand::Show { name } => {
            shell.output().item(&PersonView::from(keywheel.find_person(&name).await?), text);
        }
        PersonCommand::Edit(edit) => {
            let person = keywheel.find_person(&edit.person).await?;
            let active = edit.status.map(|status| status == PersonStatus::Active);
            let edit = EditPerson { name: edit.name, email: edit.email, active };
            if edit == EditPerson::default() {
                return Err(ShellError::NothingToEdit { name: person.name }.into());
            }
            let edited = PersonView::from(keywheel.edit_person(person.id, edit).await?);
            shell.output().item(&edited, text);
            if active == Some(false) {
                propose(shell, &keywheel, &edited).await?;
            }
        }
        PersonCommand::Remove { name, hand_over_to } => {
            let person = keywheel.find_person(&name).await?;
            let other = match hand_over_to {
                Some(other) => Some(keywheel.find_person(&other).await?.id),
                None => None,
            };
            prompt::confirm(shell, &format!("Remove the person \"{}\"?", person.name))?;
            keywheel.remove_person(person.id, other).await?;
            shell.output().message(&format!("The person \"{}\" is removed.", person.name));
        }
    }
    Ok(Ending::Done)
}

/// Names the keys that somebody who is gone may still hold.
async fn propose(shell: &Shell, keywheel: &Keywheel, person: &PersonView) -> Result<(), Failure> {
    let gone = keywheel.owners_gone().await?;
    if let Some(gone) = gone.iter().find(|gone| gone.person_id == person.id) {
        let names: Vec<&str> = gone.credentials.iter().map(|owned| owned.credential.as_str()).collect();
        shell.output().message(&format!(
            "\"{}\" owns keys that are from before this. Change them with `keywheel rotate {}`.",
            person.name,
            names.join(" ")
        ));
    }
    Ok(())
}

fn status(person: &PersonView) -> &'static str {
    if person.active { "active" } else { "inactive" }
}

fn text(person: &PersonView) -> String {
    fields(&[
        ("name", person.name.clone()),
        ("e-mail", or_dash(person.email.as_ref())),
        ("status", status(person).to_owned()),
    ])
}
