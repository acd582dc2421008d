//! The body of a request: JSON text of bounded size, or none.

use crate::http::body::{self, Body};
use crate::http::faults::{Fault, Faults};
use crate::http::idempotency::IDEMPOTENCY_KEY;
use crate::http::object::Object;
use crate::http::problem::{BODY_MAX_BYTES, Problem};
use axum::extract::{FromRequest, Request};
use futures::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// The text of a JSON body; empty if there is none. It is read after the extractors before it, so
/// nobody without a key makes us read one.
pub struct JsonText {
    text: String,
    /// The header `Idempotency-Key`.
    idempotency_key: Option<HeaderValue>,
}

/// A body that says nothing.
struct Nothing;

impl Body for Nothing {
    type Value = ();
    type Beside<'b> = ();

    fn fields(_: &mut Object<'_>, _: Option<()>) -> Option<()> {
        Some(())
    }
}

impl JsonText {
    /// Reads a body, of which this is known `beside`.
    ///
    /// # Errors
    /// 400 with every fault.
    pub fn read<B: Body>(&self, beside: B::Beside<'_>) -> Result<B::Value, Problem> {
        let (value, faults) = self.read_apart::<B>(beside);
        faults.finish(value)
    }

    /// The same with the faults, for what is judged by more than its text.
    pub fn read_apart<B: Body>(&self, beside: B::Beside<'_>) -> (Option<B::Value>, Faults) {
        body::read::<B>(&self.text, self.idempotency_key.as_ref(), beside)
    }

    /// Sees to it that the body says nothing: there is none, or an empty object.
    ///
    /// # Errors
    /// 400 with every fault.
    pub fn nothing(&self) -> Result<(), Problem> {
        if self.text.is_empty() { Ok(()) } else { self.read::<Nothing>(()) }
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let announced =
            parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > BODY_MAX_BYTES as u64) {
            return Err(Problem::too_large());
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default() as usize);
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| unreadable("broke off"))?;
            if bytes.len() + chunk.len() > BODY_MAX_BYTES {
                return Err(Problem::too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        if !bytes.is_empty() && !is_json(&parts.headers) {
            return Err(Problem::unsupported_media_type("send the body with content-type: application/json"));
        }
        let text = String::from_utf8(bytes).map_err(|_| unreadable("is no UTF-8"))?;
        Ok(Self { text, idempotency_key: parts.headers.get(IDEMPOTENCY_KEY).cloned() })
    }
}

fn unreadable(detail: &str) -> Problem {
    Problem::invalid(vec![Fault::new("", detail)])
}

/// `application/json` or `application/…+json`; in UTF-8, if it says.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    let json = subtype == "json" || subtype.ends_with("+json");
    let charset = parts
        .find_map(|part| part.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned()));
    json && charset.is_none_or(|charset| charset == "utf-8" || charset == "utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for (text, expect) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/vnd.acme.v1+json", true),
            ("application/json; charset=latin1", false),
            ("text/json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, text.parse().unwrap())]);
            assert_eq!(is_json(&headers), expect, "{text}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
