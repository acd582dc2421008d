//! Kinds of values that many members have.

use super::describe::Described;
use super::json;
use super::kind::{FromText, Kind, Place, kind};
use super::openapi::schemas;
use chrono::{DateTime, Utc};
use rules::field::Scalar;
use rules::number::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Most characters of a number that is kept as it is written.
const NUMBER_MAX_CHARS: usize = 64;

/// A string.
pub fn any_text() -> impl Kind<Value = String> {
    kind(read_text, || Described::of("string"))
}

fn read_text(raw: &str, place: &Place<'_>) -> Option<String> {
    if !raw.starts_with('"') {
        place.fault("must be a string");
        return None;
    }
    place.check(serde_json::from_str(raw).map_err(|error| json::refused(&error)))
}

/// A string of at most `max` characters, and at least one.
pub fn text(max: usize) -> impl Kind<Value = String> {
    let read = move |raw: &str, place: &Place<'_>| {
        let text = read_text(raw, place)?;
        if (1..=max).contains(&text.chars().count()) {
            return Some(text);
        }
        place.fault(format!("must have 1 to {max} characters"));
        None
    };
    kind(read, move || Described::of("string").with("minLength", 1).with("maxLength", max))
}

/// A string that is the text of a `T`.
pub fn parsed<T: FromText>() -> impl Kind<Value = T> {
    checked(T::from_str, T::describe)
}

/// A string that `parse` takes.
pub fn checked<T, E: Display>(
    parse: impl Fn(&str) -> Result<T, E>,
    describe: fn() -> Described,
) -> impl Kind<Value = T> {
    kind(move |raw, place| place.check(parse(&read_text(raw, place)?)), describe)
}

/// The same as an item of a list, where a string that cannot be read is called none.
pub fn checked_item<T, E: Display>(
    parse: impl Fn(&str) -> Result<T, E>,
    describe: fn() -> Described,
) -> impl Kind<Value = T> {
    let read = move |raw: &str, place: &Place<'_>| {
        let text: String = place.check(serde_json::from_str(raw).map_err(|_| "must be a string"))?;
        place.check(parse(&text))
    };
    kind(read, describe)
}

/// An absolute http(s) URL without placeholders.
pub fn fixed_uri() -> impl Kind<Value = String> {
    let parse = |text: &str| rules::uri::fixed(text).map(|()| text.to_owned());
    checked(parse, Described::component::<schemas::HttpUrl>)
}

/// An RFC 3339 time; bodies are compared by its instant.
pub fn time() -> impl Kind<Value = DateTime<Utc>> {
    let read = |raw: &str, place: &Place<'_>| {
        let at = place.check(rules::time::parse(&read_text(raw, place)?))?;
        place.means(rules::time::canonical(at));
        Some(at)
    };
    kind(read, || Described::of("string").with("format", "date-time"))
}

/// The id of an object: a string, a number as it is written, or a boolean.
pub fn object_id() -> impl Kind<Value = String> {
    let read = |raw: &str, place: &Place<'_>| Some(place.check(Scalar::of(raw))?.as_str().to_owned());
    kind(read, Described::component::<schemas::ObjectId>)
}

/// A whole number within `range`.
pub fn integer<N: Copy + Into<u64> + TryFrom<u64>>(range: RangeInclusive<N>) -> impl Kind<Value = N> {
    let (from, to): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
    let read = move |raw: &str, place: &Place<'_>| {
        // 3.0 is as whole as 3 (JSON Schema says so too).
        match raw.parse::<Decimal>().ok().and_then(|number| number.whole()) {
            Some(value) if (from..=to).contains(&value) => N::try_from(value).ok(),
            _ => {
                place.fault(format!("must be a whole number from {from} to {to}"));
                None
            }
        }
    };
    let format = if i32::try_from(to).is_ok() { "int32" } else { "int64" };
    kind(read, move || {
        Described::of("integer").with("format", format).with("minimum", from).with("maximum", to)
    })
}

/// A number within `range`, with every digit.
pub fn number(range: RangeInclusive<u64>) -> impl Kind<Value = Decimal> {
    let (from, to) = range.into_inner();
    let read = move |raw: &str, place: &Place<'_>| {
        let detail = match raw.parse::<Decimal>() {
            Ok(number) if number.is_between(from, to) && raw.len() <= NUMBER_MAX_CHARS => {
                return Some(number);
            }
            Ok(number) if number.is_between(from, to) => {
                format!("must have at most {NUMBER_MAX_CHARS} characters")
            }
            _ => format!("must be a number from {from} to {to}"),
        };
        place.fault(detail);
        None
    };
    kind(read, move || {
        Described::of("number").with("format", "double").with("minimum", from).with("maximum", to)
    })
}

/// `true` or `false`.
pub fn boolean() -> impl Kind<Value = bool> {
    let read = |raw: &str, place: &Place<'_>| place.check(raw.parse().map_err(|_| "must be true or false"));
    kind(read, || Described::of("boolean"))
}

/// Any JSON, as it was written without white space between its tokens.
pub fn any_json() -> impl Kind<Value = String> {
    json_of(|_| Ok(()), Described::default)
}

/// Any JSON object, likewise.
pub fn json_object() -> impl Kind<Value = String> {
    let accept =
        |value: &Value| value.is_object().then_some(()).ok_or_else(|| "must be an object".to_owned());
    json_of(accept, || Described::of("object"))
}

/// JSON that `accept` finds nothing wrong with, likewise.
pub fn json_of(
    accept: fn(&Value) -> Result<(), String>,
    describe: fn() -> Described,
) -> impl Kind<Value = String> {
    let read = move |raw: &str, place: &Place<'_>| {
        let value = place.check(json::strict(raw))?;
        place.check(accept(&value))?;
        place.means(value);
        Some(json::compact(raw))
    };
    kind(read, describe)
}

/// A list of at most `max` items, which are called `what`.
pub fn list_up_to<K: Kind>(max: usize, what: &'static str, item: K) -> impl Kind<Value = Vec<K::Value>> {
    list_of(0..=max, what, item)
}

/// A list of so many items, at least one. If there are none or too many, nothing is said of each.
pub fn list_of<K: Kind>(
    length: RangeInclusive<usize>,
    what: &'static str,
    item: K,
) -> impl Kind<Value = Vec<K::Value>> {
    List { length, what, item }
}

struct List<K> {
    length: RangeInclusive<usize>,
    what: &'static str,
    item: K,
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn read(&self, raw: &str, place: &Place<'_>) -> Option<Self::Value> {
        let items = place.check(serde_json::from_str::<Vec<&RawValue>>(raw).map_err(|_| "must be a list"))?;
        let (min, max, what) = (*self.length.start(), *self.length.end(), self.what);
        if !self.length.contains(&items.len()) {
            if min > 0 {
                place.fault(format!("must have {min} to {max} {what}"));
                return None;
            }
            place.fault(format!("has at most {max} {what}"));
        }
        let items = items.into_iter().take(max).enumerate();
        let read =
            |(index, item): (usize, &RawValue)| self.item.read(item.get(), &place.below(&index.to_string()));
        Some(items.filter_map(read).collect())
    }

    fn describe(&self) -> Described {
        let list = Described::around("array", "items", self.item.describe());
        let list = list.with("maxItems", *self.length.end());
        if *self.length.start() == 0 { list } else { list.with("minItems", *self.length.start()) }
    }
}
