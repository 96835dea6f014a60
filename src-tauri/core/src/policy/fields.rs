//! What a person may fill into a policy: pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{Number, PolicyError};
use crate::catalogue::policy::{AfterInterruption, OnFailure, Policy, STANDARD, Strategy, Weekday};
use crate::catalogue::{Noun, PolicyId, text};
use crate::error::Error;
use crate::key::Algorithm;

/// The fields of a policy, as a form has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct NewPolicy {
    /// The name.
    pub name: String,
    /// After how many days a key is changed.
    #[ts(type = "number")]
    pub maximum_age_days: i64,
    /// On which days a change may begin.
    pub days: Vec<Weekday>,
    /// From which time of the local day, as in `22:00`.
    pub from: String,
    /// Until which time; the same as `from` means any hour, an earlier one that of the day after.
    pub to: String,
    /// How often it is tried again.
    #[ts(type = "number")]
    pub retries: i64,
    /// How many minutes lie between two tries.
    #[ts(type = "number")]
    pub retry_minutes: i64,
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// How many days before it a warning is given.
    #[ts(type = "number")]
    pub warning_days: i64,
    /// How many hours after a key was revealed it is changed; none: not for that.
    #[ts(type = "number | null")]
    pub after_reveal_hours: Option<i64>,
    /// The strategy.
    pub strategy: Strategy,
    /// What happens to the others when a device fails.
    pub on_failure: OnFailure,
    /// How many devices are changed at once.
    #[ts(type = "number")]
    pub at_once: i64,
    /// What happens by itself to a change that was interrupted.
    pub after_interruption: AfterInterruption,
}

/// What is to change of a policy; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditPolicy {
    /// The name.
    pub name: Option<String>,
    /// After how many days a key is changed.
    pub maximum_age_days: Option<i64>,
    /// On which days a change may begin.
    pub days: Option<Vec<Weekday>>,
    /// From and until which time of the local day.
    pub hours: Option<(String, String)>,
    /// How often it is tried again.
    pub retries: Option<i64>,
    /// How many minutes lie between two tries.
    pub retry_minutes: Option<i64>,
    /// The algorithm of new keys.
    pub algorithm: Option<Algorithm>,
    /// How many days before it a warning is given.
    pub warning_days: Option<i64>,
    /// How many hours after a key was revealed it is changed; an inner none: not for that.
    pub after_reveal_hours: Option<Option<i64>>,
    /// The strategy.
    pub strategy: Option<Strategy>,
    /// What happens to the others when a device fails.
    pub on_failure: Option<OnFailure>,
    /// How many devices are changed at once.
    pub at_once: Option<i64>,
    /// What happens by itself to a change that was interrupted.
    pub after_interruption: Option<AfterInterruption>,
}

const AGE: Number = Number { field: "maximum_age_days", what: "maximum key age", least: 1, most: 3650 };
const RETRIES: Number = Number { field: "retries", what: "number of retries", least: 0, most: 10 };
const RETRY_MINUTES: Number = Number { field: "retry_minutes", what: "interval between retries", least: 1, most: 1440 };
const WARNING: Number = Number { field: "warning_days", what: "number of days of warning", least: 0, most: 365 };
const REVEAL: Number =
    Number { field: "after_reveal_hours", what: "number of hours after a reveal", least: 0, most: 8760 };
const AT_ONCE: Number = Number { field: "at_once", what: "number of devices at once", least: 1, most: 10_000 };

