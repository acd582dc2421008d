//! Deleting a rule.

use super::{RecurringError, TRIES_MAX, audited, contended, entry, withdraw};
use crate::context::Context;
use crate::engine::StoreError;
use crate::tenancy::{Actor, AuditEntry, ChangeError, Quota};
use chrono::TimeDelta;
use rules::names::{RecurringName, Tenant};
use serde_json::json;

/// Deletes a rule, and takes back what it created ahead of its time.
///
/// # Errors
/// [`RecurringError`] without the rule, or the tables failed.
pub async fn delete(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    name: &RecurringName,
) -> Result<(), RecurringError> {
    for _ in 0..TRIES_MAX {
        let found = ctx.work.rule_record(tenant, name).await;
        if let Err(StoreError::Decode(error)) = &found {
            tracing::warn!(%error, "stored item that cannot be read is deleted");
            return delete_unreadable(ctx, actor, tenant, name).await;
        }
        let rule = found?.ok_or(ChangeError::NotFound("recurring activity"))?;
        let asked_at = rules::time::truncate(ctx.clock.now());
        // The next of this name is another incarnation.
        ctx.clock.sleep_until(rule.created_at + TimeDelta::milliseconds(1)).await;
        let now = rules::time::truncate(ctx.clock.now());
        let entry =
            AuditEntry { from: Some(audited(&rule)), ..entry(now, actor, "recurringActivity.deleted") };
        let deletes = ctx.work.rule_deletes(&rule);
        if ctx.tenancy.commit_below("delete recurring activity", tenant, &entry, deletes).await? {
            ctx.tenancy.release(&tenant.company, Quota::RecurringActivities, 1).await;
            withdraw(ctx, &rule, None, asked_at).await?;
            ctx.work.forget_skips(tenant, name).await?;
            return Ok(());
        }
    }
    Err(contended())
}

/// Deletes a rule that cannot be decoded. What it created stays, since nothing says when its occurrences are.
async fn delete_unreadable(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    name: &RecurringName,
) -> Result<(), RecurringError> {
    let now = rules::time::truncate(ctx.clock.now());
    let was = json!({"recurringActivity": name, "unreadable": true});
    let entry = AuditEntry { from: Some(was), ..entry(now, actor, "recurringActivity.deleted") };
    let deletes = ctx.work.unreadable_rule_deletes(tenant, name);
    if !ctx.tenancy.commit_below("delete recurring activity", tenant, &entry, deletes).await? {
        return Err(ChangeError::NotFound("recurring activity").into());
    }
    ctx.tenancy.release(&tenant.company, Quota::RecurringActivities, 1).await;
    Ok(ctx.work.forget_skips(tenant, name).await?)
}
