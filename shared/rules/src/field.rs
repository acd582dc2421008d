//! Field paths: which value of an activity's parameter is meant (SPEC §3).
//!
//! `a.b` is the field `b` of the object in the field `a`. Only objects are
//! walked; a list has no fields.

use serde_json::Value;
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

    /// The value at this path, if every object on the way is there.
    pub fn lookup<'a>(&self, parameter: &'a Value) -> Option<&'a Value> {
        self.0.split('.').try_fold(parameter, |value, name| value.as_object()?.get(name))
    }

    /// The value at this path as text: strings as they are, numbers and booleans as JSON writes them.
    ///
    /// # Errors
    /// [`FieldError`] if nothing or no scalar is there.
    pub fn text(&self, parameter: &Value) -> Result<String, FieldError> {
        match self.lookup(parameter) {
            None => Err(FieldError::Missing),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(boolean)) => Ok(boolean.to_string()),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) => Err(FieldError::NotScalar),
        }
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
    use serde_json::json;

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
        let parameter = json!({
            "s": "x/y", "n": 7, "f": 1.5, "b": false, "empty": "", "null": null,
            "list": [{"a": 1}], "o": {"a": {"b": "deep"}}, "o.a": "a key with a dot is out of reach",
        });
        let text = |path: &str| path.parse::<FieldPath>().unwrap().text(&parameter);
        for (path, expect) in
            [("s", "x/y"), ("n", "7"), ("f", "1.5"), ("b", "false"), ("empty", ""), ("o.a.b", "deep")]
        {
            assert_eq!(text(path).as_deref(), Ok(expect), "{path}");
        }
        for path in ["null", "list", "o", "o.a"] {
            assert_eq!(text(path), Err(FieldError::NotScalar), "{path}");
        }
        for path in ["x", "S", "s.x", "list.0", "o.x", "o.a.b.c"] {
            assert_eq!(text(path), Err(FieldError::Missing), "{path}");
        }
    }

    #[test]
    fn json_pointers_name_the_place() {
        assert_eq!("song.id".parse::<FieldPath>().unwrap().pointer(), "/song/id");
    }
}
