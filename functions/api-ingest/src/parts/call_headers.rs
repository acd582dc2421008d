//! The headers of an activity type: names and values that HTTP takes, and none that is ours to set.

use crate::http::{Described, Kind, Object, Place, any_text, kind};
use http::{HeaderName, HeaderValue};
use serde::ser::{SerializeMap, Serializer};

/// Most headers of a type.
const HEADERS_MAX: usize = 50;
/// Most bytes of a header's value.
const VALUE_MAX_BYTES: usize = 4_096;
/// Set by us or by the connection (RFC 9110 §7.6.1), so a type may not.
const OURS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "idempotency-key",
];
/// Standard Webhooks' headers (SPEC §11).
const OURS_PREFIX: &str = "webhook-";

/// `{name: value}`, in the order written.
pub fn call_headers() -> impl Kind<Value = Vec<(String, String)>> {
    kind(read, || {
        let headers = Described::around("object", "additionalProperties", any_text().describe());
        headers.with("propertyNames", any_text().describe().into_schema()).with("maxProperties", HEADERS_MAX)
    })
}

fn read(raw: &str, place: &Place<'_>) -> Option<Vec<(String, String)>> {
    let mut headers = Object::read(raw, &place.pointer, place.faults)?;
    let names = headers.names();
    if names.len() > HEADERS_MAX {
        place.fault(format!("has at most {HEADERS_MAX} headers"));
        return None;
    }
    let mut read: Vec<(String, String)> = Vec::with_capacity(names.len());
    for name in names {
        let value = headers.required(&name, any_text(), "");
        let fault = |detail: &str| headers.fault(&name, detail);
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => fault("is no name of an HTTP header"),
            Ok(known) if OURS.contains(&known.as_str()) || known.as_str().starts_with(OURS_PREFIX) => {
                fault("is set by Punctual or by the connection");
            }
            Ok(_) => {}
        }
        if read.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name) && *other != name) {
            fault("is given in another spelling too");
        }
        let Some(value) = value else { continue };
        if HeaderValue::from_str(&value).is_err() || !value.is_ascii() {
            fault("must be visible ASCII and spaces");
        }
        if value.len() > VALUE_MAX_BYTES {
            fault(&format!("has at most {VALUE_MAX_BYTES} bytes"));
        }
        read.push((name, value));
    }
    Some(read)
}

/// Headers as an object, in the order written.
pub fn in_order<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::faults::Faults;

    fn read_headers(text: &str) -> (Vec<String>, Vec<String>) {
        let faults = Faults::default();
        let headers =
            Object::read(text, "", &faults).and_then(|mut body| body.optional("h", call_headers(), ""));
        let names = headers.unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        (names, faults.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn headers_keep_their_order_and_name_their_faults() {
        let (names, faults) =
            read_headers(r#"{"h": {"X-B": "1", "authorization": "Bearer x", "Content-Type": "text/x"}}"#);
        assert_eq!(names, ["X-B", "authorization", "Content-Type"]);
        assert_eq!(faults, [""; 0]);

        let (_, faults) = read_headers(
            r#"{"h": {"Host": "x", "webhook-id": "x", "a b": "x", "c": "\n", "d": 1, "e": "é", "x-a": "1", "X-A": "2"}}"#,
        );
        assert_eq!(
            faults,
            [
                "/h/Host is set by Punctual or by the connection",
                "/h/webhook-id is set by Punctual or by the connection",
                "/h/a b is no name of an HTTP header",
                "/h/c must be visible ASCII and spaces",
                "/h/d must be a string",
                "/h/e must be visible ASCII and spaces",
                "/h/X-A is given in another spelling too",
            ]
        );
    }
}
