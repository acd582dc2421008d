//! Removing what deletions and erasures have ended (SPEC §3): in every invocation, so that it is gone within a day.

use crate::RollError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use shared::context::Context;
use shared::removal;
use shared::tenancy::PageRequest;

/// On the round's item: behind which deletion the next pass begins.
const REMOVED_TO: &str = "removedTo";
/// Deletions read at a time.
const PAGE: usize = 100;

/// Removes until `deadline`, each deletion for its share of the time that is left, so that a large one delays no other
/// by more than this. How many have something left.
///
/// # Errors
/// [`RollError`] when it cannot be read what was deleted. A deletion that fails is logged, and the others go on.
pub async fn remove(ctx: &Context, deadline: DateTime<Utc>) -> Result<usize, RollError> {
    let values = ctx.leases.values(crate::ROUND).await?;
    let began = values.get(REMOVED_TO).and_then(|name| name.as_s().ok()).filter(|name| !name.is_empty());
    let (mut request, mut left) = (PageRequest { after: began.cloned(), limit: PAGE }, 0);
    // Behind the last name it goes on with the first, up to where it began.
    let (mut is_wrapped, mut last) = (began.is_none(), None);
    let removed_to = 'pass: loop {
        let page = ctx.tenancy.retired(&request).await?;
        let count = page.items.len();
        for (index, retired) in page.items.into_iter().enumerate() {
            let (now, name) = (ctx.clock.now(), retired.subject.to_string());
            if is_wrapped && began.is_some_and(|began| name > *began) {
                break 'pass None;
            }
            if now >= deadline {
                left += count - index;
                break 'pass last;
            }
            last = Some(name);
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
        match request.after {
            None if is_wrapped => break None,
            None => is_wrapped = true,
            Some(_) => {}
        }
    };
    // Where there was no time for any, the next pass begins as this one did.
    let removed_to = if left > 0 { removed_to.or_else(|| began.cloned()) } else { None }.unwrap_or_default();
    if began.map_or("", String::as_str) != removed_to {
        ctx.leases.leave_word(crate::ROUND, (REMOVED_TO, AttributeValue::S(removed_to))).await?;
    }
    Ok(left)
}