impl NewPolicy {
    /// A policy with the fields of "Standard", to be given others.
    pub fn standard(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            maximum_age_days: 90,
            days: Weekday::ALL.to_vec(),
            from: "00:00".to_owned(),
            to: "00:00".to_owned(),
            retries: 3,
            retry_minutes: 15,
            algorithm: Algorithm::Ed25519,
            warning_days: 7,
            after_reveal_hours: None,
            strategy: Strategy::TwoPhase,
            on_failure: OnFailure::RollBack,
            at_once: 1,
            after_interruption: AfterInterruption::Resume,
        }
    }

    /// The same fields with some changed.
    pub fn with(self, edit: EditPolicy) -> Self {
        let (from, to) = edit.hours.unwrap_or((self.from, self.to));
        Self {
            name: edit.name.unwrap_or(self.name),
            maximum_age_days: edit.maximum_age_days.unwrap_or(self.maximum_age_days),
            days: edit.days.unwrap_or(self.days),
            from,
            to,
            retries: edit.retries.unwrap_or(self.retries),
            retry_minutes: edit.retry_minutes.unwrap_or(self.retry_minutes),
            algorithm: edit.algorithm.unwrap_or(self.algorithm),
            warning_days: edit.warning_days.unwrap_or(self.warning_days),
            after_reveal_hours: edit.after_reveal_hours.unwrap_or(self.after_reveal_hours),
            strategy: edit.strategy.unwrap_or(self.strategy),
            on_failure: edit.on_failure.unwrap_or(self.on_failure),
            at_once: edit.at_once.unwrap_or(self.at_once),
            after_interruption: edit.after_interruption.unwrap_or(self.after_interruption),
        }
    }

    /// The policy that these fields make.
    ///
    /// # Errors
    /// The first field that can't be what it is.
    pub(super) fn checked(&self, id: PolicyId, created: Timestamp) -> Result<Policy, Error> {
        Ok(Policy { name: text::name(Noun::Policy, &self.name)?, ..self.rules(id, created)? })
    }

    /// As [`NewPolicy::checked`], with whatever name.
    pub(super) fn rules(&self, id: PolicyId, created: Timestamp) -> Result<Policy, PolicyError> {
        if self.days.is_empty() {
            return Err(PolicyError::Days);
        }
        if self.strategy == Strategy::Emergency {
            return Err(PolicyError::Emergency);
        }
        if !Algorithm::GENERATED.contains(&self.algorithm) {
            return Err(PolicyError::Algorithm { algorithm: self.algorithm.to_string() });
        }
        Ok(Policy {
            id,
            name: self.name.trim().to_owned(),
            maximum_age_days: number(AGE, self.maximum_age_days)?,
            days: Weekday::to_bits(&self.days),
            from: minute("from", &self.from)?,
            to: minute("to", &self.to)?,
            retries: number(RETRIES, self.retries)?,
            retry_minutes: number(RETRY_MINUTES, self.retry_minutes)?,
            algorithm: self.algorithm,
            warning_days: number(WARNING, self.warning_days)?,
            after_reveal_hours: self.after_reveal_hours.map(|hours| number(REVEAL, hours)).transpose()?,
            strategy: self.strategy,
            on_failure: self.on_failure,
            at_once: number(AT_ONCE, self.at_once)?,
            after_interruption: self.after_interruption,
            created,
        })
    }
}

impl From<&Policy> for NewPolicy {
    fn from(policy: &Policy) -> Self {
        Self {
            name: policy.name.clone(),
            maximum_age_days: policy.maximum_age_days.into(),
            days: Weekday::from_bits(policy.days),
            from: hour(policy.from),
            to: hour(policy.to),
            retries: policy.retries.into(),
            retry_minutes: policy.retry_minutes.into(),
            algorithm: policy.algorithm,
            warning_days: policy.warning_days.into(),
            after_reveal_hours: policy.after_reveal_hours.map(Into::into),
            strategy: policy.strategy,
            on_failure: policy.on_failure,
            at_once: policy.at_once.into(),
            after_interruption: policy.after_interruption,
        }
    }
}

/// "Standard" keeps its name, since credentials get it by that.
pub(super) fn keeps_name(before: &str, after: &str) -> Result<(), PolicyError> {
    if before == STANDARD && after != STANDARD {
        return Err(PolicyError::Standard { field: Some("name") });
    }
    Ok(())
}

