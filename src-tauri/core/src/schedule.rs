//! When a key changes by itself: pure, with time and time zone as arguments.
//!
//! A policy's days and hours are local time, so each answer is for one time zone. A minute of the day stands for one minute
//! of time: one that a switch of the clocks skips for the next one that exists, one that comes twice for the first.

pub(crate) mod candidates;
mod civil;
pub mod due;
mod error;
pub mod missed;
mod simulation;
pub mod time;
mod window;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::catalogue::{Policy, words};
use crate::clock::as_rfc3339;

pub use self::error::ScheduleError;
pub use self::simulation::{SimulatedDay, Simulation, simulate};
pub use self::window::{Window, is_allowed, next_allowed};

/// What the next change of a key is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// When the current key version was made.
    pub created: Timestamp,
    /// When it was first revealed since it became current.
    pub revealed: Option<Timestamp>,
    /// The newest series of automatic attempts that failed since it became current.
    pub failed: Option<Failed>,
}

impl KeyFacts {
    /// The facts of a key of which nothing is known but its age.
    pub fn made(created: Timestamp) -> Self {
        Self { created, revealed: None, failed: None }
    }
}

/// A series of automatic attempts that failed: the first one and its retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How many attempts of the series have failed.
    pub attempts: u32,
    /// When the last of them ended.
    pub last_ended: Timestamp,
    /// When the first of them began.
    pub series_began: Timestamp,
}

/// Why a key changes when it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[ts(rename = "ChangeReason")]
pub enum Reason {
    /// It reaches the policy's maximum age.
    Age {
        /// The maximum age.
        days: u32,
        /// When the key was made.
        #[serde(serialize_with = "as_rfc3339")]
        #[ts(type = "string")]
        since: Timestamp,
    },
    /// It was revealed.
    Reveal {
        /// How many hours after it.
        hours: u32,
        /// When it was revealed.
        #[serde(serialize_with = "as_rfc3339")]
        #[ts(type = "string")]
        since: Timestamp,
    },
    /// An attempt failed, and the policy tries again.
    Retry {
        /// Which of the retries comes next.
        attempt: u32,
        /// How many the policy allows.
        of: u32,
    },
    /// The attempts of a day have all failed; it is tried again on the next.
    NextSeries {
        /// How many have failed.
        attempts: u32,
    },
}

/// When a key changes by itself next, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct NextChange {
    /// When it is due, before days and hours are looked at.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub due: Timestamp,
    /// The first allowed time at or after it.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub at: Timestamp,
    /// From when on the key counts as overdue: when the first window has closed that opened no sooner than the first allowed
    /// time for its age or its reveal. What failed meanwhile does not move it.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub overdue_from: Timestamp,
    /// Why.
    pub reason: Reason,
}

words! {
    /// How a key stands towards its policy: what is shown. Whether a change may begin is [`may_begin`]'s to say.
    #[ts(rename = "KeyStanding")]
    Standing {
        /// Nothing is to be done.
        UpToDate = "up-to-date",
        /// Its next change comes within the policy's days of warning.
        Warning = "warning",
        /// The time of its next change has come.
        Due = "due",
        /// A whole window has passed in which it could have changed: from [`NextChange::overdue_from`] on, also while a
        /// retry is awaited.
        Overdue = "overdue",
    }
}

/// Says when a key changes by itself next, and why.
///
/// It is the sooner of its maximum age, counted in days of the calendar, and the policy's hours after a reveal. Where
/// automatic attempts have failed since, it is not before the next retry; after the last one a new series begins on the next
/// local day, so that no device sees more than one series a day. All of it counts from times that have been: a clock that is
/// set back makes nothing due twice.
pub fn next_change(policy: &Policy, zone: &TimeZone, key: &KeyFacts) -> NextChange {
    let (key_due, cause) = cause(policy, zone, key);
    let (due, reason) = match key.failed.as_ref().map(|failed| again(policy, zone, failed)) {
        Some((again, reason)) if again > key_due => (again, reason),
        _ => (key_due, cause),
    };
    NextChange {
        due,
        at: next_allowed(policy, zone, due),
        overdue_from: window::first_whole(policy, zone, next_allowed(policy, zone, key_due))
            .map_or(Timestamp::MAX, |window| window.closes),
        reason,
    }
}

/// Says how a key stands towards its policy.
pub fn standing(next: &NextChange, policy: &Policy, now: Timestamp) -> Standing {
    let warning = SignedDuration::from_hours(24 * i64::from(policy.warning_days));
    if now >= next.overdue_from {
        Standing::Overdue
    } else if now >= next.at {
        Standing::Due
    } else if later(now, warning) >= next.at {
        Standing::Warning
    } else {
        Standing::UpToDate
    }
}

/// Says whether the change may begin now: its time has come, and the hour is allowed.
pub fn may_begin(next: &NextChange, policy: &Policy, zone: &TimeZone, now: Timestamp) -> bool {
    now >= next.at && is_allowed(policy, zone, now)
}

/// When the key itself calls for a change, whatever was tried.
fn cause(policy: &Policy, zone: &TimeZone, key: &KeyFacts) -> (Timestamp, Reason) {
    let days = policy.maximum_age_days;
    let age = (civil::days_after(zone, key.created, days), Reason::Age { days, since: key.created });
    let reveal = policy.after_reveal_hours.zip(key.revealed).map(|(hours, since)| {
        (later(since, SignedDuration::from_hours(i64::from(hours))), Reason::Reveal { hours, since })
    });
    match reveal {
        Some(reveal) if reveal.0 < age.0 => reveal,
        _ => age,
    }
}

/// When a series that failed goes on, or the next one begins.
fn again(policy: &Policy, zone: &TimeZone, failed: &Failed) -> (Timestamp, Reason) {
    let retry = later(failed.last_ended, SignedDuration::from_mins(i64::from(policy.retry_minutes)));
    if failed.attempts <= policy.retries {
        return (retry, Reason::Retry { attempt: failed.attempts, of: policy.retries });
    }
    let next_day = civil::next_day(zone, failed.last_ended.max(failed.series_began));
    (next_day.max(retry), Reason::NextSeries { attempts: failed.attempts })
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
