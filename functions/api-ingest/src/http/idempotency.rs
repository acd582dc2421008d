//! Creation that may be repeated: by the caller's `id`, or the `Idempotency-Key` header (SPEC §2).

use crate::http::kinds::parsed;
use crate::http::object::Object;
use rules::names::ActivityId;
use rules::names::ids::ReservedId;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
const POINTER: &str = "header:idempotency-key";

/// The id that the caller gives, in the body or in the header; if in both, the same. `allowed` says whether it may be given.
pub fn id(body: &mut Object<'_>, allowed: fn(&ActivityId) -> Result<(), ReservedId>) -> Option<ActivityId> {
    let faults = body.faults();
    let allow = |pointer: &str, id: ActivityId| faults.check(pointer, allowed(&id).map(|()| id));
    let doc = "Its id, if the caller gives one; makes the request idempotent.";
    let in_body = body.optional("id", parsed::<ActivityId>(), doc);
    let in_body = in_body.and_then(|id| allow(&body.at("id"), id));
    let in_header = body.idempotency_key.and_then(|header| {
        let text = header.to_str().map_err(|_| "must be visible ASCII");
        let key = faults.check(POINTER, text.and_then(unquoted))?;
        allow(POINTER, faults.check(POINTER, key.parse::<ActivityId>())?)
    });
    if let (Some(in_body), Some(in_header)) = (&in_body, &in_header)
        && in_body != in_header
    {
        faults.add(POINTER, "is another than /id; give one of them, or the same");
    }
    in_body.or(in_header)
}

/// A key as it is, or the value of one that is a string of RFC 8941 §3.3.3, as the IETF's draft of the header writes it.
fn unquoted(text: &str) -> Result<String, &'static str> {
    let Some(quoted) = text.trim().strip_prefix('"') else { return Ok(text.to_owned()) };
    let mut value = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next() {
            Some('"') if characters.as_str().is_empty() => return Ok(value),
            Some('"') => return Err("must have nothing behind the closing quote"),
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                _ => return Err("must have \\ before \" or \\ alone"),
            },
            Some(character) => value.push(character),
            None => return Err("must end with a quote, since it begins with one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_out_of_its_quotes() {
        for (text, expect) in [
            ("abc", "abc"),
            ("\"abc\"", "abc"),
            (" \"abc\" ", "abc"),
            ("\"\"", ""),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#"a"b"#, r#"a"b"#),
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ] {
            assert_eq!(unquoted(text).as_deref(), Ok(expect), "{text}");
        }
        for bad in ["\"", "\"abc", r#""abc\""#, r#""a\bc""#, r#""a" "b""#, r#""a";p=1"#, r#""\"#] {
            assert!(unquoted(bad).is_err(), "{bad}");
        }
    }
}
