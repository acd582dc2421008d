//! `delivery-worker`: claims, sends and settles what is due (SPEC §9.2, §10).

mod call;
mod channel;
mod deliver;
mod gate;
mod settle;

pub use call::TIMEOUT_MAX;
pub use deliver::{EARLY_MAX, SETTLE_TIME};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use gate::Gate;
use lambda_runtime::{Error, LambdaEvent};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::queue::DueMessage;
use shared::telemetry::{AttemptRecord, CallTarget, Metrics};
use shared::work::{Record, SUCCESS};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Attempts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Attempts that succeeded.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Attempts that failed, crashed ones among them.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The function.
#[derive(Clone)]
pub struct Worker {
    ctx: Context,
    http: Outbound,
    metrics: Metrics,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
}

impl Worker {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound, metrics: Metrics) -> Self {
        let gate = Arc::new(Gate::new(ctx.clock.clone()));
        Self { ctx, http, metrics, counters: Arc::default(), gate }
    }

    /// Attempts since the start of the process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Handles a batch of messages; those that must come again are named in the answer.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let handled = join_all(event.records.into_iter().map(|message| self.message(message))).await;
        self.metrics.flush(self.ctx.clock.now());
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = handled.into_iter().flatten().collect();
        response
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// None: what failed is named in the answer.
    pub async fn invoke(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        Ok(Box::pin(self.handle(event.payload)).await)
    }

    async fn message(&self, message: SqsMessage) -> Option<BatchItemFailure> {
        let id = message.message_id.unwrap_or_default();
        let failure = match DueMessage::parse(message.body.as_deref().unwrap_or_default()) {
            Ok(due) => match self.deliver(due).await {
                Ok(()) => return None,
                Err(error) => error.to_string(),
            },
            // It will never do better, and ends in the dead-letter queue, where somebody is told.
            Err(error) => error.to_string(),
        };
        tracing::error!(message_id = id, error = failure, "message goes back to the queue");
        let mut item = BatchItemFailure::default();
        item.item_identifier = id;
        Some(item)
    }

    /// One log line and the metrics of an attempt.
    fn report(&self, record: &Record, outcome: &Outcome) {
        let counter = if outcome.word == SUCCESS { &self.counters.delivered } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let attempt = AttemptRecord {
            tenant: &record.tenant,
            id: record.id.as_str(),
            kind: &record.kind.to_string(),
            run: record.state.run,
            attempt: record.state.attempts,
            outcome: outcome.word,
            http_status: outcome.http_status,
            lateness_ms: Some(outcome.lateness_ms),
            duration_ms: outcome.duration_ms,
            target: outcome.target.as_ref(),
            retry_at: outcome.retry_at,
        };
        attempt.log();
        self.metrics.attempt(&attempt);
    }
}

/// What came of an attempt, as it is reported.
struct Outcome {
    /// [`SUCCESS`], or a failure's word.
    word: &'static str,
    http_status: Option<u16>,
    lateness_ms: i64,
    duration_ms: u32,
    /// What was called.
    target: Option<CallTarget>,
    /// When it is tried again.
    retry_at: Option<DateTime<Utc>>,
}
