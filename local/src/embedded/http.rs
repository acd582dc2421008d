//! The HTTP door, and the usage report beside it.

use super::usage::Report;
use super::{BODY_BYTES_MAX, Door, Mount};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use std::sync::Arc;

/// The routes of the AWS port: `/local/usage` and, everywhere else, the services.
pub fn router(mount: Arc<Mount>) -> Router {
    Router::new()
        .route("/local/usage", get(usage))
        .route("/local/usage/reset", post(reset_usage))
        // SDKs put the request on `/`, or on the path of a queue's URL.
        .fallback(serve)
        // One byte more, so that it is the service that refuses it.
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX + 1))
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
    mount.answer(Door::Network, target, body).await.into_response()
}
