//! `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.

use chrono::{DateTime, TimeDelta, Utc};
use httpdate::HttpDate;
use std::time::SystemTime;

/// The longest wait a receiver can ask for: one day (SPEC §3).
pub const RETRY_AFTER_MAX: TimeDelta = TimeDelta::days(1);

/// What a `Retry-After` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the response; at most [`RETRY_AFTER_MAX`].
    Wait(TimeDelta),
    /// At this instant, where the response does not say what its receiver's clock shows.
    At(DateTime<Utc>),
}

impl RetryAfter {
    /// What a response asks for whose `Retry-After` is `value` and whose `Date` is `date`. `None` if `value` is neither a
    /// number of seconds nor an HTTP date, which is as if it were not there.
    ///
    /// A date is one of the receiver's clock, which may be wrong: what it asks for is the time between the two dates.
    pub fn of(value: &str, date: Option<&str>) -> Option<Self> {
        let value = value.trim_matches([' ', '\t']);
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than an integer holds are still a number, and a long wait.
            let seconds = value.parse::<i64>().unwrap_or(i64::MAX).min(RETRY_AFTER_MAX.num_seconds());
            return Some(Self::Wait(TimeDelta::seconds(seconds)));
        }
        let at = http_date(value)?;
        Some(date.and_then(http_date).map_or(Self::At(at), |date| Self::Wait(bounded(at - date))))
    }

    /// How long to wait from `now`, between nothing and [`RETRY_AFTER_MAX`].
    pub fn wait(self, now: DateTime<Utc>) -> TimeDelta {
        match self {
            Self::Wait(wait) => bounded(wait),
            Self::At(at) => bounded(at - now),
        }
    }
}

fn bounded(wait: TimeDelta) -> TimeDelta {
    wait.clamp(TimeDelta::zero(), RETRY_AFTER_MAX)
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let date: HttpDate = text.trim_matches([' ', '\t']).parse().ok()?;
    Some(SystemTime::from(date).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_within_a_day() {
        let now = crate::time::parse("2026-01-31T09:30:00.250Z").unwrap();
        for (value, expect_millis) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 7 ", Some(7_000)),
            ("86400", Some(86_400_000)),
            ("86401", Some(86_400_000)),
            ("99999999999999999999999999", Some(86_400_000)),
            ("Sat, 31 Jan 2026 09:31:00 GMT", Some(59_750)),
            ("Saturday, 31-Jan-26 09:31:00 GMT", Some(59_750)),
            ("Sat Jan 31 09:31:00 2026", Some(59_750)),
            ("Sat, 31 Jan 2026 09:00:00 GMT", Some(0)),
            ("Tue, 31 Jan 2034 09:00:00 GMT", Some(86_400_000)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("2026-01-31T09:31:00Z", None),
            ("Sat, 32 Jan 2026 09:31:00 GMT", None),
        ] {
            let wait = RetryAfter::of(value, None).map(|asked| asked.wait(now).num_milliseconds());
            assert_eq!(wait, expect_millis, "{value}");
        }
    }

    #[test]
    fn a_date_is_measured_from_the_date_of_its_own_response() {
        // Our clock plays no part where the receiver says what its own one shows.
        let now = crate::time::parse("2026-01-31T12:00:00Z").unwrap();
        for (value, date, expect_seconds) in [
            // Ten minutes slow, ten minutes fast, and years off.
            ("Sat, 31 Jan 2026 11:52:00 GMT", Some("Sat, 31 Jan 2026 11:50:00 GMT"), 120),
            ("Sat, 31 Jan 2026 12:12:00 GMT", Some("Sat, 31 Jan 2026 12:10:00 GMT"), 120),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some("Thu, 01 Jan 1970 00:00:00 GMT"), 60),
            // A date in another of the three formats, and white space around it.
            ("Sat Jan 31 12:01:00 2026", Some(" Saturday, 31-Jan-26 12:00:30 GMT "), 30),
            // Before its own response, and later than a day after it.
            ("Sat, 31 Jan 2026 12:30:00 GMT", Some("Sat, 31 Jan 2026 12:31:00 GMT"), 0),
            ("Sat, 31 Jan 2026 12:00:00 GMT", Some("Thu, 01 Jan 1970 00:00:00 GMT"), 86_400),
            // Without a well-formed date, our clock.
            ("Sat, 31 Jan 2026 12:02:00 GMT", None, 120),
            ("Sat, 31 Jan 2026 12:02:00 GMT", Some("yesterday"), 120),
            ("Sat, 31 Jan 2026 11:52:00 GMT", Some(""), 0),
            // Seconds are seconds.
            ("7", Some("Thu, 01 Jan 1970 00:00:00 GMT"), 7),
        ] {
            let wait = RetryAfter::of(value, date).map(|asked| asked.wait(now).num_seconds());
            assert_eq!(wait, Some(expect_seconds), "{value}, {date:?}");
        }
    }
}
