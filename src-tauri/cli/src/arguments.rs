//! The arguments of `keywheel`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::error::{Ending, ErrorLine};
use crate::output::{Form, Output};
use crate::{audit, change, check, completions, credential, device, person, policy, rotate, settings, timer};

/// A vault for SSH keys that changes them on their devices, without ever locking anyone out.
#[derive(Debug, Parser)]
#[command(
    name = "keywheel",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "First steps:
  keywheel device add --name web-1 --address 10.0.0.5
  keywheel device trust web-1
  keywheel credential add --name deploy --username deploy --original-device web-1 --import ~/.ssh/id_ed25519
  keywheel check deploy
  keywheel rotate deploy

Exit status: 0 done; 1 not done, nothing is changed; 2 wrong usage or bad input; 3 partly done;
4 interrupted, resumable; 5 the vault can't be used."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Where the database lies [default: the folder for this account's application data]
    #[arg(long, value_name = "DIR", env = "KEYWHEEL_DATA_DIR", value_parser = data_dir, hide_env_values = true)]
    #[arg(global = true, help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write one JSON value per line on standard output
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Answer every question with yes; a changed host key is never accepted so
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
    /// Tell more on standard error
    #[arg(short = 'v', global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// People, who are responsible for credentials
    Person {
        #[command(subcommand)]
        command: person::PersonCommand,
    },
    /// Devices: hosts that are reached over SSH
    Device {
        #[command(subcommand)]
        command: Box<device::DeviceCommand>,
    },
    /// Credentials: keys, and passwords to authenticate with
    Credential {
        #[command(subcommand)]
        command: Box<credential::CredentialCommand>,
    },
    /// Policies: when and how keys change by themselves
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
    /// Look at every device of a credential; change nothing
    Check(check::CheckArguments),
    /// Put a credential's public key on its devices for the first time, through another credential
    Install(rotate::InstallArguments),
    /// Take a credential's public key off its devices
    Uninstall(rotate::UninstallArguments),
    /// Change the keys of credentials on all their devices
    Rotate(rotate::RotateArguments),
    /// Changes: what was done, and going on with what was not
    Change {
        #[command(subcommand)]
        command: change::ChangeCommand,
    },
    /// The record of every action
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Begin regularly what is due, by the system's own timer
    Timer {
        #[command(subcommand)]
        command: timer::TimerCommand,
    },
    /// Settings
    Settings {
        #[command(subcommand)]
        command: settings::SettingsCommand,
    },
    /// Write the completions for a shell to standard output
    Completions(completions::CompletionsArguments),
}

impl Arguments {
    /// Reads the arguments of this process. Where they are wrong, or only help is asked for, that is told here.
    pub(crate) fn read() -> Result<Self, Ending> {
        let given: Vec<OsString> = std::env::args_os().collect();
        Self::try_parse_from(&given).map_err(|error| {
            // Where the stream is closed, the exit status is all that is left to tell.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ending::Done,
                _ => {
                    let form = if asks_for_json(&given) { Form::Json } else { Form::Text };
                    Output::new(form).error(&ErrorLine::usage(one_sentence(&error)));
                    Ending::BadInput
                }
            }
        })
    }

    /// The whole command, for its completions.
    pub(crate) fn whole() -> clap::Command {
        Self::command()
    }
}

/// Whether `--json` stands among arguments that could not be parsed.
fn asks_for_json(given: &[OsString]) -> bool {
    given.iter().skip(1).take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// The first line of what clap says, as a sentence.
fn one_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    let text = words.join(" ");
    let mut rest = text.trim_end_matches('.').chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", rest.as_str())
}

