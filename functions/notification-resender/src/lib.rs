//! `notification-resender`: publishes again what could not be published, every 5 minutes (SPEC §7, §10).

mod settings;

pub use settings::{CYCLE_DELAY_TIME_MS_DEFAULT, MAX_DOC_READ_DEFAULT, ResenderSettings};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Error, LambdaEvent};
use rules::names::Tenant;
use serde::Serialize;
use serde_json::Value;
use shared::context::Context;
use shared::lease::{Lease, Values};
use shared::outbound::Outbound;
use shared::publisher::{PublishError, Publisher, Turn};
use shared::tenancy::{NotificationSlice, TenancyError};
use shared::work::StoreError;
use std::collections::HashMap;

/// The lock's name.
const LOCK: &str = "notification-resender";
/// How long the lock holds without renewal: more than one turn takes, and less than a cycle, so that the
/// next cycle is not kept out by a sender that was lost.
const LOCK_TTL: TimeDelta = TimeDelta::seconds(60);
/// How long a cycle goes on; with one turn more it stays within the function's time limit.
const CYCLE_TIME: TimeDelta = TimeDelta::seconds(240);
/// The delay that template.yaml's schedule keeps by itself.
const SCHEDULE: TimeDelta = TimeDelta::milliseconds(CYCLE_DELAY_TIME_MS_DEFAULT as i64);
/// A tick may come so much early.
const JITTER: TimeDelta = TimeDelta::seconds(30);
/// On the lock's item: when the last cycle began.
const CYCLE_AT: &str = "cycleAt";

/// Why a cycle stopped. What it had settled is settled; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or the lock.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One notification.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a cycle did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResendReport {
    /// Whether another cycle was at work, and this one did nothing.
    pub locked: bool,
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
    settings: ResenderSettings,
}

impl Resender {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound, settings: ResenderSettings) -> Self {
        let publisher = Publisher::new(ctx.clone(), http, settings.retry_after_fudge_s);
        Self { ctx, publisher, settings }
    }

    /// One cycle; whatever the event says, it is the tick of a schedule.
    ///
    /// # Errors
    /// [`ResendError`]; the next cycle goes on where this one stopped.
    pub async fn handle(&self, _event: Value) -> Result<ResendReport, ResendError> {
        let began = self.ctx.clock.now();
        let slices = self.running(self.ctx.tenancy.notification_slices().await?).await?;
        let limit = self.settings.max_doc_read as usize;
        let due = self.ctx.work.due_notifications(&slices, began, limit).await?;
        let mut report = ResendReport { next_due_at: due.next_due_at, ..ResendReport::default() };
        if due.items.is_empty() {
            return Ok(report);
        }
        let Some(mut lock) = self.ctx.leases.acquire(LOCK, LOCK_TTL).await? else {
            return Ok(ResendReport { locked: true, left: true, ..report });
        };
        report.left = due.left;
        if !self.is_time(&lock, began) {
            self.ctx.leases.release(lock, Values::new()).await?;
            return Ok(ResendReport { left: true, ..report });
        }
        for notification in due.items {
            // One after the other, so that one that crashes its sender takes no other's attempt along.
            if self.ctx.clock.now() - began > CYCLE_TIME || !self.hold(&mut lock).await? {
                report.left = true;
                break;
            }
            report.read += 1;
            let (tenant, id) = (notification.tenant.clone(), notification.id.clone());
            match self.publisher.turn(notification).await {
                Ok(Turn::Published) => report.published += 1,
                Ok(Turn::Failed) => report.failed += 1,
                Ok(Turn::NotOurs) => {}
                // One that cannot be handled must not keep the others from their turn.
                Err(error) => {
                    tracing::error!(%tenant, id = id.as_str(), %error, "notification not handled");
                    report.left = true;
                }
            }
        }
        let cycle_at = AttributeValue::N(began.timestamp_millis().to_string());
        self.ctx.leases.release(lock, Values::from([(CYCLE_AT.to_owned(), cycle_at)])).await?;
        tracing::info!(
            read = report.read,
            published = report.published,
            failed = report.failed,
            left = report.left,
            "re-sent"
        );
        Ok(report)
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// See [`Resender::handle`].
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<ResendReport, Error> {
        Ok(Box::pin(self.handle(event.payload)).await?)
    }

    /// Leaves out what belongs to paused solutions: it stays due, and nothing counts as an attempt.
    async fn running(&self, slices: Vec<NotificationSlice>) -> Result<Vec<NotificationSlice>, TenancyError> {
        let mut running: HashMap<Tenant, bool> = HashMap::new();
        for slice in &slices {
            if !running.contains_key(&slice.tenant) {
                let solution = self.ctx.tenancy.solution(&slice.tenant).await?;
                running.insert(slice.tenant.clone(), solution.is_some_and(|solution| !solution.is_paused()));
            }
        }
        Ok(slices.into_iter().filter(|slice| running[&slice.tenant]).collect())
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

    /// Holds the lock on; `false` if it is another's now.
    async fn hold(&self, lock: &mut Lease) -> Result<bool, StoreError> {
        if lock.until - self.ctx.clock.now() > LOCK_TTL / 2 {
            return Ok(true);
        }
        self.ctx.leases.renew(lock, LOCK_TTL).await
    }
}
