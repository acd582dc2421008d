//! Reads the members of a JSON object one by one, naming whatever is wrong with each; or describes them.

use super::describe::{Description, Doc};
use super::faults::{Faults, at};
use super::json::{self, CanonicalHash};
use super::kind::{Kind, Place};
use super::members::{Member, Members};
use http::HeaderValue;
use serde_json::Value;
use shared::body_hash::BodyHash;
use std::borrow::Cow;

/// A JSON object whose members are read one by one. What is left over is unknown: a fault each.
///
/// The same calls describe an object: then it has no members, and what is asked for is written down.
pub struct Object<'a> {
    /// The JSON pointer of the object.
    pointer: String,
    members: Vec<Member<'a>>,
    faults: &'a Faults,
    /// The header `Idempotency-Key` of the request whose body it is.
    pub idempotency_key: Option<&'a HeaderValue>,
    /// What was asked for, of one that is described.
    description: Option<Description>,
}

impl<'a> Object<'a> {
    /// Reads the members of the object in `text`; anything but an object is a fault.
    pub fn read(text: &'a str, pointer: &str, faults: &'a Faults) -> Option<Self> {
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
        let pointer = pointer.to_owned();
        Some(Self { pointer, members, faults, idempotency_key: None, description: None })
    }

    /// The description of the object that `read` reads.
    pub fn describe<T>(read: impl FnOnce(&mut Object<'_>) -> T) -> Description {
        let faults = Faults::default();
        let mut object = Object {
            pointer: String::new(),
            members: Vec::new(),
            faults: &faults,
            idempotency_key: None,
            description: Some(Description::default()),
        };
        read(&mut object);
        object.description.unwrap_or_default()
    }

    /// Whether it is described, and not read: then every member is to be asked for.
    pub fn is_described(&self) -> bool {
        self.description.is_some()
    }

    /// The JSON pointer of a member.
    pub fn at(&self, name: &str) -> String {
        at(&self.pointer, name)
    }

    /// Where faults go.
    pub fn faults(&self) -> &'a Faults {
        self.faults
    }

    /// Adds a fault of a member.
    pub fn fault(&self, name: &str, detail: impl Into<String>) {
        self.faults.add(self.at(name), detail);
    }

    /// A member that may be absent; `null` is as good as that.
    pub fn optional<K: Kind>(&mut self, name: &str, kind: K, doc: impl Into<Doc>) -> Option<K::Value> {
        self.member(name, kind, doc.into(), false)
    }

    /// A member that means `default` if it is absent.
    pub fn or<K: Kind<Value: Clone + Into<Value>>>(
        &mut self,
        name: &str,
        kind: K,
        default: K::Value,
        doc: impl Into<Doc>,
    ) -> K::Value {
        self.optional(name, kind, doc.into().default(default.clone())).unwrap_or(default)
    }

    /// A member that must be there.
    pub fn required<K: Kind>(&mut self, name: &str, kind: K, doc: impl Into<Doc>) -> Option<K::Value> {
        let value = self.member(name, kind, doc.into(), true);
        self.require(true, name);
        value
    }

    /// A member that must be there under a condition that the description says in words.
    pub fn required_if<K: Kind>(
        &mut self,
        condition: bool,
        name: &str,
        kind: K,
        doc: impl Into<Doc>,
    ) -> Option<K::Value> {
        let value = self.optional(name, kind, doc);
        self.require(condition, name);
        value
    }

    /// Says that a member must be there under a condition, if it is not.
    pub fn require(&self, condition: bool, name: &str) {
        if condition && !self.has(name) {
            self.fault(name, "is required");
        }
    }

    fn member<K: Kind>(&mut self, name: &str, kind: K, doc: Doc, is_required: bool) -> Option<K::Value> {
        if let Some(description) = &mut self.description {
            description.add(name, kind.describe(), doc, is_required);
            return None;
        }
        let member = self.members.iter_mut().find(|member| member.name == name)?;
        member.taken = true;
        member.default = doc.into_default();
        if member.is_null() {
            return None;
        }
        let place = Place::new(at(&self.pointer, name), self.faults);
        let value = kind.read(member.value.get(), &place);
        member.meaning = place.into_meaning();
        value
    }

    /// Takes a member of which nothing is said.
    pub fn ignore(&mut self, name: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| member.name == name) {
            member.taken = true;
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
            self.fault(&member.name, "is no field of this");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::{body, nested};
    use crate::http::describe::{Described, WHOLE, doc};
    use crate::http::kind::kind;
    use crate::http::kinds::{any_text, integer, list_up_to, number, text, time};
    use serde_json::json;

    body! {
        /// An object in another.
        struct Inner = inner(()) -> ();
    }

    fn inner(f: &mut Object<'_>, _: Option<()>) -> Option<()> {
        f.optional("a", any_text(), "");
        Some(())
    }

    /// A list of anything.
    fn things() -> impl Kind<Value = Vec<()>> {
        list_up_to(5, "things", kind(|_, _| Some(()), Described::default))
    }

    fn faults(text: &str, read: impl Fn(&mut Object<'_>)) -> Vec<String> {
        let faults = Faults::default();
        if let Some(mut object) = Object::read(text, "", &faults) {
            read(&mut object);
            object.finish();
        }
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_named_where_it_is() {
        let read = |object: &mut Object<'_>| {
            object.required("verb", any_text(), "");
            object.optional("retries", integer(0..=100_u32), "");
            object.optional("period", number(0..=10), "");
            object.optional("date", time(), "");
            object.optional("inner", nested::<Inner>(), "");
            object.optional("list", things(), "");
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
        assert_eq!(faults(&deep, |object| drop(object.optional("a", things(), ""))).len(), 0);
    }

    #[test]
    fn what_reads_an_object_describes_it() {
        let description = Object::describe(|f| {
            f.required("a", text(5), doc("A.").example("x"));
            f.or("n", integer(1..=9_u32), 3, "N.");
            f.optional("i", nested::<Inner>(), "I.");
        });
        let schema = serde_json::to_value(description.schema(&[" One,", " two."])).unwrap();
        let inner = json!({"$ref": "#/components/schemas/Inner", "description": "I."});
        let properties = json!({
            "a": {"type": "string", "minLength": 1, "maxLength": 5, "description": "A.", "example": "x"},
            "n": {"type": ["integer", "null"], "format": "int32", "minimum": 1, "maximum": 9, "default": 3, "description": "N."},
            "i": {"oneOf": [inner, {"type": "null"}]},
        });
        assert_eq!(
            schema[WHOLE],
            json!({"type": "object", "description": "One,\ntwo.", "properties": properties, "required": ["a"], "additionalProperties": false})
        );
    }
}
