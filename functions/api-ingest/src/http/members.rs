//! The members of a JSON object, in the order written.

use super::json;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Most members an object of a request has, a parameter apart.
const MEMBERS_MAX: usize = 256;

/// A name of a member.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A member of an object, its value still text.
pub struct Member<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its text.
    pub value: &'a RawValue,
    /// Whether it was read.
    pub taken: bool,
    /// What it means, where texts that differ mean the same, such as an instant with any offset.
    pub meaning: Option<Value>,
    /// What it would mean if it were absent.
    pub default: Option<Value>,
}

impl<'a> Member<'a> {
    /// `null` is as good as no member.
    pub fn is_null(&self) -> bool {
        self.value.get() == "null"
    }

    /// What it means.
    pub fn meaning(&self) -> Cow<'_, Value> {
        match &self.meaning {
            Some(meaning) => Cow::Borrowed(meaning),
            // What is no strict JSON is a fault already, and then nobody asks for the hash.
            None => Cow::Owned(json::strict(self.value.get()).unwrap_or(Value::Null)),
        }
    }
}

/// The members of an object, in the order written.
pub struct Members<'a>(pub Vec<Member<'a>>);

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
