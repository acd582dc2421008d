//! What handlers need.

use crate::http::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;
use rules::names::Tenant;
use rules::notification::MAX_RETRIES_DEFAULT;
use rules::slots::Shares;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::publisher::Publisher;
use shared::slots::{Pool, RequestPlaces};
use shared::table::keys;
use shared::telemetry::Metrics;
use shared::tenancy::{AcceptedSecret, Solution};
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

/// What handlers need: the context of every function, the admin key's hash, and what publishes notifications.
#[derive(Clone)]
pub struct ApiContext {
    context: Context,
    pub(crate) admin_key: AcceptedSecret,
    /// Whether reminders have a Dialog service where their configuration names none.
    pub(crate) has_dialog_service: bool,
    /// What publishes notifications, where they are served.
    publisher: Option<Publisher>,
    /// Places for requests that call receivers.
    pub(crate) places: RequestPlaces,
    max_retries: u32,
    pub(crate) metrics: Metrics,
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

    /// What publishes notifications.
    ///
    /// # Errors
    /// 500 where notifications are not served.
    pub(crate) fn publisher(&self) -> Result<&Publisher, Problem> {
        self.publisher
            .as_ref()
            .ok_or_else(|| Problem::internal("this router has no way out for notifications"))
    }

    /// `maxRetries` of notification types that do not say.
    pub(crate) fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// A solution, from the cache.
    ///
    /// # Errors
    /// 404 without it.
    pub(crate) async fn solution(&self, tenant: &Tenant) -> Result<Arc<Solution>, Problem> {
        self.tenancy.solution(tenant).await?.ok_or_else(|| Problem::not_found("solution"))
    }

    /// A solution, read past the cache: for changes of what is left of it when it is deleted, which must not come
    /// back to life.
    ///
    /// # Errors
    /// 404 without it.
    pub(crate) async fn solution_now(&self, tenant: &Tenant) -> Result<Arc<Solution>, Problem> {
        self.tenancy.solution_fresh(tenant).await?.ok_or_else(|| Problem::not_found("solution"))
    }
}

impl FromRequestParts<ApiContext> for ApiContext {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, context: &ApiContext) -> Result<Self, Infallible> {
        Ok(context.clone())
    }
}

impl AsRef<Context> for ApiContext {
    fn as_ref(&self) -> &Context {
        &self.context
    }
}

impl Deref for ApiContext {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.context
    }
}
