//! `keywheel change`.

use clap::Subcommand;
use keywheel_core::error::Report;
use keywheel_core::journal::{ChangeId, ChangeState};
use keywheel_core::rotation::accepts::Accepts;
use keywheel_core::rotation::changes::{ChangeDetails, ChangeView, DeviceRecordView, Step};
use keywheel_core::rotation::{Patience, Strategy};
use serde::Serialize;

use crate::check::reported;
use crate::credential::accepts_text;
use crate::error::{Asked, Ending, Failure};
use crate::output::{fields, or_dash, printable, table, time};
use crate::rotate::{emergency, follow, follow_patiently};
use crate::shell::Shell;

/// What is to be done with changes.
#[derive(Debug, Subcommand)]
pub(crate) enum ChangeCommand {
    /// List changes, newest first
    List,
    /// Show a change with each of its devices, and which key versions each accepts now, by asking it
    Show {
        /// The change's ID
        id: i64,
        /// Ask no device; show what is recorded
        #[arg(long)]
        recorded: bool,
    },
    /// Begin a scheduled change now
    Run {
        /// The change's ID
        id: i64,
    },
    /// Go on with an interrupted change
    Resume {
        /// The change's ID
        id: i64,
    },
    /// Put every device of a change back on the old key
    RollBack {
        /// The change's ID
        id: i64,
    },
    /// Go on with the devices that did not get through, with the same new key
    Retry {
        /// The change's ID
        id: i64,
        /// Give this device up: a compromised key is destroyed though the device was not seen to refuse it
        #[arg(long, value_name = "DEVICE")]
        give_up: Vec<String>,
    },
    /// Change the key back to the version before
    Undo {
        /// The change's ID
        id: i64,
    },
    /// Take a scheduled change back
    Cancel {
        /// The change's ID
        id: i64,
    },
}

pub(crate) async fn run(shell: &Shell, command: ChangeCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        ChangeCommand::List => {
            let changes = keywheel.change_views().await?;
            shell.output().table(&changes, &HEADER, row, "There are no changes yet.");
            Ok(Ending::Done)
        }
        ChangeCommand::Show { id, recorded } => {
            let details = keywheel.change_details(ChangeId(id)).await?;
            let accepts_now = if recorded { None } else { Some(keywheel.change_accepts(ChangeId(id)).await?) };
            shell.output().item(&Shown { details, accepts_now }, Shown::text);
            Ok(Ending::Done)
        }
        ChangeCommand::Run { id } => {
            follow(shell, &keywheel, Asked::Change, |watch| keywheel.run_scheduled(ChangeId(id), watch)).await
        }
        ChangeCommand::Cancel { id } => {
            keywheel.cancel_scheduled(ChangeId(id)).await?;
            let details = keywheel.change_details(ChangeId(id)).await?;
            shell.output().item(&details.change, |change| {
                format!("The change {} of \"{}\" is taken back.", change.id, change.credential)
            });
            Ok(Ending::Done)
        }
        ChangeCommand::Resume { id } => {
            let resumed = |watch| keywheel.resume(ChangeId(id), watch);
            follow_patiently(shell, &keywheel, Asked::Change, Patience::Waits, resumed).await
        }
        ChangeCommand::RollBack { id } => {
            follow(shell, &keywheel, Asked::RollBack, |watch| keywheel.roll_back(ChangeId(id), watch)).await
        }
        ChangeCommand::Retry { id, give_up } => {
            for device in &give_up {
                keywheel.give_up_device(ChangeId(id), device).await?;
            }
            if !give_up.is_empty() && keywheel.find_change(ChangeId(id)).await?.state == ChangeState::Changed {
                emergency::let_go_now(shell, &keywheel).await;
                return Ok(Ending::Done);
            }
            let retried = |watch| keywheel.retry(ChangeId(id), watch);
            follow_patiently(shell, &keywheel, Asked::Change, Patience::Waits, retried).await
        }
        ChangeCommand::Undo { id } => {
            follow(shell, &keywheel, Asked::Change, |watch| keywheel.undo(ChangeId(id), watch)).await
        }
    }
}

