//! The HTTP API in front of the functions, with its limits and Lambda's: what would fail there fails here.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>. What is answered then is AWS's own
//! `{"message": …}`, no problem of the API's.

use crate::runner::invoke;
use aws_lambda_events::encodings::Body as LambdaBody;
use aws_lambda_events::event::apigw::ApiGatewayV2httpResponse;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, request, response};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Lambda's limit for the payload of an invocation and that of its response, in bytes. Both are JSON texts with the body
/// as a string in them.
pub const PAYLOAD_MAX_BYTES: usize = 6_291_556;
/// API Gateway's limit for a request's body.
pub const BODY_MAX_BYTES: usize = 10 * 1024 * 1024;
/// API Gateway's limit for the request line and the headers' values together.
pub const HEAD_MAX_BYTES: usize = 10_240;
/// How long API Gateway waits for a function.
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// What an event holds beside the request's own text: its context.
const CONTEXT_BYTES: usize = 1_024;
/// How often a character may become longer in JSON: a control character is six.
const ESCAPED_TIMES_MAX: usize = 6;
/// Room for headers and the context beside a body.
const HEAD_ROOM: usize = 64 * 1024;

/// The HTTP API in front of one function.
#[derive(Debug, Clone)]
pub struct Gateway {
    function: &'static str,
    timeout: Duration,
    integration_timeout: Duration,
}

impl Gateway {
    /// In front of the function of that name, which has `timeout` for an invocation.
    pub fn new(function: &'static str, timeout: Duration) -> Self {
        Self { function, timeout, integration_timeout: INTEGRATION_TIMEOUT }
    }

