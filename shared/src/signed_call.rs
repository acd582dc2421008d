//! Calls of a solution: their headers, the stable key, and the signature (SPEC §3, §11).

use crate::context::Context;
use crate::outbound::{Answer, Began, EXCERPT_TIMEOUT, OutboundRequest, Secrets, SendError};
use crate::signing;
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use rules::names::Tenant;
use std::time::Duration;

/// The header by which a receiver knows attempts of the same call apart from other calls.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A call to be signed.
pub struct SignedCall<'a> {
    /// Whose secrets sign it.
    pub tenant: &'a Tenant,
    /// The verb.
    pub method: Method,
    /// Absolute http(s) URL.
    pub url: String,
    /// Further headers, in the order to be sent; `content-type` among them takes the place of `application/json`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The same on every attempt: `Idempotency-Key` and `webhook-id`.
    pub call_id: &'a str,
    /// A JSON text, if any.
    pub body: Option<Bytes>,
    /// As [`OutboundRequest::timeout`].
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

/// Headers as they are configured.
///
/// # Errors
/// [`CallFailure`] for one that cannot be sent.
pub fn configured(headers: &[(String, String)]) -> Result<Vec<(HeaderName, HeaderValue)>, CallFailure> {
    let read = |(name, value): &(String, String)| {
        let header = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
        let (Ok(known), Ok(value)) = header else {
            return Err(CallFailure::configuration(format!("header {name} is not valid")));
        };
        Ok((known, value))
    };
    headers.iter().map(read).collect()
}

impl SignedCall<'_> {
    /// The request, signed for now. What signs it is kept out of what is kept of the answer.
    ///
    /// # Errors
    /// [`CallFailure`]: the attempt has failed before a call was made.
    pub async fn request(self, ctx: &Context) -> Result<OutboundRequest, CallFailure> {
        let signing = ctx.tenancy.signing_secrets(self.tenant).await;
        let signing = signing
            .map_err(|error| CallFailure::internal(format!("the call cannot be signed: {error}")))?
            .ok_or_else(|| CallFailure::configuration("the solution is gone"))?;
        let now = ctx.clock.now();
        let keys = signing.at(now);
        let body = self.body.as_deref().unwrap_or_default();
        let signed = signing::headers(self.call_id, now, body, &keys);
        let signed = signed.map_err(|error| CallFailure::internal(error.to_string()))?;
        let key = HeaderValue::try_from(self.call_id);
        let key = key.map_err(|error| CallFailure::internal(error.to_string()))?;
        let mut secrets = Secrets::default();
        keys.iter().for_each(|key| secrets.add(key));

        let mut headers = Vec::with_capacity(self.headers.len() + 5);
        // Some servers answer 400 to a type of a body that is not there.
        if self.body.is_some() && self.headers.iter().all(|(name, _)| *name != CONTENT_TYPE) {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        headers.extend(self.headers);
        headers.push((IDEMPOTENCY_KEY, key));
        headers.extend(signed);
        Ok(OutboundRequest {
            method: self.method,
            url: self.url,
            headers,
            body: self.body,
            timeout: self.timeout,
            body_timeout: EXCERPT_TIMEOUT,
            secrets,
            began: Began::default(),
        })
    }
}
