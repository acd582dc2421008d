//! Removes what has been kept for its time and cannot go by DynamoDB's time to live, since something lies beside it.

use crate::context::Context;
use crate::engine::Swept;
use crate::items::reminder;
use crate::removal::RemovalError;
use crate::tenancy::Shards;
use chrono::{DateTime, Utc};
use rules::names::Tenant;
use rules::rolling::overdue;

/// Removes some of a solution's published notifications and of its completed and cancelled reminders that had been kept
/// long enough by `now`, from behind the sort key `after` on.
///
/// # Errors
/// [`RemovalError`]; the same call may be made again.
pub async fn remove(
    ctx: &Context,
    tenant: &Tenant,
    now: DateTime<Utc>,
    after: Option<&str>,
) -> Result<Swept, RemovalError> {
    let retention = ctx.work.retention();
    let Some(until) = retention.and_then(|retention| overdue(retention, now)) else {
        return Ok(Swept::default());
    };
    let slices = ctx.tenancy.notification_slices_of(tenant).await?;
    let mut partitions = ctx.work.published_partitions(&slices);
    let shards = ctx.tenancy.reminder_shards(tenant).await?;
    if shards != Shards::default() {
        partitions.extend(reminder::over_partitions(tenant, shards));
    }
    Ok(ctx.work.sweep_over(partitions, until, after).await?)
}
