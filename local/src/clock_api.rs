//! `/local/clock` on the API's port: the test clock, which only local mode has.

use crate::runner::TestClock;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest step: ten years.
const ADVANCE_SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;
const FIELD: &str = "advanceSeconds";

/// The routes.
pub fn router(clock: Arc<TestClock>) -> Router {
    Router::new().route("/local/clock", get(now).post(advance)).with_state(clock)
}

async fn now(State(clock): State<Arc<TestClock>>) -> Json<Value> {
    Json(json!({ "now": rules::time::format(clock.now()) }))
}

async fn advance(State(clock): State<Arc<TestClock>>, body: Bytes) -> Response {
    let by = match parse(&body) {
        Ok(by) => by,
        Err(fault) => return refused(fault),
    };
    // Apart from the connection: a caller that goes away does not leave the
    // system half way.
    match tokio::spawn(async move { clock.advance(by).await }).await {
        Ok(Ok(advanced)) => Json(advanced).into_response(),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

#[derive(Debug, PartialEq)]
struct Fault {
    pointer: String,
    detail: String,
}

fn parse(body: &[u8]) -> Result<TimeDelta, Fault> {
    let fault =
        |pointer: &str, detail: &str| Fault { pointer: pointer.to_owned(), detail: detail.to_owned() };
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(fault("", "must be a JSON object such as {\"advanceSeconds\": 60}"));
    };
    if let Some(unknown) = fields.keys().find(|field| *field != FIELD) {
        return Err(fault(&format!("/{unknown}"), "is not known"));
    }
    let seconds = fields.get(FIELD).and_then(Value::as_f64);
    let seconds = seconds.filter(|seconds| (0.0..=ADVANCE_SECONDS_MAX).contains(seconds));
    let pointer = format!("/{FIELD}");
    let seconds =
        seconds.ok_or_else(|| fault(&pointer, "must be a number of seconds from 0 to ten years"))?;
    // In range by the check above; times have milliseconds here.
    Ok(TimeDelta::milliseconds((seconds * 1000.0).round() as i64))
}

fn refused(fault: Fault) -> Response {
    let errors = json!([{ "pointer": fault.pointer, "detail": fault.detail }]);
    let detail = format!("{} {}", fault.pointer.trim_start_matches('/'), fault.detail);
    problem(StatusCode::BAD_REQUEST, detail.trim(), Some(errors))
}

fn failed(error: &str) -> Response {
    tracing::error!(error, "cannot advance the clock");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the clock could not be advanced; see the log", None)
}

fn problem(status: StatusCode, detail: &str, errors: Option<Value>) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let mut problem =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    if let Some(errors) = errors {
        problem["errors"] = errors;
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        for (body, expect) in [
            (r#"{"advanceSeconds": 0}"#, TimeDelta::zero()),
            (r#"{"advanceSeconds": 1.5}"#, TimeDelta::milliseconds(1500)),
            (r#"{"advanceSeconds": 2592000}"#, TimeDelta::days(30)),
        ] {
            assert_eq!(parse(body.as_bytes()), Ok(expect), "{body}");
        }
    }

    #[test]
    fn faults_name_the_field() {
        for (body, pointer) in [
            ("", ""),
            ("[]", ""),
            ("{}", "/advanceSeconds"),
            (r#"{"advanceSeconds": -1}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": "60"}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": 1e12}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": 1, "to": 2}"#, "/to"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().pointer, pointer, "{body}");
        }
    }
}
