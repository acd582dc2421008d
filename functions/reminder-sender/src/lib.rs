//! `reminder-sender`: sends reminders whose send time has come (SPEC §6, §10), every minute and when asked.

mod attempt;
mod call;
mod endpoints;
mod event;
mod groups;
mod hold;
mod manual;
mod processor;
mod scan;
mod settings;
mod webhook;

pub use attempt::{CLAIM_LEASE, Made};
pub use event::{HTTP_TIME, SenderEvent};
pub use manual::Sent;
pub use processor::{LOCK, ROUND, RunReport};
pub use settings::SenderSettings;

use api_ingest::http::base_path;
use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Error, LambdaEvent};
use rules::reminder::Outcome;
use serde_json::{Value, json};
use shared::context::Context;
use shared::engine::StoreError;
use shared::items::reminder::{Entry, Record};
use shared::outbound::Outbound;
use shared::slots::{Pool, RequestPlaces};
use shared::table::keys;
use shared::telemetry::{AttemptRecord, CallTarget, Metrics};
use shared::tenancy::TenancyError;
use shared::unreadable::ReadError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kept back of an invocation's time: for a call begun last, and for settling it.
pub const TIME_TO_FINISH: TimeDelta = TimeDelta::seconds(40);

/// Why reminders are not sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or the lock.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError for SenderError {
    fn is_unreadable(&self) -> bool {
        match self {
            SenderError::Tenancy(error) => error.is_unreadable(),
            SenderError::Store(error) => error.is_unreadable(),
        }
    }
}

impl From<webhook::WebhookError> for SenderError {
    fn from(error: webhook::WebhookError) -> Self {
        match error {
            webhook::WebhookError::Tenancy(error) => Self::Tenancy(error),
            webhook::WebhookError::Store(error) => Self::Store(error),
        }
    }
}

/// Attempts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Messages the Dialog service took.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Attempts that failed, lost ones among them.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The function.
#[derive(Clone)]
pub struct Sender {
    ctx: Context,
    http: Outbound,
    metrics: Metrics,
    settings: Arc<SenderSettings>,
    counters: Arc<Counters>,
    /// Places for requests that send one reminder.
    places: RequestPlaces,
}

impl Sender {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound, metrics: Metrics, settings: SenderSettings) -> Self {
        let pool = Pool { key: keys::manual_send_slots, shares: settings.shares, metrics: metrics.clone() };
        let places = RequestPlaces::new(pool, ctx.slots.clone());
        Self { ctx, http, metrics, settings: Arc::new(settings), counters: Arc::default(), places }
    }

    /// Attempts since the start of the process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The two endpoints, for whoever serves HTTP. Other paths are the caller's.
    pub fn routes(&self) -> Router {
        endpoints::routes(self.clone())
    }

    /// A tick of the schedule. `deadline` is when the invocation is given up.
    ///
    /// # Errors
    /// [`SenderError`]; the next run goes on where this one stopped.
    pub async fn tick(&self, deadline: DateTime<Utc>) -> Result<Option<RunReport>, SenderError> {
        Box::pin(self.run(deadline - TIME_TO_FINISH)).await
    }

    /// An invocation, as the Lambda runtime makes it: of the schedule, or of the HTTP API.
    ///
    /// # Errors
    /// See [`Sender::tick`]; an HTTP request is answered whatever happens.
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        match SenderEvent::of(event.payload)? {
            SenderEvent::Http(request) => {
                let routes = self.routes().fallback(api_ingest::http::problem::no_route);
                let routes = routes.layer(axum::middleware::map_response(api_ingest::http::headers::add));
                let routes = base_path::mounted(routes, self.settings.base_path.as_deref());
                let answer = event::answer(routes, *request).await?;
                // One that was sent by hand: after the answer Lambda may end the process.
                self.metrics.flush(self.ctx.clock.now());
                Ok(serde_json::to_value(answer)?)
            }
            SenderEvent::Schedule => {
                let deadline = i64::try_from(event.context.deadline)?;
                let deadline = rules::time::from_millis(deadline)?;
                Ok(match self.tick(deadline).await? {
                    Some(report) => serde_json::to_value(report)?,
                    None => json!({ "locked": true }),
                })
            }
        }
    }

    /// One log line and the metrics of an attempt.
    fn report(
        &self,
        record: &Record,
        entry: &Entry,
        began: DateTime<Utc>,
        target: Option<&CallTarget>,
        retry_at: Option<DateTime<Utc>>,
    ) {
        let sent = entry.outcome == Outcome::Sent;
        let counter = if sent { &self.counters.sent } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let attempt = AttemptRecord {
            tenant: &record.tenant,
            id: record.id.as_str(),
            kind: "R",
            run: 0,
            attempt: entry.attempt,
            outcome: entry.outcome.as_str(),
            http_status: entry.http_status,
            lateness_ms: Some((began - entry.send_time).num_milliseconds()),
            duration_ms: entry.duration_ms,
            target,
            retry_at,
        };
        attempt.log();
        self.metrics.attempt(&attempt);
    }
}
