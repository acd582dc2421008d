//! Field paths: which value of an activity's parameter is meant (SPEC §3).
//!
//! `a.b` is the field `b` of the object in the field `a`. Only objects are
//! walked; a list has no fields. Parameters are read as text, so that a number
//! is taken as it is written.

use crate::number;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Most characters of a path.
pub const PATH_MAX_CHARS: usize = 256;
/// Most names in a path.
pub const PATH_MAX_DEPTH: usize = 16;
/// What a field's name may hold beside letters and digits, which keeps names apart from the
/// operators of URI templates (RFC 6570): `{?q}` is refused, not a field called `?q`.
const NAME_EXTRA: &str = "_-$@: ";

/// Why a text is no field path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// No text, or nothing before, after or between dots.
    #[error("must name a field, such as `SongId` or `song.id`")]
    Empty,
    /// A character that names of fields do not have here, or a space at an end.
    #[error("field names are letters, digits, and `_ - $ @ :` or inner spaces, joined by dots")]
    Character,
    /// Longer than [`PATH_MAX_CHARS`] or deeper than [`PATH_MAX_DEPTH`].
    #[error("a field path has at most {PATH_MAX_CHARS} characters and {PATH_MAX_DEPTH} names")]
    TooLong,
}

/// Why a parameter gives no text for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Nothing is there.
    #[error("is missing")]
    Missing,
    /// Null, an object or a list is there.
    #[error("must be a string, a number or a boolean")]
    NotScalar,
}

/// The path of one field, such as `SongId` or `song.id`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(String);

impl FieldPath {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as a JSON pointer (RFC 6901), as error answers name places: `/song/id`.
    pub fn pointer(&self) -> String {
        // No `~` or `/` can be in a name, so nothing needs an escape.
        format!("/{}", self.0.replace('.', "/"))
    }

    /// The JSON text of the value at this path, if every object on the way is there.
    pub fn lookup<'a>(&self, parameter: &'a str) -> Option<&'a str> {
        self.0.split('.').try_fold(parameter, |value, name| member(value, name))
    }

    /// The value at this path of a parameter, which is JSON text.
    ///
    /// # Errors
    /// [`FieldError`] if nothing or no scalar is there.
    pub fn scalar(&self, parameter: &str) -> Result<Scalar, FieldError> {
        Scalar::of(self.lookup(parameter).ok_or(FieldError::Missing)?)
    }
}

/// A string, a number or a boolean of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string's text, or `true` or `false`: a boolean is as good as its name.
    Text(String),
    /// A number, as it is written.
    Number(String),
}

impl Scalar {
    /// Reads a JSON value.
    ///
    /// # Errors
    /// [`FieldError::NotScalar`] for null, an object or a list.
    pub fn of(json: &str) -> Result<Self, FieldError> {
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json).map(Scalar::Text).map_err(|_| FieldError::NotScalar),
            Some(b'-' | b'0'..=b'9') => Ok(Scalar::Number(json.to_owned())),
            Some(b't' | b'f') => Ok(Scalar::Text(json.to_owned())),
            _ => Err(FieldError::NotScalar),
        }
    }

    /// As it stands in a URI: a number as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => text,
        }
    }

    /// The object id that it is: a number by its value, however it is written (SPEC §2).
    pub fn object_id(&self) -> String {
        match self {
            Scalar::Text(text) => text.clone(),
            Scalar::Number(text) => number::canonical(text),
        }
    }
}

/// The object ids that someone may mean who asks for `text`: that very one and, if it is a number, its value.
pub fn object_ids_meant(text: &str) -> Vec<String> {
    let value = number::canonical(text);
    if value == text { vec![value] } else { vec![text.to_owned(), value] }
}

/// The JSON text of an object's member; `None` if it has none of this name, or is no object.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut reader = serde_json::Deserializer::from_str(object);
    Member(name).deserialize(&mut reader).ok()?.map(RawValue::get)
}

