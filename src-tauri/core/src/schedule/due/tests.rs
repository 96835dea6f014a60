use jiff::civil::Weekday;

use super::*;
use crate::catalogue::{OnFailure, PolicyId, Strategy};
use crate::key::Algorithm;
use crate::schedule::{Failed, Reason, is_allowed};

fn policy(days: u32) -> Policy {
    Policy {
        id: PolicyId(1),
        name: "Standard".to_owned(),
        maximum_age_days: days,
        days: 0b111_1111,
        from: 0,
        to: 0,
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

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn candidate(id: i64, created: &str) -> Candidate {
    let automatic = Automatic { policy: policy(90), facts: KeyFacts::made(time(created)), undone: None };
    Candidate {
        credential: CredentialId(id),
        name: format!("key-{id}"),
        automatic: Some(automatic),
        request: None,
        open: None,
    }
}

fn asked_for(id: i64, at: &str) -> Candidate {
    let request = Some(Request { change: ChangeId(100 + id), at: time(at) });
    Candidate { automatic: None, request, ..candidate(id, at) }
}

fn left(change: i64, state: ChangeState) -> Left {
    Left {
        change: ChangeId(change),
        state,
        automatic: true,
        died: true,
        stopped: false,
        only_forward: false,
        begun: 1,
        last: time("2026-11-24T08:00:00Z"),
    }
}

fn with_left(id: i64, left: Left) -> Candidate {
    Candidate { open: Some(Open::Left(left)), ..candidate(id, "2026-11-01T00:00:00Z") }
}

const NOW: &str = "2026-11-24T12:00:00Z";

fn chosen(candidates: &[Candidate], paused: Paused, at_most: usize) -> Vec<(i64, u8)> {
    let starts = choose(time(NOW), &TimeZone::UTC, paused, at_most, candidates);
    starts.iter().map(|start| (start.credential_id.0, start.what.rank())).collect()
}

#[test]
fn what_is_due_is_started_in_order_and_only_so_many_at_once() {
    let candidates = [
        candidate(1, "2026-08-20T00:00:00Z"),
        candidate(2, "2026-08-10T00:00:00Z"),
        candidate(3, "2026-11-01T00:00:00Z"),
        asked_for(4, "2026-11-24T11:30:00Z"),
        asked_for(5, "2026-11-24T11:00:00Z"),
        asked_for(6, "2026-11-24T12:00:01Z"),
        with_left(7, left(70, ChangeState::Interrupted)),
        candidate(8, "2026-08-20T00:00:00Z"),
    ];
    let all = [(7, 0), (5, 1), (4, 1), (2, 2), (1, 2), (8, 2)];
    assert_eq!(chosen(&candidates, Paused::No, 10), all);
    assert_eq!(chosen(&candidates, Paused::No, 4), all[..4]);
    assert_eq!(chosen(&candidates, Paused::Yes, 10), [(5, 1), (4, 1)], "a pause is none of what persons ask for");
    let mut running = candidates.to_vec();
    running[1].open = Some(Open::Running);
    assert_eq!(chosen(&running, Paused::No, 4), [(7, 0), (5, 1), (4, 1)], "what runs already counts");
    assert_eq!(chosen(&running, Paused::No, 1), []);
}

#[test]
fn a_credential_is_started_once_and_not_while_its_change_is_open() {
    let both = Candidate {
        request: Some(Request { change: ChangeId(7), at: time("2026-11-24T11:00:00Z") }),
        ..candidate(1, "2026-01-01T00:00:00Z")
    };
    assert_eq!(chosen(std::slice::from_ref(&both), Paused::No, 10), [(1, 1)], "the new key is not due then");
    let open = Candidate { open: Some(Open::Left(left(70, ChangeState::Cancelled))), ..both };
    assert_eq!(chosen(&[open], Paused::No, 10), []);
}

#[test]
fn a_policy_begins_only_within_its_window_and_a_person_at_any_time() {
    let mut night = candidate(1, "2026-01-01T00:00:00Z");
    let automatic = night.automatic.as_mut().unwrap();
    (automatic.policy.from, automatic.policy.to) = (22 * 60, 2 * 60);
    let at = |text: &str| choose(time(text), &TimeZone::UTC, Paused::No, 9, std::slice::from_ref(&night)).len();
    assert_eq!([at("2026-11-24T21:59:59Z"), at("2026-11-24T22:00:00Z"), at("2026-11-25T01:59:59Z")], [0, 1, 1]);
    assert_eq!(at("2026-11-25T02:00:00Z"), 0);
    let next = next(time("2026-11-24T12:00:00Z"), &TimeZone::UTC, Paused::No, std::slice::from_ref(&night));
    assert_eq!(next, Some(time("2026-11-24T22:00:00Z")), "it would be looked at again too late");
    assert_eq!(next_of(&night, Paused::Yes), None);
    assert_eq!(next_of(&asked_for(2, "2026-11-24T13:00:00Z"), Paused::Yes), Some(time("2026-11-24T13:00:00Z")));
}

fn next_of(candidate: &Candidate, paused: Paused) -> Option<Timestamp> {
    next(time(NOW), &TimeZone::UTC, paused, std::slice::from_ref(candidate))
}

#[test]
fn a_person_who_went_back_to_the_key_before_is_left_in_peace_for_the_day() {
    let mut undone = candidate(1, "2026-01-01T00:00:00Z");
    undone.automatic.as_mut().unwrap().undone = Some(time("2026-11-24T09:00:00Z"));
    assert_eq!(chosen(std::slice::from_ref(&undone), Paused::No, 9), []);
    assert_eq!(next_of(&undone, Paused::No), Some(time("2026-11-25T00:00:00Z")));
    undone.automatic.as_mut().unwrap().undone = Some(time("2026-11-23T09:00:00Z"));
    assert_eq!(chosen(&[undone], Paused::No, 9), [(1, 2)]);
}

#[test]
fn what_was_interrupted_goes_on_as_its_policy_says_but_not_for_ever_nor_against_a_person() {
    let what = |left: Left, after: AfterInterruption| {
        let mut candidate = with_left(1, left);
        candidate.automatic.as_mut().unwrap().policy.after_interruption = after;
        let starts = choose(time(NOW), &TimeZone::UTC, Paused::No, 9, &[candidate]);
        starts.into_iter().next().map(|start| start.what)
    };
    let change = ChangeId(70);
    let died = left(70, ChangeState::Interrupted);
    let (resume, back) = (AfterInterruption::Resume, AfterInterruption::RollBack);
    assert_eq!(what(died, resume), Some(What::Resume { change }));
    assert_eq!(what(died, back), Some(What::RollBack { change }));
    assert_eq!(what(Left { only_forward: true, ..died }, back), Some(What::Resume { change }), "there is no way back");
    let by_person = Left { automatic: false, ..died };
    assert_eq!(what(by_person, resume), Some(What::Resume { change }), "its process has died");
    let stopped = Left { died: false, stopped: true, ..by_person };
    assert_eq!(what(stopped, resume), None, "a person left it for later");
    assert_eq!(what(Left { automatic: true, ..stopped }, resume), Some(What::Resume { change }));
    assert_eq!(what(Left { begun: 5, ..died }, resume), None, "it would go on for ever");
    let soon = Left { died: false, last: time("2026-11-24T11:50:00Z"), ..died };
    assert_eq!(what(soon, resume), None, "the policy's interval has not passed");
    assert_eq!(what(Left { last: time("2027-01-01T00:00:00Z"), ..soon }, resume), Some(What::Resume { change }));
    let partly = Left { died: false, ..left(70, ChangeState::PartlyChanged) };
    assert_eq!(what(partly, back), Some(What::Retry { change }));
    assert_eq!(what(Left { begun: 4, ..partly }, resume), None, "no retry is left");
    assert_eq!(what(Left { automatic: false, ..partly }, resume), None, "whoever asked for it decides");
    let nobodys = Candidate { automatic: None, ..with_left(1, died) };
    assert_eq!(choose(time(NOW), &TimeZone::UTC, Paused::No, 9, &[nobodys]), [], "no policy says what becomes of it");
}

/// A fleet of keys under a policy each, and a clock that somebody plays with.
struct Year {
    zone: TimeZone,
    keys: Vec<Candidate>,
    /// When each may change next: so that not all are asked at each tick.
    next: Vec<Timestamp>,
    /// When each key was changed, by the clock that never goes back.
    changed: Vec<Vec<Timestamp>>,
}

fn next_at(key: &Candidate, zone: &TimeZone) -> Timestamp {
    let automatic = key.automatic.as_ref().unwrap();
    next_change(&automatic.policy, zone, &automatic.facts).at
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Year {
    fn new(zone: &str, numbers: &mut Numbers) -> Self {
        let begin = time("2026-01-01T00:00:00Z");
        let keys: Vec<Candidate> = (1..=500)
            .map(|id| {
                let age = SignedDuration::from_hours(i64::try_from(numbers.below(24 * 100)).unwrap());
                let mut key = candidate(id, &(begin - age).to_string());
                let policy = &mut key.automatic.as_mut().unwrap().policy;
                policy.maximum_age_days = [7, 30, 90, 180][usize::try_from(numbers.below(4)).unwrap()];
                (policy.from, policy.to) =
                    [(0, 0), (22 * 60, 4 * 60), (60, 150), (540, 1020)][usize::try_from(numbers.below(4)).unwrap()];
                policy.days = [0b111_1111, 0b001_1111, 0b110_0000][usize::try_from(numbers.below(3)).unwrap()];
                key
            })
            .collect();
        let zone = TimeZone::get(zone).unwrap();
        let next = keys.iter().map(|key| next_at(key, &zone)).collect();
        Self { zone, keys, next, changed: vec![Vec::new(); 500] }
    }

    /// One tick: what is due is begun, and most of it ends well.
    fn tick(&mut self, now: Timestamp, real: Timestamp, numbers: &mut Numbers) {
        loop {
            let reached = self.keys.iter().zip(&self.next).filter(|(_, next)| **next <= now);
            let reached: Vec<Candidate> = reached.map(|(key, _)| key.clone()).collect();
            let starts = choose(now, &self.zone, Paused::No, AT_ONCE, &reached);
            if starts.is_empty() {
                return;
            }
            for start in starts {
                let index = usize::try_from(start.credential_id.0 - 1).unwrap();
                let What::Rotate { next } = &start.what else { panic!("nothing else was asked for") };
                let automatic = self.keys[index].automatic.as_mut().unwrap();
                assert!(is_allowed(&automatic.policy, &self.zone, now), "{} at {now} is outside", start.credential);
                assert!(start.due <= now, "{} began before its time", start.credential);
                let attempts = automatic.facts.failed.as_ref().filter(|_| matches!(next.reason, Reason::Retry { .. }));
                let (attempts, began) = attempts.map_or((0, now), |failed| (failed.attempts, failed.series_began));
                if numbers.below(20) == 0 {
                    let failed = Failed { attempts: attempts + 1, last_ended: now, series_began: began };
                    assert!(failed.attempts <= automatic.policy.retries + 1, "a device would be asked without end");
                    automatic.facts.failed = Some(failed);
                } else {
                    automatic.facts = KeyFacts::made(now);
                    self.changed[index].push(real);
                }
                self.next[index] = next_at(&self.keys[index], &self.zone);
            }
        }
    }
}

/// A year of ticks, a few minutes apart, with nights and weeks in which the machine is off; `clock` says what it shows.
fn year(zone: &str, seed: u64, clock: impl Fn(Timestamp) -> Timestamp) -> Year {
    let mut numbers = Numbers(seed);
    let mut year = Year::new(zone, &mut numbers);
    let (mut real, end) = (time("2026-01-01T00:00:00Z"), time("2027-01-01T00:00:00Z"));
    while real < end {
        year.tick(clock(real), real, &mut numbers);
        let minutes = match numbers.below(4000) {
            0 => 60 * 24 * 3,
            1..12 => 60 * 9,
            _ => 10,
        };
        real += SignedDuration::from_mins(minutes);
    }
    year
}

#[test]
fn in_a_year_of_500_credentials_every_change_is_inside_its_window_none_is_missed_and_none_comes_twice() {
    for (zone, seed) in [("Europe/Lisbon", 1), ("Australia/Lord_Howe", 2)] {
        let year = year(zone, seed, |real| real);
        for (key, changed) in year.keys.iter().zip(&year.changed) {
            let policy = &key.automatic.as_ref().unwrap().policy;
            let age = SignedDuration::from_hours(24 * i64::from(policy.maximum_age_days));
            // The clocks go forward in between.
            let soonest = age - SignedDuration::from_hours(1);
            for pair in changed.windows(2) {
                assert!(pair[1].duration_since(pair[0]) >= soonest, "{} twice, at {pair:?}", key.name);
            }
            // A weekend's window, days off, and a day's failed attempts.
            let latest = age + SignedDuration::from_hours(24 * 24);
            let last = changed.last().unwrap_or_else(|| panic!("{} was missed all year", key.name));
            assert!(
                time("2027-01-01T00:00:00Z").duration_since(*last) <= latest,
                "{} was missed since {last}",
                key.name
            );
            for pair in changed.windows(2) {
                assert!(pair[1].duration_since(pair[0]) <= latest, "{} was missed between {pair:?}", key.name);
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_key_change_twice() {
    let back = time("2026-07-01T12:00:00Z");
    let year =
        year(
            "America/Sao_Paulo",
            3,
            |real| if real < back { real } else { real - SignedDuration::from_hours(30 * 24) },
        );
    for (key, changed) in year.keys.iter().zip(&year.changed) {
        let days = i64::from(key.automatic.as_ref().unwrap().policy.maximum_age_days);
        for pair in changed.windows(2) {
            assert!(
                pair[1].duration_since(pair[0]) >= SignedDuration::from_hours(24 * days - 1),
                "{} changed twice, at {pair:?}",
                key.name
            );
        }
    }
}

#[test]
fn an_hour_that_comes_twice_is_one_window() {
    let zone = TimeZone::get("Europe/Lisbon").unwrap();
    let mut key = candidate(1, "2026-01-01T00:00:00Z");
    let policy = &mut key.automatic.as_mut().unwrap().policy;
    (policy.from, policy.to, policy.maximum_age_days) = (60, 120, 1);
    let at = |text: &str| choose(time(text), &zone, Paused::No, 9, std::slice::from_ref(&key)).len();
    // On 25 October 02:00 becomes 01:00.
    assert_eq!([at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z")], [1, 0]);
    assert_eq!(zone.to_datetime(time("2026-10-25T00:30:00Z")).date().weekday(), Weekday::Sunday);
}
