//! The headers of an activity type: names and values that HTTP takes, and none that is ours to set.

use crate::object::{self, Object};
use http::{HeaderName, HeaderValue};

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

/// Reads `{name: value}`, in the order written.
pub fn read(body: &mut Object<'_, '_>, field: &str) -> Option<Vec<(String, String)>> {
    let mut headers = body.object(field)?;
    let (faults, pointer) = (headers.faults(), body.at(field));
    let names = headers.names();
    if names.len() > HEADERS_MAX {
        faults.add(pointer, format!("has at most {HEADERS_MAX} headers"));
        return None;
    }
    let mut read: Vec<(String, String)> = Vec::with_capacity(names.len());
    for name in names {
        let at = object::at(&pointer, &name);
        let value = headers.text(&name);
        let value = headers.require(&name, value);
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => faults.add(at.as_str(), "is no name of an HTTP header"),
            Ok(known) if OURS.contains(&known.as_str()) || known.as_str().starts_with(OURS_PREFIX) => {
                faults.add(at.as_str(), "is set by Punctual or by the connection");
            }
            Ok(_) => {}
        }
        if read.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name) && *other != name) {
            faults.add(at.as_str(), "is given in another spelling too");
        }
        let Some(value) = value else { continue };
        if HeaderValue::from_str(&value).is_err() || !value.is_ascii() {
            faults.add(at.as_str(), "must be visible ASCII and spaces");
        }
        if value.len() > VALUE_MAX_BYTES {
            faults.add(at.as_str(), format!("has at most {VALUE_MAX_BYTES} bytes"));
        }
        read.push((name, value));
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    fn read_headers(text: &str) -> (Vec<String>, Vec<String>) {
        let faults = Faults::default();
        let headers = Object::read(text, "", &faults).and_then(|mut body| read(&mut body, "h"));
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
