//! The HTTP API: every endpoint of SPEC §3 and §4, with the conventions of §2.
//!
//! Handlers are thin: parse, load, decide, commit, answer. What decides is in `rules` and `shared`; the
//! status of every refusal is in [`problem`].

pub mod problem;

mod activities;
mod activity_types;
mod answer;
mod api_keys;
mod audit_log;
mod auth;
mod body;
mod companies;
mod dispatch_config_body;
mod dispatch_configs;
mod dispatch_providers;
mod faults;
mod idempotency;
mod json;
mod notification_types;
mod notifications;
mod object;
mod openapi;
mod query;
mod recurring;
mod reschedule_rules;
mod server_state;
mod service;
mod settings;
mod solutions;
mod type_headers;

pub use settings::ApiSettings;

use axum::{Router, middleware};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::publisher::Publisher;
use shared::tenancy::SecretHash;
use std::ops::Deref;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What handlers need: the context of every function, the admin key's hash, and what publishes notifications.
#[derive(Clone)]
pub struct ApiContext {
    context: Context,
    admin_key: SecretHash,
    publisher: Publisher,
    max_retries: u32,
}

impl ApiContext {
    /// Publishes through `http`. Of the admin key, which opens everything, only the hash is kept.
    pub fn new(context: Context, http: Outbound, settings: &ApiSettings) -> Self {
        let publisher = Publisher::new(context.clone(), http, settings.retry_after_fudge_s);
        let admin_key = SecretHash::of(&settings.admin_key);
        Self { context, admin_key, publisher, max_retries: settings.max_retries }
    }

    fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// `maxRetries` of notification types that do not say.
    fn max_retries(&self) -> u32 {
        self.max_retries
    }
}

impl Deref for ApiContext {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.context
    }
}

/// The whole API.
pub fn router(context: ApiContext) -> Router {
    let (router, description) = described().split_for_parts();
    router
        .merge(service::documentation(description))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(context.clone(), problem::record))
        .with_state(context)
}

/// Every endpoint with its description.
fn described() -> OpenApiRouter<ApiContext> {
    use activities::{act, bulk, create, find, results, stats};
    OpenApiRouter::with_openapi(openapi::Description::openapi())
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
        .routes(routes!(activity_types::list))
        .routes(routes!(activity_types::put, activity_types::get, activity_types::delete))
        .routes(routes!(create::post, find::list))
        .routes(routes!(create::batch))
        .routes(routes!(bulk::post))
        .routes(routes!(find::get, act::cancel))
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
        .routes(routes!(notifications::resend))
        .routes(routes!(recurring::list))
        .routes(routes!(recurring::put, recurring::get, recurring::delete))
        .routes(routes!(recurring::put_state, recurring::get_state))
        .routes(routes!(recurring::preview))
        .routes(routes!(recurring::skipped))
}
