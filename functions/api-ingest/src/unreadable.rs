//! `DELETE` of a stored item that this version cannot read: it is removed, whatever it was.

use crate::ApiContext;
use crate::answer;
use crate::problem::Problem;
use axum::response::Response;
use rules::names::Tenant;
use shared::items::activity::Removed;

/// Removes the item `pk` of the work table with all that belongs to it, and answers 204.
///
/// # Errors
/// 409 while a worker holds it.
pub async fn removed(context: &ApiContext, tenant: &Tenant, pk: &str) -> Result<Response, Problem> {
    match context.work.remove(tenant, pk, false).await? {
        Removed::Gone => {
            tracing::warn!(key = pk, "stored item that cannot be read was removed");
            Ok(answer::nothing())
        }
        Removed::InFlight => Err(Problem::conflict("it is in flight; try again in a few minutes")),
    }
}
