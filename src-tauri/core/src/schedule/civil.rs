//! Local dates and times of the day as points in time.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// The point in time that a local date and time stands for: where a switch skips it, that of the switch; where it comes
/// twice, the first.
///
/// jiff's own way with a skipped time is to shift it by what is skipped, as RFC 5545 (section 3.3.5) has it, which would open
/// a window late by up to an hour.
pub(super) fn instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    let (offset, skipped) = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => (offset, false),
        AmbiguousOffset::Fold { before, .. } => (before, false),
        // Read with the offset that comes after, a skipped time lies before the switch.
        AmbiguousOffset::Gap { after, .. } => (after, true),
    };
    let Ok(time) = offset.to_timestamp(local) else { return Timestamp::MAX };
    if skipped { zone.following(time).next().map_or(time, |switch| switch.timestamp()) } else { time }
}

/// The point in time at which a minute of a local day begins; minute 1,440 is the next day's first.
pub(super) fn minute(zone: &TimeZone, day: Date, minute: u16) -> Timestamp {
    day.at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).map_or(Timestamp::MAX, |local| instant(zone, local))
}

/// The same local time some days of the calendar later.
pub(super) fn days_after(zone: &TimeZone, time: Timestamp, days: u32) -> Timestamp {
    zone.to_datetime(time).checked_add(i64::from(days).days()).map_or(Timestamp::MAX, |local| instant(zone, local))
}

/// When the local day after a time begins.
pub(super) fn next_day(zone: &TimeZone, time: Timestamp) -> Timestamp {
    minute(zone, zone.to_datetime(time).date(), 24 * 60)
}
