//! The HTTP door, and the usage report beside it.

use super::usage::Report;
use super::{Door, Mount};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use std::sync::Arc;

/// DynamoDB's limit for a request.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The routes of the AWS port: `/local/usage` and, everywhere else, the services.
pub fn router(mount: Arc<Mount>) -> Router {
    Router::new()
        .route("/local/usage", get(usage))
        .route("/local/usage/reset", post(reset_usage))
        // SDKs put the request on `/`, or on the path of a queue's URL.
        .fallback(serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(mount)
}

async fn usage(State(mount): State<Arc<Mount>>) -> Json<Report> {
    Json(mount.usage())
}

async fn reset_usage(State(mount): State<Arc<Mount>>) -> StatusCode {
    mount.reset_usage();
    StatusCode::NO_CONTENT
}

async fn serve(State(mount): State<Arc<Mount>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) else {
        let text = "This is the AWS side of a local Punctual: DynamoDB, SQS and KMS by their JSON protocols.\n\
                    Point an AWS SDK or the AWS CLI at it with AWS_ENDPOINT_URL.\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let answer = mount.answer(Door::Network, target, body).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    if let Some(code) = answer.query_error.and_then(|code| HeaderValue::try_from(code).ok()) {
        response.headers_mut().insert("x-amzn-query-error", code);
    }
    response
}
