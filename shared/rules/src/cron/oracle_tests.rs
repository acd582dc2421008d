//! The same answers as the crate croner's, for thousands of random rules, instants and zones.
//!
//! Where the two differ on purpose (see the module's page), no such rule is made here; `tests` has those.

use super::Cron;
use crate::zoned::Tz;
use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use proptest::prelude::*;
use proptest::sample::select;

/// Occurrences compared for each rule.
const OCCURRENCES: usize = 6;
/// From 1971 to 2090: zones of past and present, and what the database says of the future.
const INSTANTS: std::ops::Range<i64> = 31_536_000..3_786_912_000;

const ZONES: [Tz; 12] = [
    Tz::UTC,
    Tz::America__New_York,
    Tz::Europe__Berlin,
    Tz::Europe__Dublin,
    Tz::Australia__Sydney,
    Tz::Australia__Lord_Howe,
    Tz::America__Santiago,
    Tz::America__St_Johns,
    Tz::Asia__Kathmandu,
    Tz::Africa__Casablanca,
    Tz::Asia__Beirut,
    Tz::America__Sao_Paulo,
];

/// The oracle's next occurrences; fewer where it finds no more.
fn expected(expression: &str, from: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
    let parser =
        CronParser::builder().seconds(Seconds::Required).year(Year::Required).sloppy_ranges(true).build();
    let cron = parser.parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let (mut at, mut inclusive, mut found) = (from.with_timezone(&zone), true, Vec::new());
    while found.len() < OCCURRENCES
        && let Ok(next) = cron.find_next_occurrence(&at, inclusive)
    {
        found.push(next.to_utc());
        (at, inclusive) = (next, false);
    }
    found
}

fn ours(expression: &str, from: DateTime<Utc>, zone: Tz, count: usize) -> Vec<DateTime<Utc>> {
    let cron = Cron::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let (mut at, mut found) = (from, Vec::new());
    while found.len() < count
        && let Some(next) = cron.next(at, zone)
    {
        found.push(next);
        at = next + chrono::TimeDelta::seconds(1);
    }
    found
}

fn compare(expression: &str, from: i64, zone: Tz) {
    let from = DateTime::from_timestamp(from, 0).unwrap();
    let expected = expected(expression, from, zone);
    // It looks no further than the year 5000, and gives up on what it does not find.
    let count = expected.len();
    assert_eq!(ours(expression, from, zone, count), expected, "\"{expression}\" from {from} in {zone}");
    if count < OCCURRENCES {
        assert_eq!(ours(expression, from, zone, count + 1).len(), count, "\"{expression}\" from {from}");
    }
}

/// A value, a range or a step of a field with these values.
fn part(least: u32, most: u32, steps: bool) -> BoxedStrategy<String> {
    let value = least..=most;
    let range = (value.clone(), value.clone()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let plain = prop_oneof![
        4 => value.clone().prop_map(|value| value.to_string()),
        2 => range.clone().prop_map(|(from, to)| format!("{from}-{to}")),
    ];
    if !steps {
        return plain.boxed();
    }
    prop_oneof![
        6 => plain,
        1 => (1..=most).prop_map(|step| format!("*/{step}")),
        1 => (value, 1..=most).prop_map(|(from, step)| format!("{from}/{step}")),
        1 => (range, 1..=most).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
    ]
    .boxed()
}

/// A list of parts, or `*`.
fn field(least: u32, most: u32) -> BoxedStrategy<String> {
    let list = prop::collection::vec(part(least, most, true), 1..=3).prop_map(|parts| parts.join(","));
    prop_oneof![2 => Just("*".to_owned()), 3 => list].boxed()
}

fn month() -> BoxedStrategy<String> {
    prop_oneof![4 => field(1, 12), 1 => select(vec!["JAN", "feb,Mar", "JUN-AUG", "OCT-DEC/2"]).prop_map(str::to_owned)]
        .boxed()
}

fn weekday() -> BoxedStrategy<String> {
    // `a/n` apart: for the oracle it ends with 7, which is Sunday once more.
    let list = prop::collection::vec(part(0, 7, false), 1..=3).prop_map(|parts| parts.join(","));
    let names =
        select(vec!["SUN", "mon-FRI", "SAT,7", "0", "7", "5-7", "*/2", "1-5/2"]).prop_map(str::to_owned);
    prop_oneof![3 => Just("*".to_owned()), 2 => list, 2 => names].boxed()
}

fn year() -> BoxedStrategy<String> {
    // `*/n` apart: the oracle counts from the year 1, and this from 1970.
    let few = prop::collection::vec(1971_u32..2100, 1..=3);
    let few = few.prop_map(|years| years.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    prop_oneof![8 => Just("*".to_owned()), 1 => (1971_u32..2100).prop_map(|from| format!("{from}/3")), 1 => few].boxed()
}

fn date() -> BoxedStrategy<(String, String, String, String)> {
    // Days that some month has, so that the oracle does not search for thousands of years.
    (field(1, 28), month(), weekday(), year()).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_utc(
        (second, minute, hour) in (field(0, 59), field(0, 59), field(0, 23)),
        (day, month, weekday, year) in date(),
        from in INSTANTS,
    ) {
        compare(&format!("{second} {minute} {hour} {day} {month} {weekday} {year}"), from, Tz::UTC);
    }

    #[test]
    fn by_elapsed_time_in_any_zone(
        (second, minute, hour) in (part(0, 59, false), field(0, 59), field(0, 23)),
        (day, month, weekday, year) in date(),
        from in INSTANTS,
        zone in select(&ZONES[..]),
    ) {
        let wildcard = |field: &str| field.contains(['*', '/']);
        prop_assume!(wildcard(&minute) || wildcard(&hour));
        compare(&format!("{second} {minute} {hour} {day} {month} {weekday} {year}"), from, zone);
    }

    #[test]
    fn one_fixed_local_time_in_any_zone(
        (second, minute, hour) in (0..=59_u32, 0..=59_u32, 0..=4_u32),
        weekday in weekday(),
        month in month(),
        from in INSTANTS,
        zone in select(&ZONES[..]),
    ) {
        compare(&format!("{second} {minute} {hour} * {month} {weekday} *"), from, zone);
    }
}