fn number(number: Number, given: i64) -> Result<u32, PolicyError> {
    u32::try_from(given)
        .ok()
        .filter(|_| (number.least..=number.most).contains(&given))
        .ok_or(PolicyError::Number { given, number })
}

/// The minute of the day that a time such as `22:00` stands for; `24:00` is midnight.
fn minute(field: &'static str, given: &str) -> Result<u16, PolicyError> {
    let part = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let read = given.trim().split_once(':').and_then(|(hour, minute)| Some((part(hour)?, part(minute)?)));
    match read {
        Some((24, 0)) => Ok(0),
        Some((hour @ 0..24, minute @ 0..60)) => Ok(hour * 60 + minute),
        _ => Err(PolicyError::Hour { given: given.trim().to_owned(), field }),
    }
}

fn hour(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    fn policy(form: &NewPolicy) -> Result<Policy, Error> {
        form.checked(PolicyId(7), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_field_says_what_is_wrong_with_it() {
        type Change = fn(&mut NewPolicy);
        let table: [(&str, &str, Change); 19] = [
            ("name", "name-empty", |form| form.name = "  ".to_owned()),
            ("name", "name-digits", |form| form.name = "12".to_owned()),
            ("maximum_age_days", "bad-policy-number", |form| form.maximum_age_days = 0),
            ("maximum_age_days", "bad-policy-number", |form| form.maximum_age_days = 3651),
            ("days", "policy-without-day", |form| form.days.clear()),
            ("from", "bad-hour", |form| form.from = "25:00".to_owned()),
            ("from", "bad-hour", |form| form.from = "+1:00".to_owned()),
            ("to", "bad-hour", |form| form.to = "24:01".to_owned()),
            ("to", "bad-hour", |form| form.to = "six".to_owned()),
            ("retries", "bad-policy-number", |form| form.retries = -1),
            ("retries", "bad-policy-number", |form| form.retries = 11),
            ("retry_minutes", "bad-policy-number", |form| form.retry_minutes = 0),
            ("warning_days", "bad-policy-number", |form| form.warning_days = 366),
            ("after_reveal_hours", "bad-policy-number", |form| form.after_reveal_hours = Some(-1)),
            ("strategy", "policy-emergency", |form| form.strategy = Strategy::Emergency),
            ("at_once", "bad-policy-number", |form| form.at_once = 0),
            ("at_once", "bad-policy-number", |form| form.at_once = i64::MAX),
            ("algorithm", "policy-algorithm", |form| form.algorithm = Algorithm::Rsa(1024)),
            ("from", "bad-hour", |form| form.from = String::new()),
        ];
        for (field, code, change) in table {
            let mut form = NewPolicy::standard("Nightly");
            change(&mut form);
            let error = policy(&form).unwrap_err();
            assert_eq!((error.field(), error.code()), (Some(field), code), "{error}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn fields_read_back_as_they_were_filled_in() {
        let form = NewPolicy {
            days: vec![Weekday::Sat, Weekday::Mon],
            from: "22:00".to_owned(),
            to: "6:05".to_owned(),
            after_reveal_hours: Some(0),
            ..NewPolicy::standard(" Nightly ")
        };
        let policy = policy(&form).unwrap();
        assert_eq!((policy.name.as_str(), policy.days, policy.from, policy.to), ("Nightly", 0b10_0001, 1320, 365));
        let again = NewPolicy::from(&policy);
        assert_eq!(again.days, [Weekday::Mon, Weekday::Sat]);
        assert_eq!((again.from.as_str(), again.to.as_str(), again.after_reveal_hours), ("22:00", "06:05", Some(0)));
        let all_night = NewPolicy { to: "24:00".to_owned(), ..form };
        assert_eq!(all_night.rules(PolicyId(1), Timestamp::UNIX_EPOCH).unwrap().to, 0);
    }
}
