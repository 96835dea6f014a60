//! What can go wrong with a vault.

use std::env::consts::OS;
use std::time::Duration;

use super::ItemName;
use crate::error::{Class, Explain};

/// What the keyring or the bus to it said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A vault that could not be used.
///
/// No variant carries a secret, not even a damaged one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The keyring is there, but locked.
    #[error("The keyring is locked.")]
    Locked,
    /// There is no keyring: no session bus, or nobody on it who keeps secrets.
    #[error("No keyring of the operating system can be reached.")]
    Missing {
        /// What was tried last.
        #[source]
        source: Cause,
    },
    /// The keyring's service runs, but has no keyring that lasts longer than the session.
    #[error("The keyring service has no default keyring.")]
    NoCollection,
    /// The keyring did not answer in time.
    #[error("The keyring did not answer within {} seconds.", limit.as_secs_f32())]
    Timeout {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The name is taken; nothing was written.
    #[error("The keyring holds an item named {name} already.")]
    ItemExists {
        /// The name.
        name: ItemName,
    },
    /// What was read back is not what was stored, or not in the form in which Keywheel stores.
    #[error("The keyring gave back other bytes for the item {name} than were stored.")]
    Mismatch {
        /// The item.
        name: ItemName,
    },
    /// Several items of one name hold different bytes.
    #[error("The keyring holds several different items named {name}.")]
    Ambiguous {
        /// The name.
        name: ItemName,
    },
    /// The keyring said that the item was removed, but it is still there.
    #[error("The keyring did not remove the item {name}.")]
    NotRemoved {
        /// The item.
        name: ItemName,
    },
    /// The keyring answered with an error.
    #[error("The keyring failed.")]
    Failed {
        /// Its error.
        #[source]
        source: Cause,
    },
    /// The text is not of the form of an item's name.
    #[error("\"{}\" is not the name of a keyring item.", text.escape_debug())]
    NotAnItemName {
        /// The text.
        text: String,
    },
}

impl VaultError {
    pub(super) fn missing(source: impl Into<Cause>) -> Self {
        Self::Missing { source: source.into() }
    }

    pub(crate) fn failed(source: impl Into<Cause>) -> Self {
        Self::Failed { source: source.into() }
    }
}

impl Explain for VaultError {
    crate::sentences! {
        Locked with system = OS => "keyring-locked",
        Missing with system = OS => "keyring-missing",
        NoCollection with system = OS => "keyring-missing" as "keyring-no-collection",
        Timeout { limit = limit.as_secs_f32() } => "keyring-timeout",
        ItemExists { name } => "keyring-item-exists",
        Mismatch { name } => "keyring-mismatch",
        Ambiguous { name } => "keyring-mismatch" as "keyring-ambiguous",
        NotRemoved { name } => "keyring-failed" as "keyring-not-removed",
        Failed with system = OS => "keyring-failed",
        NotAnItemName { text = text.escape_debug() } => "keyring-item-name",
    }

    fn hint(&self) -> String {
        match self {
            Self::Locked => UNLOCK.to_owned(),
            Self::Missing { .. } => START.to_owned(),
            Self::NoCollection => CREATE.to_owned(),
            Self::Timeout { .. } => {
                "Look whether the keyring waits for an answer in a window of its own, then try again.".to_owned()
            }
            Self::ItemExists { .. } => {
                "Nothing was overwritten. If the database was restored from a copy, let Keywheel recover the credential before changing it.".to_owned()
            }
            Self::Mismatch { name } | Self::Ambiguous { name } => format!(
                "Don't use this key or password; look at the item \"Keywheel: {name}\" in the keyring's own program and at what else writes to the keyring."
            ),
            Self::NotRemoved { name } => {
                format!("Remove the item \"Keywheel: {name}\" with the keyring's own program, or try again.")
            }
            Self::Failed { .. } => FAILED.to_owned(),
            Self::NotAnItemName { .. } => {
                "The database may be damaged; restore it from a copy, the keyring's items are untouched.".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        Class::Unusable
    }
}

#[cfg(target_os = "macos")]
mod hints {
    pub(super) const UNLOCK: &str =
        "Log in to the desktop session, or run \"security unlock-keychain\", and try again.";
    pub(super) const START: &str = "Log in as the user whose login keychain holds the keys, and try again.";
    pub(super) const CREATE: &str = "Create a login keychain with Keychain Access, and try again.";
    pub(super) const FAILED: &str = "If the login keychain is locked, as in a session over SSH, run \"security unlock-keychain\"; else open it with Keychain Access, and try again.";
}

#[cfg(target_os = "windows")]
mod hints {
    pub(super) const UNLOCK: &str = "Log in to the desktop session of this Windows account, and try again.";
    pub(super) const START: &str = "Log in as the Windows user whose Credential Manager holds the keys, and try again.";
    pub(super) const CREATE: &str =
        "Log in as the Windows user whose Credential Manager holds the keys, and try again.";
    pub(super) const FAILED: &str = "Make sure that the service \"Credential Manager\" (VaultSvc) runs and that this is a full logon session, and try again.";
}

#[cfg(not(any(target_os = "macos", target_os = "windows")))]
mod hints {
    pub(super) const UNLOCK: &str = "Log in to the desktop session or unlock the keyring in its own program (\"Passwords and Keys\", KWallet); without a display, start the session with \"gnome-keyring-daemon --unlock\", which reads the keyring's password from its standard input.";
    pub(super) const START: &str = "Log in to the desktop session; without a display, run the command inside \"dbus-run-session\" after \"gnome-keyring-daemon --unlock\" (Debian and Ubuntu: packages gnome-keyring and dbus). Under sudo or cron, DBUS_SESSION_BUS_ADDRESS must name this user's session bus.";
    pub(super) const CREATE: &str = "Create one in the keyring's own program (\"Passwords and Keys\", KWallet); without a display, \"gnome-keyring-daemon --unlock\" makes the login keyring.";
    pub(super) const FAILED: &str =
        "Look at the log of the keyring's service (\"journalctl --user\"), and try again when it answers.";
}

use hints::{CREATE, FAILED, START, UNLOCK};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_two_full_sentences_and_means_that_the_vault_is_unusable() {
        let name = ItemName::new("v", 1, 2, "SHA256:x");
        let errors = [
            VaultError::Locked,
            VaultError::missing("no bus"),
            VaultError::NoCollection,
            VaultError::Timeout { limit: Duration::from_secs(10) },
            VaultError::ItemExists { name: name.clone() },
            VaultError::Mismatch { name: name.clone() },
            VaultError::Ambiguous { name: name.clone() },
            VaultError::NotRemoved { name },
            VaultError::failed("no"),
            VaultError::NotAnItemName { text: "a\n".to_owned() },
        ];
        for error in errors {
            assert!(error.to_string().ends_with('.'), "{error:?} is no sentence");
            assert!(error.hint().ends_with('.'), "the hint of {error:?} is no sentence");
            assert!(!error.to_string().contains('\n'), "{error:?} breaks the line of a message");
            assert_eq!(error.class(), Class::Unusable, "{error:?} would end with another exit status");
            assert!(error.code().starts_with("keyring-"));
        }
    }
}
