//! What invokes the function: the schedule, or the HTTP API. They are told apart by their shape.

use crate::call::TIMEOUT;
use aws_lambda_events::encodings::Body as LambdaBody;
use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use http::{Request, Uri};
use lambda_runtime::Error;
use serde_json::Value;
use tower::ServiceExt;

/// How long a run that is waited for over HTTP begins sends: API Gateway gives up after 30 s, and a call begun last takes
/// [`TIMEOUT`] at most. What is left of them is for settling it.
pub const HTTP_TIME: TimeDelta = TimeDelta::seconds(6);
const _: () = assert!(HTTP_TIME.num_seconds() + TIMEOUT.as_secs() as i64 <= 27);

/// What invokes it.
#[derive(Debug)]
pub enum SenderEvent {
    /// A request of the HTTP API (payload format 2.0).
    Http(Box<ApiGatewayV2httpRequest>),
    /// EventBridge.
    Schedule,
}

impl SenderEvent {
    /// Reads an event: only the HTTP API's have `requestContext.http`.
    ///
    /// # Errors
    /// An HTTP event that cannot be read.
    pub fn of(event: Value) -> Result<Self, serde_json::Error> {
        if event.pointer("/requestContext/http").is_none() {
            return Ok(Self::Schedule);
        }
        serde_json::from_value(event).map(|request| Self::Http(Box::new(request)))
    }
}

/// Answers a request of the HTTP API through `router`.
///
/// # Errors
/// The request is none, or the answer cannot be read.
pub async fn answer(
    router: Router,
    request: ApiGatewayV2httpRequest,
) -> Result<ApiGatewayV2httpResponse, Error> {
    let path = request.raw_path.as_deref().unwrap_or("/");
    let uri: Uri = match request.raw_query_string.as_deref() {
        None | Some("") => path.parse()?,
        Some(query) => format!("{path}?{query}").parse()?,
    };
    let body = match request.body {
        Some(text) if request.is_base64_encoded => STANDARD.decode(text)?,
        Some(text) => text.into_bytes(),
        None => Vec::new(),
    };
    let mut asked =
        Request::builder().method(request.request_context.http.method).uri(uri).body(Body::from(body))?;
    *asked.headers_mut() = request.headers;
    let answered = router.oneshot(asked).await?;
    let (parts, body) = answered.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await?;
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(parts.status.as_u16());
    response.headers = parts.headers;
    // Answers are JSON: text.
    response.body = Some(LambdaBody::Text(String::from_utf8(bytes.to_vec())?));
    Ok(response)
}
