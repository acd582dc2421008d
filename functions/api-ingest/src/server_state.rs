//! `S/server-state`: pausing and resuming a solution (SPEC §3).

use crate::ApiContext;
use crate::answer;
use crate::auth::InSolution;
use crate::body::JsonText;
use crate::object::Object;
use crate::openapi::{self, Change, Read};
use crate::problem::Problem;
use crate::solutions::existing_now;
use axum::extract::State;
use axum::response::Response;
use rules::names::Tenant;
use serde::Serialize;
use shared::tenancy::{Actor, Changed, ServerState, Solution};
use utoipa::ToSchema;

/// Most characters of a reason.
const REASON_MAX_CHARS: usize = 1_024;

/// The state wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ServerStateBody {
    /// `running` or `paused`.
    #[schema(value_type = openapi::schemas::State)]
    pub server_state: ServerState,
    /// Why; for the audit log.
    #[schema(min_length = 1, max_length = 1024)]
    pub reason: Option<String>,
}

impl ServerStateBody {
    /// Reads a body; faults are named in `body`.
    pub fn read(body: &mut Object<'_, '_>) -> Option<Self> {
        let server_state = body.parsed("serverState");
        let server_state = body.require("serverState", server_state);
        let reason = body.short_text("reason", REASON_MAX_CHARS);
        Some(Self { server_state: server_state?, reason })
    }
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
    params(("company" = String, Path), ("solution" = String, Path)), request_body = ServerStateBody,
    responses((status = 200, body = ServerStateView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    InSolution { actor, tenant }: InSolution,
    body: JsonText,
) -> Result<Response, Problem> {
    set(&context, &actor, &tenant, body.read(ServerStateBody::read)?).await
}

/// Sets the state wanted.
///
/// # Errors
/// 404 without the solution.
pub async fn set(
    context: &ApiContext,
    actor: &Actor,
    tenant: &Tenant,
    ServerStateBody { server_state, reason }: ServerStateBody,
) -> Result<Response, Problem> {
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
    params(("company" = String, Path), ("solution" = String, Path)),
    responses((status = 200, body = ServerStateView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
) -> Result<Response, Problem> {
    show(&context, &tenant).await
}

/// Answers the state.
///
/// # Errors
/// 404 without the solution.
pub async fn show(context: &ApiContext, tenant: &Tenant) -> Result<Response, Problem> {
    Ok(answer::ok(&ServerStateView::of(&*existing_now(context, tenant).await?)))
}
