//! One solution in a cycle: what of it is due, and its turns.

use crate::{ResendError, ResendReport, Resender};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use rules::names::Tenant;
use shared::context::Context;
use shared::engine::StoreError;
use shared::lease::Lease;
use shared::publisher::Turn;
use shared::tenancy::NotificationSlice;
use shared::turns::{After, Share, Standing, Until};
use std::collections::{BTreeMap, VecDeque};

/// Solutions and companies looked up at a time.
const LOOKS_IN_FLIGHT: usize = 16;
/// How long the lock holds without renewal: more than one turn takes, and less than a cycle, so that the
/// next cycle is not kept out by a sender that was lost.
pub(crate) const LOCK_TTL: TimeDelta = TimeDelta::seconds(60);
/// How long a cycle goes on; with one turn more it stays within the function's time limit.
const CYCLE_TIME: TimeDelta = TimeDelta::seconds(240);

/// A cycle has its time, and goes on while its lock is its own.
pub(crate) struct Cycle<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) lock: Lease,
    pub(crate) began: DateTime<Utc>,
    /// The lock could not be renewed.
    pub(crate) error: Option<StoreError>,
}

impl Until for Cycle<'_> {
    fn may_begin(&mut self) -> BoxFuture<'_, bool> {
        async move {
            let now = self.ctx.clock.now();
            let is_held = self.lock.until - now > LOCK_TTL / 2
                || self.ctx.leases.renew(&mut self.lock, LOCK_TTL).await.unwrap_or_else(|error| {
                    self.error = Some(error);
                    false
                });
            is_held && now - self.began <= CYCLE_TIME
        }
        .boxed()
    }
}

/// What of a solution is due, as far as it was read, and what its turns came to.
#[derive(Default)]
pub(crate) struct Backlog {
    slices: Vec<NotificationSlice>,
    /// Keys of the items that come next.
    rows: VecDeque<String>,
    /// The sort key up to which the index was read.
    after: Option<String>,
    /// Rows read so far.
    taken: usize,
    published: usize,
    failed: usize,
    sent: usize,
    /// Whether more is due than was read.
    left: bool,
    /// Whether something could not be read or handled.
    has_failed: bool,
    next_due_at: Option<DateTime<Utc>>,
}

impl ResendReport {
    /// Adds what a solution's turns came to.
    pub(crate) fn note(&mut self, backlog: &Backlog, standing: Standing) {
        self.read += backlog.sent;
        self.published += backlog.published;
        self.failed += backlog.failed;
        self.waiting += usize::from(standing == Standing::Untouched);
        self.left |= backlog.left || backlog.has_failed || standing != Standing::Done;
        self.next_due_at = self.next_due_at.into_iter().chain(backlog.next_due_at).min();
    }
}

impl Resender {
    /// The solutions that run, with what of them is to be read. What belongs to paused ones stays due, and nothing
    /// counts as an attempt.
    pub(crate) async fn running(
        &self,
        slices: Vec<NotificationSlice>,
    ) -> Result<Vec<Share<Backlog>>, ResendError> {
        let mut solutions: BTreeMap<Tenant, Vec<NotificationSlice>> = BTreeMap::new();
        for slice in slices {
            solutions.entry(slice.tenant.clone()).or_default().push(slice);
        }
        let looks = solutions.into_iter().map(|(tenant, slices)| async move {
            let solution = self.ctx.unreadable.leave_out(self.ctx.tenancy.solution(&tenant).await)?;
            let solution = solution.flatten().filter(|solution| !solution.is_paused());
            let Some(solution) = solution else { return Ok(None) };
            let levels = self.ctx.tenancy.levels(&tenant, Some(&solution)).await?;
            let state = Backlog { slices, ..Backlog::default() };
            Ok::<_, ResendError>(Some(Share { tenant, levels, state }))
        });
        let shares: Vec<_> = stream::iter(looks).buffered(LOOKS_IN_FLIGHT).try_collect().await?;
        Ok(shares.into_iter().flatten().collect())
    }

    /// Sends the oldest that is due of a solution. Of one solution one goes out after the other, so that one that crashes
    /// its sender takes no other attempt of its solution along.
    pub(crate) async fn turn(
        &self,
        mut backlog: Backlog,
        page: usize,
        began: DateTime<Utc>,
    ) -> (Backlog, After) {
        if backlog.rows.is_empty()
            && let Err(error) = self.read(&mut backlog, page, began).await
        {
            tracing::error!(%error, "notifications of a solution not read");
            backlog.has_failed = true;
            return (backlog, After::Nothing);
        }
        let Some(pk) = backlog.rows.pop_front() else { return (backlog, After::Nothing) };
        backlog.sent += 1;
        match self.publisher.turn(&pk).await {
            Ok(Turn::Published) => backlog.published += 1,
            Ok(Turn::Failed) => backlog.failed += 1,
            Ok(Turn::NotOurs) => {}
            // One that cannot be handled must not keep the others from their turn.
            Err(error) => {
                tracing::error!(notification = pk, %error, "notification not handled");
                backlog.has_failed = true;
            }
        }
        let may_have_more = backlog.left && backlog.taken < self.settings.max_doc_read as usize;
        let after = if backlog.rows.is_empty() && !may_have_more { After::Nothing } else { After::More };
        (backlog, after)
    }

    /// Reads the next page of what was due when the cycle began, as far as the solution's `max_doc_read` goes.
    async fn read(&self, backlog: &mut Backlog, page: usize, began: DateTime<Utc>) -> Result<(), StoreError> {
        let limit = page.min((self.settings.max_doc_read as usize).saturating_sub(backlog.taken));
        let after = backlog.after.as_deref();
        let due = self.ctx.work.due_notifications(&backlog.slices, after, began, limit).await?;
        backlog.taken += due.rows.len();
        backlog.after = due.rows.last().map(|(sort, _)| sort.clone());
        backlog.rows = due.rows.into_iter().map(|(_, pk)| pk).collect();
        backlog.left = due.left;
        backlog.next_due_at = due.next_due_at;
        Ok(())
    }
}
