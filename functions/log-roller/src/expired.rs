//! What has been kept for its time and did not go by DynamoDB's time to live, since something lies beside it (SPEC §8):
//! reminders, notifications with a history, and slices of deleted types. Activities have their rollers.

use crate::RollError;
use chrono::{DateTime, Utc};
use rules::names::Tenant;
use rules::rolling::LogKind;
use shared::context::Context;
use shared::expiry;
use shared::tenancy::{KindEntry, SliceEntry, Solution};

/// How far the removal of a solution's has come.
#[derive(Default)]
pub struct Expired {
    /// The sort key behind which it goes on.
    after: Option<String>,
    /// Items removed.
    pub removed: usize,
}

impl Expired {
    /// Removes some of what had been kept long enough by `now`; whether there may be more.
    ///
    /// # Errors
    /// [`RollError`]; the next round goes on.
    pub async fn turn(
        &mut self,
        ctx: &Context,
        tenant: &Tenant,
        now: DateTime<Utc>,
    ) -> Result<bool, RollError> {
        let step = expiry::remove(ctx, tenant, now, self.after.as_deref()).await?;
        self.removed += step.removed;
        self.after = step.after;
        Ok(self.after.is_some())
    }

    /// Removes the registrations of notification types that were deleted and of which nothing is left.
    ///
    /// # Errors
    /// [`RollError`]; the next round goes on.
    pub async fn notification_slices(ctx: &Context, tenant: &Tenant) -> Result<(), RollError> {
        for slice in ctx.tenancy.notification_slices_of(tenant).await? {
            let found = ctx.tenancy.notification_type(tenant, &slice.name).await;
            let is_there = ctx.unreadable.leave_out(found)?.is_none_or(|found| found.is_some());
            let one = std::slice::from_ref(&slice);
            if !is_there
                && !ctx.work.has_notifications(one).await?
                && ctx.tenancy.remove_retired_notification_slice(&slice, ctx.clock.now()).await?
            {
                tracing::info!(%tenant, kind = %slice.name, "slice of a deleted type removed");
            }
        }
        Ok(())
    }

    /// Removes the slices of types that were deleted so long ago that nothing of theirs is left.
    ///
    /// # Errors
    /// [`RollError`]; the next round goes on.
    pub async fn slices(ctx: &Context, solution: &Solution, retired: &[SliceEntry]) -> Result<(), RollError> {
        // None where something is kept for good, or has to be handed on first: then its kind is needed for good too.
        let periods = LogKind::ALL.map(|kind| ctx.work.period(solution, kind));
        let longest = periods.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        for slice in retired {
            let kind = KindEntry { kind: slice.kind.clone(), shards: slice.shards };
            if slice.is_over(longest, ctx.clock.now())
                && !ctx.work.has_waiting(&slice.tenant, &[kind]).await?
                && ctx.tenancy.remove_retired_slice(slice).await?
            {
                tracing::info!(tenant = %slice.tenant, kind = %slice.kind, "slice of a deleted type removed");
            }
        }
        Ok(())
    }
}