/// Takes a folder, or a path where one can be made.
fn data_dir(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let path = PathBuf::from(value);
    if path.exists() && !path.is_dir() {
        return Err("there is a file of that name, not a folder".to_owned());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Arguments, clap::Error> {
        // The environment of whoever runs the tests must not decide them.
        let command = Arguments::command().mut_arg("data_dir", |argument| argument.env(None::<&str>));
        let given = std::iter::once("keywheel").chain(arguments.split(' ').filter(|word| !word.is_empty()));
        command
            .try_get_matches_from(given)
            .map(|matches| <Arguments as clap::FromArgMatches>::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn takes_every_form_of_the_design() {
        for line in [
            "person add --name Ana",
            "person add --name Ana --email ana@example.org",
            "person list",
            "person show Ana",
            "person edit Ana --email ana@example.org",
            "person remove Ana",
            "device add --name web-1 --address 10.0.0.5",
            "device add --name web-1 --address 10.0.0.5 --port 2222 --jump hop --jump-with admin --tag a --tag b \
             --authorized-keys /etc/ssh/keys/%u",
            "device list",
            "device show web-1",
            "device edit web-1 --port 22",
            "device remove web-1",
            "device import hosts.csv",
            "device scan web-1 web-2",
            "device trust web-1 web-2",
            "device trust web-1 --fingerprint SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "credential add --name deploy --username deploy --original-device web-1 --generate",
            "credential add --name deploy --username deploy --original-device web-1 --device web-2 --device 3 --owner Ana \
             --tag a --policy Standard --kind ssh-key --algorithm rsa-4096 --generate --automatic-change --use-itself",
            "credential add --name deploy --username deploy --original-device web-1 --import key --passphrase-stdin \
             --automatic-change --auth-with admin",
            "credential add --name root --username root --original-device web-1 --kind password --password-stdin",
            "credential list",
            "credential show deploy",
            "credential edit deploy --status disabled",
            "credential remove deploy",
            "credential public-key deploy",
            "credential history deploy",
            "credential reveal deploy --out key",
            "credential reveal deploy --out key --passphrase-stdin",
            "credential accepts deploy",
            "credential destroy deploy --key-version 1",
            "credential destroy deploy --key-version 1 --give-up web-1 --give-up 7",
            "policy add --name Nightly",
            "policy add --name Nightly --age 30 --days mon,sat --hours 22:00-06:00 --retries 2 --retry-interval 30 \
             --algorithm rsa-4096 --warn 3 --after-reveal 24 --strategy device-by-device --on-failure continue --at-once 4 \
             --after-interruption roll-back",
            "policy list",
            "policy show Nightly",
            "policy edit Nightly --name Weekly --days SAT",
            "policy remove Nightly",
            "policy simulate Nightly",
            "check deploy",
            "install deploy --auth-with admin",
            "install deploy --auth-with admin --options from=\"10.0.0.0/8\"",
            "uninstall deploy",
            "uninstall deploy --device web-1 --device web-2",
            "rotate deploy",
            "rotate deploy backup --dry-run",
            "rotate deploy --auth-with admin --algorithm ecdsa-p384 --strategy device-by-device --on-failure continue \
             --at-once 8",
            "rotate deploy --strategy emergency --at-once 8",
            "rotate deploy --at 22:30",
            "rotate --due",
            "rotate --due --dry-run",
            "timer install",
            "timer remove",
            "timer status",
            "rotate deploy backup --at 2026-11-24T22:30:00Z --algorithm rsa-4096",
            "change list",
            "change show 7",
            "change show 7 --recorded",
            "change run 7",
            "change resume 7",
            "change roll-back 7",
            "change retry 7",
            "change retry 7 --give-up web-1 --give-up web-2",
            "change undo 7",
            "change cancel 7",
            "audit list",
            "audit verify",
            "audit export --format csv --out audit.csv",
            "audit export --format json --out audit.json",
            "settings list",
            "settings set theme dark",
            "completions bash",
            "--data-dir /tmp/kw --json --yes -v person list",
            "person list --data-dir /tmp/kw --json --yes -v",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit_together_or_is_missing() {
        for line in [
            "person add",
            "person show",
            "device add --name web-1",
            "device scan",
            "device trust",
            "device trust web-1 --fingerprint MD5:00",
            "credential add --name deploy --username deploy --original-device web-1 --generate --import key",
            "credential add --name deploy --username deploy --original-device web-1 --generate --password-stdin",
            "credential add --name deploy --username deploy --original-device web-1 --generate --passphrase-stdin",
            "credential add --name deploy --username deploy --original-device web-1 --import key --algorithm ed25519",
            "credential add --name deploy --username deploy --original-device web-1 --generate --algorithm dsa",
            "credential add --name deploy --username deploy --original-device web-1 --generate --algorithm rsa-1024",
            "credential add --name deploy --username deploy --original-device web-1 --generate --use-itself --auth-with a",
            "credential edit deploy --status off",
            "credential edit deploy --leave-keys --uninstall",
            "credential reveal deploy",
            "credential destroy deploy",
            "credential destroy deploy --key-version one",
            "install deploy",
            "rotate",
            "rotate deploy --at-once 0",
            "rotate deploy --at-once many",
            "rotate deploy --on-failure ignore",
            "rotate deploy --at 22:30 --dry-run",
            "rotate deploy --due",
            "rotate --due --at 22:30",
            "timer",
            "policy add",
            "policy add --name Nightly --age soon",
            "policy add --name Nightly --days monday",
            "policy add --name Nightly --hours 22:00",
            "policy add --name Nightly --strategy emergency",
            "policy edit Nightly --after-reveal never",
            "change show",
            "change show seven",
            "audit export --format html --out x",
            "audit export --format csv",
            "settings set theme",
            "completions tcsh",
            "nonsense",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line} is wrong usage");
        }
    }

    #[test]
    fn nothing_of_later_issues_is_there_yet() {
        for line in ["report fleet", "backup create"] {
            assert!(parse(line).is_err(), "{line} would promise what is not there");
        }
    }

    #[test]
    fn a_file_in_place_of_the_data_directory_is_refused() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(parse(&format!("--data-dir {file} person list")).is_err());
    }

    #[test]
    fn json_is_found_among_wrong_arguments() {
        let given = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&given("keywheel nonsense --json")));
        assert!(!asks_for_json(&given("keywheel nonsense -- --json")));
    }

    #[test]
    fn wrong_usage_is_told_in_one_sentence() {
        let text = one_sentence(&parse("install deploy").unwrap_err());
        assert!(text.ends_with('.') && !text.contains('\n') && text.contains("--auth-with"), "{text}");
        assert!(text.starts_with("The following"), "{text}");
    }
}
