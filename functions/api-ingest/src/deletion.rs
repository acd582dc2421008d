//! Deleting what others are created below, while they may be created ([`rules::parent`]).

use crate::problem::Problem;
use crate::{ApiContext, activity_types, notification_types, reminders, solutions};
use rules::names::Tenant;
use shared::tenancy::{Actor, ParentKind};

/// Deletes `parent` of `tenant`, unless something is below it that needs it: looked for first, so that nobody waits for that
/// answer, and once more when whatever was being created is there.
///
/// # Errors
/// 404 without it; 409 if something needs it, or if it was used or changed meanwhile.
pub async fn delete(
    context: &ApiContext,
    actor: &Actor,
    tenant: &Tenant,
    parent: ParentKind,
) -> Result<(), Problem> {
    refuse_while_needed(context, tenant, &parent).await?;
    let deletion = context.tenancy.begin_deletion(tenant, parent.clone()).await?;
    context.tenancy.wait_for_creators().await;
    if let Err(refused) = refuse_while_needed(context, tenant, &parent).await {
        // If this fails, the next that is created below it removes the mark, or the next deletion takes it over.
        if let Err(error) = context.tenancy.cancel_deletion(&deletion).await {
            tracing::warn!(%tenant, %error, "the mark of a refused deletion was not removed");
        }
        return Err(refused);
    }
    Ok(context.tenancy.finish_deletion(actor, &deletion).await?)
}

async fn refuse_while_needed(
    context: &ApiContext,
    tenant: &Tenant,
    parent: &ParentKind,
) -> Result<(), Problem> {
    match parent {
        ParentKind::Solution => solutions::refuse_while_waiting(context, tenant).await,
        ParentKind::ActivityType(name) => activity_types::refuse_while_needed(context, tenant, name).await,
        ParentKind::NotificationType(name) => {
            notification_types::refuse_while_pending(context, tenant, name).await
        }
        ParentKind::ReminderConfiguration => {
            reminders::configuration::refuse_while_waiting(context, tenant).await
        }
    }
}
