//! `keywheel policy`.

use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use keywheel_core::catalogue::{UnknownWord, Weekday};
use keywheel_core::clock::{Timestamp, rfc3339};
use keywheel_core::policy::{EditPolicy, NewPolicy, PolicyView};
use keywheel_core::schedule::{Reason, Simulation};

use crate::credential::ALGORITHMS;
use crate::error::{Ending, Failure, ShellError};
use crate::output::{fields, table, time};
use crate::prompt;
use crate::shell::Shell;

/// What is to be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Add a policy; what is left out is as in "Standard" when it was made
    #[command(after_help = "Examples:
  keywheel policy add --name Nightly --age 30 --days sat,sun --hours 22:00-06:00
  keywheel policy add --name Revealed --after-reveal 24")]
    Add(Box<AddPolicy>),
    /// List policies
    List,
    /// Show a policy
    Show {
        /// The policy's name
        name: String,
    },
    /// Change a policy's fields; what is left out stays
    #[command(after_help = "Examples:
  keywheel policy edit Standard --age 60
  keywheel policy edit Nightly --hours 00:00-00:00       (any hour)
  keywheel policy edit Revealed --after-reveal ''        (not any more)")]
    Edit(Box<EditPolicyArguments>),
    /// Remove a policy that no credential has
    Remove {
        /// The policy's name
        name: String,
    },
    /// Show when changes may begin in the next 90 days, and when a key made now would change
    Simulate {
        /// The policy's name
        name: String,
    },
}

/// The options of `policy add`.
#[derive(Debug, Args)]
pub(crate) struct AddPolicy {
    /// The policy's name
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    fields: PolicyFields,
}

/// The options of `policy edit`.
#[derive(Debug, Args)]
pub(crate) struct EditPolicyArguments {
    /// The policy's name
    #[arg(value_name = "NAME")]
    policy: String,
    /// The new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    fields: PolicyFields,
}

/// The fields of a policy.
#[derive(Debug, Args)]
pub(crate) struct PolicyFields {
    /// After how many days a key is changed
    #[arg(long, value_name = "DAYS")]
    age: Option<i64>,
    /// On which days a change may begin: mon,tue,wed,thu,fri,sat,sun
    #[arg(long, value_name = "DAYS", value_delimiter = ',', value_parser = weekday)]
    days: Option<Vec<Weekday>>,
    /// At which hours, local time; over midnight it belongs to the day it begins on, the same hour twice means any
    #[arg(long, value_name = "HH:MM-HH:MM")]
    hours: Option<Hours>,
    /// How often a change that failed is tried again
    #[arg(long, value_name = "COUNT")]
    retries: Option<i64>,
    /// How many minutes lie between two tries
    #[arg(long, value_name = "MINUTES")]
    retry_interval: Option<i64>,
    /// The algorithm of new keys
    #[arg(long, value_name = "ALGORITHM", value_parser = ALGORITHMS)]
    algorithm: Option<String>,
    /// How many days before it a warning is given
    #[arg(long, value_name = "DAYS")]
    warn: Option<i64>,
    /// How many hours after a key was revealed it is changed; empty: not for that
    #[arg(long, value_name = "HOURS")]
    after_reveal: Option<AfterReveal>,
    /// In which order
    #[arg(long, value_name = "STRATEGY", value_parser = PossibleValuesParser::new(["two-phase", "device-by-device"]))]
    strategy: Option<String>,
    /// What a device that fails leads to
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["roll-back", "continue"]))]
    on_failure: Option<String>,
    /// How many devices' files may be written at once
    #[arg(long, value_name = "COUNT")]
    at_once: Option<i64>,
    /// What happens by itself to a change that was interrupted
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["resume", "roll-back"]))]
    after_interruption: Option<String>,
}

/// Two times of the day, which the core reads.
#[derive(Debug, Clone)]
pub(crate) struct Hours(String, String);

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once('-').ok_or("give two times of the day, as in 22:00-06:00")?;
        Ok(Self(from.trim().to_owned(), to.trim().to_owned()))
    }
}

/// A number of hours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AfterReveal(Option<i64>);

impl FromStr for AfterReveal {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(if text.trim().is_empty() { None } else { Some(text.trim().parse()?) }))
    }
}

fn weekday(text: &str) -> Result<Weekday, UnknownWord> {
    text.trim().to_lowercase().parse()
}

impl PolicyFields {
    fn edit(self, name: Option<String>) -> EditPolicy {
        EditPolicy {
            name,
            maximum_age_days: self.age,
            days: self.days,
            hours: self.hours.map(|Hours(from, to)| (from, to)),
            retries: self.retries,
            retry_minutes: self.retry_interval,
            // clap has let in nothing but the words that these are read from.
            algorithm: self.algorithm.and_then(|word| word.parse().ok()),
            warning_days: self.warn,
            after_reveal_hours: self.after_reveal.map(|AfterReveal(hours)| hours),
            strategy: self.strategy.and_then(|word| word.parse().ok()),
            on_failure: self.on_failure.and_then(|word| word.parse().ok()),
            at_once: self.at_once,
            after_interruption: self.after_interruption.and_then(|word| word.parse().ok()),
        }
    }
}

