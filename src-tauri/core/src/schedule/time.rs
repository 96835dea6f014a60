//! Times as a person gives them.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::{ScheduleError, civil};

/// Reads a time: RFC 3339 with its offset, or local as `2026-11-24T22:30` or `22:30`, which is the next such time.
///
/// A local time that a switch of the clock skips is the next one there is; one that comes twice is the first of the two.
///
/// # Errors
///
/// [`ScheduleError::BadTime`].
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, ScheduleError> {
    let bad = || ScheduleError::BadTime { given: text.to_owned() };
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    if let Some(time) = local.iter().find_map(|form| DateTime::strptime(form, text).ok()) {
        return Ok(civil::instant(zone, time));
    }
    let time = Time::strptime("%H:%M", text).map_err(|_| bad())?;
    let today = zone.to_datetime(now).date();
    let on = |days: i64| today.checked_add(days.days()).map(|day| civil::instant(zone, day.to_datetime(time)));
    [0, 1].into_iter().filter_map(|days| on(days).ok()).find(|at| *at > now).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    fn time(text: &str, now: &str, zone: &str) -> Result<String, ScheduleError> {
        let zone = TimeZone::get(zone).unwrap();
        parse(text, now.parse().unwrap(), &zone).map(|time| time.to_string())
    }

    #[test]
    fn a_time_is_read_in_each_of_its_forms() {
        let now = "2026-11-24T20:00:00Z";
        for (text, zone, expected) in [
            ("2026-11-24T22:30:00Z", "America/Sao_Paulo", "2026-11-24T22:30:00Z"),
            ("2026-11-24T22:30:00-03:00", "Europe/Lisbon", "2026-11-25T01:30:00Z"),
            ("2026-11-24T22:30", "America/Sao_Paulo", "2026-11-25T01:30:00Z"),
            ("2026-11-24T22:30:15", "Europe/Lisbon", "2026-11-24T22:30:15Z"),
            ("22:30", "Europe/Lisbon", "2026-11-24T22:30:00Z"),
            ("19:59", "Europe/Lisbon", "2026-11-25T19:59:00Z"),
            (" 20:00 ", "Europe/Lisbon", "2026-11-25T20:00:00Z"),
        ] {
            assert_eq!(time(text, now, zone).unwrap(), expected, "{text:?} in {zone}");
        }
    }

    #[test]
    fn a_time_that_is_skipped_is_the_next_one_and_one_that_comes_twice_the_first() {
        let before = "2026-03-01T00:00:00Z";
        // 01:00 becomes 02:00 on 29 March, and 02:00 becomes 01:00 on 25 October.
        assert_eq!(time("2026-03-29T01:30", before, "Europe/Lisbon").unwrap(), "2026-03-29T01:00:00Z");
        assert_eq!(time("2026-03-29T02:00", before, "Europe/Lisbon").unwrap(), "2026-03-29T01:00:00Z");
        assert_eq!(time("2026-10-25T01:30", before, "Europe/Lisbon").unwrap(), "2026-10-25T00:30:00Z");
        // Half an hour is skipped on 4 October: 02:00 becomes 02:30.
        assert_eq!(time("2026-10-04T02:15", before, "Australia/Lord_Howe").unwrap(), "2026-10-03T15:30:00Z");
        // The next 01:30 after midnight of the day that has none is at the switch.
        assert_eq!(time("01:30", "2026-03-29T00:10:00Z", "Europe/Lisbon").unwrap(), "2026-03-29T01:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused_at_its_field() {
        for text in ["", "tomorrow", "25:00", "12", "2026-11-24", "2026-02-30T12:00", "2026-11-24 22:30", "22:30Z"] {
            let error = time(text, "2026-11-24T20:00:00Z", "Europe/Lisbon").unwrap_err();
            assert_eq!((error.code(), error.field()), ("bad-time", Some("at")), "{text:?}");
        }
    }
}