/// Reads one member and passes over the others, whatever they hold.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            if name == self.0 {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl FromStr for FieldPath {
    type Err = FieldPathError;
    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        if text.chars().count() > PATH_MAX_CHARS || text.split('.').count() > PATH_MAX_DEPTH {
            return Err(FieldPathError::TooLong);
        }
        for name in text.split('.') {
            if name.is_empty() {
                return Err(FieldPathError::Empty);
            }
            let known = |c: char| c.is_alphanumeric() || NAME_EXTRA.contains(c);
            if !name.chars().all(known) || name.trim() != name {
                return Err(FieldPathError::Character);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl serde::Serialize for FieldPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for FieldPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_joined_by_dots() {
        for good in ["a", "SongId", "a.b.c", "dc:title", "$id", "Straße.Nr", "Song Id"] {
            assert_eq!(good.parse::<FieldPath>().unwrap().as_str(), good);
        }
        for (bad, expect) in [
            ("", FieldPathError::Empty),
            (".", FieldPathError::Empty),
            ("a.", FieldPathError::Empty),
            ("a..b", FieldPathError::Empty),
            (" a", FieldPathError::Character),
            ("?q", FieldPathError::Character),
            ("a/b", FieldPathError::Character),
            ("a{b", FieldPathError::Character),
            ("a\u{0}", FieldPathError::Character),
            (&"x".repeat(PATH_MAX_CHARS + 1), FieldPathError::TooLong),
            (&["x"; PATH_MAX_DEPTH + 1].join("."), FieldPathError::TooLong),
        ] {
            assert_eq!(bad.parse::<FieldPath>(), Err(expect), "{bad}");
        }
    }

    #[test]
    fn only_scalars_have_a_text() {
        let parameter = r#" {
            "s": "x\/y", "n": 7, "f": 1.50, "e": 1e+2, "E":-1E2 , "long": 20000000000000000001, "b": false, "empty": "",
            "null": null, "list": [{"a": 1}], "o" : {"a": {"b": "deep"}, "list": [[[{}]]]},
            "o.a": "a key with a dot is out of reach", "\u00e4": "\u00e4"
        } "#;
        let scalar = |path: &str| path.parse::<FieldPath>().unwrap().scalar(parameter);
        let text = |path: &str| scalar(path).map(|scalar| scalar.as_str().to_owned());
        for (path, expect, object_id) in [
            ("s", "x/y", "x/y"),
            ("n", "7", "7"),
            ("f", "1.50", "1.5"),
            ("e", "1e+2", "100"),
            ("E", "-1E2", "-100"),
            ("long", "20000000000000000001", "20000000000000000001"),
            ("b", "false", "false"),
            ("empty", "", ""),
            ("o.a.b", "deep", "deep"),
            ("ä", "ä", "ä"),
        ] {
            assert_eq!(text(path).as_deref(), Ok(expect), "{path}");
            assert_eq!(scalar(path).unwrap().object_id(), object_id, "{path}");
        }
        for path in ["null", "list", "o", "o.a"] {
            assert_eq!(text(path), Err(FieldError::NotScalar), "{path}");
        }
        for path in ["x", "S", "s.x", "list.0", "o.x", "o.a.b.c"] {
            assert_eq!(text(path), Err(FieldError::Missing), "{path}");
        }
    }

    #[test]
    fn an_object_id_is_asked_for_by_any_spelling() {
        for (asked, expect) in [
            ("100", vec!["100"]),
            ("1e2", vec!["1e2", "100"]),
            ("100.0", vec!["100.0", "100"]),
            ("-0", vec!["-0", "0"]),
            ("007", vec!["007"]),
            ("", vec![""]),
            ("true", vec!["true"]),
        ] {
            assert_eq!(object_ids_meant(asked), expect, "{asked}");
        }
        for nothing in ["", "[]", "3", "null", "{\"a\""] {
            assert_eq!(
                "a".parse::<FieldPath>().unwrap().scalar(nothing),
                Err(FieldError::Missing),
                "{nothing}"
            );
        }
    }

    #[test]
    fn json_pointers_name_the_place() {
        assert_eq!("song.id".parse::<FieldPath>().unwrap().pointer(), "/song/id");
    }
}
