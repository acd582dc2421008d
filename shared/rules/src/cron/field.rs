//! One field of a rule: the set of its values.

use super::FIELD_MAX_CHARS;
use std::fmt;
use std::ops::RangeInclusive;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Sunday's other number.
const SUNDAY: u32 = 7;

/// The fields of a rule, in the order of a full expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FieldName {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    DayOfWeek,
    Year,
}

impl FieldName {
    /// Every field, in the order of a full expression.
    pub const ALL: [FieldName; 7] = [
        FieldName::Second,
        FieldName::Minute,
        FieldName::Hour,
        FieldName::Day,
        FieldName::Month,
        FieldName::DayOfWeek,
        FieldName::Year,
    ];

    /// The name as SPEC §5 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldName::Second => "second",
            FieldName::Minute => "minute",
            FieldName::Hour => "hour",
            FieldName::Day => "day",
            FieldName::Month => "month",
            FieldName::DayOfWeek => "dayOfWeek",
            FieldName::Year => "year",
        }
    }

    /// What it is where a rule does not say (SPEC §5).
    pub fn default_text(self) -> &'static str {
        if self == FieldName::Second { "0" } else { "*" }
    }

    /// Its values, Sunday's second number apart.
    fn values(self) -> RangeInclusive<u32> {
        match self {
            FieldName::Second | FieldName::Minute => 0..=59,
            FieldName::Hour => 0..=23,
            FieldName::Day => 1..=31,
            FieldName::Month => 1..=12,
            FieldName::DayOfWeek => 0..=6,
            FieldName::Year => 1970..=9999,
        }
    }

    /// The set that `text` means.
    pub(super) fn read(self, text: &str) -> Result<Field, FieldError> {
        if text.chars().count() > FIELD_MAX_CHARS {
            return Err(FieldError::TooLong);
        }
        let mut field = Field {
            is_star: text == "*",
            has_wildcard_or_step: text.contains(['*', '/']),
            spans: Vec::new(),
        };
        for part in text.split(',') {
            field.spans.push(self.span(part)?);
        }
        Ok(field)
    }

    fn span(self, part: &str) -> Result<Span, FieldError> {
        let syntax = || FieldError::Syntax(part.to_owned());
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).ok_or_else(syntax)?)),
            None => (part, None),
        };
        if step == Some(0) {
            return Err(FieldError::Step(part.to_owned()));
        }
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (*self.values().start(), *self.values().end()),
            Some((from, to)) => {
                let (from, to) = (self.value(from, part)?, self.value(to, part)?);
                // A week may end with its Sunday: FRI-SUN is 5-7.
                let ends_on_sunday = self == FieldName::DayOfWeek && to == 0 && from > 0;
                (from, if ends_on_sunday { SUNDAY } else { to })
            }
            None => {
                let from = self.value(range, part)?;
                (from, if step.is_some() { from.max(*self.values().end()) } else { from })
            }
        };
        if from > to {
            return Err(FieldError::Backwards(part.to_owned()));
        }
        Ok(Span { from, to, step: step.unwrap_or(1) })
    }

    fn value(self, text: &str, part: &str) -> Result<u32, FieldError> {
        let name = |names: &[&str]| names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = match self {
            FieldName::Month => name(&MONTHS).map(|index| index + 1),
            FieldName::DayOfWeek => name(&WEEKDAYS),
            _ => None,
        };
        let value = match named {
            Some(value) => value as u32,
            None => number(text).ok_or_else(|| FieldError::Syntax(part.to_owned()))?,
        };
        let is_sunday = self == FieldName::DayOfWeek && value == SUNDAY;
        if self.values().contains(&value) || is_sunday {
            return Ok(value);
        }
        let (from, to) = self.values().into_inner();
        let to = if self == FieldName::DayOfWeek { SUNDAY } else { to };
        Err(FieldError::Value { part: part.to_owned(), from, to })
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Digits alone, so that no sign passes.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Why a text is no field, ready to follow the field's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// None of the forms of the algebra.
    #[error("must be a list of *, values, ranges a-b and steps */n, a-b/n or a/n; \"{0}\" is none of them")]
    Syntax(String),
    /// Outside the field's values.
    #[error("has values from {from} to {to}; \"{part}\" has another")]
    Value {
        /// The part of the list.
        part: String,
        /// The least value.
        from: u32,
        /// The greatest value.
        to: u32,
    },
    /// A range that ends before it begins.
    #[error("has a range that runs backwards: \"{0}\"")]
    Backwards(String),
    /// A step that goes nowhere.
    #[error("has a step of 0: \"{0}\"")]
    Step(String),
    /// A text out of all proportion.
    #[error("must have at most {FIELD_MAX_CHARS} characters")]
    TooLong,
}

/// A field's values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Field {
    /// Whether it is `*` and nothing else: not restricted.
    pub(super) is_star: bool,
    /// Whether `*` or `/` is in it.
    pub(super) has_wildcard_or_step: bool,
    spans: Vec<Span>,
}

/// From one value to another by steps.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    from: u32,
    to: u32,
    step: u32,
}

impl Span {
    fn has(&self, value: u32) -> bool {
        (self.from..=self.to).contains(&value) && (value - self.from).is_multiple_of(self.step)
    }

    fn next(&self, from: u32) -> Option<u32> {
        let steps = from.saturating_sub(self.from).div_ceil(self.step);
        let value = steps.checked_mul(self.step)?.checked_add(self.from)?;
        (value <= self.to).then_some(value)
    }
}

impl Field {
    /// Whether it has `value`.
    pub(super) fn has(&self, value: u32) -> bool {
        self.spans.iter().any(|span| span.has(value))
    }

    /// The same of a weekday, by either number of Sunday.
    pub(super) fn has_weekday(&self, weekday: u32) -> bool {
        self.has(weekday) || (weekday == 0 && self.has(SUNDAY))
    }

    /// Its least value from `from` on.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        self.spans.iter().filter_map(|span| span.next(from)).min()
    }
}
