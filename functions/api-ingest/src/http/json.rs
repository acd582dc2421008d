//! JSON read strictly: no name twice, nothing nested too deeply, numbers as exact decimals.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rules::number;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;
/// What begins the names by which serde_json marks values of its own. A value with such a name would be read as
/// something else wherever it is read next.
const RESERVED_PREFIX: &str = "$serde_json::private::";

/// Reads a JSON text.
///
/// # Errors
/// What is wrong, ready to be shown.
pub fn strict(text: &str) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader).map_err(|error| refused(&error))?;
    reader.end().map_err(|error| refused(&error))?;
    Ok(value)
}

/// What serde_json says, as the rest of a sentence.
pub fn refused(error: &serde_json::Error) -> String {
    if error.is_data() { format!("is not acceptable: {error}") } else { format!("is no valid JSON: {error}") }
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<Key>()? {
            let Key::Name(name) = key else {
                return Ok(Value::Number(
                    members.next_value::<String>()?.parse::<Number>().map_err(A::Error::custom)?,
                ));
            };
            let value = members.next_value_seed(Strict)?;
            if name.starts_with(RESERVED_PREFIX) {
                return Err(A::Error::custom(format!("the name {name:?} is reserved")));
            }
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("the name {name:?} is given twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The name of a member, or serde_json's mark of a number: it hands a number that no machine integer holds over as an
/// object of one member. The mark is not read from the text, and only it does not pass for an optional value.
enum Key {
    Name(String),
    Number,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMark;
        impl<'de> Visitor<'de> for NameOrMark {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_some<D: Deserializer<'de>>(self, name: D) -> Result<Key, D::Error> {
                String::deserialize(name).map(Key::Name)
            }

            fn visit_borrowed_str<E>(self, _: &'de str) -> Result<Key, E> {
                Ok(Key::Number)
            }
        }
        deserializer.deserialize_option(NameOrMark)
    }
}

/// A JSON text without the white space between its tokens; numbers and names stay as they were written.
pub fn compact(text: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::with_capacity(text.len()), false, false);
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

/// Text that is JSON, as it is written.
pub fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

/// A hash of values that depends on neither the order of names nor the spelling of numbers: RFC 8785 in spirit, with
/// numbers as exact decimals.
#[derive(Default)]
pub struct CanonicalHash(Sha256);

impl CanonicalHash {
    /// Adds a name.
    pub fn name(&mut self, name: &str) {
        self.scalar(&Value::from(name));
        self.0.update(b":");
    }

    /// Adds a value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.0.update(b"[");
                for item in items {
                    self.value(item);
                    self.0.update(b",");
                }
                self.0.update(b"]");
            }
            Value::Object(members) => {
                // Sorted here, since whether a map keeps the order written is decided by other crates.
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                self.0.update(b"{");
                for (name, value) in members {
                    self.name(name);
                    self.value(value);
                    self.0.update(b",");
                }
                self.0.update(b"}");
            }
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, scalar: &Value) {
        match scalar {
            Value::Number(number) => self.0.update(number::canonical(number.as_str())),
            other => self.0.update(other.to_string()),
        }
    }

    /// The hash as text: 128 bits, since it is stored with every activity that a caller named.
    pub fn finish(self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0.finalize()[..HASH_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_ambiguous_is_refused() {
        assert_eq!(
            strict(r#" {"a": [1, -2, 1.5, "x", null, true]} "#),
            Ok(json!({"a": [1, -2, 1.5, "x", null, true]}))
        );
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for bad in
            ["", "{", r#"{"a":1,"a":1}"#, r#"{"o":{"a":1,"a":2}}"#, "1 2", "01", "1.", "NaN", "nul", &deep]
        {
            assert!(strict(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_keep_every_digit() {
        let text =
            r#"[20000000000000000001,-9223372036854775809,0.1000000000000000055,1.10,-0,1e+999,1e-999]"#;
        assert_eq!(strict(text).unwrap().to_string(), text);
        assert_eq!(strict("1e2"), Ok(Value::Number("1e2".parse().unwrap())));
    }

    #[test]
    fn no_object_passes_for_a_value_of_another_kind() {
        for name in [
            "$serde_json::private::Number",
            "$serde_json::private::RawValue",
            "\\u0024serde_json::private::x",
        ] {
            for text in [format!(r#"{{"{name}": "1"}}"#), format!(r#"{{"a": [{{"b": 1, "{name}": "[]"}}]}}"#)]
            {
                assert!(strict(&text).is_err_and(|error| error.contains("is reserved")), "{text}");
            }
        }
        assert_eq!(strict(r#"{"$serde_json": "1"}"#), Ok(json!({"$serde_json": "1"})));
    }

    #[test]
    fn compacting_leaves_strings_and_numbers_alone() {
        for (text, expect) in [
            (
                " { \"a b\" : [ 1.10 , 12345678901234567890123 ] } ",
                r#"{"a b":[1.10,12345678901234567890123]}"#,
            ),
            (r#"{"q": "\" \\", "r": "\\\" x"}"#, r#"{"q":"\" \\","r":"\\\" x"}"#),
            ("\"ä ö\"", "\"ä ö\""),
        ] {
            assert_eq!(compact(text), expect);
        }
    }

    #[test]
    fn the_hash_knows_values_not_their_spelling() {
        let hash = |text: &str| {
            let mut hash = CanonicalHash::default();
            hash.value(&strict(text).unwrap());
            hash.finish()
        };
        assert_eq!(hash(r#"{"a":1,"b":{"c":2,"d":"é"}}"#), hash(r#"{ "b":{"d":"\u00e9","c":2}, "a":1 }"#));
        assert_eq!(hash(r#"{"a":[100,0,1.10]}"#), hash(r#"{"a":[1e2,-0.0,11E-1]}"#));
        for other in [r#"{"a":1}"#, r#"{"a":"1"}"#, r#"{"a":[1]}"#, r#"{"a":[[1]]}"#, r#"{"a":{}}"#] {
            assert_ne!(hash(other), hash(r#"{"a":2}"#));
        }
        assert_ne!(hash("20000000000000000001"), hash("20000000000000000999"));
        assert_ne!(hash("0.1"), hash("0.1000000000000000055"));
        assert_ne!(hash("1e400"), hash("1e401"));
        // Stored hashes are of texts like these: they stay.
        for (value, expect) in [
            ("{\"n\":[1,-20,0.5]}", "{\"n\":[1,-20,0.5,],}"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(hash(value), URL_SAFE_NO_PAD.encode(&Sha256::digest(expect)[..HASH_BYTES]));
        }
        assert_eq!(hash("{}").len(), 22);
    }
}
