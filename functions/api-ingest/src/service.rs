//! What needs no key: health, and the description of the API.

use crate::ApiContext;
use crate::http::openapi::{self, Open};
use crate::http::{Problem, answer, headers};
use axum::Router;
use axum::body::Bytes;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Serialize;
use std::sync::{Arc, LazyLock};
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

/// The service answers.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the service answers.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "service", security(()), responses((status = 200, body = Health), Open))]
pub async fn health() -> Response {
    answer::ok(&Health { status: "ok" })
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getDescription", tag = "service", security(()),
    responses((status = 200, body = serde_json::Value), Open)
)]
#[allow(dead_code, reason = "describes what `documentation` serves")]
pub fn document() {}

/// This description for people: a page that needs nothing from elsewhere. It is at `/docs/`.
#[utoipa::path(
    get, path = "/docs", operation_id = "getDocumentation", tag = "service", security(()),
    responses(
        (status = 303),
        (status = 200, content_type = "text/html", body = String, description = "The page, where the redirect is followed"),
        Open
    )
)]
#[allow(dead_code, reason = "describes what `documentation` serves")]
pub fn page() {}

/// `GET /openapi.json`, and `GET /docs` that shows it; both from what is compiled in. The text is made when
/// it is first asked for: a function that starts cold has other things to do.
pub fn documentation(description: OpenApi) -> Router<ApiContext> {
    let text = Arc::new(LazyLock::new(|| Bytes::from(openapi::complete(description).to_string())));
    let document = move || {
        let text = Bytes::clone(&text);
        async move { ([(CONTENT_TYPE, "application/json")], text) }
    };
    // By itself the page asks a validator elsewhere for a badge, and tells it where this API is.
    // Relative, so that the page finds it below a base path too.
    let config = utoipa_swagger_ui::Config::new(["../openapi.json"]).validator_url("none");
    let page = SwaggerUi::new("/docs").config(config);
    // Of a file that it does not have the page says so in its own way.
    let page = Router::from(page).layer(map_response(|mut response: Response| async {
        if response.status() == StatusCode::NOT_FOUND {
            return Problem::not_found("path").into_response();
        }
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, headers::DOCUMENTATION);
        response
    }));
    Router::new().route("/openapi.json", get(document)).merge(page)
}
