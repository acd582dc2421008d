//! Deleting what others are created below, while they may be created ([`rules::parent`]), and what cannot be read.

use crate::ApiContext;
use crate::http::{Answer, Problem, answer};
use rules::names::Tenant;
use shared::items::activity::Removed;
use shared::tenancy::{Actor, ParentKind};

/// Deletes `parent` of `tenant`, unless something is below it that needs it, which `refuse` looks for: first, so that nobody
/// waits for that answer, and once more when whatever was being created is there.
///
/// # Errors
/// 404 without it; 409 if something needs it, or if it was used or changed meanwhile.
pub async fn delete<Refused: Future<Output = Result<(), Problem>>>(
    context: &ApiContext,
    actor: &Actor,
    tenant: &Tenant,
    parent: ParentKind,
    refuse: impl Fn() -> Refused,
) -> Result<(), Problem> {
    refuse().await?;
    let deletion = context.tenancy.begin_deletion(tenant, parent).await?;
    context.tenancy.wait_for_creators().await;
    if let Err(refused) = refuse().await {
        // If this fails, the next that is created below it removes the mark, or the next deletion takes it over.
        if let Err(error) = context.tenancy.cancel_deletion(&deletion).await {
            tracing::warn!(%tenant, %error, "the mark of a refused deletion was not removed");
        }
        return Err(refused);
    }
    Ok(context.tenancy.finish_deletion(actor, &deletion).await?)
}

/// Removes the item `pk`, which this version cannot read, of the work table with all that belongs to it, and answers 204.
///
/// # Errors
/// 409 while a worker holds it.
pub async fn remove_unreadable(context: &ApiContext, tenant: &Tenant, pk: &str) -> Answer {
    match context.work.remove(tenant, pk, false).await? {
        Removed::Gone => {
            tracing::warn!(key = pk, "stored item that cannot be read was removed");
            Ok(answer::nothing())
        }
        Removed::InFlight => Err(Problem::conflict("it is in flight; try again in a few minutes")),
    }
}
