//! `log-roller`: success and dead-letter rolling, daily (SPEC §8, §10).
//!
//! A day's round may be longer than one invocation. Then word of it is left, and the second schedule, which
//! otherwise does nothing, goes on with it.

mod body;
mod expired;
mod parts;
mod read;
mod retired;
mod roll;

pub use roll::RollError;

use chrono::{DateTime, TimeDelta, Utc};
use expired::Expired;
use futures::{FutureExt, StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent};
use read::Memory;
use roll::{Progress, Rolled, Roller};
use rules::names::Tenant;
use rules::rolling::{LogKind, cutoff, overdue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::telemetry::Metrics;
use shared::tenancy::{KindEntry, SliceEntry, Solution};
use shared::turns::{After, Deadline, Share, Standing, named, names, take_turns};
use std::collections::BTreeMap;

/// How long an invocation goes on; with one batch more it stays within the function's time limit.
const RUN_TIME: TimeDelta = TimeDelta::minutes(9);
/// How long it first removes what was deleted. In a day's invocations that is nearly five hours.
const REMOVAL_TIME: TimeDelta = TimeDelta::minutes(3);
/// Solutions rolled at a time.
const SOLUTIONS_IN_FLIGHT: usize = 16;
/// Solutions and companies looked up at a time.
const LOOKS_IN_FLIGHT: usize = 16;
/// The item on which it is noted for which solutions a round is unfinished.
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
    /// Activities deleted, and reminders and notifications that were kept for their time.
    pub deleted: usize,
    /// Deletions of solutions and companies, and erasures, of which something is left to remove.
    pub deletions_left: usize,
    /// Whether the round goes on in the next invocation.
    pub left: bool,
}

/// A solution in a round.
#[derive(Default)]
struct Rolling {
    kinds: Vec<KindEntry>,
    /// Slices of types that were deleted.
    retired: Vec<SliceEntry>,
    /// Which of the rollers is at it; after them, what was kept for its time.
    stage: usize,
    expired: Expired,
    /// How far that one has come in the index.
    after: Option<String>,
    /// Whether it was looked at.
    is_rolled: bool,
    rolled: Rolled,
    error: Option<RollError>,
}

impl RollReport {
    fn note(&mut self, share: &Rolling) {
        self.solutions += usize::from(share.is_rolled);
        self.batches += share.rolled.batches;
        self.refused += share.rolled.refused;
        self.deleted += share.rolled.deleted + share.expired.removed;
    }
}

/// The function.
#[derive(Clone)]
pub struct LogRoller {
    ctx: Context,
    http: Outbound,
    metrics: Metrics,
    memory: Memory,
}

