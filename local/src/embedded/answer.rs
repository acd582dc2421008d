//! What an embedded service answers, whichever door the request came through.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// An answer of the AWS JSON protocols.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// Value of `x-amzn-query-error`, which SQS sends along with its errors.
    pub query_error: Option<String>,
}

impl Answer {
    /// 200 with a JSON body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, body: body.into(), query_error: None }
    }

    /// An error with a JSON body that names its `__type`.
    pub fn error(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), query_error: None }
    }

    /// An error given by its type and message.
    pub fn fault(status: u16, kind: &str, message: &str) -> Self {
        Self::error(status, serde_json::json!({ "__type": kind, "message": message }).to_string())
    }

    /// The same answer with the older error code beside it.
    pub fn with_query_error(mut self, code: String) -> Self {
        self.query_error = Some(code);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        if let Some(code) = self.query_error.and_then(|code| HeaderValue::try_from(code).ok()) {
            headers.insert("x-amzn-query-error", code);
        }
        response
    }
}
