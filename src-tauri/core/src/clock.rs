//! Time as an argument, so that tests can set it.

use std::fmt;

pub use jiff::{Timestamp, tz::TimeZone};
use serde::Serializer;

/// Tells the wall-clock time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;

    /// The zone that local times are meant in: the system's, asked each time, so that it may change while a program runs.
    fn zone(&self) -> TimeZone {
        TimeZone::system()
    }
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A time in the form that is stored and shown to programs: RFC 3339 in UTC with milliseconds.
///
/// The width is fixed, so that stored times sort as text.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Serialises a time as [`rfc3339`] writes it.
pub(crate) fn as_rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_time_has_milliseconds_and_reads_back() {
        let time = Timestamp::from_millisecond(1_700_000_000_007).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(time).parse::<Timestamp>().unwrap(), time, "a stored time must read back as itself");
    }
}
