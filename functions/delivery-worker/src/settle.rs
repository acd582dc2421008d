//! Settling, with patience: an attempt that was made must not count as lost because of a moment's trouble.

use chrono::TimeDelta;
use shared::context::Context;
use shared::work::{Attempt, Record, Settled, StoreError};

/// How often a settle is tried in all, beside the SDK's own tries.
const TRIES: u32 = 4;
/// The first wait before another try; it doubles. All of them are far within [`crate::deliver::SETTLE_TIME`].
const WAIT: TimeDelta = TimeDelta::milliseconds(250);

/// Settles `attempt` on `record`.
///
/// # Errors
/// [`StoreError`] after the last try: the lease runs out, and the attempt counts as crashed.
pub async fn settle(ctx: &Context, record: &Record, attempt: &Attempt<'_>) -> Result<Settled, StoreError> {
    let (mut wait, now) = (WAIT, ctx.clock.now());
    for _ in 1..TRIES {
        match ctx.work.settle(record, attempt, now).await {
            Err(StoreError::Throttled | StoreError::Unavailable(_) | StoreError::Abandoned) => {}
            settled => return settled,
        }
        ctx.clock.sleep_until(ctx.clock.now() + wait).await;
        wait = wait * 2;
    }
    ctx.work.settle(record, attempt, now).await
}
