//! Removing what deletions and erasures have ended (SPEC §3): in every invocation, so that it is gone within a day.

use crate::RollError;
use chrono::{DateTime, TimeDelta, Utc};
use shared::context::Context;
use shared::removal;
use shared::tenancy::PageRequest;

/// Deletions read at a time.
const PAGE: usize = 100;

/// Removes until `deadline`, each deletion for its share of the time that is left, so that a large one delays no other
/// by more than this. How many have something left.
///
/// # Errors
/// [`RollError`] when it cannot be read what was deleted. A deletion that fails is logged, and the others go on.
pub async fn remove(ctx: &Context, deadline: DateTime<Utc>) -> Result<usize, RollError> {
    let (mut request, mut left) = (PageRequest { after: None, limit: PAGE }, 0);
    loop {
        let page = ctx.tenancy.retired(&request).await?;
        let count = page.items.len();
        for (index, retired) in page.items.into_iter().enumerate() {
            let now = ctx.clock.now();
            let share =
                (deadline - now).max(TimeDelta::zero()) / i32::try_from(count - index).unwrap_or(i32::MAX);
            match Box::pin(removal::remove(ctx, &retired, now + share)).await {
                Ok(false) => {
                    tracing::info!(subject = %retired.subject, "deletion completed");
                }
                Ok(true) => left += 1,
                Err(error) => {
                    tracing::error!(subject = %retired.subject, %error, "deletion failed");
                    left += 1;
                }
            }
        }
        request.after = page.next;
        if request.after.is_none() || ctx.clock.now() >= deadline {
            return Ok(left);
        }
    }
}