    /// `router`, as it is reached through API Gateway and Lambda.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), pass))
    }

    /// Invokes the function, and waits for it as long as the API does. A function that takes longer goes on to its own limit.
    async fn invoke(&self, request: Request, next: Next) -> Result<(response::Parts, Bytes), StatusCode> {
        let function = self.function;
        let answer = async move {
            let (parts, body) = next.run(request).await.into_parts();
            // Handlers answer whole bodies, which are in memory already.
            to_bytes(body, usize::MAX).await.map(|body| (parts, body))
        };
        let invocation = tokio::spawn(invoke(self.timeout, answer));
        match tokio::time::timeout(self.integration_timeout, invocation).await {
            Ok(Ok(Ok(Ok(answer)))) => return Ok(answer),
            Ok(Ok(Ok(Err(error)))) => tracing::error!(function, %error, "invocation failed"),
            Ok(Ok(Err(error))) => tracing::error!(function, %error, "invocation failed"),
            Ok(Err(error)) => tracing::error!(function, %error, "invocation failed"),
            Err(_) => {
                tracing::error!(function, "the HTTP API waits no longer for its answer");
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
        }
        Err(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

async fn pass(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if head_bytes(&parts) > HEAD_MAX_BYTES {
        return refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE);
    };
    if event_bytes(&parts, &body) > PAYLOAD_MAX_BYTES {
        return refused(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let (parts, body) = match gateway.invoke(Request::from_parts(parts, Body::from(body)), next).await {
        Ok(answer) => answer,
        Err(status) => return refused(status),
    };
    let bytes = response_bytes(&parts, &body);
    if bytes > PAYLOAD_MAX_BYTES {
        let function = gateway.function;
        tracing::error!(
            function,
            bytes,
            max = PAYLOAD_MAX_BYTES,
            "the response is larger than Lambda can send"
        );
        return refused(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Response::from_parts(parts, Body::from(body))
}

/// Reads a request whole before anybody looks at it: an answer that comes before the request's end may not arrive.
pub async fn read_whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, BODY_MAX_BYTES).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(_) => refused(StatusCode::PAYLOAD_TOO_LARGE),
    }
}

fn refused(status: StatusCode) -> Response {
    let message = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        status => status.canonical_reason().unwrap_or_default(),
    };
    (status, [(CONTENT_TYPE, "application/json")], json!({ "message": message }).to_string()).into_response()
}

fn head_bytes(parts: &request::Parts) -> usize {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let line = parts.method.as_str().len() + " ".len() + target + " HTTP/1.1".len();
    line + parts.headers.values().map(|value| value.len()).sum::<usize>()
}

/// Whether a body of that length may be too large for a payload at all. Nearly none is, and measuring has its price.
fn may_exceed(body: &Bytes) -> bool {
    body.len() > (PAYLOAD_MAX_BYTES - HEAD_ROOM) / ESCAPED_TIMES_MAX
}

/// The size of the event of a request. An upper bound where the body is small.
fn event_bytes(parts: &request::Parts, body: &Bytes) -> usize {
    if !may_exceed(body) {
        return 0;
    }
    let body = lambda_body(&parts.headers, body);
    let names: usize = parts.headers.keys().map(|name| name.as_str().len()).sum();
    // The target is there twice: as it is, and as its parts.
    json_bytes(&body) + names + 2 * head_bytes(parts) + CONTEXT_BYTES
}

/// The size of the JSON text that a function hands to Lambda. A lower bound where the body is small.
fn response_bytes(parts: &response::Parts, body: &Bytes) -> usize {
    if !may_exceed(body) {
        return body.len();
    }
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(parts.status.as_u16());
    let cookies = parts.headers.get_all(SET_COOKIE).iter();
    response.cookies =
        cookies.map(|cookie| String::from_utf8_lossy(cookie.as_bytes()).into_owned()).collect();
    response.headers = parts.headers.clone();
    response.headers.remove(SET_COOKIE);
    let body = lambda_body(&parts.headers, body);
    response.is_base64_encoded = matches!(body, LambdaBody::Binary(_));
    response.body = Some(body);
    json_bytes(&response)
}

/// A body as payloads have it: text as a string, anything else in base64.
fn lambda_body(headers: &HeaderMap, body: &Bytes) -> LambdaBody {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml", "application/yaml"]
            .contains(&essence.as_str())
        || ["+json", "+xml", "+yaml"].iter().any(|suffix| essence.ends_with(suffix));
    match std::str::from_utf8(body) {
        Ok(text) if is_text && !headers.contains_key(CONTENT_ENCODING) => LambdaBody::Text(text.to_owned()),
        _ => LambdaBody::Binary(body.to_vec()),
    }
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    // Structs of text and numbers always serialize; what did not could not be sent either.
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    fn router(gateway: Gateway) -> Router {
        let routes = Router::new()
            .route(
                "/answer",
                post(|headers: HeaderMap, body: Bytes| async move {
                    let media_type = headers.get("x-answer-as").cloned();
                    ([(CONTENT_TYPE, media_type.unwrap())], body.repeat(8).to_vec())
                }),
            )
            .route(
                "/length",
                post(|body: Bytes| async move { body.len().to_string() })
                    .layer(axum::extract::DefaultBodyLimit::disable()),
            )
            .route("/never", get(std::future::pending::<()>))
            .route(
                "/crash",
                get(|| async {
                    if std::hint::black_box(true) {
                        panic!("a handler's bug")
                    }
                }),
            );
        gateway.guard(routes)
    }

    async fn call(request: request::Builder, body: impl Into<Body>) -> (u16, String) {
        let request = request.body(body.into()).unwrap();
        let gateway = Gateway::new("api-ingest", Duration::from_secs(29));
        let response = router(gateway).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned())
    }

    /// A handler answers eight times the text it was sent.
    async fn answered(as_type: &str, unit: &str, bytes: usize) -> u16 {
        let request = Request::post("/answer").header("x-answer-as", as_type);
        call(request, unit.repeat(bytes / 8 / unit.len())).await.0
    }

    #[tokio::test]
    async fn a_response_has_six_megabytes_as_lambda_writes_it() {
        const MIB: usize = 1024 * 1024;
        for (as_type, unit, bytes, expect) in [
            ("application/json", "x", 6 * MIB - 1024, 200),
            ("application/json", "x", 6 * MIB + 1024, 500),
            // Quotes become two characters, control characters six, what is no text a third more.
            ("application/problem+json", "\"", 3 * MIB - 1024, 200),
            ("application/json; charset=utf-8", "\"", 3 * MIB + 1024, 500),
            ("text/plain", "\u{1}", MIB - 1024, 200),
            ("text/plain", "\u{1}", MIB + 1024, 500),
            ("image/png", "x", 4 * MIB, 200),
            ("image/png", "x", 5 * MIB, 500),
        ] {
            assert_eq!(answered(as_type, unit, bytes).await, expect, "{as_type} {unit:?} {bytes}");
        }
        let request = Request::post("/answer").header("x-answer-as", "text/html");
        let refused = call(request, "x".repeat(1024 * 1024)).await;
        assert_eq!(refused, (500, r#"{"message":"Internal Server Error"}"#.to_owned()));
    }

    #[tokio::test]
    async fn a_request_has_six_megabytes_as_an_event_and_ten_at_all() {
        const MIB: usize = 1024 * 1024;
        let too_large = (413, r#"{"message":"Request Entity Too Large"}"#.to_owned());
        for (media_type, unit, bytes, fits) in [
            ("application/json", "x", 6 * MIB - 4096, true),
            ("application/json", "x", 6 * MIB + 1024, false),
            ("application/json", "\"", 4 * MIB, false),
            ("application/octet-stream", "x", 4 * MIB, true),
            ("application/octet-stream", "x", 5 * MIB, false),
            ("text/plain", "x", 11 * MIB, false),
        ] {
            let request = Request::post("/length").header(CONTENT_TYPE, media_type);
            let answer = call(request, unit.repeat(bytes)).await;
            let expect = if fits { (200, bytes.to_string()) } else { too_large.clone() };
            assert_eq!(answer, expect, "{media_type} {unit:?} {bytes}");
        }
    }

    #[tokio::test]
    async fn request_line_and_headers_have_ten_kilobytes_together() {
        let line = "POST /length? HTTP/1.1".len();
        for (query, header, expect) in [
            (HEAD_MAX_BYTES - line, 0, 200),
            (HEAD_MAX_BYTES - line, 1, 431),
            (0, HEAD_MAX_BYTES - line, 200),
            (1, HEAD_MAX_BYTES - line, 431),
        ] {
            let request = Request::post(format!("/length?{}", "q".repeat(query)));
            let (status, body) = call(request.header("x", "h".repeat(header)), "").await;
            assert_eq!(status, expect, "{query} {header}");
            assert!(status == 200 || body == r#"{"message":"Request Header Fields Too Large"}"#, "{body}");
        }
    }

    #[tokio::test]
    async fn a_function_has_its_own_time_and_the_api_waits_for_its_own() {
        const LONG: Duration = Duration::from_secs(3_600);
        assert_eq!(Gateway::new("f", LONG).integration_timeout, Duration::from_secs(30));
        for (timeout, integration_timeout, status) in
            [(Duration::ZERO, LONG, 500), (LONG, Duration::ZERO, 503)]
        {
            let request = Request::get("/never").body(Body::empty()).unwrap();
            let gateway = Gateway { function: "api-ingest", timeout, integration_timeout };
            let response = router(gateway).oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
        }
    }

    #[tokio::test]
    async fn a_crash_tells_nothing_of_itself() {
        let expect = (500, r#"{"message":"Internal Server Error"}"#.to_owned());
        assert_eq!(call(Request::get("/crash"), "").await, expect);
    }
}
