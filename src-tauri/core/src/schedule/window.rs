//! The stretches of time in which a policy lets changes begin.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

use super::{civil, later};
use crate::catalogue::Policy;
use crate::clock::as_rfc3339;

/// A stretch of time in which changes may begin; one that has begun may end later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct Window {
    /// When it opens.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub opens: Timestamp,
    /// When it closes: the first moment that is no longer in it.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub closes: Timestamp,
}

const DAY: u16 = 24 * 60;

/// How many days are looked at: a week, and once more a week for the window after, with the days around a zone's skipped one.
const SEARCHED_DAYS: usize = 21;

/// The window that begins on a day, if the policy allows that day.
///
/// It opens with its first minute and closes with the end of its last, so that a window which lies wholly in skipped time is
/// still open for a minute, and one that ends where the clocks go back closes before they do.
pub(super) fn of_day(policy: &Policy, zone: &TimeZone, day: Date) -> Option<Window> {
    if policy.days >> day.weekday().to_monday_zero_offset() & 1 == 0 {
        return None;
    }
    if policy.from == policy.to {
        return Some(Window { opens: civil::minute(zone, day, 0), closes: civil::minute(zone, day, DAY) });
    }
    let length = if policy.from < policy.to { policy.to - policy.from } else { DAY - policy.from + policy.to };
    let last = civil::minute(zone, day, policy.from + length - 1);
    Some(Window { opens: civil::minute(zone, day, policy.from), closes: later(last, SignedDuration::from_mins(1)) })
}

/// The windows around a time and after it, in their order, from those of the day before on.
fn around<'a>(policy: &'a Policy, zone: &'a TimeZone, time: Timestamp) -> impl Iterator<Item = Window> + 'a {
    // Two days, since a zone that moves over the date line leaves one out.
    let first = zone.to_datetime(time).date().saturating_sub(2.days());
    first.series(1.day()).take(SEARCHED_DAYS).filter_map(|day| of_day(policy, zone, day))
}

/// Says whether a change may begin at a time.
pub fn is_allowed(policy: &Policy, zone: &TimeZone, at: Timestamp) -> bool {
    next_allowed(policy, zone, at) == at
}

/// The first time at or after another at which a change may begin: that itself while a window is open. A policy without a
/// day, which can't be saved, never has one.
pub fn next_allowed(policy: &Policy, zone: &TimeZone, from: Timestamp) -> Timestamp {
    around(policy, zone, from)
        .find(|window| window.closes > from)
        .map_or(Timestamp::MAX, |window| window.opens.max(from))
}

/// The first window that opens at or after a time.
pub(super) fn first_whole(policy: &Policy, zone: &TimeZone, from: Timestamp) -> Option<Window> {
    around(policy, zone, from).find(|window| window.opens >= from)
}
