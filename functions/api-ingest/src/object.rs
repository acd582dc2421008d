//! Reads the members of a JSON object one by one, naming whatever is wrong with each.

use crate::faults::Faults;
use crate::json::{self, CanonicalHash};
use chrono::{DateTime, Utc};
use rules::field::Scalar;
use rules::number::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::body_hash::BodyHash;
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Most members an object of a request has, a parameter apart.
const MEMBERS_MAX: usize = 256;
/// Most characters of a number that is kept as it is written.
const NUMBER_MAX_CHARS: usize = 64;

/// A name of a member.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A member of an object, its value still text.
struct Member<'a> {
    name: Cow<'a, str>,
    value: &'a RawValue,
    /// Whether it was read.
    taken: bool,
    /// What it means, where texts that differ mean the same, such as an instant with any offset.
    meaning: Option<Value>,
    /// What it would mean if it were absent.
    default: Option<Value>,
}

impl<'a> Member<'a> {
    /// `null` is as good as no member.
    fn is_null(&self) -> bool {
        self.value.get() == "null"
    }

    fn meaning(&self) -> Cow<'_, Value> {
        match &self.meaning {
            Some(meaning) => Cow::Borrowed(meaning),
            // What is no strict JSON is a fault already, and then nobody asks for the hash.
            None => Cow::Owned(json::strict(self.value.get()).unwrap_or(Value::Null)),
        }
    }
}

/// The members of an object, in the order written.
struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(format!("more than {MEMBERS_MAX} members")));
                    }
                    members.push(Member { name, value, taken: false, meaning: None, default: None });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A JSON object whose members are taken one by one. What is left over is unknown: a fault each.
pub struct Object<'a, 'f> {
    /// The JSON pointer of the object.
    pointer: String,
    members: Vec<Member<'a>>,
    faults: &'f Faults,
}

impl<'a, 'f> Object<'a, 'f> {
    /// Reads the members of the object in `text`; anything but an object is a fault.
    pub fn read(text: &'a str, pointer: &str, faults: &'f Faults) -> Option<Self> {
        let members = match serde_json::from_str(text) {
            Ok(Members(members)) => members,
            // A value of another type, not a broken one.
            Err(error) if error.is_data() && !text.trim_start().starts_with('{') => {
                faults.add(pointer, "must be an object");
                return None;
            }
            Err(error) => {
                faults.add(pointer, json::refused(&error));
                return None;
            }
        };
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|other| other.name == member.name) {
                faults.add(at(pointer, &member.name), "is given twice");
            }
        }
        Some(Self { pointer: pointer.to_owned(), members, faults })
    }

    /// The JSON pointer of a member.
    pub fn at(&self, name: &str) -> String {
        at(&self.pointer, name)
    }

    /// Where faults go.
    pub fn faults(&self) -> &'f Faults {
        self.faults
    }

    /// The text of a member; `null` is as good as none.
    pub fn raw(&mut self, name: &str) -> Option<&'a str> {
        let member = self.members.iter_mut().find(|member| member.name == name)?;
        member.taken = true;
        (!member.is_null()).then(|| member.value.get())
    }

    /// Says what a member means, where texts that differ mean the same: bodies are compared by it (see
    /// [`Object::hash_without_id`]).
    pub fn means(&mut self, name: &str, meaning: Value) {
        if let Some(member) = self.members.iter_mut().find(|member| member.name == name) {
            member.meaning = Some(meaning);
        }
    }

    /// Says what a member would mean if it were absent: bodies are compared without what spells that out (see
    /// [`Object::body_hash`]).
    pub fn defaults_to(&mut self, name: &str, default: impl Into<Value>) {
        if let Some(member) = self.members.iter_mut().find(|member| member.name == name) {
            member.default = Some(default.into());
        }
    }

    /// The names of all members, in the order written; each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(self.members.len());
        for Member { name, .. } in &self.members {
            if !names.iter().any(|other| other == name) {
                names.push(name.to_string());
            }
        }
        names
    }

    /// The members that are left, in the order written.
    pub fn rest(self) -> Vec<(Cow<'a, str>, &'a str)> {
        let left = self.members.into_iter().filter(|member| !member.taken);
        left.map(|member| (member.name, member.value.get())).collect()
    }

    /// Whether a member is there; `null` is as good as none.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name && !member.is_null())
    }

    /// Says that a member must be there, if it is not.
    pub fn require<T>(&self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(name) {
            self.faults.add(self.at(name), "is required");
        }
        value
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        if !raw.starts_with('"') {
            self.faults.add(self.at(name), "must be a string");
            return None;
        }
        let text = serde_json::from_str(raw).map_err(|error| json::refused(&error));
        self.faults.check(&self.at(name), text)
    }

    /// A string of at most `max` characters, and at least one.
    pub fn short_text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if (1..=max).contains(&text.chars().count()) {
            return Some(text);
        }
        self.faults.add(self.at(name), format!("must have 1 to {max} characters"));
        None
    }

    /// A string that is the text of something.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        self.faults.check(&self.at(name), text.parse())
    }

    /// An RFC 3339 time; bodies are compared by its instant.
    pub fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let at = self.faults.check(&self.at(name), rules::time::parse(&text))?;
        self.means(name, rules::time::canonical(at).into());
        Some(at)
    }

    /// A string, a number as it is written, or a boolean.
    pub fn scalar(&mut self, name: &str) -> Option<Scalar> {
        let raw = self.raw(name)?;
        self.faults.check(&self.at(name), Scalar::of(raw))
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let raw = self.raw(name)?;
        // 3.0 is as whole as 3 (JSON Schema says so too).
        match raw.parse::<Decimal>().ok().and_then(|number| number.whole()) {
            Some(value) if range.contains(&value) => Some(value),
            _ => {
                let (from, to) = range.into_inner();
                self.faults.add(self.at(name), format!("must be a whole number from {from} to {to}"));
                None
            }
        }
    }

    /// A number within `range`.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<Decimal> {
        let raw = self.raw(name)?;
        let (from, to) = range.into_inner();
        let detail = match raw.parse::<Decimal>() {
            Ok(number) if number.is_between(from, to) && raw.len() <= NUMBER_MAX_CHARS => {
                return Some(number);
            }
            Ok(number) if number.is_between(from, to) => {
                format!("must have at most {NUMBER_MAX_CHARS} characters")
            }
            _ => format!("must be a number from {from} to {to}"),
        };
        self.faults.add(self.at(name), detail);
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = match self.raw(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        if value.is_none() {
            self.faults.add(self.at(name), "must be true or false");
        }
        value
    }

    /// An object.
    pub fn object(&mut self, name: &str) -> Option<Object<'a, 'f>> {
        let raw = self.raw(name)?;
        Object::read(raw, &self.at(name), self.faults)
    }

    /// The items of a list, still text.
    pub fn list(&mut self, name: &str) -> Option<Vec<&'a str>> {
        let raw = self.raw(name)?;
        match serde_json::from_str::<Vec<&RawValue>>(raw) {
            Ok(items) => Some(items.into_iter().map(RawValue::get).collect()),
            Err(_) => {
                self.faults.add(self.at(name), "must be a list");
                None
            }
        }
    }

    /// The hash of what every member but `id` means, whatever their order; `null` is as good as no member (SPEC §2:
    /// the same body again). To be asked for when all members were read.
    pub fn hash_without_id(&self) -> String {
        self.hash(|_| true)
    }

    /// The same with what defaults are left out by, and without the member `apart`, which is compared by itself.
    pub fn body_hash(&self, apart: Option<&str>) -> BodyHash {
        let counts = |member: &Member<'_>| {
            let is_default = member.default.as_ref().is_some_and(|default| *default == *member.meaning());
            !is_default && apart.is_none_or(|apart| member.name != apart)
        };
        BodyHash::new(self.hash(counts), self.hash_without_id())
    }

    fn hash(&self, counts: impl Fn(&Member<'_>) -> bool) -> String {
        let counts = |member: &&Member<'_>| member.name != "id" && !member.is_null() && counts(member);
        let mut members: Vec<_> = self.members.iter().filter(counts).collect();
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut hash = CanonicalHash::default();
        for member in members {
            hash.name(&member.name);
            hash.value(&member.meaning());
        }
        hash.finish()
    }

    /// Names every member that nobody took.
    pub fn finish(self) {
        for member in self.members.iter().filter(|member| !member.taken) {
            self.faults.add(self.at(&member.name), "is no field of this");
        }
    }
}

