//! Settling, until the lease ends: an attempt that was made must not count as lost because DynamoDB throttles.

use shared::context::Context;
use shared::engine::patience::BRIEFLY;
use shared::engine::{Settled, StoreError};
use shared::items::activity::{Attempt, Record};

/// Settles `attempt` on `record`, trying for as long as nobody else may take the lease for lost.
///
/// # Errors
/// [`StoreError`] after the last try: the lease runs out, and the attempt counts as crashed.
pub async fn settle(
    ctx: &Context,
    record: &Record,
    attempt: &Attempt<'_>,
) -> Result<Settled<Record>, StoreError> {
    let now = ctx.clock.now();
    // Without a claim it is settled already, as one try will tell. The margin is the time of a try.
    let until = record.state.claim.as_ref().map_or(now, |claim| claim.lease_until - BRIEFLY);
    ctx.patience.until(until, || ctx.work.settle(record, attempt, now)).await
}
