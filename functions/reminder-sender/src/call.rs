//! The call to the Dialog service (SPEC §6, "A send").

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use rules::reminder::Outcome;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::crypto::CryptoError;
use shared::items::reminder::Definition;
use shared::outbound::{Began, EXCERPT_TIMEOUT, OutboundRequest, OutboundResult, Secrets};
use shared::tenancy::TenancyError;
use std::time::Duration;

/// The Dialog service's time limit. Short enough for a call by hand to be answered within API Gateway's 30 s.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// What is called, below the service's URI.
const PATH: &str = "/api/autotrigger";
/// By which the Dialog service knows attempts at one send time apart from other messages.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Result {
    /// In the seed's words.
    pub outcome: Outcome,
    /// What happened.
    pub detail: String,
    /// The answer's status, if there was one.
    pub http_status: Option<u16>,
}

impl Result {
    /// The call cannot be made.
    pub fn error(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::SendError, detail: detail.into(), http_status: None }
    }

    /// The attempt whose sender was lost before it could record what came of it.
    pub fn lost() -> Self {
        Self::error("the sender was lost on the way; the message may have been sent")
    }

    /// What an answer, or none, means.
    pub fn of(answered: OutboundResult) -> Self {
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => return Self::error(format!("the Dialog service did not answer: {error}")),
        };
        let reason = StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
        let status = [answer.status.to_string().as_str(), reason.unwrap_or_default()].join(" ");
        let status = status.trim_end();
        let (outcome, detail) = match (answer.is_success(), answer.excerpt()) {
            (true, _) => (Outcome::Sent, format!("the Dialog service answered {status}")),
            (false, None) => (Outcome::SendFailed, format!("the Dialog service answered {status}")),
            (false, Some(text)) => {
                (Outcome::SendFailed, format!("the Dialog service answered {status}: {text}"))
            }
        };
        Self { outcome, detail, http_status: Some(answer.status) }
    }
}

/// The body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    account_code: &'a str,
    country_code: &'a str,
    phone_number: &'a str,
    notification_template_name: &'a str,
    template_parameters: &'a RawValue,
}

/// Why no call can be made.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Neither the configuration nor `DialogServiceUri` names a service.
    #[error("dialogServiceUri is missing: neither the configuration nor this service names a Dialog service")]
    NoService,
    /// The notification key cannot be opened, and will not be the next time.
    #[error("notificationKey cannot be used: {0}")]
    Key(String),
    /// Something of ours failed, and may not the next time.
    #[error(transparent)]
    Ours(TenancyError),
    /// The stored definition cannot be sent.
    #[error("the reminder cannot be sent: {0}")]
    Definition(String),
}

impl From<TenancyError> for CallError {
    fn from(error: TenancyError) -> Self {
        match error {
            TenancyError::Crypto(CryptoError::Kms(_)) | TenancyError::Throttled { .. } => Self::Ours(error),
            TenancyError::Store { .. } => Self::Ours(error),
            error => Self::Key(error.to_string()),
        }
    }
}

/// By which the Dialog service knows the attempts at one send time: the same for all of them.
pub fn idempotency_key(id: &rules::names::ActivityId, send_time: DateTime<Utc>) -> String {
    format!("{id}:{}", rules::time::format(send_time))
}

/// The request of one attempt.
///
/// # Errors
/// [`CallError`]: the call cannot be made like this.
pub fn request(
    dialog_service_uri: &str,
    notification_key: &str,
    account_code: &str,
    definition: &Definition,
    idempotency_key: &str,
) -> std::result::Result<OutboundRequest, CallError> {
    let unsendable = |error: &dyn std::fmt::Display| CallError::Definition(error.to_string());
    let parameters: &RawValue =
        serde_json::from_str(&definition.parameters).map_err(|error| unsendable(&error))?;
    let body = Body {
        account_code,
        country_code: &definition.country_code,
        phone_number: &definition.phone_number,
        notification_template_name: &definition.template,
        template_parameters: parameters,
    };
    let body = serde_json::to_vec(&body).map_err(|error| unsendable(&error))?;
    let mut key = HeaderValue::try_from(notification_key)
        .map_err(|_| CallError::Key("it is no value of a header".to_owned()))?;
    key.set_sensitive(true);
    let mut secrets = Secrets::default();
    secrets.add(notification_key);
    let idempotency = HeaderValue::try_from(idempotency_key).map_err(|error| unsendable(&error))?;
    Ok(OutboundRequest {
        method: Method::POST,
        url: format!("{}{PATH}", dialog_service_uri.trim_end_matches('/')),
        headers: vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // Bare: the key itself, without a scheme (SPEC §6).
            (AUTHORIZATION, key),
            (IDEMPOTENCY_KEY, idempotency),
        ],
        body: Some(Bytes::from(body)),
        timeout: TIMEOUT,
        body_timeout: EXCERPT_TIMEOUT,
        secrets,
        began: Began::default(),
    })
}
