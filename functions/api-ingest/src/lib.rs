//! The HTTP API: every endpoint of SPEC §3 and §4, with the conventions of §2.
//!
//! Handlers are thin: parse, load, decide, commit, answer. What decides is in `rules` and `shared`; the
//! status of every refusal is in [`problem`].

pub mod problem;

mod activities;
mod activity_types;
pub mod answer;
mod api_keys;
mod audit_log;
pub mod auth;
pub mod base_path;
mod body;
mod companies;
mod deletion;
mod dispatch_config_body;
mod dispatch_configs;
mod dispatch_providers;
mod erase;
pub mod faults;
pub mod headers;
mod idempotency;
mod json;
mod notification_types;
mod notifications;
mod object;
mod openapi;
pub mod query;
mod recurring;
pub mod reminders;
mod reschedule_rules;
mod server_state;
mod service;
mod settings;
mod solutions;
mod type_headers;
mod unreadable;

pub use body::JsonText;
pub use faults::Fault;
pub use settings::ApiSettings;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Router, middleware};
use problem::Problem;
use rules::notification::MAX_RETRIES_DEFAULT;
use rules::slots::Shares;
use shared::context::Context;
use shared::engine::keys;
use shared::outbound::Outbound;
use shared::publisher::Publisher;
use shared::slots::{Pool, RequestPlaces};
use shared::telemetry::Metrics;
use shared::tenancy::AcceptedSecret;
use std::ops::Deref;
use std::sync::LazyLock;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What handlers need: the context of every function, the admin key's hash, and what publishes notifications.
#[derive(Clone)]
pub struct ApiContext {
    context: Context,
    admin_key: AcceptedSecret,
    /// Whether reminders have a Dialog service where their configuration names none.
    has_dialog_service: bool,
    /// What publishes notifications, where they are served.
    publisher: Option<Publisher>,
    /// Places for requests that call receivers.
    places: RequestPlaces,
    max_retries: u32,
    metrics: Metrics,
}

impl ApiContext {
    /// The secret that `admin_key` accepts opens everything.
    pub fn new(context: Context, admin_key: impl Into<AcceptedSecret>) -> Self {
        let pool = Pool { key: keys::request_slots, shares: None, metrics: Metrics::off() };
        Self {
            places: RequestPlaces::new(pool, context.slots.clone()),
            context,
            admin_key: admin_key.into(),
            has_dialog_service: false,
            publisher: None,
            max_retries: MAX_RETRIES_DEFAULT,
            metrics: Metrics::off(),
        }
    }

    /// With a Dialog service for reminder configurations that name none (`DialogServiceUri`).
    pub fn with_dialog_service(self, uri: Option<&str>) -> Self {
        Self { has_dialog_service: uri.is_some(), ..self }
    }

    /// With a way out for notifications. `max_retries` is that of types that do not say, `retry_after_fudge_s`
    /// the wait before the first re-send.
    pub fn with_notifications(self, http: Outbound, max_retries: u32, retry_after_fudge_s: u32) -> Self {
        let publisher = Publisher::new(self.context.clone(), http, retry_after_fudge_s);
        Self { publisher: Some(publisher), max_retries, ..self }
    }

    /// With a share for each company of the requests that call receivers, or none to hold.
    pub fn with_shares(self, shares: Option<Shares>) -> Self {
        Self { places: self.places.with_shares(shares), ..self }
    }

    /// Counting the notifications it publishes in `metrics`. To be called after [`Self::with_notifications`].
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        let publisher = self.publisher.map(|publisher| publisher.with_metrics(metrics.clone()));
        Self { publisher, places: self.places.with_metrics(metrics.clone()), metrics, ..self }
    }

    fn publisher(&self) -> Result<&Publisher, Problem> {
        self.publisher
            .as_ref()
            .ok_or_else(|| Problem::internal("this router has no way out for notifications"))
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
        .layer(middleware::from_fn_with_state(context.clone(), problem::record))
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
    use activities::{act, bulk, create, find, results, stats};
    use reminders::{configuration, operate};
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
        .routes(routes!(erase::post))
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
        .routes(routes!(reminders::find::statistics))
        .routes(routes!(reminders::find::list))
        .routes(routes!(reminders::put::put, reminders::find::get, reminders::find::cancel))
        .routes(routes!(reminders::find::history))
}
