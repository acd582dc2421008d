//! `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.

use chrono::{DateTime, TimeDelta, Utc};
use httpdate::HttpDate;
use std::str::FromStr;
use std::time::SystemTime;

/// The longest wait a receiver can ask for: one day (SPEC §3).
pub const RETRY_AFTER_MAX: TimeDelta = TimeDelta::days(1);

/// What a `Retry-After` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the answer; at most [`RETRY_AFTER_MAX`].
    Wait(TimeDelta),
    /// At this instant, by the receiver's clock.
    At(DateTime<Utc>),
}

/// The header's value is neither a number of seconds nor an HTTP date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whole seconds or an HTTP date")]
pub struct RetryAfterError;

impl RetryAfter {
    /// How long to wait from `now`, between nothing and [`RETRY_AFTER_MAX`].
    pub fn wait(self, now: DateTime<Utc>) -> TimeDelta {
        match self {
            RetryAfter::Wait(wait) => wait,
            RetryAfter::At(at) => (at - now).clamp(TimeDelta::zero(), RETRY_AFTER_MAX),
        }
    }
}

impl FromStr for RetryAfter {
    type Err = RetryAfterError;
    fn from_str(text: &str) -> Result<Self, RetryAfterError> {
        let text = text.trim_matches([' ', '\t']);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than an integer holds are still a number, and a long wait.
            let seconds = text.parse::<i64>().unwrap_or(i64::MAX);
            let seconds = seconds.min(RETRY_AFTER_MAX.num_seconds());
            return Ok(RetryAfter::Wait(TimeDelta::seconds(seconds)));
        }
        let date: HttpDate = text.parse().map_err(|_| RetryAfterError)?;
        Ok(RetryAfter::At(SystemTime::from(date).into()))
    }
}

/// How long a `Retry-After` header asks to wait from `now`, between nothing and
/// [`RETRY_AFTER_MAX`]; `None` if it is malformed, which is as if it were not there.
pub fn parse(value: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    value.parse::<RetryAfter>().ok().map(|asked| asked.wait(now))
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
            assert_eq!(parse(value, now).map(|wait| wait.num_milliseconds()), expect_millis, "{value}");
        }
    }
}
