//! Audit logs: of a solution (SPEC §3), and of a company with its keys.

use crate::ApiContext;
use crate::auth::{InCompany, InSolution};
use crate::http::openapi::Read;
use crate::http::{Answer, Items, Listing, Problem, answer};
use serde::Serialize;
use serde_json::Value;
use shared::tenancy::{AuditEntry, AuditScope};
use utoipa::ToSchema;

/// One change of configuration. Never holds a secret.
#[derive(Serialize, ToSchema)]
pub struct AuditEntryView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `admin`, or `key:` and the id of a company's API key.
    actor: String,
    /// What was done.
    #[schema(example = "serverState.changed")]
    action: String,
    /// What was before; null for what was made.
    from: Option<Value>,
    /// What is now; null for what was deleted.
    to: Option<Value>,
    /// Why, in the actor's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl AuditEntryView {
    fn of(entry: AuditEntry) -> Self {
        let AuditEntry { at, actor, action, from, to, reason } = entry;
        Self { at: answer::time(at), actor: actor.to_string(), action, from, to, reason }
    }
}

/// What was changed in a solution, newest first. That the solution was deleted is in its company's log.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/audit-log", operation_id = "listSolutionAuditLog", tag = "solutions",
    responses((status = 200, body = Items<AuditEntryView>), Read)
)]
pub async fn of_solution(
    context: ApiContext,
    InSolution { tenant, .. }: InSolution,
    list: Listing,
) -> Answer {
    show(&context, &list, &AuditScope::Solution(tenant), "solution").await
}

/// What was changed of a company and its API keys, and which solutions were deleted, newest first.
#[utoipa::path(
    get, path = "/v1/companies/{company}/audit-log", operation_id = "listCompanyAuditLog", tag = "companies",
    responses((status = 200, body = Items<AuditEntryView>), Read)
)]
pub async fn of_company(context: ApiContext, InCompany { company, .. }: InCompany, list: Listing) -> Answer {
    show(&context, &list, &AuditScope::Company(company), "company").await
}

/// A page of a log.
///
/// # Errors
/// 404 for the log of nothing.
pub async fn show(context: &ApiContext, list: &Listing, whose: &AuditScope, what: &str) -> Answer {
    let page = context.tenancy.audit_log(whose, &list.request).await?;
    // Whatever exists was made, and that was audited: an empty log is that of nothing.
    if page.items.is_empty() && list.after().is_none() {
        return Err(Problem::not_found(what));
    }
    Ok(list.show(page, AuditEntryView::of))
}
