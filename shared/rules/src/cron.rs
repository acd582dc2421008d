//! Recurrence: seven fields of cron algebra in a time zone (SPEC §5).
//!
//! | field | values | names |
//! | --- | --- | --- |
//! | second, minute | 0–59 | |
//! | hour | 0–23 | |
//! | day | 1–31 | |
//! | month | 1–12 | JAN–DEC |
//! | dayOfWeek | 0–7, 0 and 7 are Sunday | SUN–SAT |
//! | year | 1970–9999 | |
//!
//! A field is a list of `*`, a value, a range `a-b`, or any of these with a step: `*/5`, `10-30/5`, `5/15`
//! (from 5 to the field's end). Where day and dayOfWeek are both restricted, that is, neither is `*`, a day
//! that matches *either* counts (crontab(5)).
//!
//! When clocks change, two kinds of rules part (see [`Cron::goes_by_elapsed_time`]):
//!
//! | rule | a local time that is skipped | one that comes twice |
//! | --- | --- | --- |
//! | minute and hour without `*` and `/` | runs at the first instant after the gap | runs once, the first time |
//! | `*` or `/` in minute or hour | does not come, so does not run | runs both times |
//!
//! The crate `croner` knows this distinction too, and is what the tests compare with. It is not what runs,
//! because it takes lists and ranges for wildcards in it, gives a gap of two hours at most, and loses a run
//! whose day ends in the gap.

mod field;
mod next;

pub use field::{FieldError, FieldName};

use chrono::NaiveDate;
use field::Field;
use std::fmt;

/// Most characters of one field.
pub const FIELD_MAX_CHARS: usize = 512;

/// A rule in the algebra above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    texts: [String; 7],
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    day_of_week: Field,
    year: Field,
}

/// Why texts are no rule: the fields that are none, or the number of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Fields that cannot be read, each with the reason.
    #[error("{}", .0.iter().map(|(name, error)| format!("{name} {error}")).collect::<Vec<_>>().join("; "))]
    Fields(Vec<(FieldName, FieldError)>),
    /// An expression of another number of fields.
    #[error(
        "must have 5 fields (minute, hour, day, month, dayOfWeek), 6 (second first) or 7 (year last), not {0}"
    )]
    Count(usize),
}

impl Cron {
    /// Reads the fields, in the order of [`FieldName::ALL`].
    ///
    /// # Errors
    /// [`CronError::Fields`] with every field that cannot be read.
    pub fn new(texts: [String; 7]) -> Result<Self, CronError> {
        let mut faults = Vec::new();
        let mut fields = FieldName::ALL.into_iter().zip(&texts).map(|(name, text)| match name.read(text) {
            Ok(field) => field,
            Err(error) => {
                faults.push((name, error));
                Field::default()
            }
        });
        let mut field = || fields.next().unwrap_or_default();
        let (second, minute, hour, day, month) = (field(), field(), field(), field(), field());
        let (day_of_week, year) = (field(), field());
        drop(fields);
        if faults.is_empty() {
            Ok(Self { second, minute, hour, day, month, day_of_week, year, texts })
        } else {
            Err(CronError::Fields(faults))
        }
    }

    /// Reads an expression: 5 fields, minute first; 6, second first; 7, year last.
    ///
    /// # Errors
    /// [`CronError`].
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let (second, rest, year) = match fields.as_slice() {
            rest @ [_, _, _, _, _] => ("0", rest, "*"),
            [second, rest @ ..] if rest.len() == 5 => (*second, rest, "*"),
            [second, rest @ .., year] if rest.len() == 5 => (*second, rest, *year),
            other => return Err(CronError::Count(other.len())),
        };
        let texts: Vec<String> =
            std::iter::once(second).chain(rest.iter().copied()).chain([year]).map(str::to_owned).collect();
        match <[String; 7]>::try_from(texts) {
            Ok(texts) => Self::new(texts),
            Err(texts) => Err(CronError::Count(texts.len())),
        }
    }

    /// The fields as written, in the order of [`FieldName::ALL`].
    pub fn texts(&self) -> &[String; 7] {
        &self.texts
    }

    /// Whether its times are reckoned in elapsed time and not on the clock on the wall: there is a wildcard
    /// or a step in minute or hour (SPEC §5).
    pub fn goes_by_elapsed_time(&self) -> bool {
        self.minute.has_wildcard_or_step || self.hour.has_wildcard_or_step
    }

    fn is_on(&self, date: NaiveDate) -> bool {
        use chrono::Datelike;
        let by_day = self.day.has(date.day());
        let by_weekday = self.day_of_week.has_weekday(date.weekday().num_days_from_sunday());
        match (self.day.is_star, self.day_of_week.is_star) {
            (false, false) => by_day || by_weekday,
            // A field that is `*` has every value.
            _ => by_day && by_weekday,
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(" "))
    }
}

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;
