//! `recurring-expander`: rules to activities, every minute, a look-ahead past the next run (SPEC §5, §10).

use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde_json::Value;
use shared::context::Context;
use shared::recurring::{Expanded, RecurringError, expand_due};
use shared::telemetry::Metrics;

/// How long a run goes on; what is left then is the next one's, which follows within the minute.
const RUN_TIME: TimeDelta = TimeDelta::seconds(50);

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpansionReport {
    /// Rules with something due.
    pub rules: usize,
    /// Activities created.
    pub created: usize,
    /// Occurrences skipped.
    pub skipped: u64,
    /// Whether there is more to do than this run had time for, or another run is at it.
    pub left: bool,
    /// The next occurrence beyond the look-ahead, if one was seen.
    #[serde(skip_serializing_if = "Option::is_none", with = "rules::time::rfc3339_option")]
    pub next_due_at: Option<DateTime<Utc>>,
}

/// The function.
#[derive(Clone)]
pub struct Expander {
    ctx: Context,
    metrics: Metrics,
}

impl Expander {
    /// Built once for a process.
    pub fn new(ctx: Context) -> Self {
        Self { ctx, metrics: Metrics::off() }
    }

    /// Counting what it does in `metrics`.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// One run; whatever the event says, it is the tick of a schedule.
    ///
    /// # Errors
    /// [`RecurringError`]; the next run goes on with what is left.
    pub async fn handle(&self, _event: Value) -> Result<ExpansionReport, RecurringError> {
        let deadline = self.ctx.clock.now() + RUN_TIME;
        let Expanded { rules, created, skipped, left, next_due_at } = expand_due(&self.ctx, deadline).await?;
        self.metrics.expansion(self.ctx.clock.now(), created as u64, skipped);
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
        if rules > 0 || left {
            tracing::info!(rules, created, skipped, left, "expanded");
        }
        Ok(ExpansionReport { rules, created, skipped, left, next_due_at })
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// See [`Expander::handle`].
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<ExpansionReport, Error> {
        Ok(Box::pin(self.handle(event.payload)).await?)
    }
}
