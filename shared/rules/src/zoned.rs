//! Local times of a zone as instants (SPEC §5, §6).
//!
//! | the local time | its instant |
//! | --- | --- |
//! | comes once | that one |
//! | is skipped by a change of the clocks | the first instant after the gap |
//! | comes twice | the first of the two |
//!
//! The zones are the IANA database's, compiled in. Its changes are known up to
//! the year 2100; behind it a zone keeps its last offset.

use crate::time::{self, TimeError};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
pub use chrono_tz::Tz;

/// No zone was ever further from UTC.
const OFFSET_MAX: TimeDelta = TimeDelta::hours(24);
/// How local times are read, with or without a fraction of a second.
const LOCAL_FORMATS: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];

/// Why a text is no zone, or no time in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZonedError {
    /// The IANA database has no such zone.
    #[error("must be an IANA time zone, such as Europe/Berlin or UTC")]
    Zone,
    /// Neither RFC 3339 nor a local date and time.
    #[error(
        "must be an RFC 3339 time, such as 2026-01-31T09:30:00Z, or a local one, such as 2026-01-31T09:30:00"
    )]
    Format,
    /// A second 60 that is no leap second, or outside the years 1970 to 9999.
    #[error(transparent)]
    Time(TimeError),
}

/// The zone of that name, written as the IANA database writes it.
///
/// # Errors
/// [`ZonedError::Zone`], ready to be shown to the caller.
pub fn zone(name: &str) -> Result<Tz, ZonedError> {
    name.parse().map_err(|_| ZonedError::Zone)
}

/// The instant at which the clocks of `zone` show `local`.
pub fn resolve(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.to_utc(),
        MappedLocalTime::None => after_gap(local, zone),
    }
}

/// A time with an offset as it stands, one without as a local time of `zone`; cut to the millisecond.
///
/// # Errors
/// [`ZonedError`], ready to be shown to the caller.
pub fn parse(text: &str, zone: Tz) -> Result<DateTime<Utc>, ZonedError> {
    match time::parse(text) {
        Ok(at) => return Ok(at),
        Err(TimeError::Format) => {}
        Err(error) => return Err(ZonedError::Time(error)),
    }
    let mut read = LOCAL_FORMATS.iter().filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = read.next().ok_or(ZonedError::Format)?;
    time::instant(&local, resolve(local, zone)).map_err(ZonedError::Time)
}

/// The first instant whose local time is past `local`, which never comes.
///
/// By bisection to the second, at which all changes of zones fall: the local
/// time of `early` is before `local`, that of `late` is past it, and between
/// the last pair lies the change that skips it.
fn after_gap(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let middle = local.and_utc().timestamp();
    let (mut early, mut late) = (middle - OFFSET_MAX.num_seconds(), middle + OFFSET_MAX.num_seconds());
    while late - early > 1 {
        let between = early + (late - early) / 2;
        let at = instant(between);
        let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
        if between + i64::from(offset) > middle { late = between } else { early = between }
    }
    instant(late)
}

fn instant(seconds: i64) -> DateTime<Utc> {
    // Only a local time at the end of chrono's range, the year 262 142, has no instant within a day.
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, local: &str, expect: &str) {
        let zone = super::zone(zone).unwrap();
        assert_eq!(parse(local, zone).map(time::format), Ok(expect.to_owned()), "{local} in {zone}");
    }

    #[test]
    fn a_local_time_that_comes_once() {
        check("UTC", "2026-01-31T09:30:00", "2026-01-31T09:30:00.000Z");
        check("Europe/Berlin", "2026-01-31T09:30", "2026-01-31T08:30:00.000Z");
        check("Europe/Berlin", "2026-07-31T09:30:00.25", "2026-07-31T07:30:00.250Z");
        check("Asia/Kathmandu", "2026-01-31T09:30:00", "2026-01-31T03:45:00.000Z");
    }

    #[test]
    fn a_leap_second_is_where_utc_has_one() {
        check("UTC", "2016-12-31T23:59:60", "2017-01-01T00:00:00.000Z");
        check("Asia/Kolkata", "2017-01-01T05:29:60", "2017-01-01T00:00:00.000Z");
        check("America/New_York", "2016-12-31T18:59:60.5", "2017-01-01T00:00:00.500Z");
        for (zone, text) in [
            ("UTC", "2026-01-31T12:34:60"),
            ("Europe/Berlin", "2026-01-31T23:59:60"),
            ("Europe/Berlin", "2026-01-31T12:34:60Z"),
            // Skipped by a change of the clocks.
            ("America/New_York", "2026-03-08T02:30:60"),
        ] {
            let zone = super::zone(zone).unwrap();
            assert_eq!(parse(text, zone), Err(ZonedError::Time(TimeError::LeapSecond)), "{text} in {zone}");
        }
    }

    #[test]
    fn a_time_with_an_offset_stands() {
        check("Europe/Berlin", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z");
        check("Europe/Berlin", "2026-01-31T09:30:00-05:00", "2026-01-31T14:30:00.000Z");
    }

    #[test]
    fn a_skipped_local_time_is_the_first_instant_after_the_gap() {
        // Forward at 2026-03-08T02:00 in New York: 02:00 up to 03:00 does not come.
        for local in ["2026-03-08T02:00:00", "2026-03-08T02:30:00", "2026-03-08T02:59:59.999"] {
            check("America/New_York", local, "2026-03-08T07:00:00.000Z");
        }
        check("America/New_York", "2026-03-08T01:59:59.999", "2026-03-08T06:59:59.999Z");
        check("America/New_York", "2026-03-08T03:00:00", "2026-03-08T07:00:00.000Z");
        // Half an hour at Lord Howe, midnight in Santiago, all of 2011-12-30 in Samoa.
        check("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00.000Z");
        check("America/Santiago", "2026-09-06T00:30:00", "2026-09-06T04:00:00.000Z");
        check("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn a_repeated_local_time_is_the_first_of_the_two() {
        check("America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00.000Z");
        check("Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00.000Z");
        check("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00.000Z");
    }

    #[test]
    fn every_minute_of_a_year_keeps_its_order_and_shows_on_the_clock() {
        for zone in ["America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Africa/Casablanca"] {
            let zone = super::zone(zone).unwrap();
            let begin: NaiveDateTime = "2026-01-01T00:00:00".parse().unwrap();
            let mut last = DateTime::UNIX_EPOCH;
            let mut shown = begin;
            for minute in 0..365 * 24 * 60 {
                let local = begin + TimeDelta::minutes(minute);
                let at = resolve(local, zone);
                shown = at.with_timezone(&zone).naive_local();
                assert!(shown >= local, "{local} in {zone}");
                assert!(at >= last, "{local} in {zone}");
                last = at;
            }
            assert_eq!(shown, begin + TimeDelta::minutes(365 * 24 * 60 - 1));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for name in ["", "Berlin", "europe/berlin", "+02:00", "Mars/Olympus"] {
            assert_eq!(zone(name), Err(ZonedError::Zone), "{name}");
        }
        for text in ["", "09:30", "2026-01-31", "2026-02-30T09:30:00", "2026-01-31T25:00:00"] {
            assert_eq!(parse(text, Tz::UTC), Err(ZonedError::Format), "{text}");
        }
        assert_eq!(parse("1969-12-31T23:00:00", Tz::UTC), Err(ZonedError::Time(TimeError::Range)));
    }

    #[test]
    fn the_ends_of_the_range_do_not_panic() {
        for zone in [Tz::UTC, Tz::Pacific__Apia, Tz::America__New_York] {
            for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
                let _ = resolve(local, zone);
            }
        }
    }
}
