//! Answers that are a success.

use crate::http::cursor::Scope;
use crate::http::problem::Problem;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use rules::names::Tenant;
use serde::Serialize;
use shared::context::Context;
use shared::tenancy::Changed;
use std::fmt::Display;

/// What a handler answers.
pub type Answer = Result<Response, Problem>;

/// A JSON answer.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// 200.
pub fn ok(value: &impl Serialize) -> Response {
    json(StatusCode::OK, value)
}

/// 201 with where it is found.
pub fn created(location: &str, value: &impl Serialize) -> Response {
    let mut response = json(StatusCode::CREATED, value);
    // Paths of names and ids are visible ASCII.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 201 if a `PUT` created, 200 if it replaced or found all as it should be (SPEC §2).
pub fn put<T, V: Serialize>(location: &str, changed: Changed<T>, view: impl FnOnce(T) -> V) -> Response {
    match changed {
        Changed::Created(value) => created(location, &view(value)),
        Changed::Replaced(value) | Changed::Unchanged(value) => ok(&view(value)),
    }
}

/// 200 with what was found.
///
/// # Errors
/// 404 without it.
pub fn found<T, V: Serialize>(found: Option<T>, what: &str, view: impl FnOnce(T) -> V) -> Answer {
    found.map(|found| ok(&view(found))).ok_or_else(|| Problem::not_found(what))
}

/// Where something below a solution is found.
pub fn path(tenant: &Tenant, rest: impl Display) -> String {
    format!("/v1/companies/{}/solutions/{}/{rest}", tenant.company, tenant.solution.name())
}

/// 204.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Where the list at `path` goes on behind `position`, if there is more.
///
/// # Errors
/// The cursor cannot be made.
pub async fn link(
    context: &Context,
    path: &str,
    position: Option<String>,
) -> Result<Option<String>, Problem> {
    let Some(position) = position else { return Ok(None) };
    let scope = Scope::of_path(context, path).await?;
    Ok(Some(format!("{path}?cursor={}", scope.seal(&position))))
}

/// A time as answers have it.
pub fn time(at: DateTime<Utc>) -> String {
    rules::time::format(at)
}
