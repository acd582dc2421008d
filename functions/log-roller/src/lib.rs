//! `log-roller`: success and dead-letter rolling, daily (SPEC §8, §10).
//!
//! A day's round may be longer than one invocation. Then word of it is left, and the second schedule, which
//! otherwise does nothing, goes on with it.

mod body;
mod retired;
mod roll;

pub use roll::RollError;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent};
use roll::{Rolled, Roller};
use rules::names::Tenant;
use rules::rolling::{LogKind, cutoff};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::telemetry::Metrics;
use shared::tenancy::{KindEntry, Solution};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long an invocation goes on; with one batch more it stays within the function's time limit.
const RUN_TIME: TimeDelta = TimeDelta::minutes(9);
/// How long it first removes what was deleted. In a day's invocations that is nearly five hours.
const REMOVAL_TIME: TimeDelta = TimeDelta::minutes(3);
/// Solutions rolled at a time.
const SOLUTIONS_IN_FLIGHT: usize = 8;
/// The item on which word of an unfinished round is left.
const ROUND: &str = "log-roller";
const UNFINISHED: &str = "unfinished";

/// What invokes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum RollEvent {
    /// The second schedule: go on, if a round is unfinished.
    Continue {
        /// Always true.
        r#continue: bool,
    },
    /// The daily schedule, whatever it says: a new round.
    Daily(Value),
}

/// What an invocation did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollReport {
    /// Solutions looked at; paused ones are not.
    pub solutions: usize,
    /// Batches that were acknowledged.
    pub batches: usize,
    /// Batches that were not; their activities are kept for the next day's round.
    pub refused: usize,
    /// Activities deleted.
    pub deleted: usize,
    /// Deletions of solutions and companies, and erasures, of which something is left to remove.
    pub deletions_left: usize,
    /// Whether the round goes on in the next invocation.
    pub left: bool,
}

/// The function.
#[derive(Clone)]
pub struct LogRoller {
    ctx: Context,
    http: Outbound,
    metrics: Metrics,
}

impl LogRoller {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound) -> Self {
        Self { ctx, http, metrics: Metrics::off() }
    }

    /// Counting what it does in `metrics`.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// A round, or what is left of one.
    ///
    /// # Errors
    /// [`RollError`] of one solution, after all have been rolled; the next invocation goes on with it.
    pub async fn handle(&self, event: RollEvent) -> Result<RollReport, RollError> {
        let deletions_left = retired::remove(&self.ctx, self.ctx.clock.now() + REMOVAL_TIME).await?;
        let unfinished = self.ctx.leases.values(ROUND).await?.get(UNFINISHED) == Some(&yes());
        if matches!(event, RollEvent::Continue { .. }) && !unfinished {
            return Ok(RollReport { deletions_left, ..RollReport::default() });
        }
        let deadline = self.ctx.clock.now() + RUN_TIME;
        let mut report = RollReport { deletions_left, ..RollReport::default() };
        let mut failed = None;
        let solutions: Vec<_> = self
            .solutions()
            .await?
            .into_iter()
            .map(|(tenant, kinds)| self.roll(tenant, kinds, deadline))
            .collect();
        let mut solutions = stream::iter(solutions).buffer_unordered(SOLUTIONS_IN_FLIGHT);
        while let Some(rolled) = solutions.next().await {
            match rolled {
                Ok(None) => {}
                Ok(Some(rolled)) => {
                    report.solutions += 1;
                    report.batches += rolled.batches;
                    report.refused += rolled.refused;
                    report.deleted += rolled.deleted;
                    report.left |= rolled.left;
                }
                Err(error) => {
                    tracing::error!(%error, "a solution was not rolled");
                    report.left = true;
                    failed = Some(error);
                }
            }
        }
        if report.left != unfinished {
            let word = if report.left { yes() } else { AttributeValue::Bool(false) };
            self.ctx.leases.leave_word(ROUND, (UNFINISHED, word)).await?;
        }
        self.metrics.rolling(self.ctx.clock.now(), report.deleted as u64, report.refused as u64);
        tracing::info!(
            solutions = report.solutions,
            batches = report.batches,
            refused = report.refused,
            deleted = report.deleted,
            left = report.left,
            "rolled"
        );
        failed.map_or(Ok(report), Err)
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// See [`LogRoller::handle`].
    pub async fn invoke(&self, event: LambdaEvent<RollEvent>) -> Result<RollReport, Error> {
        Ok(Box::pin(self.handle(event.payload)).await?)
    }

    /// Every solution that has or had activities, with its kinds.
    async fn solutions(&self) -> Result<BTreeMap<Tenant, Vec<KindEntry>>, RollError> {
        let mut solutions: BTreeMap<Tenant, Vec<KindEntry>> = BTreeMap::new();
        for slice in self.ctx.tenancy.slices().await? {
            let kind = KindEntry { kind: slice.kind, shards: slice.shards };
            solutions.entry(slice.tenant).or_default().push(kind);
        }
        Ok(solutions)
    }

    /// Both rollers of a solution, one after the other; `None` if it is gone or paused.
    async fn roll(
        &self,
        tenant: Tenant,
        kinds: Vec<KindEntry>,
        deadline: DateTime<Utc>,
    ) -> Result<Option<Rolled>, RollError> {
        let solution = self.ctx.tenancy.solution_fresh(&tenant).await?;
        let Some(solution) = solution.filter(|solution| !solution.is_paused()) else { return Ok(None) };
        let mut total = Rolled::default();
        for kind in LogKind::ALL {
            let (uri, cutoff) = self.settings(&solution, kind);
            // Without a period what is finished is kept for good.
            let Some(cutoff) = cutoff else { continue };
            let roller = Roller {
                ctx: &self.ctx,
                http: &self.http,
                tenant: &tenant,
                kinds: &kinds,
                kind,
                uri: uri.as_deref(),
                cutoff,
                deadline,
            };
            let rolled = roller.run().await?;
            total.batches += rolled.batches;
            total.refused += rolled.refused;
            total.deleted += rolled.deleted;
            total.left |= rolled.left;
        }
        Ok(Some(total))
    }

    fn settings(&self, solution: &Arc<Solution>, kind: LogKind) -> (Option<String>, Option<DateTime<Utc>>) {
        let rolling = &solution.rolling;
        let (uri, period) = match kind {
            LogKind::Success => (&rolling.success_uri, &rolling.success_period_days),
            LogKind::DeadLetter => (&rolling.dead_letter_uri, &rolling.dead_letter_period_days),
        };
        (uri.clone(), period.as_ref().and_then(|days| cutoff(days, self.ctx.clock.now())))
    }
}

fn yes() -> AttributeValue {
    AttributeValue::Bool(true)
}
