//! Calls of a solution to a fixed address: its headers, the stable key, and its signature (SPEC §3, §11).

use crate::context::Context;
use crate::outbound::{Answer, OutboundRequest, SendError};
use crate::signing;
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use rules::names::Tenant;
use std::time::Duration;

/// The header by which a receiver knows attempts of the same call apart from other calls.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A JSON text to be POSTed.
#[derive(Debug, Clone, Copy)]
pub struct SignedPost<'a> {
    /// Whose secrets sign it.
    pub tenant: &'a Tenant,
    /// Absolute http(s) URL.
    pub url: &'a str,
    /// Further headers, in the order to be sent.
    pub headers: &'a [(String, String)],
    /// The same on every attempt: `Idempotency-Key` and `webhook-id`.
    pub call_id: &'a str,
    /// For the whole call.
    pub timeout: Duration,
}

/// Why an attempt failed: one word, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{outcome}: {}", detail.as_deref().unwrap_or("no words"))]
pub struct CallFailure {
    /// `FAILURE` for an answer that is no success, and so on.
    pub outcome: &'static str,
    /// The receiver's answer, where there was one.
    pub http_status: Option<u16>,
    /// What happened, or the beginning of the answer.
    pub detail: Option<String>,
}

impl CallFailure {
    /// The call cannot be made as it is configured.
    pub fn configuration(detail: impl Into<String>) -> Self {
        Self { outcome: "CONFIGURATION", http_status: None, detail: Some(detail.into()) }
    }

    /// Something of ours failed before the call.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self { outcome: "INTERNAL", http_status: None, detail: Some(detail.into()) }
    }

    /// Whoever made the attempt is gone.
    pub fn crashed() -> Self {
        let detail = "the sender was lost between claiming and settling; the call may have been made";
        Self { outcome: "CRASHED", http_status: None, detail: Some(detail.to_owned()) }
    }

    /// What of `answered` is no success.
    ///
    /// # Errors
    /// The failure.
    pub fn of(answered: Result<Answer, SendError>) -> Result<Answer, Self> {
        match answered {
            Ok(answer) if answer.is_success() => Ok(answer),
            Ok(answer) => {
                Err(Self { outcome: "FAILURE", http_status: Some(answer.status), detail: answer.excerpt() })
            }
            Err(error) => {
                Err(Self { outcome: error.outcome(), http_status: None, detail: Some(error.to_string()) })
            }
        }
    }
}

impl SignedPost<'_> {
    /// The request with `body`, signed for now.
    ///
    /// # Errors
    /// [`CallFailure`]: the attempt has failed before a call was made.
    pub async fn request(&self, ctx: &Context, body: Bytes) -> Result<OutboundRequest, CallFailure> {
        let secrets = ctx.tenancy.signing_secrets(self.tenant).await;
        let secrets = secrets
            .map_err(|error| CallFailure::internal(format!("the call cannot be signed: {error}")))?
            .ok_or_else(|| CallFailure::configuration("the solution is gone"))?;
        let now = ctx.clock.now();
        let signed = signing::headers(self.call_id, now, &body, &secrets.at(now));
        let signed = signed.map_err(|error| CallFailure::internal(error.to_string()))?;

        let mut headers = Vec::with_capacity(self.headers.len() + 5);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        for (name, value) in self.headers {
            let header = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
            let (Ok(name), Ok(value)) = header else {
                return Err(CallFailure::configuration(format!("header {name} is not valid")));
            };
            if name == CONTENT_TYPE {
                headers.retain(|(name, _)| *name != CONTENT_TYPE);
            }
            headers.push((name, value));
        }
        let key = HeaderValue::try_from(self.call_id);
        headers.push((IDEMPOTENCY_KEY, key.map_err(|error| CallFailure::internal(error.to_string()))?));
        headers.extend(signed);
        Ok(OutboundRequest {
            method: Method::POST,
            url: self.url.to_owned(),
            headers,
            body: Some(body),
            timeout: self.timeout,
        })
    }
}
