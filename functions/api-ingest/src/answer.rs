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
use shared::tenancy::{Changed, Page};
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

/// A page, its cursor sealed.
pub fn page<T, V: Serialize>(
    context: &ApiContext,
    scope: &Scope,
    page: Page<T>,
    view: impl Fn(T) -> V,
) -> Response {
    let next_cursor = page.next.map(|next| scope.seal(context, &next));
    ok(&Items { items: page.items.into_iter().map(view).collect(), next_cursor })
}

/// A time as answers have it.
pub fn time(at: DateTime<Utc>) -> String {
    rules::time::format(at)
}
