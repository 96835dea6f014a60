use jiff::civil::date;
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, prop_assume, prop_compose, proptest};
use proptest::strategy::Strategy as Generator;

use super::*;
use crate::catalogue::policy::{ANY_DAY, AfterInterruption, OnFailure, STANDARD, Strategy};
use crate::catalogue::{Policy, PolicyId};
use crate::key::Algorithm;

const MONDAY: u8 = 1;
const SATURDAY: u8 = 1 << 5;
const SUNDAY: u8 = 1 << 6;

/// The zones come with the crate, so that these tests don't depend on the machine.
fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn lisbon() -> TimeZone {
    zone("Europe/Lisbon")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn standard() -> Policy {
    Policy {
        id: PolicyId(1),
        name: STANDARD.to_owned(),
        maximum_age_days: 90,
        days: ANY_DAY,
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
        created: at("2026-01-01T00:00:00Z"),
    }
}

/// A policy with these days, and hours written as `22:00-06:00`.
fn hours(days: u8, hours: &str) -> Policy {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let (from, to) = hours.split_once('-').unwrap();
    Policy { days, from: minute(from), to: minute(to), ..standard() }
}

fn window(policy: &Policy, zone: &TimeZone, year: i16, month: i8, day: i8) -> Option<(String, String)> {
    window::of_day(policy, zone, date(year, month, day))
        .map(|window| (window.opens.to_string(), window.closes.to_string()))
}

fn stretch(opens: &str, closes: &str) -> Option<(String, String)> {
    Some((opens.to_owned(), closes.to_owned()))
}

#[test]
fn a_window_is_open_from_its_first_minute_to_the_end_of_its_last() {
    let policy = hours(MONDAY, "09:00-17:30");
    let zone = lisbon();
    // 1 March 2027 is a Monday.
    assert_eq!(window(&policy, &zone, 2027, 3, 1), stretch("2027-03-01T09:00:00Z", "2027-03-01T17:30:00Z"));
    assert_eq!(window(&policy, &zone, 2027, 3, 2), None);
    let table = [
        ("2027-03-01T08:59:59.999Z", false),
        ("2027-03-01T09:00:00Z", true),
        ("2027-03-01T17:29:59.999Z", true),
        ("2027-03-01T17:30:00Z", false),
        ("2027-03-02T10:00:00Z", false),
    ];
    for (time, allowed) in table {
        assert_eq!(is_allowed(&policy, &zone, at(time)), allowed, "at {time}");
    }
    assert_eq!(next_allowed(&policy, &zone, at("2027-03-01T17:30:00Z")), at("2027-03-08T09:00:00Z"));
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
    let policy = hours(SATURDAY, "22:00-06:00");
    let zone = zone("America/Sao_Paulo");
    // 6 March 2027 is a Saturday; the zone is three hours behind.
    let table = [
        ("2027-03-06T04:00:00Z", false),
        ("2027-03-07T00:59:59Z", false),
        ("2027-03-07T01:00:00Z", true),
        ("2027-03-07T08:59:59Z", true),
        ("2027-03-07T09:00:00Z", false),
        ("2027-03-08T02:00:00Z", false),
    ];
    for (time, allowed) in table {
        assert_eq!(is_allowed(&policy, &zone, at(time)), allowed, "at {time}");
    }
}

#[test]
fn the_same_hour_twice_means_any_hour_of_the_day() {
    for hours in [hours(MONDAY, "00:00-00:00"), hours(MONDAY, "13:00-13:00")] {
        assert_eq!(window(&hours, &zone("UTC"), 2027, 3, 1), stretch("2027-03-01T00:00:00Z", "2027-03-02T00:00:00Z"));
    }
}

#[test]
fn any_day_and_any_hour_is_always_also_where_clocks_are_set_at_midnight() {
    let zone = zone("America/Sao_Paulo");
    let mut time = at("2019-02-16T00:00:00Z");
    while time < at("2019-02-18T12:00:00Z") {
        assert!(is_allowed(&standard(), &zone, time), "not at {time}, while an hour came twice");
        time += SignedDuration::from_mins(10);
    }
    let mut time = at("2018-11-03T00:00:00Z");
    while time < at("2018-11-05T12:00:00Z") {
        assert!(is_allowed(&standard(), &zone, time), "not at {time}, while an hour was skipped");
        time += SignedDuration::from_mins(10);
    }
}

#[test]
fn a_skipped_hour_counts_as_the_next_minute_that_exists() {
    // Lisbon, 28 March 2027: after 00:59 comes 02:00, at 01:00 UTC.
    let zone = lisbon();
    let table = [
        ("01:15-01:45", "2027-03-28T01:00:00Z", "2027-03-28T01:01:00Z"),
        ("01:30-05:00", "2027-03-28T01:00:00Z", "2027-03-28T04:00:00Z"),
        ("00:30-01:00", "2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z"),
        ("00:30-01:30", "2027-03-28T00:30:00Z", "2027-03-28T01:01:00Z"),
        ("00:30-02:01", "2027-03-28T00:30:00Z", "2027-03-28T01:01:00Z"),
    ];
    for (text, opens, closes) in table {
        assert_eq!(window(&hours(SUNDAY, text), &zone, 2027, 3, 28), stretch(opens, closes), "{text}");
    }
    // Lord Howe, 3 October 2027: after 01:59 comes 02:30, at 15:30 UTC of the day before.
    let policy = hours(SUNDAY, "02:10-02:45");
    let island = self::zone("Australia/Lord_Howe");
    assert_eq!(window(&policy, &island, 2027, 10, 3), stretch("2027-10-02T15:30:00Z", "2027-10-02T15:45:00Z"));
}

#[test]
fn an_hour_that_comes_twice_counts_the_first_time() {
    // Lisbon, 31 October 2027: after 01:59 comes 01:00 again, at 01:00 UTC.
    let zone = lisbon();
    let table = [
        ("01:00-02:00", "2027-10-31T00:00:00Z", "2027-10-31T01:00:00Z"),
        ("01:15-01:45", "2027-10-31T00:15:00Z", "2027-10-31T00:45:00Z"),
        ("00:30-01:30", "2027-10-30T23:30:00Z", "2027-10-31T00:30:00Z"),
        ("01:30-03:00", "2027-10-31T00:30:00Z", "2027-10-31T03:00:00Z"),
    ];
    for (text, opens, closes) in table {
        let policy = hours(SUNDAY, text);
        assert_eq!(window(&policy, &zone, 2027, 10, 31), stretch(opens, closes), "{text}");
        assert_eq!(next_allowed(&policy, &zone, at("2027-10-30T12:00:00Z")), at(opens), "{text} opens late");
    }
    assert!(!is_allowed(&hours(SUNDAY, "01:15-01:45"), &zone, at("2027-10-31T01:20:00Z")), "the hour counts twice");
    // Lord Howe, 4 April 2027: after 01:59 comes 01:30 again, at 15:00 UTC of the day before.
    let policy = hours(SUNDAY, "01:30-02:00");
    let island = self::zone("Australia/Lord_Howe");
    assert_eq!(window(&policy, &island, 2027, 4, 4), stretch("2027-04-03T14:30:00Z", "2027-04-03T15:00:00Z"));
}

#[test]
fn a_day_that_a_zone_leaves_out_still_has_its_window() {
    // Samoa had no 30 December 2011, a Friday.
    let policy = hours(1 << 4, "09:00-17:00");
    let zone = zone("Pacific/Apia");
    let skipped = next_allowed(&policy, &zone, at("2011-12-29T00:00:00Z"));
    assert_eq!(skipped, at("2011-12-30T10:00:00Z"), "the first minute of the 31st, which is the next that exists");
    assert_eq!(zone.to_datetime(skipped), date(2011, 12, 31).at(0, 0, 0, 0));
}

#[test]
fn a_policy_without_a_day_never_begins() {
    let policy = hours(0, "00:00-00:00");
    assert_eq!(next_allowed(&policy, &lisbon(), at("2027-03-01T00:00:00Z")), Timestamp::MAX);
    assert!(!is_allowed(&policy, &lisbon(), at("2027-03-01T00:00:00Z")));
    let next = next_change(&policy, &lisbon(), &KeyFacts::made(at("2020-01-01T00:00:00Z")));
    assert!(!may_begin(&next, &policy, &lisbon(), at("2027-03-01T00:00:00Z")));
}

#[test]
fn a_key_is_due_on_the_day_of_the_calendar_at_the_hour_it_was_made() {
    let table = [
        // The clocks go forward between.
        ("Europe/Lisbon", "2027-03-03T10:00:00Z", 90, "2027-06-01T09:00:00Z"),
        // A year without and one with a leap day.
        ("America/Sao_Paulo", "2027-02-28T12:00:00Z", 365, "2028-02-28T12:00:00Z"),
        ("America/Sao_Paulo", "2028-02-28T12:00:00Z", 1, "2028-02-29T12:00:00Z"),
        ("America/Sao_Paulo", "2028-02-29T12:00:00Z", 365, "2029-02-28T12:00:00Z"),
        // Half an hour.
        ("Australia/Lord_Howe", "2027-03-01T00:00:00Z", 90, "2027-05-30T00:30:00Z"),
        // Into the skipped hour, and into the one that comes twice.
        ("Europe/Lisbon", "2027-03-27T01:30:00Z", 1, "2027-03-28T01:00:00Z"),
        ("Europe/Lisbon", "2027-10-30T00:30:00Z", 1, "2027-10-31T00:30:00Z"),
    ];
    for (name, created, days, due) in table {
        let policy = Policy { maximum_age_days: days, ..standard() };
        let next = next_change(&policy, &zone(name), &KeyFacts::made(at(created)));
        assert_eq!((next.due, next.at), (at(due), at(due)), "{days} days after {created} in {name}");
        assert_eq!(next.reason, Reason::Age { days, since: at(created) });
    }
}

#[test]
fn a_change_waits_for_the_next_allowed_hour() {
    let policy = Policy { maximum_age_days: 30, ..hours(SATURDAY | SUNDAY, "22:00-06:00") };
    // Due on Wednesday 31 March 2027; the Saturday after is the 3rd of April, in summer time.
    let next = next_change(&policy, &lisbon(), &KeyFacts::made(at("2027-03-01T12:00:00Z")));
    assert_eq!(next.due, at("2027-03-31T11:00:00Z"));
    assert_eq!(next.at, at("2027-04-03T21:00:00Z"));
    assert_eq!(next.overdue_from, at("2027-04-04T05:00:00Z"), "the window it opens with is the one to miss");
}

#[test]
fn the_sooner_of_age_and_reveal_counts() {
    let made = at("2027-01-01T00:00:00Z");
    let revealed = KeyFacts { revealed: Some(at("2027-01-10T08:00:00Z")), ..KeyFacts::made(made) };
    let policy = Policy { after_reveal_hours: Some(48), ..standard() };
    let next = next_change(&policy, &lisbon(), &revealed);
    assert_eq!(next.at, at("2027-01-12T08:00:00Z"));
    assert_eq!(next.reason, Reason::Reveal { hours: 48, since: at("2027-01-10T08:00:00Z") });
    let slow = Policy { after_reveal_hours: Some(24 * 365), ..standard() };
    assert_eq!(next_change(&slow, &lisbon(), &revealed).reason, Reason::Age { days: 90, since: made });
    assert_eq!(next_change(&standard(), &lisbon(), &revealed).reason, Reason::Age { days: 90, since: made });
}

fn failed(attempts: u32, began: &str, ended: &str) -> KeyFacts {
    let failed = Failed { attempts, last_ended: at(ended), series_began: at(began) };
    KeyFacts { failed: Some(failed), ..KeyFacts::made(at("2027-01-01T00:00:00Z")) }
}

#[test]
fn a_failed_change_is_tried_again_as_often_as_the_policy_says_and_then_on_the_next_day() {
    let policy = standard();
    let began = "2027-05-10T10:00:00Z";
    for attempts in 1..=3 {
        let next = next_change(&policy, &lisbon(), &failed(attempts, began, "2027-05-10T10:07:00Z"));
        assert_eq!(next.at, at("2027-05-10T10:22:00Z"));
        assert_eq!(next.reason, Reason::Retry { attempt: attempts, of: 3 });
    }
    let next = next_change(&policy, &lisbon(), &failed(4, began, "2027-05-10T11:00:00Z"));
    assert_eq!(next.at, at("2027-05-10T23:00:00Z"), "midnight in Lisbon");
    assert_eq!(next.reason, Reason::NextSeries { attempts: 4 });
    let no_retries = Policy { retries: 0, ..policy };
    let next = next_change(&no_retries, &lisbon(), &failed(1, began, "2027-05-10T10:07:00Z"));
    assert_eq!(next.at, at("2027-05-10T23:00:00Z"));
}

#[test]
fn a_retry_waits_for_the_window_too() {
    let policy = hours(ANY_DAY, "22:00-23:00");
    let next = next_change(&policy, &zone("UTC"), &failed(1, "2027-05-10T22:50:00Z", "2027-05-10T22:55:00Z"));
    assert_eq!((next.due, next.at), (at("2027-05-10T23:10:00Z"), at("2027-05-11T22:00:00Z")));
    let last = next_change(&policy, &zone("UTC"), &failed(4, "2027-05-10T22:00:00Z", "2027-05-10T22:55:00Z"));
    assert_eq!(last.at, at("2027-05-11T22:00:00Z"));
}

#[test]
fn a_series_that_ends_at_midnight_is_not_followed_by_the_next_at_once() {
    let over_midnight = failed(4, "2027-05-10T23:10:00Z", "2027-05-11T00:05:00Z");
    assert_eq!(next_change(&standard(), &zone("UTC"), &over_midnight).at, at("2027-05-12T00:00:00Z"));
    let before_midnight = failed(4, "2027-05-10T23:00:00Z", "2027-05-10T23:55:00Z");
    assert_eq!(next_change(&standard(), &zone("UTC"), &before_midnight).at, at("2027-05-11T00:10:00Z"));
}

#[test]
fn a_policy_that_came_to_allow_more_counts_before_old_failures() {
    let policy = Policy { maximum_age_days: 365, ..standard() };
    let next = next_change(&policy, &zone("UTC"), &failed(2, "2027-05-10T10:00:00Z", "2027-05-10T10:10:00Z"));
    assert_eq!(next.at, at("2028-01-01T00:00:00Z"));
    assert!(matches!(next.reason, Reason::Age { .. }));
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_due_twice() {
    let policy = standard();
    let zone = lisbon();
    let next = next_change(&policy, &zone, &KeyFacts::made(at("2027-06-01T12:00:00Z")));
    assert_eq!(next.at, at("2027-08-30T12:00:00Z"));
    assert_eq!(standing(&next, &policy, at("2026-01-01T00:00:00Z")), Standing::UpToDate);
    assert!(!may_begin(&next, &policy, &zone, at("2026-01-01T00:00:00Z")));
    // The last attempt ended, by the clock, before the series began.
    let facts = failed(4, "2027-05-10T10:00:00Z", "2027-05-08T10:00:00Z");
    assert_eq!(next_change(&policy, &zone, &facts).at, at("2027-05-10T23:00:00Z"));
}

#[test]
fn a_change_of_zone_counts_at_once() {
    let policy = hours(ANY_DAY, "22:00-06:00");
    let now = at("2027-01-10T23:00:00Z");
    assert!(is_allowed(&policy, &lisbon(), now));
    assert!(!is_allowed(&policy, &zone("America/Sao_Paulo"), now));
    assert_eq!(next_allowed(&policy, &zone("America/Sao_Paulo"), now), at("2027-01-11T01:00:00Z"));
}

#[test]
fn a_key_stands_by_what_of_its_time_has_passed() {
    let policy = hours(ANY_DAY, "22:00-06:00");
    let zone = zone("UTC");
    // Due within a window: the one after it is the first whole one.
    let next = next_change(&policy, &zone, &KeyFacts::made(at("2027-01-01T23:00:00Z")));
    assert_eq!(next.at, at("2027-04-01T23:00:00Z"));
    let table = [
        ("2027-03-25T22:59:59Z", Standing::UpToDate),
        ("2027-03-25T23:00:00Z", Standing::Warning),
        ("2027-04-01T22:59:59Z", Standing::Warning),
        ("2027-04-01T23:00:00Z", Standing::Due),
        ("2027-04-02T12:00:00Z", Standing::Due),
        ("2027-04-03T05:59:59Z", Standing::Due),
        ("2027-04-03T06:00:00Z", Standing::Overdue),
    ];
    for (now, expected) in table {
        assert_eq!(standing(&next, &policy, at(now)), expected, "at {now}");
    }
    assert!(!may_begin(&next, &policy, &zone, at("2027-04-02T12:00:00Z")), "it begins outside of its hours");
    assert!(may_begin(&next, &policy, &zone, at("2027-04-02T22:00:00Z")));
}

#[test]
fn a_key_whose_changes_keep_failing_is_overdue_and_yet_waits_for_its_retry() {
    let policy = standard();
    let zone = zone("UTC");
    let next = next_change(&policy, &zone, &failed(4, "2027-05-10T10:00:00Z", "2027-05-10T11:00:00Z"));
    let now = at("2027-05-10T12:00:00Z");
    assert_eq!(standing(&next, &policy, now), Standing::Overdue);
    assert!(!may_begin(&next, &policy, &zone, now), "a series begins twice on one day");
    assert!(may_begin(&next, &policy, &zone, at("2027-05-11T00:00:00Z")));
}

#[test]
fn a_simulation_draws_every_day_and_the_changes_of_a_key_made_now() {
    let policy = Policy { maximum_age_days: 30, ..hours(SUNDAY, "02:00-04:00") };
    let drawn = simulate(&policy, &lisbon(), at("2027-03-01T12:00:00Z"), 90);
    assert_eq!(drawn.days.len(), 90);
    assert_eq!(drawn.days[0], SimulatedDay { date: "2027-03-01".to_owned(), window: None });
    let open: Vec<&str> =
        drawn.days.iter().filter(|day| day.window.is_some()).map(|day| day.date.as_str()).take(3).collect();
    assert_eq!(open, ["2027-03-07", "2027-03-14", "2027-03-21"]);
    let changes: Vec<String> = drawn.changes.iter().map(|change| change.at.to_string()).collect();
    assert_eq!(changes, ["2027-04-04T01:00:00Z", "2027-05-09T01:00:00Z", "2027-06-13T01:00:00Z"]);
    // Standard: the first change comes after the last day that is drawn, and is told all the same.
    let drawn = simulate(&standard(), &lisbon(), at("2027-03-01T12:00:00Z"), 90);
    assert_eq!(drawn.changes.len(), 1);
    assert_eq!(drawn.changes[0].at, at("2027-05-30T11:00:00Z"));
    assert_eq!(simulate(&hours(0, "00:00-00:00"), &lisbon(), at("2027-03-01T12:00:00Z"), 90).changes.len(), 1);
}

fn zones() -> impl Generator<Value = TimeZone> {
    prop::sample::select(vec!["Europe/Lisbon", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"]).prop_map(zone)
}

prop_compose! {
    fn policies()(
        days in 1..=ANY_DAY, from in 0..1440u16, to in 0..1440u16, age in 1..400u32, retries in 0..5u32,
        retry_minutes in 1..600u32, reveal in prop::option::of(1..500u32),
    ) -> Policy {
        Policy {
            days, from, to, maximum_age_days: age, retries, retry_minutes, after_reveal_hours: reveal, ..standard()
        }
    }
}

prop_compose! {
    fn times()(minute in 0..20 * 365 * 1440i64, second in 0..60i64) -> Timestamp {
        at("2015-01-01T00:00:00Z") + SignedDuration::from_secs(minute * 60 + second)
    }
}

/// What a clock on the wall and a calendar say, for a time far from every switch.
fn read_off_the_wall(policy: &Policy, zone: &TimeZone, time: Timestamp) -> bool {
    let local = zone.to_datetime(time);
    let minute = u16::try_from(i16::from(local.hour()) * 60 + i16::from(local.minute())).unwrap();
    let on = |day: jiff::civil::Date| policy.days & (1 << day.weekday().to_monday_zero_offset()) != 0;
    let (today, yesterday) = (on(local.date()), on(local.date() - 1.day()));
    match policy.from.cmp(&policy.to) {
        std::cmp::Ordering::Less => today && policy.from <= minute && minute < policy.to,
        std::cmp::Ordering::Equal => today,
        std::cmp::Ordering::Greater => (today && minute >= policy.from) || (yesterday && minute < policy.to),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn away_from_switches_the_wall_clock_decides(policy in policies(), zone in zones(), time in times()) {
        let days = SignedDuration::from_hours(72);
        let switch = zone.following(time - days).next().map(|switch| switch.timestamp());
        prop_assume!(switch.is_none_or(|switch| switch > time + days));
        prop_assert_eq!(is_allowed(&policy, &zone, time), read_off_the_wall(&policy, &zone, time));
    }

    #[test]
    fn the_next_allowed_time_is_allowed_and_nothing_before_it_is(
        policy in policies(), zone in zones(), time in times(), part in 0.0..1.0f64,
    ) {
        let next = next_allowed(&policy, &zone, time);
        prop_assert!(next >= time);
        prop_assert!(next < time + SignedDuration::from_hours(24 * 9), "a week has every day");
        prop_assert!(is_allowed(&policy, &zone, next));
        let between = time + SignedDuration::from_secs_f64(next.duration_since(time).as_secs_f64() * part);
        prop_assert!(between == next || !is_allowed(&policy, &zone, between), "{} is allowed, too", between);
    }

    #[test]
    fn every_change_lies_in_a_window_and_not_before_its_time(
        policy in policies(), zone in zones(), created in times(), revealed in prop::option::of(0..1000i64),
        failed in prop::option::of((1..7u32, 0..200_000i64, 0..300i64)),
    ) {
        let facts = KeyFacts {
            created,
            revealed: revealed.map(|hours| created + SignedDuration::from_hours(hours)),
            failed: failed.map(|(attempts, began, took)| {
                let series_began = created + SignedDuration::from_mins(began);
                Failed { attempts, series_began, last_ended: series_began + SignedDuration::from_mins(took) }
            }),
        };
        let next = next_change(&policy, &zone, &facts);
        prop_assert!(next.at >= next.due);
        prop_assert!(is_allowed(&policy, &zone, next.at));
        prop_assert!(next.overdue_from > created);
        prop_assert!(may_begin(&next, &policy, &zone, next.at));
        if let Some(failed) = &facts.failed {
            let pause = SignedDuration::from_mins(policy.retry_minutes.into());
            prop_assert!(next.at >= failed.last_ended + pause, "an attempt follows too soon");
            if failed.attempts > policy.retries {
                let day = |time| zone.to_datetime(time).date();
                prop_assert!(day(next.at) > day(failed.last_ended), "a second series on one day");
            }
        }
    }
}
