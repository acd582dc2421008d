//! JSON read strictly: no name twice, nothing nested too deeply, numbers that a double can hold.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;

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

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
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
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict)?;
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("the name {name:?} is given twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
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

/// A hash of values that does not depend on the order of names: RFC 8785 in spirit, with numbers as
/// serde_json writes them.
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
        self.0.update(scalar.to_string());
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
        for bad in ["", "{", r#"{"a":1,"a":1}"#, r#"{"o":{"a":1,"a":2}}"#, "1 2", "1e999", "nul", &deep] {
            assert!(strict(bad).is_err(), "{bad}");
        }
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
        for other in [r#"{"a":1}"#, r#"{"a":"1"}"#, r#"{"a":[1]}"#, r#"{"a":[[1]]}"#, r#"{"a":{}}"#] {
            assert_ne!(hash(other), hash(r#"{"a":2}"#));
        }
        assert_eq!(hash("{}").len(), 22);
    }
}
