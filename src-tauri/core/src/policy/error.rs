use crate::catalogue::policy::STANDARD;
use crate::error::sentence::listed;
use crate::error::{Class, Explain};

/// A field of a policy that is a number, and what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The field.
    pub field: &'static str,
    /// What a sentence calls it.
    pub what: &'static str,
    /// The least.
    pub least: i64,
    /// The most.
    pub most: i64,
}

/// What can be wrong with a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A number is too small or too large.
    #[error("{given} can't be the {} of a policy.", number.what)]
    Number {
        /// What was given.
        given: i64,
        /// Which number.
        number: Number,
    },
    /// There is no day on which a change may begin.
    #[error("On no day may a change begin.")]
    Days,
    /// It is no hour of a day.
    #[error("\"{given}\" is no time of the day.")]
    Hour {
        /// What was given.
        given: String,
        /// The field.
        field: &'static str,
    },
    /// The strategy is that for a compromised key.
    #[error("A policy can't change keys with the strategy for an emergency.")]
    Emergency,
    /// Keys of the algorithm are not generated.
    #[error("No keys are generated with the algorithm {algorithm}.")]
    Algorithm {
        /// The algorithm.
        algorithm: String,
    },
    /// "Standard" is what credentials get that name no other.
    #[error("The policy \"{STANDARD}\" can't be removed or renamed.")]
    Standard {
        /// The field that would have renamed it.
        field: Option<&'static str>,
    },
    /// Credentials have the policy.
    #[error("The policy \"{policy}\" is that of {}.", listed(credentials))]
    Used {
        /// The policy.
        policy: String,
        /// The credentials.
        credentials: Vec<String>,
    },
}

impl Explain for PolicyError {
    crate::sentences! {
        Number { given, number = number.field } with least = number.least, most = number.most => "bad-policy-number",
        Days => "policy-without-day",
        Hour { given } => "bad-hour",
        Emergency => "policy-emergency",
        Algorithm { algorithm } => "policy-algorithm",
        Standard => "policy-standard",
        Used { policy, credentials = listed(credentials) } => "policy-used",
    }

    fn hint(&self) -> String {
        match self {
            Self::Number { number, .. } => format!("Give a number from {} to {}.", number.least, number.most),
            Self::Days => "Choose at least one day.".to_owned(),
            Self::Hour { .. } => "Give hours and minutes, as in 22:00.".to_owned(),
            Self::Emergency => "Choose one of the other strategies.".to_owned(),
            Self::Algorithm { .. } => "Choose one of those that new keys can have.".to_owned(),
            Self::Standard { .. } => {
                "Credentials have it that name no other policy; its fields can be changed.".to_owned()
            }
            Self::Used { .. } => "Give these credentials another policy first.".to_owned(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Standard { .. } => Some(STANDARD.to_owned()),
            Self::Used { policy, .. } => Some(policy.clone()),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        Class::BadInput
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Number { number, .. } => Some(number.field),
            Self::Days => Some("days"),
            Self::Hour { field, .. } => Some(field),
            Self::Emergency => Some("strategy"),
            Self::Algorithm { .. } => Some("algorithm"),
            Self::Standard { field } => *field,
            Self::Used { .. } => None,
        }
    }
}
