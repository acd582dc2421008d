//! `S/server-state`: pausing and resuming a solution (SPEC §3).

use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::openapi::{self, Change, Read};
use crate::http::{Answer, JsonText, Object, answer, body, parsed, text};
use rules::names::Tenant;
use serde::Serialize;
use shared::tenancy::{Actor, Changed, ServerState, Solution};
use utoipa::ToSchema;

/// Most characters of a reason.
const REASON_MAX_CHARS: usize = 1_024;

body! {
    /// The state wanted.
    pub struct ServerStateBody = server_state(()) -> (ServerState, Option<String>);
}

/// The state, and why.
fn server_state(f: &mut Object<'_>, _: Option<()>) -> Option<(ServerState, Option<String>)> {
    let state = f.required("serverState", parsed::<ServerState>(), "`running` or `paused`.");
    let reason = f.optional("reason", text(REASON_MAX_CHARS), "Why; for the audit log.");
    Some((state?, reason))
}

/// The state of a solution.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStateView {
    /// `running` or `paused`.
    #[schema(value_type = openapi::schemas::State)]
    server_state: &'static str,
    /// Why, in the words of whoever said so last.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
}

impl ServerStateView {
    fn of(solution: &Solution) -> Self {
        Self {
            server_state: solution.server_state.as_str(),
            reason: solution.state_reason.clone(),
            since: answer::time(solution.state_since),
        }
    }
}

/// Pauses or resumes a solution. Paused, nothing of it is sent, nothing is lost and nothing counts as
/// an attempt; resumed, what is overdue goes out at once. In effect everywhere within 5 seconds. The state
/// that it has already, with another reason, records the reason.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/server-state", operation_id = "putServerState", tag = "solutions",
    request_body = ServerStateBody,
    responses((status = 200, body = ServerStateView), Change)
)]
pub async fn put(context: ApiContext, InSolution { actor, tenant }: InSolution, body: JsonText) -> Answer {
    set(&context, &actor, &tenant, body.read::<ServerStateBody>(())?).await
}

/// Sets the state wanted.
///
/// # Errors
/// 404 without the solution.
pub async fn set(
    context: &ApiContext,
    actor: &Actor,
    tenant: &Tenant,
    (server_state, reason): (ServerState, Option<String>),
) -> Answer {
    let changed = context.tenancy.set_server_state(actor, tenant, server_state, reason.as_deref()).await?;
    // With a new reason alone this finds nothing that is not on its way already.
    let resumed = server_state == ServerState::Running && !matches!(changed, Changed::Unchanged(_));
    if resumed && let Err(error) = shared::sweep::resume(context, tenant).await {
        // The change stands, and the sweep finds what is overdue within a minute.
        tracing::warn!(%tenant, %error, "overdue work not enqueued at once");
    }
    // Without a place they are left to the re-sender.
    if resumed
        && let Some(place) = context.places.place(&tenant.company).await
        && let Err(error) = place.during(context.publisher()?.resume(tenant)).await
    {
        tracing::warn!(%tenant, %error, "due notifications not sent at once");
    }
    Ok(answer::ok(&ServerStateView::of(&changed.into_inner())))
}

/// The state of a solution.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/server-state", operation_id = "getServerState", tag = "solutions",
    responses((status = 200, body = ServerStateView), Read)
)]
pub async fn get(context: ApiContext, InSolution { tenant, .. }: InSolution) -> Answer {
    show(&context, &tenant).await
}

/// Answers the state.
///
/// # Errors
/// 404 without the solution.
pub async fn show(context: &ApiContext, tenant: &Tenant) -> Answer {
    Ok(answer::ok(&ServerStateView::of(&*context.solution_now(tenant).await?)))
}