/// The header of a list of changes.
pub(crate) const HEADER: [&str; 9] =
    ["id", "credential", "kind", "state", "requested by", "scheduled for", "started", "ended", "devices done"];

/// A row of a list of changes.
pub(crate) fn row(change: &ChangeView) -> Vec<String> {
    vec![
        change.id.to_string(),
        change.credential.clone(),
        change.kind.to_string(),
        change.state.to_string(),
        change.requested_by.clone(),
        change.scheduled_for.as_deref().map_or_else(|| "-".to_owned(), time),
        if change.attempts == 0 { "-".to_owned() } else { time(&change.started) },
        change.ended.as_deref().map_or_else(|| "-".to_owned(), time),
        format!("{} of {}", change.devices_done, change.devices),
    ]
}

/// A change, and what its devices say now.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    details: ChangeDetails,
    /// None where they were not to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepts_now: Option<Vec<Accepts>>,
}

impl Shown {
    fn text(&self) -> String {
        let mut shown = text(&self.details);
        if let Some(answers) = &self.accepts_now {
            shown.push_str("\nAccepted now, by asking the devices:\n");
            answers.iter().for_each(|answer| shown.push_str(&accepts_text(answer)));
        }
        shown
    }
}

fn text(details: &ChangeDetails) -> String {
    let change = &details.change;
    let mut text = fields(&[
        ("change", change.id.to_string()),
        ("credential", change.credential.clone()),
        ("kind", change.kind.to_string()),
        ("state", change.state.to_string()),
        ("strategy", change.strategy.to_string()),
        ("if a device fails", change.on_failure.to_string()),
        ("requested by", change.requested_by.clone()),
        ("reason", change.reason.to_string()),
        ("scheduled for", change.scheduled_for.as_deref().map_or_else(|| "-".to_owned(), time)),
        ("attempt", or_dash(change.attempt.as_ref())),
        ("started", if change.attempts == 0 { "-".to_owned() } else { time(&change.started) }),
        ("ended", change.ended.as_deref().map_or_else(|| "-".to_owned(), time)),
        ("old key", or_dash(details.old_fingerprint.as_ref())),
        ("new key", or_dash(details.new_fingerprint.as_ref())),
    ]);
    let given_up = |record: &DeviceRecordView| if record.given_up { " (given up)" } else { "" };
    let rows = details.records.iter().map(|record| {
        let accepts = record.accepts.iter().map(|fingerprint| match fingerprint {
            key if Some(key) == details.new_fingerprint.as_ref() => "new key".to_owned(),
            key if Some(key) == details.old_fingerprint.as_ref() => "old key".to_owned(),
            key => key.to_string(),
        });
        let accepts: Vec<String> = accepts.collect();
        let error = record.error.as_ref().map(|error| &error.code);
        vec![
            record.device.clone(),
            format!("{}{}", record.state, given_up(record)),
            or_dash(record.stage.as_ref()),
            crate::output::list(&accepts),
            or_dash(error),
        ]
    });
    text.push('\n');
    text.push_str(&table(&["device", "state", "stage", "accepts", "error"], rows.collect()));
    for record in &details.records {
        text.push_str(&record.error.as_ref().map(|error| problem(&record.device, error)).unwrap_or_default());
    }
    if change.strategy == Strategy::Emergency {
        text.push('\n');
        text.push_str(&emergency::aftermath(details));
    }
    if let Some(error) = &details.error {
        text.push_str(&reported("cause", error));
    }
    if let Some(run) = &details.program {
        match &run.error {
            None => text.push_str(&format!("\nThe program {} ran after it.\n", run.program)),
            Some(error) => text.push_str(&reported("program after it", error)),
        }
    }
    if !details.possible.is_empty() {
        text.push_str(&format!("\nPossible now: {}.\n", next_steps(change.id, &details.possible)));
    }
    printable(&text)
}

/// A device's problem with its remedy.
pub(crate) fn problem(device: &str, error: &Report) -> String {
    reported(device, error)
}

/// What may be done next with a change, as commands.
pub(crate) fn next_steps(id: ChangeId, steps: &[Step]) -> String {
    let commands: Vec<String> = steps.iter().map(|step| format!("`keywheel change {step} {id}`")).collect();
    commands.join(" or ")
}
