//! Why a change could not be scheduled, or does not begin by itself.

use jiff::Timestamp;

use crate::{
    clock::rfc3339,
    error::{Class, Explain},
};

/// Why a change could not be scheduled, or does not begin by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The time has passed.
    #[error("The time {} has passed.", rfc3339(*at))]
    InThePast {
        /// The time.
        at: Timestamp,
    },
    /// The text is no time.
    #[error("\"{given}\" is no time.")]
    BadTime {
        /// The text.
        given: String,
    },
    /// A compromised key can't wait.
    #[error("The strategy \"emergency\" begins at once.")]
    EmergencyWaits,
    /// Somebody has changed the key meanwhile, or what its change goes by.
    #[error("No change of \"{credential}\" is due any more.")]
    NoLongerDue {
        /// The credential's name.
        credential: String,
    },
}

impl Explain for ScheduleError {
    crate::sentences! {
        InThePast { at = rfc3339(*at) } => "time-passed",
        BadTime { given } => "bad-time",
        EmergencyWaits => "emergency-waits",
        NoLongerDue { credential } => "no-longer-due",
    }

    fn hint(&self) -> String {
        match self {
            Self::InThePast { .. } => "Give a time that is still to come.".into(),
            Self::BadTime { .. } => {
                "Give it as 2026-11-24T22:30 or 22:30 in local time, or with its offset as 2026-11-24T22:30:00Z.".into()
            }
            Self::EmergencyWaits => "Leave the time out.".into(),
            Self::NoLongerDue { credential } => {
                format!("See what it is with `keywheel credential history {credential}`.")
            }
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::NoLongerDue { credential } => Some(credential.clone()),
            Self::InThePast { .. } | Self::BadTime { .. } | Self::EmergencyWaits => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoLongerDue { .. } => Class::NotDone,
            Self::InThePast { .. } | Self::BadTime { .. } | Self::EmergencyWaits => Class::BadInput,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::InThePast { .. } | Self::BadTime { .. } | Self::EmergencyWaits => Some("at"),
            Self::NoLongerDue { .. } => None,
        }
    }
}
