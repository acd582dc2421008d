//! What an answer says that is no success: RFC 9457, and every status of it in this one file.

use super::faults::{Fault, Faults};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use shared::context::Context;
use shared::engine::StoreError;
use shared::tenancy::{ChangeError, ParentKind, TenancyError};
use shared::unreadable::ReadError;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most bytes of a body (SPEC §2).
pub const BODY_MAX_BYTES: usize = 256 * 1024;
/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds that a throttled caller is asked to wait.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// What a 401 asks for.
pub const CHALLENGE: &str = "Bearer realm=\"punctual\"";

/// The kinds of problem: each has one status, one type and one title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// 400: the input is malformed or unacceptable.
    InvalidInput,
    /// 401: no key, or an unknown one.
    Unauthorized,
    /// 403: a valid key outside what it opens.
    Forbidden,
    /// 404: there is no such thing.
    NotFound,
    /// 405: not this method.
    MethodNotAllowed,
    /// 409: the state does not allow it.
    Conflict,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is no JSON.
    UnsupportedMediaType,
    /// 429: over a limit.
    Throttled,
    /// 500: our fault.
    Internal,
    /// 502: a service that the caller asked us to call did not answer.
    NoAnswer,
}

impl ProblemKind {
    /// The HTTP status, the type and the title.
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ProblemKind::InvalidInput => {
                (StatusCode::BAD_REQUEST, "urn:punctual:problem:invalid-input", "The input is not acceptable")
            }
            ProblemKind::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "urn:punctual:problem:unauthorized", "A valid key is needed")
            }
            ProblemKind::Forbidden => {
                (StatusCode::FORBIDDEN, "urn:punctual:problem:forbidden", "The key does not open this")
            }
            ProblemKind::NotFound => {
                (StatusCode::NOT_FOUND, "urn:punctual:problem:not-found", "There is no such thing")
            }
            ProblemKind::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:punctual:problem:method-not-allowed",
                "The method is not allowed here",
            ),
            ProblemKind::Conflict => {
                (StatusCode::CONFLICT, "urn:punctual:problem:conflict", "The state does not allow this")
            }
            ProblemKind::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "urn:punctual:problem:too-large", "The body is too large")
            }
            ProblemKind::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "urn:punctual:problem:unsupported-media-type",
                "The body must be JSON",
            ),
            ProblemKind::Throttled => {
                (StatusCode::TOO_MANY_REQUESTS, "urn:punctual:problem:throttled", "Too many requests")
            }
            ProblemKind::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "urn:punctual:problem:internal",
                "Something went wrong on our side",
            ),
            ProblemKind::NoAnswer => (
                StatusCode::BAD_GATEWAY,
                "urn:punctual:problem:no-answer",
                "The called service did not answer",
            ),
        }
    }
}

/// A problem on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<Fault>,
    /// Names one occurrence of an internal problem, in the answer and in the log.
    instance: Option<String>,
    /// What lies behind an internal problem. For the log, never for the caller.
    cause: Option<Arc<str>>,
}

impl Faults {
    /// `value`, unless there was a fault. A `value` of `None` without a fault cannot be: whatever is
    /// missing was named when it was read.
    ///
    /// # Errors
    /// 400 with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        let faults = self.into_vec();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            None if faults.is_empty() => Err(Problem::internal("input was refused without a fault")),
            _ => Err(Problem::invalid(faults)),
        }
    }
}

/// A problem as it is written (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// A stable URN of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:punctual:problem:invalid-input")]
    kind: &'a str,
    /// The kind of problem in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// What is the matter this time.
    detail: &'a str,
    /// Every fault of the input.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [Fault],
    /// Names this occurrence of an internal problem, as a URN; quote it in a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

