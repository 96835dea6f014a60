//! The arguments of `keywheel-desktop`.

use std::path::PathBuf;

use clap::Parser;

/// A vault for SSH keys that changes them on their devices.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "keywheel-desktop", version, about)]
pub(crate) struct Arguments {
    /// Where the database lies [default: the folder for this account's application data]
    #[arg(long, value_name = "DIR", env = "KEYWHEEL_DATA_DIR", value_parser = data_dir, hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Start into the tray, without a window; where the desktop has no tray, the window opens all the same
    #[arg(long)]
    pub(crate) hidden: bool,
}

/// Takes a folder, or a path where one can be made; a file there is a mistake that is told before a window opens.
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
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        // The environment of whoever runs the tests must not decide them.
        let command = Arguments::command().mut_arg("data_dir", |argument| argument.env(None::<&str>));
        let matches = command.try_get_matches_from([&["keywheel-desktop"], arguments].concat())?;
        Ok(<Arguments as clap::FromArgMatches>::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_taken() {
        let parsed = parse(&["--data-dir", "/nonexistent/keywheel"]).unwrap();
        assert_eq!(parsed.data_dir, Some(PathBuf::from("/nonexistent/keywheel")), "a first start would be refused");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_refused() {
        let error = parse(&["--data-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "a file would be taken for the data directory");
        assert_eq!(error.exit_code(), 2, "bad input must end with 2, as for the command line");
    }

    #[test]
    fn what_starts_at_login_starts_hidden_and_a_person_does_not() {
        assert!(parse(&["--hidden", "--data-dir=/nonexistent/keywheel"]).unwrap().hidden);
        assert!(!parse(&[]).unwrap().hidden, "no window would open");
    }

    #[test]
    fn an_empty_folder_name_is_refused() {
        assert!(parse(&["--data-dir", ""]).is_err(), "an empty name would mean the working directory");
    }
}
