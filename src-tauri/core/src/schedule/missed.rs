//! Policies whose windows pass while nobody is there to use them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde::Serialize;

use super::due::Candidate;
use super::{candidates::candidates, next_change, window};
use crate::catalogue::{Policy, PolicyId};
use crate::clock::as_rfc3339;
use crate::error::Error;
use crate::keywheel::Keywheel;

/// So many windows may pass before it is said.
const WINDOWS: usize = 3;

/// A policy whose windows have passed while keys were due by it and nothing was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct MissedPolicy {
    /// The policy.
    pub policy_id: PolicyId,
    /// Its name.
    pub policy: String,
    /// How many keys were due.
    pub credentials: usize,
    /// Since when the first of them is, in RFC 3339.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub since: Timestamp,
}

impl Keywheel {
    /// Lists the policies whose window has passed three times without Keywheel running, as far as the keys tell that were due then.
    ///
    /// Whatever else explains it is none of it: a pause, and a keyring that is waited for.
    ///
    /// # Errors
    /// The database's own failure; the lock of a running change can't be asked.
    pub async fn missed_policies(&self, zone: &TimeZone) -> Result<Vec<MissedPolicy>, Error> {
        let (now, paused) = (self.now(), self.settings().await?.pause.holds(self.now(), zone));
        if paused || self.waiting_for_keyring().await?.is_some() {
            return Ok(Vec::new());
        }
        let (this, zone) = (self.clone(), zone.clone());
        let read = move |conn: &Connection| -> Result<_, Error> { Ok(missed(&candidates(&this, conn)?, &zone, now)) };
        self.database().run_read(read).await
    }
}

fn missed(candidates: &[Candidate], zone: &TimeZone, now: Timestamp) -> Vec<MissedPolicy> {
    let mut missed: BTreeMap<PolicyId, MissedPolicy> = BTreeMap::new();
    let untried = candidates.iter().filter(|candidate| candidate.open.is_none());
    let automatic = untried.filter_map(|candidate| candidate.automatic.as_ref());
    for automatic in automatic.filter(|automatic| automatic.facts.failed.is_none()) {
        let policy = &automatic.policy;
        let since = next_change(policy, zone, &automatic.facts).at;
        if !passed(policy, zone, since, now) {
            continue;
        }
        let one = MissedPolicy { policy_id: policy.id, policy: policy.name.clone(), credentials: 0, since };
        let known = missed.entry(policy.id).or_insert(one);
        known.credentials += 1;
        known.since = known.since.min(since);
    }
    missed.into_values().collect()
}

/// Whether so many whole windows of a policy lie between two times that it is to be said.
fn passed(policy: &Policy, zone: &TimeZone, from: Timestamp, now: Timestamp) -> bool {
    let mut from = from;
    for _ in 0..WINDOWS {
        match window::first_whole(policy, zone, from) {
            Some(window) if window.closes <= now => from = window.closes,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{AfterInterruption, CredentialId, OnFailure, Strategy};
    use crate::key::Algorithm;
    use crate::schedule::due::Automatic;
    use crate::schedule::{Failed, KeyFacts};

    /// From 22:00 to 02:00 on any day.
    fn night() -> Policy {
        Policy {
            id: PolicyId(1),
            name: "Night".to_owned(),
            maximum_age_days: 90,
            days: 0b111_1111,
            from: 22 * 60,
            to: 2 * 60,
            retries: 3,
            retry_minutes: 15,
            algorithm: Algorithm::Ed25519,
            warning_days: 7,
            after_reveal_hours: None,
            strategy: Strategy::TwoPhase,
            on_failure: OnFailure::RollBack,
            at_once: 1,
            after_interruption: AfterInterruption::Resume,
            created: Timestamp::UNIX_EPOCH,
        }
    }

    fn candidate(id: i64, created: &str, failed: Option<Failed>) -> Candidate {
        let facts = KeyFacts { failed, ..KeyFacts::made(created.parse().unwrap()) };
        Candidate {
            credential: CredentialId(id),
            name: format!("deploy-{id}"),
            automatic: Some(Automatic { policy: night(), facts, undone: None }),
            request: None,
            open: None,
        }
    }

    #[test]
    fn three_windows_that_passed_without_an_attempt_are_said_once_for_their_policy() {
        // Due at noon of 10 April; the first window opens that evening.
        let due = [candidate(1, "2026-01-10T12:00:00Z", None), candidate(2, "2026-01-10T13:00:00Z", None)];
        let at = |time: &str| missed(&due, &TimeZone::UTC, time.parse().unwrap());
        assert!(at("2026-04-13T01:59:59Z").is_empty(), "the third window is still open");
        let told = at("2026-04-13T02:00:00Z");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].policy.as_str(), told[0].credentials), ("Night", 2));
        assert_eq!(told[0].since, "2026-04-10T22:00:00Z".parse().unwrap());
    }

    #[test]
    fn an_attempt_tells_that_keywheel_ran() {
        let at: Timestamp = "2026-04-10T22:00:00Z".parse().unwrap();
        let failed = Failed { attempts: 1, last_ended: at, series_began: at };
        let tried = [candidate(1, "2026-01-10T12:00:00Z", Some(failed))];
        assert!(missed(&tried, &TimeZone::UTC, "2026-05-01T00:00:00Z".parse().unwrap()).is_empty());
    }
}