/// The JSON pointer of a member (RFC 6901).
pub fn at(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, read: impl Fn(&mut Object<'_, '_>)) -> Vec<String> {
        let faults = Faults::default();
        if let Some(mut object) = Object::read(text, "", &faults) {
            read(&mut object);
            object.finish();
        }
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_named_where_it_is() {
        let read = |object: &mut Object<'_, '_>| {
            let verb = object.text("verb");
            object.require("verb", verb);
            object.integer("retries", 0..=100);
            object.number("period", 0..=10);
            object.time("date");
            if let Some(mut inner) = object.object("inner") {
                inner.text("a");
                inner.finish();
            }
            object.list("list");
        };
        assert_eq!(
            faults(
                r#"{"retries": 3.5, "period": -1, "date": "soon", "inner": {"a": 1, "x/y~": 2}, "list": {}, "z": 0, "z": 1}"#,
                read
            ),
            [
                "/z is given twice",
                "/verb is required",
                "/retries must be a whole number from 0 to 100",
                "/period must be a number from 0 to 10",
                "/date must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
                "/inner/a must be a string",
                "/inner/x~1y~0 is no field of this",
                "/list must be a list",
                "/z is no field of this",
                "/z is no field of this",
            ]
        );
        let good =
            r#"{"verb": "GET", "retries": 3.0, "period": 0.5, "date": null, "inner": null, "list": []}"#;
        assert_eq!(faults(good, read), [""; 0]);
    }

    #[test]
    fn what_is_no_object_is_one_fault() {
        for (text, expect) in [
            ("[]", "the body must be an object"),
            ("3", "the body must be an object"),
            ("\"x\"", "the body must be an object"),
            ("null", "the body must be an object"),
        ] {
            assert_eq!(faults(text, |_| ()), [expect], "{text}");
        }
        for text in ["", "{", "{\"a\":}", "{} {}", "{\"a\":1"] {
            let found = faults(text, |_| ());
            assert!(
                found.len() == 1 && found[0].starts_with("the body is no valid JSON"),
                "{text}: {found:?}"
            );
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(faults(&deep, |object| drop(object.list("a"))).len(), 0);
    }
}
