//! `/local/clock` on the API's port: the test clock, which only local mode has.

use crate::access::problem;
use crate::gateway::read_whole;
use crate::runner::{AdvanceError, TestClock};
use api_ingest::http::body::Body;
use api_ingest::http::kinds::number;
use api_ingest::http::object::Object;
use api_ingest::http::problem::{Problem, no_method};
use api_ingest::{Fault, JsonText};
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest step: ten years.
const ADVANCE_SECONDS_MAX: u64 = 10 * 366 * 86_400;
const FIELD: &str = "advanceSeconds";

/// The routes. They need no key; who may use them is [`crate::access`]'s to say. A body is taken as JSON alone.
pub fn router(clock: Arc<TestClock>) -> Router {
    let methods = get(now).post(advance).fallback(no_method);
    Router::new().route("/local/clock", methods).with_state(clock).layer(from_fn(read_whole))
}

async fn now(State(clock): State<Arc<TestClock>>) -> Json<Value> {
    Json(json!({ "now": rules::time::format(clock.now()) }))
}

async fn advance(State(clock): State<Arc<TestClock>>, body: JsonText) -> Result<Response, Problem> {
    let by = body.read::<Step>(())?;
    // Apart from the connection: a caller that goes away does not leave the
    // system half way.
    match tokio::spawn(async move { clock.advance(by).await }).await {
        Ok(Ok(advanced)) => Ok(Json(advanced).into_response()),
        Ok(Err(error @ AdvanceError::TooFar)) => {
            Err(Problem::invalid(vec![Fault::new(format!("/{FIELD}"), error.to_string())]))
        }
        Ok(Err(error)) => Ok(failed(&error.to_string())),
        Err(error) => Ok(failed(&error.to_string())),
    }
}

/// How far the clock is to be advanced.
struct Step;

impl Body for Step {
    type Value = TimeDelta;
    type Beside<'b> = ();

    fn fields(f: &mut Object<'_>, _: Option<()>) -> Option<TimeDelta> {
        let seconds = f.required(FIELD, number(0..=ADVANCE_SECONDS_MAX), "Seconds.")?;
        // In range by the check above; times have milliseconds here.
        seconds
            .times_rounded_up(1_000)
            .and_then(|millis| i64::try_from(millis).ok())
            .map(TimeDelta::milliseconds)
    }
}

fn failed(error: &str) -> Response {
    tracing::error!(error, "cannot advance the clock");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the clock could not be advanced; see the log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::extract::{FromRequest, Request};
    use axum::http::header;

    async fn read(body: &str) -> Result<TimeDelta, Problem> {
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        JsonText::from_request(request, &()).await?.read::<Step>(())
    }

    #[tokio::test]
    async fn steps_are_read() {
        for (body, expect) in [
            (r#"{"advanceSeconds": 0}"#, TimeDelta::zero()),
            (r#"{"advanceSeconds": 1.5}"#, TimeDelta::milliseconds(1500)),
            (r#"{"advanceSeconds": 2592000}"#, TimeDelta::days(30)),
        ] {
            assert_eq!(read(body).await.unwrap(), expect, "{body}");
        }
    }

    #[tokio::test]
    async fn faults_name_the_field() {
        for (body, pointer) in [
            ("", ""),
            ("[]", ""),
            ("{}", "/advanceSeconds"),
            (r#"{"advanceSeconds": -1}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": "60"}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": 1e12}"#, "/advanceSeconds"),
            (r#"{"advanceSeconds": 1, "to": 2}"#, "/to"),
        ] {
            let problem = read(body).await.unwrap_err();
            let problem = serde_json::to_value(problem.body()).unwrap();
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        }
    }
}
