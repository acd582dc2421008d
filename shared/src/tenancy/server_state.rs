//! Pausing and resuming a solution (SPEC §3).

use super::change::{Commit, TRIES_MAX};
use super::{Actor, AuditEntry, AuditScope, ChangeError, Changed, Solution, Tenancy};
use rules::names::Tenant;
use serde_json::json;

/// Whether anything of a solution is sent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = rules::names::UnknownName, parse_err_fn = refused_server_state)]
pub enum ServerState {
    /// What is due is sent.
    Running,
    /// Nothing is sent, nothing is lost, nothing counts as an attempt.
    Paused,
}

impl ServerState {
    /// Every state.
    pub const ALL: [ServerState; 2] = [ServerState::Running, ServerState::Paused];

    /// The name as SPEC §3 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_server_state(_: &str) -> rules::names::UnknownName {
    rules::names::UnknownName("must be running or paused")
}

impl Tenancy {
    /// Pauses or resumes a solution. Setting the state it has changes nothing, but for a new reason:
    /// that is recorded.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table failed.
    pub async fn set_server_state(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        state: ServerState,
        reason: Option<&str>,
    ) -> Result<Changed<Solution>, ChangeError> {
        let scope = AuditScope::Solution(tenant.clone());
        for _ in 0..TRIES_MAX {
            let Some(old) = self.solution_fresh(tenant).await? else {
                return Err(ChangeError::NotFound("solution"));
            };
            let same_state = old.server_state == state;
            if same_state && (reason.is_none() || reason == old.state_reason.as_deref()) {
                return Ok(Changed::Unchanged(Solution::clone(&old)));
            }
            let now = rules::time::truncate(self.clock.now());
            let (since, action) = match same_state {
                true => (old.state_since, "serverState.reasonChanged"),
                false => (now, "serverState.changed"),
            };
            let new = Solution {
                server_state: state,
                state_reason: reason.map(str::to_owned),
                state_since: since,
                meta: old.meta.changed(now),
                ..Solution::clone(&old)
            };
            let entry = AuditEntry {
                reason: new.state_reason.clone(),
                ..AuditEntry::new(now, actor, action)
                    .from(Some(json!(old.server_state.as_str())))
                    .to(json!(state.as_str()))
            };
            if self.replace_solution(&old, &new, self.audit(&scope, &entry)).await? == Commit::Applied {
                return Ok(Changed::Replaced(new));
            }
        }
        Err(ChangeError::contended())
    }
}
