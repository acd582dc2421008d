//! Times: RFC 3339 in with any offset, out in UTC with milliseconds (SPEC §2).

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike, Utc};

/// The earliest instant accepted, 1970-01-01T00:00:00Z.
pub const EARLIEST_MILLIS: i64 = 0;
/// The latest instant accepted, 9999-12-31T23:59:59.999Z: index keys hold 15 digits and RFC 3339 four-digit years.
pub const LATEST_MILLIS: i64 = 253_402_300_799_999;

const SECOND_NANOS: u32 = 1_000_000_000;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339, or without an offset.
    #[error("must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z")]
    Format,
    /// A second 60 that no leap second can be.
    #[error("must not have the second 60: a leap second is at 23:59:60 UTC only")]
    LeapSecond,
    /// Outside the years 1970 to 9999.
    #[error("must lie between 1970-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z")]
    Range,
}

/// Parses an RFC 3339 time with any offset; what is finer than a millisecond is cut.
///
/// # Errors
/// [`TimeError`], ready to be shown to the caller.
pub fn parse(text: &str) -> Result<DateTime<Utc>, TimeError> {
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError::Format)?;
    instant(&parsed, parsed.to_utc())
}

/// The instant `at` that was written as `written`, cut to the millisecond. A leap second, which no clock here shows, is
/// the second after it.
///
/// # Errors
/// [`TimeError::LeapSecond`] for a second 60 at any other time than 23:59:60 UTC, [`TimeError::Range`] outside the years
/// 1970 to 9999.
pub fn instant(written: &impl Timelike, at: DateTime<Utc>) -> Result<DateTime<Utc>, TimeError> {
    // chrono has a second 60 as a nanosecond of 10^9 or more in the second before it.
    if written.nanosecond() >= SECOND_NANOS && (at.hour(), at.minute(), at.second()) != (23, 59, 59) {
        return Err(TimeError::LeapSecond);
    }
    from_millis(at.timestamp_millis())
}

/// Formats as UTC with milliseconds, such as `2026-01-31T09:30:00.000Z`.
pub fn format(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The one text that all spellings of an instant share, of whatever offset and fraction: in UTC, without a fraction if
/// it is zero, such as `2026-01-31T09:30:00Z`.
pub fn canonical(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The instant `millis` milliseconds after the Unix epoch.
///
/// # Errors
/// [`TimeError::Range`] outside the years 1970 to 9999.
pub fn from_millis(millis: i64) -> Result<DateTime<Utc>, TimeError> {
    if !(EARLIEST_MILLIS..=LATEST_MILLIS).contains(&millis) {
        return Err(TimeError::Range);
    }
    DateTime::from_timestamp_millis(millis).ok_or(TimeError::Range)
}

/// Cuts what is finer than a millisecond, the resolution of every stored instant.
pub fn truncate(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

/// `at` and `wait` after it, kept within the range of [`LATEST_MILLIS`].
pub fn after(at: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    let millis = at.timestamp_millis().saturating_add(wait.num_milliseconds());
    from_millis(millis.clamp(EARLIEST_MILLIS, LATEST_MILLIS)).unwrap_or(at)
}

/// Serde for a time field: `#[serde(with = "rules::time::rfc3339")]`.
pub mod rfc3339 {
    use super::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes UTC with milliseconds.
    pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*at))
    }

    /// Reads RFC 3339 with any offset.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        super::parse(&text).map_err(D::Error::custom)
    }
}

/// Serde for an optional time field, left out when absent:
/// `#[serde(default, skip_serializing_if = "Option::is_none", with = "rules::time::rfc3339_option")]`.
pub mod rfc3339_option {
    use super::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes UTC with milliseconds, or null.
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::rfc3339::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads RFC 3339 with any offset, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_in_utc_millis_out() {
        for (given, expect) in [
            ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31T09:30:00.1239+02:00", "2026-01-31T07:30:00.123Z"),
            ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(format(parse(given).unwrap()), expect);
        }
        for bad in ["", "tomorrow", "2026-01-31", "2026-01-31T09:30:00", "2026-02-30T00:00:00Z"] {
            assert_eq!(parse(bad), Err(TimeError::Format), "{bad}");
        }
        assert_eq!(parse("1960-01-01T00:00:00Z"), Err(TimeError::Range));
    }

    #[test]
    fn an_instant_has_one_canonical_text() {
        for text in ["2031-01-01T00:00:00Z", "2031-01-01T01:00:00+01:00", "2030-12-31T23:59:59.9999+00:00"] {
            let cut = canonical(parse(text).unwrap());
            assert_eq!(cut == "2031-01-01T00:00:00Z", !text.contains('.'), "{text} {cut}");
        }
        for text in
            ["2031-01-01T00:00:00.000Z", "2031-01-01T00:00:00.0001-00:00", "2030-12-31t18:30:00.0-05:30"]
        {
            assert_eq!(canonical(parse(text).unwrap()), "2031-01-01T00:00:00Z", "{text}");
        }
        assert_eq!(canonical(parse("2031-01-01T00:00:00.120Z").unwrap()), "2031-01-01T00:00:00.120Z");
    }

    #[test]
    fn a_leap_second_is_at_the_end_of_a_day_in_utc() {
        for (text, expect) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
            ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000Z"),
            ("2016-12-31T15:59:60-08:00", "2017-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(format), Ok(expect.to_owned()), "{text}");
        }
        for text in [
            "2026-01-31T12:34:60Z",
            "2026-01-31T23:58:60Z",
            "2026-01-31T23:59:60+01:00",
            "2026-01-31T22:59:60.25-00:30",
            "2026-01-31T00:00:60Z",
        ] {
            assert_eq!(parse(text), Err(TimeError::LeapSecond), "{text}");
        }
        assert_eq!(parse("9999-12-31T23:59:60Z"), Err(TimeError::Range));
        for text in ["2026-01-31T23:59:61Z", "2026-01-31T23:60:00Z"] {
            assert_eq!(parse(text), Err(TimeError::Format), "{text}");
        }
    }
}