impl Problem {
    fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), instance: None, cause: None }
    }

    /// 400, with every fault of the input.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.to_string(),
            many => format!("{} faults in the input; each is in `errors`", many.len()),
        };
        Self { errors, ..Self::new(ProblemKind::InvalidInput, detail) }
    }

    /// 401.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(ProblemKind::Unauthorized, detail)
    }

    /// 403.
    pub fn forbidden(detail: &str) -> Self {
        Self::new(ProblemKind::Forbidden, detail)
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("there is no such {what}"))
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, detail)
    }

    /// 413.
    pub fn too_large() -> Self {
        Self::new(ProblemKind::TooLarge, format!("a body has at most {BODY_MAX_BYTES} bytes"))
    }

    /// 415.
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(ProblemKind::UnsupportedMediaType, detail)
    }

    /// 502.
    pub fn no_answer(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NoAnswer, detail)
    }

    /// 500. `cause` goes to the log alone.
    pub fn internal(cause: impl ToString) -> Self {
        let detail =
            "the failure is recorded under the name in `instance`; the same request may succeed later";
        Self { cause: Some(cause.to_string().into()), ..Self::new(ProblemKind::Internal, detail) }
    }

    /// 500 for a stored item that cannot be decoded: the same request fails again. `cause` goes to the log alone.
    fn unreadable(cause: impl ToString) -> Self {
        let detail = "a stored item that this request needs cannot be read, and is recorded under the name in `instance`; \
                      a DELETE of the item removes it";
        Self { cause: Some(cause.to_string().into()), ..Self::new(ProblemKind::Internal, detail) }
    }

    fn throttled() -> Self {
        Self::new(ProblemKind::Throttled, "there are too many requests at the moment; try again in a second")
    }

    /// 429: the company's receivers hold as many requests as they may.
    pub fn share_is_taken() -> Self {
        let detail = "requests that wait for receivers of this company hold its share of all requests; try again in a second";
        Self::new(ProblemKind::Throttled, detail)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }

    /// Names an internal problem and logs what lies behind it; any other problem stays as it is.
    pub fn recorded(mut self, context: &Context) -> Self {
        if let Some(cause) = self.cause.take() {
            let id = context.entropy.uuid_v7(context.clock.now());
            tracing::error!(correlation_id = %id, cause = &*cause, "request failed");
            self.instance = Some(format!("urn:uuid:{id}"));
        }
        self
    }

    /// The problem as it is written.
    pub fn body(&self) -> ProblemBody<'_> {
        let (status, kind, title) = self.kind.describe();
        ProblemBody {
            kind,
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            instance: self.instance.as_deref(),
        }
    }
}

/// What a problem of this status looks like, for the description.
pub fn example(status: &str) -> Option<serde_json::Value> {
    let problem = match status {
        "400" => Problem::invalid(vec![Fault::new("/parameter/SongId", "is required")]),
        "401" => Problem::unauthorized("the key is unknown"),
        "403" => Problem::forbidden("the key belongs to another company"),
        "404" => Problem::not_found("activity"),
        "405" => Problem::new(ProblemKind::MethodNotAllowed, "PATCH is none of the methods in `Allow`"),
        "409" => Problem::conflict("another activity has this id"),
        "413" => Problem::too_large(),
        "415" => Problem::unsupported_media_type("send the body with content-type: application/json"),
        "429" => Problem::throttled(),
        "500" => Problem {
            instance: Some("urn:uuid:019c13a5-7d40-7000-8000-000000000000".to_owned()),
            ..Problem::internal("")
        },
        "502" => Problem::no_answer("connection refused"),
        _ => return None,
    };
    serde_json::to_value(problem.body()).ok()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self.body()).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self.kind {
            ProblemKind::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            ProblemKind::Throttled => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if self.cause.is_some() {
            response.extensions_mut().insert(Unrecorded(self));
        }
        response
    }
}

/// An internal problem that is not in the log yet; see [`record`].
#[derive(Clone)]
struct Unrecorded(Problem);

/// The outermost layer: names and logs internal problems on their way out.
pub async fn record(State(context): State<Context>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Unrecorded>() {
        Some(Unrecorded(problem)) => problem.recorded(&context).into_response(),
        None => response,
    }
}

/// What a panic becomes. Its text was printed by the panic hook; it is no answer for a caller.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Problem::internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}

/// 404 for a path that is none of ours.
pub async fn no_route() -> Problem {
    Problem::not_found("path")
}

/// 405; `OPTIONS` is answered with what is allowed. The router adds the `Allow` header to both.
pub async fn no_method(method: http::Method) -> Response {
    if method == http::Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(ProblemKind::MethodNotAllowed, format!("{method} is none of the methods in `Allow`"))
        .into_response()
}

impl From<TenancyError> for Problem {
    fn from(error: TenancyError) -> Self {
        match error {
            error if error.is_throttled() => Self::throttled(),
            error if error.is_unreadable() => Self::unreadable(error),
            error => Self::internal(error),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound(what) => Self::not_found(what),
            ChangeError::Conflict(detail) => Self::conflict(detail),
            ChangeError::Tenancy(error) => error.into(),
        }
    }
}

/// What something is created below was deleted in that moment: as if it had never been there.
impl From<ParentKind> for Problem {
    fn from(gone: ParentKind) -> Self {
        let field = match gone {
            ParentKind::Solution => return Self::not_found("solution"),
            ParentKind::ReminderConfiguration => return Self::not_found("reminder configuration"),
            ParentKind::ActivityType(_) => "/activityType",
            ParentKind::NotificationType(_) => "/type",
        };
        let what = if field == "/type" { "notification type" } else { "activity type" };
        Self::invalid(vec![Fault::new(field, format!("names no {what} of this solution"))])
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Throttled => Self::throttled(),
            StoreError::Cursor => Self::invalid(vec![Fault::new("query:cursor", error.to_string())]),
            error if error.is_unreadable() => Self::unreadable(error),
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_says_nothing_of_itself() {
        let response = panicked(Box::new("secret in a panic".to_owned()));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.extensions().get::<Unrecorded>().is_some());
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("\"status\":500") && !text.contains("panic"), "{text}");
    }
}
