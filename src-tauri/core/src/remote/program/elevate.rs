//! Running a program as another account.

use super::{Program, line, travels};
use crate::error::{Class, Explain};

/// The way to the target account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elevation {
    /// The account that logged in is the one whose file it is.
    None,
    /// `sudo` without a password.
    SudoNoPassword {
        /// The target account.
        account: String,
    },
    /// `sudo` with the password of the account that logged in.
    SudoPassword {
        /// The target account.
        account: String,
        /// The prompt, random, of letters and digits, so that nothing else is taken for the question.
        mark: String,
    },
    /// `su`, for root.
    RootSu {
        /// The target account.
        account: String,
    },
}

/// Wraps a program's command so that it runs as the target account, never as root in a directory of others.
///
/// `env` sets the language in which the causes are looked for; not every login shell knows an assignment before a command.
///
/// # Errors
/// An account name that can't be passed on safely.
pub fn elevate(program: Program, elevation: &Elevation) -> Result<Program, ElevationError> {
    let (runner, mark) = match elevation {
        Elevation::None => return Ok(program),
        Elevation::SudoNoPassword { account } => {
            (format!("env LC_ALL=C sudo -n -H -u {} -- sh -c", quoted(account)?), None)
        }
        Elevation::SudoPassword { account, mark } => {
            let mark = super::plain_name(mark);
            (format!("env LC_ALL=C sudo -k -S -p {mark} -H -u {} -- sh -c", quoted(account)?), Some(mark))
        }
        // The words behind the account's name go to the shell behind its -c text, in util-linux, shadow and busybox.
        Elevation::RootSu { account } => (format!("env LC_ALL=C su -s /bin/sh {} -c", quoted(account)?), None),
    };
    let command = line(&runner, &program.script, &program.id, &program.arguments);
    Ok(Program { command, mark, ..program })
}

fn quoted(account: &str) -> Result<String, ElevationError> {
    let domain_separators = account.matches('\\').count();
    let rest = account.replacen('\\', "", 1);
    let usable = !account.is_empty()
        && !account.starts_with('-')
        && domain_separators <= 1
        && !account.ends_with('\\')
        && travels(&rest);
    if usable { Ok(format!("'{account}'")) } else { Err(ElevationError::AccountName { account: account.to_owned() }) }
}

/// Why a program did not run as the target account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElevationError {
    /// The name holds characters that no shell passes on safely.
    #[error("The account name {account:?} can't be passed to the device safely.")]
    AccountName {
        /// The name.
        account: String,
    },
    /// `sudo` refused the password.
    #[error("The password was refused by sudo on the device.")]
    WrongPassword,
    /// `sudo` asks for a password and none is there to give.
    #[error("The command sudo on the device asks for a password.")]
    PasswordNeeded,
    /// The account that logged in may not use `sudo`, or not for this.
    #[error("The account that logged in may not act as the other account with sudo.")]
    NotAllowed,
    /// `sudo` wants a terminal (`requiretty`).
    #[error("The command sudo on the device needs a terminal.")]
    TerminalNeeded,
    /// The target account does not exist.
    #[error("The account to act as does not exist on the device.")]
    UnknownAccount,
    /// There is no `sudo` or `su`.
    #[error("The device has no sudo for the account that logged in.")]
    NotInstalled,
}

impl ElevationError {
    /// Takes the cause from what `sudo` or `su` said under `LC_ALL=C`; the words themselves are not kept.
    pub(super) fn of(said: &str) -> Option<Self> {
        let causes: [(&[&str], Self); 6] = [
            (&["a password is required", "no password was provided"], Self::PasswordNeeded),
            (&["incorrect password attempt", "Sorry, try again", "Authentication failure"], Self::WrongPassword),
            (&["must have a tty", "a terminal is required"], Self::TerminalNeeded),
            (&["unknown user", "does not exist", "no passwd entry"], Self::UnknownAccount),
            (
                &["not in the sudoers", "is not allowed to", "may not run sudo", "must be setuid", "Permission denied"],
                Self::NotAllowed,
            ),
            (
                &["sudo: not found", "sudo: command not found", "env: sudo:", "env: 'sudo':", "env: su:", "env: 'su':"],
                Self::NotInstalled,
            ),
        ];
        causes.into_iter().find_map(|(words, cause)| words.iter().any(|word| said.contains(word)).then_some(cause))
    }
}

impl Explain for ElevationError {
    crate::sentences! {
        AccountName { account = format!("{account:?}") } => "account-name",
        WrongPassword => "sudo-wrong-password",
        PasswordNeeded => "sudo-password-needed",
        NotAllowed => "sudo-not-allowed",
        TerminalNeeded => "sudo-terminal-needed",
        UnknownAccount => "account-unknown",
        NotInstalled => "sudo-missing",
    }

    fn hint(&self) -> String {
        match self {
            Self::AccountName { .. } => "Use an account name without quotes, exclamation marks or line breaks.",
            Self::WrongPassword => "Correct the password of the credential for authentication.",
            Self::PasswordNeeded => {
                "Choose a credential with a password for authentication, or allow sudo without one."
            }
            Self::NotAllowed => "Allow the account in sudoers to run sh as the other account.",
            Self::TerminalNeeded => "Switch requiretty off for the account in sudoers.",
            Self::UnknownAccount => "Check the credential's username on this device.",
            Self::NotInstalled => "Install sudo, or choose root or the account itself for authentication.",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::AccountName { .. } => Class::BadInput,
            _ => Class::NotDone,
        }
    }
}
