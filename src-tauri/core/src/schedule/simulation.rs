//! What "Simulate" draws.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::{KeyFacts, NextChange, Window, next_change, window};
use crate::catalogue::Policy;

/// What a policy does in the coming days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct Simulation {
    /// The days, today first.
    pub days: Vec<SimulatedDay>,
    /// The changes that a key made now gets in these days, and the first one after them.
    pub changes: Vec<NextChange>,
}

/// One local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct SimulatedDay {
    /// Its date, as `2027-03-03`.
    pub date: String,
    /// The window that begins on it.
    pub window: Option<Window>,
}

/// Says on which of the coming days changes may begin, and when a key made at `from` would change.
pub fn simulate(policy: &Policy, zone: &TimeZone, from: Timestamp, days: u16) -> Simulation {
    let today = zone.to_datetime(from).date();
    let drawn = today
        .series(1.day())
        .take(usize::from(days))
        .map(|day| SimulatedDay { date: day.to_string(), window: window::of_day(policy, zone, day) });
    let end = super::civil::days_after(zone, from, u32::from(days));
    let mut changes = Vec::new();
    let mut made = from;
    while made < end {
        let next = next_change(policy, zone, &KeyFacts::made(made));
        // A policy whose age is nothing would change for ever.
        if next.at <= made {
            break;
        }
        made = next.at;
        changes.push(next);
    }
    Simulation { days: drawn.collect(), changes }
}
