//! `delivery-worker`: claims, sends and settles what is due (SPEC §9.2, §10).

mod call;
mod channel;
mod deliver;
mod gate;
mod settings;
mod settle;
mod share;

pub use call::TIMEOUT_MAX;
pub use deliver::{EARLY_MAX, SETTLE_TIME};
pub use settings::WorkerSettings;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use gate::Gate;
use lambda_runtime::{Error, LambdaEvent};
use rules::names::CompanyName;
use rules::slots::Shares;
use share::Message;
use shared::context::Context;
use shared::engine::SUCCESS;
use shared::items::activity::Record;
use shared::outbound::Outbound;
use shared::queue::DueMessage;
use shared::slots::Pool;
use shared::table::keys;
use shared::telemetry::{AttemptRecord, CallTarget, Metrics};
use std::collections::BTreeMap;
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
    /// How many workers a company may have.
    pool: Pool,
}

impl Worker {
    /// Built once for a process. A company may have the default share of the workers.
    pub fn new(ctx: Context, http: Outbound, metrics: Metrics) -> Self {
        let gate = Arc::new(Gate::new(ctx.clock.clone()));
        let shares = WorkerSettings::default_shares();
        let pool = Pool { key: keys::worker_slots, shares, metrics: metrics.clone() };
        Self { ctx, http, metrics, counters: Arc::default(), gate, pool }
    }

    /// With another share, or none to hold.
    pub fn with_shares(mut self, shares: Option<Shares>) -> Self {
        self.pool.shares = shares;
        self
    }

    /// Another instance in the same process, as local mode has one for each invocation at a time: it holds slots of its
    /// own. Gate, connections and caches are the process's, since one machine has them once.
    pub fn another_instance(&self) -> Self {
        Self { ctx: self.ctx.of_another_instance(), ..self.clone() }
    }

    /// Attempts since the start of the process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Handles a batch of messages; those that must come again are named in the answer.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let mut failed = Vec::new();
        let mut companies: BTreeMap<CompanyName, Vec<Message>> = BTreeMap::new();
        for message in event.records {
            let id = message.message_id.unwrap_or_default();
            match DueMessage::parse(message.body.as_deref().unwrap_or_default()) {
                Ok((body, due)) => {
                    companies.entry(body.company.clone()).or_default().push(Message { id, body, due });
                }
                // It fails every time, and ends in the dead-letter queue, which has an alarm.
                Err(error) => failed.push((id, error.to_string())),
            }
        }
        let handled = companies.into_iter().map(|(company, messages)| self.company(company, messages));
        let handled = join_all(handled).await.into_iter().flatten();
        failed.extend(handled.map(|(id, error)| (id, error.to_string())));
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
        self.metrics.flush(self.ctx.clock.now());
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed.into_iter().map(|(id, error)| returned(id, error)).collect();
        response
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// None: what failed is named in the answer.
    pub async fn invoke(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        Ok(Box::pin(self.handle(event.payload)).await)
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

/// A message that failed, by its id: SQS delivers it again.
fn returned(id: String, error: String) -> BatchItemFailure {
    tracing::error!(message_id = id, error, "message goes back to the queue");
    let mut item = BatchItemFailure::default();
    item.item_identifier = id;
    item
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
