//! `notification-resender`: publishes again what could not be published, every 5 minutes (SPEC §7, §10).

mod cycle;
mod settings;

pub use settings::{CYCLE_DELAY_TIME_MS_DEFAULT, MAX_DOC_READ_DEFAULT, ResenderSettings};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use cycle::{Cycle, LOCK_TTL};
use futures::FutureExt;
use lambda_runtime::{Error, LambdaEvent};
use rules::qos::page_length;
use serde::Serialize;
use serde_json::Value;
use shared::context::Context;
use shared::engine::StoreError;
use shared::lease::{Lease, Values};
use shared::outbound::Outbound;
use shared::publisher::Publisher;
use shared::telemetry::Metrics;
use shared::tenancy::TenancyError;
use shared::turns::{Standing, named, names, take_turns};

/// The lock's name.
const LOCK: &str = "notification-resender";
/// Solutions that are sent for at a time. So many receivers that hang keep a cycle's turns for ten seconds; and so many
/// attempts at most, one of each solution, are lost with a sender that crashes.
pub const SOLUTIONS_IN_FLIGHT: usize = 32;
/// Most rows of what is due that are held in memory over all solutions, of 300 bytes each.
const ROWS_HELD_MAX: usize = 20_000;
/// The delay that template.yaml's schedule keeps by itself.
const SCHEDULE: TimeDelta = TimeDelta::milliseconds(CYCLE_DELAY_TIME_MS_DEFAULT as i64);
/// A tick may follow the one before by so much less: EventBridge Scheduler is precise to a minute.
const JITTER: TimeDelta = TimeDelta::seconds(60);
/// On the lock's item: when the last cycle began.
const CYCLE_AT: &str = "cycleAt";
/// On the lock's item: the solutions for which the last cycle had no turn.
const WAITING: &str = "waiting";

/// Why a cycle stopped. What it had settled is settled; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or the lock.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a cycle did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResendReport {
    /// Whether another cycle was at work, and this one did nothing.
    pub locked: bool,
    /// Solutions for which there was no turn; they come first in the next cycle.
    pub waiting: usize,
    /// Notifications read.
    pub read: usize,
    /// Of these, published.
    pub published: usize,
    /// Of these, failed once more, lost senders among them.
    pub failed: usize,
    /// Whether more are due.
    pub left: bool,
    /// When the next one is due, if none is due now.
    #[serde(skip_serializing_if = "Option::is_none", with = "rules::time::rfc3339_option")]
    pub next_due_at: Option<DateTime<Utc>>,
}

/// The function.
#[derive(Clone)]
pub struct Resender {
    ctx: Context,
    publisher: Publisher,
    metrics: Metrics,
    settings: ResenderSettings,
}

impl Resender {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound, metrics: Metrics, settings: ResenderSettings) -> Self {
        let publisher = Publisher::new(ctx.clone(), http, settings.retry_after_fudge_s);
        let publisher = publisher.with_metrics(metrics.clone());
        Self { ctx, publisher, metrics, settings }
    }

    /// One cycle; whatever the event says, it is the tick of a schedule.
    ///
    /// # Errors
    /// [`ResendError`]; the next cycle goes on where this one stopped.
    pub async fn handle(&self, _event: Value) -> Result<ResendReport, ResendError> {
        let began = self.ctx.clock.now();
        let slices = self.ctx.tenancy.notification_slices().await?;
        if slices.is_empty() {
            return Ok(ResendReport::default());
        }
        let Some(lock) = self.ctx.leases.acquire(LOCK, LOCK_TTL).await? else {
            return Ok(ResendReport { locked: true, left: true, ..ResendReport::default() });
        };
        if !self.is_time(&lock, began) {
            self.ctx.leases.release(lock, Values::new()).await?;
            return Ok(ResendReport { left: true, ..ResendReport::default() });
        }
        let shares = self.running(slices).await?;
        let waiting = named(lock.values.get(WAITING));
        let page = page_length(shares.len(), self.settings.max_doc_read as usize, ROWS_HELD_MAX);
        let turn = |_, backlog| self.turn(backlog, page, began).boxed();
        let mut cycle = Cycle { ctx: &self.ctx, lock, began, error: None };
        let clock = &self.ctx.clock;
        let left = take_turns(clock, shares, &waiting, SOLUTIONS_IN_FLIGHT, &mut cycle, turn).await;

        let mut report = ResendReport::default();
        left.iter().for_each(|(_, backlog, standing)| report.note(backlog, *standing));
        self.metrics.flush(self.ctx.clock.now());
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
        let untouched = left.iter().filter(|(_, _, standing)| *standing == Standing::Untouched);
        let values = Values::from([
            (CYCLE_AT.to_owned(), AttributeValue::N(began.timestamp_millis().to_string())),
            (WAITING.to_owned(), names(untouched.map(|(tenant, ..)| tenant))),
        ]);
        self.ctx.leases.release(cycle.lock, values).await?;
        if let Some(error) = cycle.error {
            return Err(error.into());
        }
        if report.read > 0 || report.left {
            tracing::info!(
                read = report.read,
                published = report.published,
                failed = report.failed,
                waiting = report.waiting,
                left = report.left,
                "re-sent"
            );
        }
        Ok(report)
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// See [`Resender::handle`].
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<ResendReport, Error> {
        Ok(Box::pin(self.handle(event.payload)).await?)
    }

    /// Whether `cycle_delay_time_ms` have passed, where it is longer than the schedule's own delay.
    fn is_time(&self, lock: &Lease, now: DateTime<Utc>) -> bool {
        let delay = TimeDelta::milliseconds(i64::from(self.settings.cycle_delay_time_ms));
        let last = match lock.values.get(CYCLE_AT) {
            Some(AttributeValue::N(millis)) => millis.parse().ok().and_then(DateTime::from_timestamp_millis),
            _ => None,
        };
        delay <= SCHEDULE || last.is_none_or(|last| now - last >= delay - JITTER)
    }
}
