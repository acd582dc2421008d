//! What a receiver answered. The head decides what came of a call; the body is what there is to read of it.

use super::secrets::Secrets;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use rules::excerpt::EXCERPT_MAX_BYTES;
use rules::retry_after::RetryAfter;

/// What a receiver answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// `Retry-After`, if there is a well-formed one.
    pub retry_after: Option<RetryAfter>,
    content_type: Option<String>,
    body: Bytes,
    end: BodyEnd,
    secrets: Secrets,
}

/// How the reading of a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// With the body.
    Complete,
    /// With as much as is read at most.
    Full,
    /// Before the body did, for this reason.
    BrokenOff(String),
}

impl Answer {
    /// The answer with this head, and what was read of its body.
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes, end: BodyEnd) -> Self {
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                text(headers, &RETRY_AFTER).and_then(|value| RetryAfter::of(value, text(headers, &DATE)))
            }
            _ => None,
        };
        Self {
            status: status.as_u16(),
            retry_after,
            content_type: text(headers, &CONTENT_TYPE).map(str::to_owned),
            body,
            end,
            secrets: Secrets::default(),
        }
    }

    /// The answer to a call that carried these.
    pub(super) fn redacted_by(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Whether the status is 2xx, which alone is success (SPEC §3).
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What was read of the body, as it came: to be looked at, not to be kept. What is kept of it goes through
    /// [`Answer::redact`].
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Why the body was not read to its end, if it was not, other than for its length.
    pub fn broken_off(&self) -> Option<&str> {
        match &self.end {
            BodyEnd::BrokenOff(reason) => Some(reason),
            BodyEnd::Complete | BodyEnd::Full => None,
        }
    }

    /// The part of the body that is kept in the history, without the secrets that the call carried.
    pub fn excerpt(&self) -> Option<String> {
        let cut = self.end != BodyEnd::Complete;
        let redact = |line: &str| self.secrets.redact_first(line, cut, EXCERPT_MAX_BYTES);
        rules::excerpt::excerpt(self.content_type.as_deref(), &self.body, redact)
    }

    /// A text that holds something of the answer, without the secrets that the call carried.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.redact(text, false)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
