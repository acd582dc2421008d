use super::*;
use crate::zoned::{Tz, zone};
use chrono::{DateTime, TimeDelta, Utc};

fn at(text: &str) -> DateTime<Utc> {
    crate::time::parse(text).unwrap()
}

/// The occurrences of `expression` from `from` on, as RFC 3339 without fractions.
fn occurrences(expression: &str, name: &str, from: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (Cron::parse(expression).unwrap(), zone(name).unwrap());
    let (mut at, mut found) = (at(from), Vec::new());
    while found.len() < count
        && let Some(next) = cron.next(at, zone)
    {
        found.push(next.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        at = next + TimeDelta::seconds(1);
    }
    found
}

#[track_caller]
fn check(expression: &str, name: &str, from: &str, expect: &[&str]) {
    assert_eq!(occurrences(expression, name, from, expect.len()), expect, "{expression} in {name}");
}

#[test]
fn the_hard_cases_of_the_algebra() {
    let utc = |expression: &str, from: &str, expect: &[&str]| check(expression, "UTC", from, expect);
    // `from` itself counts; a fraction of a second is past its second.
    utc("* * * * *", "2026-01-01T00:00:00Z", &["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]);
    utc("* * * * * *", "2026-01-01T00:00:00.001Z", &["2026-01-01T00:00:01Z"]);
    // 29 February, over the century that has none.
    utc(
        "0 0 29 2 *",
        "2092-03-01T00:00:00Z",
        &["2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"],
    );
    // Sunday by both its numbers and its name.
    for sunday in ["0", "7", "SUN", "sun", "0,7", "7-7"] {
        utc(
            &format!("0 12 * * {sunday}"),
            "2026-01-01T00:00:00Z",
            &["2026-01-04T12:00:00Z", "2026-01-11T12:00:00Z"],
        );
    }
    for weekend in ["6-7", "SAT-SUN", "6-0", "sat,SUN", "6,0"] {
        utc(
            &format!("0 0 * * {weekend}"),
            "2026-01-01T00:00:00Z",
            &["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-10T00:00:00Z"],
        );
    }
    // Day or dayOfWeek, where both are restricted; both, where one is `*`.
    utc(
        "0 0 13 * FRI",
        "2026-02-01T00:00:00Z",
        &["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z"],
    );
    utc("0 0 13 * *", "2026-02-01T00:00:00Z", &["2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"]);
    utc("0 0 * * FRI", "2026-02-01T00:00:00Z", &["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z"]);
    // A step restricts too: crontab(5) speaks of fields that are not `*`.
    utc("0 0 */10 2 1", "2026-02-01T00:00:00Z", &["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]);
    // Steps: of all, of a range, from a start.
    utc(
        "*/25 0 1 1 *",
        "2026-01-01T00:00:00Z",
        &["2026-01-01T00:00:00Z", "2026-01-01T00:25:00Z", "2026-01-01T00:50:00Z"],
    );
    utc("10-30/5 0 1 1 *", "2026-01-01T00:11:00Z", &["2026-01-01T00:15:00Z", "2026-01-01T00:20:00Z"]);
    utc("5/15 0 1 1 *", "2026-01-01T00:00:00Z", &["2026-01-01T00:05:00Z", "2026-01-01T00:20:00Z"]);
    utc(
        "0 0 1 5/4 *",
        "2026-01-01T00:00:00Z",
        &["2026-05-01T00:00:00Z", "2026-09-01T00:00:00Z", "2027-05-01T00:00:00Z"],
    );
    // Steps do not carry over the end of a field.
    utc("*/40 * * * *", "2026-01-01T00:41:00Z", &["2026-01-01T01:00:00Z", "2026-01-01T01:40:00Z"]);
    // Days that months do not have are passed over.
    utc("0 0 31 * *", "2026-03-31T00:00:01Z", &["2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"]);
    utc("59 59 23 31 12 * 2027", "2026-01-01T00:00:00Z", &["2027-12-31T23:59:59Z"]);
    utc("0 0 0 1 1 * 2026-2030/2", "2026-01-02T00:00:00Z", &["2028-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]);
    assert!(occurrences("0 0 0 1 1 * 2026-2030/2", "UTC", "2030-01-01T00:00:01Z", 1).is_empty());
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 * * * 2025", "0 0 0 29 2 * 2100"] {
        assert!(occurrences(never, "UTC", "2026-01-01T00:00:00Z", 1).is_empty(), "{never}");
    }
    // Never by its day, but by its weekday.
    utc("0 0 30 2 MON", "2026-02-01T00:00:00Z", &["2026-02-02T00:00:00Z"]);
}

#[test]
fn clocks_that_change_in_both_hemispheres() {
    // New York, 2026-03-08 02:00 to 03:00: a fixed time runs at the first instant after the gap, once.
    for fixed in ["30 2 * * *", "0,30 2 * * *", "0-59 2 * * *", "0 2,3 * * *", "* 30 2 * * *"] {
        check(fixed, "America/New_York", "2026-03-08T06:00:00Z", &["2026-03-08T07:00:00Z"]);
    }
    check(
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T00:00:00Z",
        &["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    );
    // A rule with a wildcard or a step goes by elapsed time: nothing is put off.
    check(
        "*/30 * * * *",
        "America/New_York",
        "2026-03-08T06:30:00Z",
        &["2026-03-08T06:30:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"],
    );
    check("*/30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", &["2026-03-09T06:00:00Z"]);
    check(
        "30 */2 * * *",
        "America/New_York",
        "2026-03-08T05:30:00Z",
        &["2026-03-08T05:30:00Z", "2026-03-08T08:30:00Z"],
    );

    // New York, 2026-11-01 02:00 back to 01:00: a fixed time runs once, the first time.
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-11-01T00:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    // Asked for in the second pass, it is over.
    check("30 1 * * *", "America/New_York", "2026-11-01T06:00:00Z", &["2026-11-02T06:30:00Z"]);
    check(
        "0,30 1,2 * * *",
        "America/New_York",
        "2026-11-01T05:30:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z"],
    );
    check(
        "30 * * * *",
        "America/New_York",
        "2026-11-01T05:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"],
    );
    check(
        "*/30 1 * * *",
        "America/New_York",
        "2026-11-01T05:30:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:00:00Z"],
    );

    // The south: Sydney springs forward in October and falls back in April.
    check(
        "30 2 * * *",
        "Australia/Sydney",
        "2026-10-03T00:00:00Z",
        &["2026-10-03T16:00:00Z", "2026-10-04T15:30:00Z"],
    );
    check(
        "30 2 * * *",
        "Australia/Sydney",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T15:30:00Z", "2026-04-05T16:30:00Z"],
    );
    // Santiago at midnight, which 2026-09-06 does not have.
    check(
        "0 0 * * *",
        "America/Santiago",
        "2026-09-05T12:00:00Z",
        &["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"],
    );
    check("0 0 * * 0", "America/Santiago", "2026-09-05T12:00:00Z", &["2026-09-06T04:00:00Z"]);
}

#[test]
fn zones_of_their_own_kind() {
    // Lord Howe changes by half an hour: 02:00 to 02:30, and 02:00 back to 01:30.
    check(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
    );
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
    );
    check(
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2026-04-04T14:30:00Z",
        &["2026-04-04T14:30:00Z", "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z"],
    );
    check(
        "45 * * * *",
        "Australia/Lord_Howe",
        "2026-04-04T14:30:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T16:15:00Z"],
    );
    // Samoa had no 2011-12-30: what falls on it runs when the 31st begins, and then the 31st's own.
    check("0 9 30 12 *", "Pacific/Apia", "2011-12-29T20:00:00Z", &["2011-12-30T10:00:00Z"]);
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T18:00:00Z",
        &["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"],
    );
    check(
        "0 */6 * * *",
        "Pacific/Apia",
        "2011-12-30T04:00:00Z",
        &["2011-12-30T04:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T16:00:00Z"],
    );
    // St. John's fell back from 00:01 to 23:01 of the day before.
    check(
        "30 23 * * *",
        "America/St_Johns",
        "2010-11-06T12:00:00Z",
        &["2010-11-07T02:00:00Z", "2010-11-08T03:00:00Z"],
    );
    check(
        "30 * * * *",
        "America/St_Johns",
        "2010-11-07T01:45:00Z",
        &["2010-11-07T02:00:00Z", "2010-11-07T03:00:00Z", "2010-11-07T04:00:00Z"],
    );
    // A quarter of an hour from UTC's hours, and a zone that pauses its summer time for Ramadan.
    check("0 0 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T18:15:00Z"]);
    check(
        "0 12 * * *",
        "Africa/Casablanca",
        "2026-02-14T00:00:00Z",
        &["2026-02-14T11:00:00Z", "2026-02-15T12:00:00Z"],
    );
    // Behind the end of the database's rules.
    check("0 0 1 1 *", "Europe/Berlin", "2150-06-01T00:00:00Z", &["2150-12-31T23:00:00Z"]);
}

#[test]
fn fields_are_read_strictly() {
    let fault = |expression: &str| Cron::parse(expression).unwrap_err().to_string();
    for (expression, expect) in [
        ("60 * * * *", "minute has values from 0 to 59; \"60\" has another"),
        ("* * * * 8", "dayOfWeek has values from 0 to 7; \"8\" has another"),
        ("* * 0 * *", "day has values from 1 to 31; \"0\" has another"),
        ("* * * 13 *", "month has values from 1 to 12; \"13\" has another"),
        ("0 0 0 1 1 * 1969", "year has values from 1970 to 9999; \"1969\" has another"),
        ("30-10 * * * *", "minute has a range that runs backwards: \"30-10\""),
        ("* * * * 5-3", "dayOfWeek has a range that runs backwards: \"5-3\""),
        ("*/0 * * * *", "minute has a step of 0: \"*/0\""),
        (
            "99 99 * * *",
            "minute has values from 0 to 59; \"99\" has another; hour has values from 0 to 23; \"99\" has another",
        ),
    ] {
        assert_eq!(fault(expression), expect);
    }
    for bad in [
        "", "1,", ",1", "1--2", "-1", "+1", "*-5", "1-2-3", "1/2/3", "*/", "/5", "a", "1.5", "**", "L", "?",
        "1W", "MON", "0x1", "²",
    ] {
        let expression = format!("{} * * * *", if bad.is_empty() { "," } else { bad });
        assert!(fault(&expression).starts_with("minute must be a list"), "{bad}: {}", fault(&expression));
    }
    for count in ["* * * *", "* * * * * * * *", "", "@daily"] {
        assert!(fault(count).starts_with("must have 5 fields"), "{count}");
    }
    let endless = format!("{} * * * *", "1,".repeat(1_000) + "1");
    assert_eq!(fault(&endless), "minute must have at most 512 characters");
    assert!(Cron::parse("*/4294967295 4/4294967295 * * *").is_ok());
    assert!(Cron::parse("1 4294967296 * * *").is_err());
    // Names are for months and days alone, whole and in any case.
    assert!(Cron::parse("0 0 * jan-Mar,DEC mon-FRI").is_ok());
    assert!(Cron::parse("0 0 * January *").is_err());
    assert!(Cron::parse("0 0 MON * *").is_err());
}

#[test]
fn a_rule_is_shown_as_it_was_written() {
    for (given, whole) in [
        ("*/5 9-17 * * MON-FRI", "0 */5 9-17 * * MON-FRI *"),
        ("30 0 0 1 JAN *", "30 0 0 1 JAN * *"),
        ("0 0 0 29 2 * 2028", "0 0 0 29 2 * 2028"),
    ] {
        let cron = Cron::parse(given).unwrap();
        assert_eq!(cron.to_string(), whole);
        assert_eq!(Cron::new(cron.texts().clone()), Ok(cron));
    }
    let elapsed = |expression: &str| Cron::parse(expression).unwrap().goes_by_elapsed_time();
    for fixed in ["0 9 * * *", "0,30 9-17 1 * *", "* 0 9 * * *", "0 9 */2 * *"] {
        assert!(!elapsed(fixed), "{fixed}");
    }
    for by_elapsed in ["* 9 * * *", "0 * * * *", "0 */2 * * *", "0/30 9 * * *", "0 9-17/2 * * *"] {
        assert!(elapsed(by_elapsed), "{by_elapsed}");
    }
}

/// Very sparse and never matching rules are no work worth speaking of.
#[test]
fn the_ends_of_time_are_reached() {
    for expression in ["0 0 30 2 *", "*/7 */5 31 2 *", "0 0 29 2 *", "* * * * * * 9999", "* * * * *"] {
        let cron = Cron::parse(expression).unwrap();
        for zone in [Tz::UTC, Tz::America__New_York] {
            for from in [
                DateTime::UNIX_EPOCH,
                at("9999-12-31T23:59:59Z"),
                DateTime::<Utc>::MAX_UTC,
                DateTime::<Utc>::MIN_UTC,
            ] {
                let _ = cron.next(from, zone);
            }
        }
    }
}