pub(crate) async fn run(shell: &Shell, command: PolicyCommand) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    match command {
        PolicyCommand::Add(add) => {
            let new = NewPolicy::standard(add.name).with(add.fields.edit(None));
            let added = keywheel.add_policy(new).await?;
            shell.output().item(&added, text);
            shell.output().message(&format!("The policy \"{}\" is added.", added.fields.name));
        }
        PolicyCommand::List => {
            let header = ["name", "age", "days", "hours", "algorithm", "credentials"];
            shell.output().table(&keywheel.policy_views().await?, &header, row, "There are no policies.");
        }
        PolicyCommand::Show { name } => shell.output().item(&keywheel.policy_view(&name).await?, text),
        PolicyCommand::Edit(arguments) => {
            let policy = keywheel.find_policy(&arguments.policy).await?;
            let edit = arguments.fields.edit(arguments.name);
            if edit == EditPolicy::default() {
                return Err(ShellError::NothingToEdit { name: policy.name }.into());
            }
            shell.output().item(&keywheel.edit_policy(policy.id, edit).await?, text);
        }
        PolicyCommand::Remove { name } => {
            let policy = keywheel.find_policy(&name).await?;
            prompt::confirm(shell, &format!("Remove the policy \"{}\"?", policy.name))?;
            keywheel.remove_policy(policy.id).await?;
            shell.output().message(&format!("The policy \"{}\" is removed.", policy.name));
        }
        PolicyCommand::Simulate { name } => {
            let policy = keywheel.policy_view(&name).await?;
            shell.output().item(&keywheel.simulate_policy(&policy.fields)?, simulation_text);
        }
    }
    Ok(Ending::Done)
}

fn row(policy: &PolicyView) -> Vec<String> {
    let fields = &policy.fields;
    vec![
        fields.name.clone(),
        counted(fields.maximum_age_days, "day"),
        days(&fields.days),
        hours(fields),
        fields.algorithm.to_string(),
        policy.credentials.to_string(),
    ]
}

fn text(policy: &PolicyView) -> String {
    let form = &policy.fields;
    let after_reveal = form.after_reveal_hours.map_or_else(|| "no".to_owned(), |hours| counted(hours, "hour"));
    fields(&[
        ("name", form.name.clone()),
        ("maximum key age", counted(form.maximum_age_days, "day")),
        ("days", days(&form.days)),
        ("hours", hours(form)),
        ("retries", format!("{}, every {}", form.retries, counted(form.retry_minutes, "minute"))),
        ("algorithm for new keys", form.algorithm.to_string()),
        ("warning", counted(form.warning_days, "day")),
        ("change after reveal", after_reveal),
        ("strategy", form.strategy.to_string()),
        ("if a device fails", form.on_failure.to_string()),
        ("devices at once", form.at_once.to_string()),
        ("after an interruption", form.after_interruption.to_string()),
        ("credentials", policy.credentials.to_string()),
    ])
}

fn counted(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn days(days: &[Weekday]) -> String {
    if days.len() == Weekday::ALL.len() {
        return "any".to_owned();
    }
    days.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn hours(form: &NewPolicy) -> String {
    if form.from == form.to { "any".to_owned() } else { format!("{}-{} local time", form.from, form.to) }
}

fn simulation_text(simulation: &Simulation) -> String {
    let open = simulation.days.iter().filter_map(|day| {
        let window = day.window?;
        Some(vec![day.date.clone(), moment(window.opens), moment(window.closes)])
    });
    let changes = simulation.changes.iter().map(|change| vec![moment(change.at), reason(&change.reason)]);
    format!(
        "Changes may begin:\n{}\nA key made now would change:\n{}",
        table(&["day", "from", "to"], open.collect()),
        table(&["at", "because"], changes.collect()),
    )
}

fn moment(at: Timestamp) -> String {
    time(&rfc3339(at))
}

/// Why a key changes when it does.
pub(crate) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Age { days, since } => format!("{} after {}", counted((*days).into(), "day"), moment(*since)),
        Reason::Reveal { hours, since } => {
            format!("{} after it was revealed at {}", counted((*hours).into(), "hour"), moment(*since))
        }
        Reason::Retry { attempt, of } => format!("retry {attempt} of {of}"),
        Reason::NextSeries { attempts } => {
            format!("{} failed; tried again on the next day", counted((*attempts).into(), "attempt"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_number_of_hours_is_none() {
        assert_eq!("".parse::<AfterReveal>().unwrap().0, None);
        assert_eq!(" 24 ".parse::<AfterReveal>().unwrap().0, Some(24));
        assert!("a day".parse::<AfterReveal>().is_err());
    }

    #[test]
    fn reasons_are_whole_phrases() {
        let since = "2027-03-03T09:00:00Z".parse().unwrap();
        let table = [
            (Reason::Age { days: 90, since }, "90 days after 2027-03-03 09:00:00Z"),
            (Reason::Reveal { hours: 1, since }, "1 hour after it was revealed at 2027-03-03 09:00:00Z"),
            (Reason::Retry { attempt: 1, of: 3 }, "retry 1 of 3"),
            (Reason::NextSeries { attempts: 4 }, "4 attempts failed; tried again on the next day"),
        ];
        for (given, text) in table {
            assert_eq!(reason(&given), text);
        }
    }
}
