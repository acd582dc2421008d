//! The HTTP API: every endpoint of SPEC §3 and §4, with the conventions of §2.
//!
//! Handlers are thin: parse, load, decide, commit, answer. What decides is in `rules` and `shared`; the
//! status of every refusal is in [`http::problem`].
//!
//! Layers, the lower first: [`http`] knows no resource; `context`, [`auth`], `deletion` and `parts` are what resources have in
//! common; each resource has a module of its own.

pub mod auth;
mod context;
mod deletion;
mod description;
pub mod http;
mod parts;
mod settings;

mod activities;
mod activity_results;
mod activity_types;
mod api_keys;
mod audit_log;
mod companies;
mod dispatch_configs;
mod dispatch_providers;
mod erasure;
mod notification_types;
mod notifications;
mod recurring;
mod reminder_configuration;
pub mod reminders;
mod server_state;
mod service;
mod solutions;

pub use context::ApiContext;
pub use http::faults::Fault;
pub use http::request::JsonText;
pub use settings::ApiSettings;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Router, middleware};
use http::{headers, openapi, problem};
use shared::context::Context;
use std::sync::LazyLock;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The whole API.
pub fn router(context: ApiContext) -> Router {
    // Made once in a process: the description of all endpoints is much larger than their routes.
    static ENDPOINTS: LazyLock<Router<ApiContext>> = LazyLock::new(|| {
        let (router, description) = described().split_for_parts();
        router.merge(service::documentation(description))
    });
    ENDPOINTS
        .clone()
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(Context::clone(&context), problem::record))
        .layer(middleware::from_fn_with_state(context.clone(), count))
        .layer(middleware::map_response(headers::add))
        .with_state(context)
}

/// Writes what a request had counted: after its answer Lambda may end the process.
async fn count(State(context): State<ApiContext>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    context.metrics.flush(context.clock.now());
    context.metrics.unreadable(context.clock.now(), &context.unreadable);
    response
}

/// The description of every endpoint (OpenAPI 3.1), as `GET /openapi.json` answers it.
pub fn description() -> serde_json::Value {
    openapi::complete(described().into_openapi())
}

/// Every endpoint with its description.
fn described() -> OpenApiRouter<ApiContext> {
    use activities::{act, bulk, create, find, stats};
    use activity_results::routes as results;
    use activity_types::routes as activity_types;
    use dispatch_configs::routes as dispatch_configs;
    use notifications::routes as notifications;
    use recurring::routes as recurring;
    use reminder_configuration::{operate, routes as configuration};
    use reminders::routes as reminders;
    use solutions::routes as solutions;
    OpenApiRouter::with_openapi(description::Description::openapi())
        .routes(routes!(service::health))
        .routes(routes!(companies::list))
        .routes(routes!(companies::put, companies::get, companies::delete))
        .routes(routes!(audit_log::of_company))
        .routes(routes!(api_keys::post, api_keys::list))
        .routes(routes!(api_keys::delete))
        .routes(routes!(solutions::list))
        .routes(routes!(solutions::put, solutions::get, solutions::delete))
        .routes(routes!(solutions::rotate_signing_secret))
        .routes(routes!(server_state::put, server_state::get))
        .routes(routes!(audit_log::of_solution))
        .routes(routes!(erasure::post))
        .routes(routes!(activity_types::list))
        .routes(routes!(activity_types::put, activity_types::get, activity_types::delete))
        .routes(routes!(create::post, find::list))
        .routes(routes!(create::batch))
        .routes(routes!(bulk::post))
        .routes(routes!(find::get, act::cancel))
        .routes(routes!(find::history))
        .routes(routes!(find::results))
        .routes(routes!(act::reschedule))
        .routes(routes!(act::dispatch))
        .routes(routes!(act::retry))
        .routes(routes!(stats::get))
        .routes(routes!(dispatch_providers::list))
        .routes(routes!(dispatch_configs::list))
        .routes(routes!(dispatch_configs::put, dispatch_configs::get, dispatch_configs::delete))
        .routes(routes!(results::post))
        .routes(routes!(notification_types::list))
        .routes(routes!(notification_types::put, notification_types::get, notification_types::delete))
        .routes(routes!(notifications::post, notifications::list))
        .routes(routes!(notifications::get, notifications::delete))
        .routes(routes!(notifications::history))
        .routes(routes!(notifications::resend))
        .routes(routes!(recurring::list))
        .routes(routes!(recurring::put, recurring::get, recurring::delete))
        .routes(routes!(recurring::put_state, recurring::get_state))
        .routes(routes!(recurring::preview))
        .routes(routes!(recurring::skipped))
        .routes(routes!(configuration::put, configuration::get, configuration::delete))
        .routes(routes!(operate::refresh_keys))
        .routes(routes!(operate::put_server_state, operate::get_server_state))
        .routes(routes!(operate::audit_log))
        .routes(routes!(reminders::statistics))
        .routes(routes!(reminders::list))
        .routes(routes!(reminders::put, reminders::get, reminders::cancel))
        .routes(routes!(reminders::history))
}
