//! `keywheel report`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use keywheel_core::audit::BadRow;
use keywheel_core::journal::ChangeId;
use keywheel_core::report::{Difference, FleetFormat, ProofFormat, ReportFile, Verdict};

use crate::error::{Ending, Failure};
use crate::shell::{Shell, read_file};

/// What is to be reported.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Write how every credential stands to a new file
    #[command(after_help = "Example:\n  keywheel report fleet --format csv --out fleet.csv")]
    Fleet {
        /// csv, json or html
        #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "json", "html"]))]
        format: String,
        /// The file; one that exists is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the proof of one change to a new file
    #[command(after_help = "Example:\n  keywheel report change 7 --format html --out proof.html")]
    Change {
        /// The change's number
        #[arg(value_name = "ID")]
        id: i64,
        /// html or json
        #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["html", "json"]))]
        format: String,
        /// The file; one that exists is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Compare a proof with this vault's journal and audit
    #[command(
        after_help = "Exit status: 0 every fact is right; 1 it is not, or can't be said to be; 2 the file is no proof."
    )]
    Verify {
        /// The proof, in either form
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// No proof is larger: ten thousand devices take a quarter of it.
const LARGEST: u64 = 512 * 1024 * 1024;

pub(crate) async fn run(shell: &Shell, command: ReportCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        ReportCommand::Fleet { format, out } => {
            let format = match format.as_str() {
                "csv" => FleetFormat::Csv,
                "json" => FleetFormat::Json,
                _ => FleetFormat::Html,
            };
            let written = keywheel.write_fleet_report(format, &out).await?;
            shell.output().item(&written, |written| told("The report", written));
            Ok(Ending::Done)
        }
        ReportCommand::Change { id, format, out } => {
            let format = if format == "json" { ProofFormat::Json } else { ProofFormat::Html };
            let written = keywheel.write_proof(ChangeId(id), format, &out).await?;
            shell.output().item(&written, |written| told(&format!("The proof of change {id}"), written));
            Ok(Ending::Done)
        }
        ReportCommand::Verify { file } => {
            let bytes = read_file(&file, LARGEST)?;
            let verdict = keywheel.verify_proof(bytes.to_vec()).await?;
            shell.output().item(&verdict, text);
            Ok(if matches!(verdict, Verdict::Right { .. }) { Ending::Done } else { Ending::NotDone })
        }
    }
}

fn told(what: &str, written: &ReportFile) -> String {
    format!("{what} is in {}. Its SHA-256 is {}.", written.file, written.sha256)
}

fn text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Right { change, credential, outcome, written, row, anchored, gone_on } => {
            let vouched = if *anchored { "" } else { " The keyring does not vouch for that row yet." };
            let since = if *gone_on { " The change has gone on since." } else { "" };
            format!(
                "The proof is right: change {change} of {credential} was {outcome} on {written}, as row {row} of the audit \
                 says.{vouched}{since}"
            )
        }
        Verdict::Altered { change, first: Difference { at, proof, recorded } } => {
            let said = |text: &Option<String>| text.as_ref().map_or("nothing".to_owned(), |text| format!("\"{text}\""));
            format!(
                "The proof of change {change} is not what is recorded. First difference: {at} is {} in the file and {} here.",
                said(proof),
                said(recorded)
            )
        }
        Verdict::NotRecorded { change } => format!(
            "The audit does not know this proof of change {change}: what no table keeps was altered, or the vault was \
             restored from a time before it was written."
        ),
        Verdict::OtherVault => "The proof is of another vault; only that one can verify it.".to_owned(),
        Verdict::NoSuchChange { change } => format!("The proof is of change {change}, which this vault does not have."),
        Verdict::ChainBroken { first: BadRow::Changed { id } } => {
            format!("The audit proves nothing: its row {id} is not as it was written.")
        }
        Verdict::ChainBroken { first: BadRow::Rewritten { id } } => {
            format!("The audit proves nothing: up to its row {id} it is not the one that was anchored in the keyring.")
        }
        Verdict::ChainBroken { first: BadRow::Missing { id } } => {
            format!("The audit proves nothing: its row {id} is missing.")
        }
    }
}
