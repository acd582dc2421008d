//! Creation that may be repeated: by the caller's `id`, or the `Idempotency-Key` header (SPEC §2).

use crate::object::Object;
use http::HeaderValue;
use rules::names::ActivityId;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
const POINTER: &str = "header:idempotency-key";

/// The id that the caller gives, in the body or in the header; if in both, the same.
pub fn id(body: &mut Object<'_, '_>, header: Option<&HeaderValue>) -> Option<ActivityId> {
    let in_body = body.parsed::<ActivityId>("id");
    let faults = body.faults();
    let in_header = header.and_then(|header| match header.to_str() {
        Ok(text) => faults.check(POINTER, text.parse::<ActivityId>()),
        Err(_) => {
            faults.add(POINTER, "must be visible ASCII");
            None
        }
    });
    if let (Some(in_body), Some(in_header)) = (&in_body, &in_header)
        && in_body != in_header
    {
        faults.add(POINTER, "is another than /id; give one of them, or the same");
    }
    in_body.or(in_header)
}