impl LogRoller {
    /// Built once for a process.
    pub fn new(ctx: Context, http: Outbound) -> Self {
        Self { ctx, http, metrics: Metrics::off(), memory: Memory::default() }
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
        let values = self.ctx.leases.values(ROUND).await?;
        let before = values.get(UNFINISHED);
        let unfinished = named(before);
        let goes_on = matches!(event, RollEvent::Continue { .. });
        if goes_on && unfinished.is_empty() {
            return Ok(RollReport { deletions_left, ..RollReport::default() });
        }
        let began = self.ctx.clock.now();
        let mut shares = self.shares().await?;
        if goes_on {
            shares.retain(|share| unfinished.contains(&share.tenant));
        }
        let turn = |tenant, share| self.turn(tenant, share, began).boxed();
        let clock = &self.ctx.clock;
        let mut until = Deadline { clock, at: began + RUN_TIME };
        let left = take_turns(clock, shares, &unfinished, SOLUTIONS_IN_FLIGHT, &mut until, turn).await;

        let mut report = RollReport { deletions_left, ..RollReport::default() };
        let mut failed = None;
        let mut remaining = Vec::new();
        for (tenant, share, standing) in left {
            report.note(&share);
            if standing != Standing::Done || share.rolled.left || share.error.is_some() {
                remaining.push((standing != Standing::Untouched, tenant));
            }
            failed = share.error.or(failed);
        }
        report.left = !remaining.is_empty();
        // Who had no turn comes first where not all names have room.
        remaining.sort_unstable();
        let after = names(remaining.iter().map(|(_, tenant)| tenant));
        if report.left || !unfinished.is_empty() {
            self.ctx.leases.leave_word(ROUND, (UNFINISHED, after)).await?;
        }
        self.metrics.rolling(self.ctx.clock.now(), report.deleted as u64, report.refused as u64);
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
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

    /// Every solution that has or had activities and runs.
    async fn shares(&self) -> Result<Vec<Share<Rolling>>, RollError> {
        let mut solutions: BTreeMap<Tenant, Rolling> = BTreeMap::new();
        for slice in self.ctx.tenancy.slices().await? {
            let of = solutions.entry(slice.tenant.clone()).or_default();
            of.kinds.push(KindEntry { kind: slice.kind.clone(), shards: slice.shards });
            of.retired.extend(Some(slice).filter(|slice| slice.retired_at.is_some()));
        }
        // Those that have reminders or notifications alone have something that is kept for its time too.
        for slice in self.ctx.tenancy.notification_slices().await? {
            solutions.entry(slice.tenant).or_default();
        }
        for configuration in self.ctx.tenancy.reminder_configurations().await? {
            solutions.entry(configuration.tenant).or_default();
        }
        let looks = solutions.into_iter().map(|(tenant, state)| async move {
            // Its turn looks again; for now it is about its place alone.
            let levels = match self.ctx.tenancy.solution(&tenant).await {
                Ok(None) => return None,
                Ok(solution) => self.ctx.tenancy.levels(&tenant, solution.as_deref()).await,
                Err(error) => Err(error),
            };
            Some(Share { tenant, levels: levels.unwrap_or_default(), state })
        });
        let shares: Vec<_> = stream::iter(looks).buffered(LOOKS_IN_FLIGHT).collect().await;
        Ok(shares.into_iter().flatten().collect())
    }

    /// One turn of a solution: a batch of one of its rollers, one after the other.
    async fn turn(&self, tenant: Tenant, mut share: Rolling, began: DateTime<Utc>) -> (Rolling, After) {
        match self.roll(&tenant, &mut share, began).await {
            Ok(after) => (share, after),
            Err(error) => {
                tracing::error!(%tenant, %error, "a solution was not rolled");
                share.error = Some(error);
                (share, After::Nothing)
            }
        }
    }

    async fn roll(
        &self,
        tenant: &Tenant,
        share: &mut Rolling,
        began: DateTime<Utc>,
    ) -> Result<After, RollError> {
        let solution = self.ctx.unreadable.leave_out(self.ctx.tenancy.solution_fresh(tenant).await)?;
        let Some(solution) = solution.flatten().filter(|solution| !solution.is_paused()) else {
            return Ok(After::Nothing);
        };
        share.is_rolled = true;
        while let Some(kind) = LogKind::ALL.get(share.stage).copied() {
            let (uri, cutoff) = self.settings(&solution, kind, began);
            if let Some(cutoff) = cutoff {
                let roller = Roller {
                    ctx: &self.ctx,
                    http: &self.http,
                    memory: &self.memory,
                    tenant,
                    kinds: &share.kinds,
                    kind,
                    uri: uri.as_deref(),
                    cutoff,
                };
                let is_first = share.after.is_none();
                if !is_first || !roller.is_idle().await? {
                    match roller.turn(&mut share.after, &mut share.rolled).await? {
                        Progress::More => return Ok(After::More),
                        Progress::Done => {}
                    }
                }
            }
            (share.stage, share.after) = (share.stage + 1, None);
        }
        if share.expired.turn(&self.ctx, tenant, began).await? {
            return Ok(After::More);
        }
        Expired::slices(&self.ctx, &solution, &share.retired).await?;
        Expired::notification_slices(&self.ctx, tenant).await?;
        Ok(After::Nothing)
    }

    /// Where what ends as `kind` is handed on, and by when it has to have ended to be due.
    fn settings(
        &self,
        solution: &Solution,
        kind: LogKind,
        now: DateTime<Utc>,
    ) -> (Option<String>, Option<DateTime<Utc>>) {
        let rolling = &solution.rolling;
        let (uri, period) = match kind {
            LogKind::Success => (&rolling.success_uri, &rolling.success_period_days),
            LogKind::DeadLetter => (&rolling.dead_letter_uri, &rolling.dead_letter_period_days),
            LogKind::Canceled => (&None, &None),
        };
        match (uri, period) {
            (Some(uri), Some(days)) => (Some(uri.clone()), cutoff(days, now)),
            // Most of it has gone by itself by then, and costs neither a read nor a write. The rest is removed.
            _ => (None, self.ctx.work.period(solution, kind).and_then(|period| overdue(period, now))),
        }
    }
}
