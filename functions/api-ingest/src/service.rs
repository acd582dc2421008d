//! What needs no key: health, and the description of the API.

use crate::ApiContext;
use crate::answer;
use crate::openapi::Open;
use crate::problem::Problem;
use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
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

/// `GET /openapi.json`, and `GET /docs` that shows it; both from what is compiled in.
pub fn documentation(description: OpenApi) -> Router<ApiContext> {
    let text: axum::body::Bytes = description.to_json().unwrap_or_default().into();
    let document = move || {
        let text = text.clone();
        async move { ([(CONTENT_TYPE, "application/json")], text).into_response() }
    };
    let page = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::new(["/openapi.json"]));
    // Of a file that it does not have the page says so in its own way.
    let page = Router::from(page).layer(map_response(|response: Response| async {
        match response.status() {
            StatusCode::NOT_FOUND => Problem::not_found("path").into_response(),
            _ => response,
        }
    }));
    Router::new().route("/openapi.json", get(document)).merge(page)
}
