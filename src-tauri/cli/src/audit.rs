//! `keywheel audit`.

use std::path::PathBuf;

use clap::Subcommand;
use keywheel_core::audit::{Anchored, BadRow, Filter, Format, Lost, Record, Verdict};

use crate::error::{Ending, Failure, ShellError};
use crate::output::{or_dash, time};
use crate::shell::Shell;

/// What is to be done with the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List actions, oldest first
    List {
        /// Only actions on the thing of this name
        #[arg(long, value_name = "NAME")]
        subject: Option<String>,
        /// At most so many of the newest
        #[arg(long, value_name = "COUNT")]
        newest: Option<u32>,
    },
    /// Say whether the record's chain holds and is the one that the keyring vouches for
    #[command(after_help = "\
Exit status: 0 the chain holds; 1 a row was changed or is missing; 5 it holds as far as the file tells, but the
keyring with its anchor can't be used.")]
    Verify,
    /// Write the whole record to a new file
    #[command(after_help = "Example:\n  keywheel audit export --format csv --out audit.csv")]
    Export {
        /// csv or json
        #[arg(long, value_name = "FORMAT", value_parser = clap::builder::PossibleValuesParser::new(["csv", "json"]))]
        format: String,
        /// The file; one that exists is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(crate) async fn run(shell: &Shell, command: AuditCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        AuditCommand::List { subject, newest } => {
            let rows = keywheel.audit_rows(Filter { after: None, subject, newest }).await?;
            let row = |record: &Record| {
                vec![
                    record.id.to_string(),
                    time(&record.at),
                    record.actor.clone(),
                    record.action.clone(),
                    or_dash(record.subject.as_ref()),
                    record.result.as_str().to_owned(),
                    or_dash(record.code.as_ref()),
                ]
            };
            let header = ["id", "time", "actor", "action", "subject", "result", "code"];
            shell.output().table(&rows, &header, row, "The record is empty.");
            Ok(Ending::Done)
        }
        AuditCommand::Verify => {
            let verdict = keywheel.verify_audit().await?;
            shell.output().item(&verdict, text);
            match verdict {
                Verdict::Whole { unread: Some(cause), .. } => Err(ShellError::AnchorUnread { cause: *cause }.into()),
                Verdict::Whole { .. } => Ok(Ending::Done),
                Verdict::Broken { .. } => Ok(Ending::NotDone),
            }
        }
        AuditCommand::Export { format, out } => {
            let format = if format == "csv" { Format::Csv } else { Format::Json };
            let rows = keywheel.export_audit(format, &out).await?;
            let done = serde_json::json!({ "file": out.display().to_string(), "rows": rows });
            shell.output().item(&done, |_| format!("{rows} rows are in {}.", out.display()));
            Ok(Ending::Done)
        }
    }
}

fn text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Whole { head: None, .. } => "The record is empty.".to_owned(),
        Verdict::Whole { rows, head: Some(head), anchor, anchored_row, not_yet_anchored, lost, .. } => {
            let holds = match anchor {
                Anchored::Unread => "holds as far as the file tells",
                _ => "holds",
            };
            let anchored = match (anchor, anchored_row, not_yet_anchored) {
                (Anchored::Holds, Some(row), Some(later)) => match later {
                    0 => "The keyring vouches for every row.".to_owned(),
                    1 => format!("The keyring vouches for it up to row {row}; 1 row is not yet anchored."),
                    _ => format!("The keyring vouches for it up to row {row}; {later} rows are not yet anchored."),
                },
                (Anchored::BeforeRestore, ..) => {
                    "The anchor in the keyring is of before a backup was restored; no row is anchored since.".to_owned()
                }
                (Anchored::Unread, ..) => "It could not be compared with the anchor in the keyring.".to_owned(),
                _ => "No row is anchored in the keyring yet.".to_owned(),
            };
            let mut lines = vec![format!("The chain of {rows} rows {holds}. Its head is {head}."), anchored];
            lines.extend(lost.iter().map(|lost| {
                let Lost { segment, from, to } = lost;
                format!("Rows {from} to {to} were lost when a backup was restored, as row {segment} says.")
            }));
            lines.join("\n")
        }
        Verdict::Broken { first: BadRow::Changed { id } } => {
            format!("The chain is broken: row {id} is not as it was written.")
        }
        Verdict::Broken { first: BadRow::Missing { id } } => format!("The chain is broken: row {id} is missing."),
        Verdict::Broken { first: BadRow::Rewritten { id } } => {
            format!("The chain is broken: row {id} is not the one that is anchored in the keyring.")
        }
    }
}
