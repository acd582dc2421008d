//! Answers that are a success.

use crate::ApiContext;
use crate::problem::Problem;
use crate::query::Scope;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use shared::page::Page;
use shared::tenancy::Changed;
use utoipa::ToSchema;

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

/// 204.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Items<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A page, its cursor sealed. It ends where its items are as much as Lambda can send.
pub fn page<T, V: Serialize>(scope: &Scope, page: Page<T>, view: impl Fn(T) -> V) -> Response {
    let shown = page.fit(|item| {
        let json = serde_json::value::to_raw_value(&view(item))?;
        let bytes = sent_bytes(json.get());
        Ok::<_, serde_json::Error>((json, bytes))
    });
    match shown {
        Ok((items, next)) => ok(&Items { items, next_cursor: next.map(|next| scope.seal(&next)) }),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// The bytes of JSON as Lambda sends it: inside a string of another JSON, where quotes and backslashes are escaped.
fn sent_bytes(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count()
}

/// Where the list at `path` goes on behind `position`, if there is more.
///
/// # Errors
/// The cursor cannot be made.
pub async fn link(
    context: &ApiContext,
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
