//! Deleting a solution, and what it has in this table.

use super::change::{Commit, TRIES_MAX};
use super::found::Found;
use super::quota::Quota;
use super::store::{listing, name_in};
use super::{Actor, AuditEntry, AuditScope, ChangeError, Meta, NotificationType, Solution, Tenancy};
use rules::names::{Tenant, TypeName};
use serde_json::json;

impl Tenancy {
    /// Deletes a solution, its types, dispatch configs and reminder configuration. That no work waits in it is
    /// the caller's to see to. Its own audit log goes with it.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_solution(&self, actor: &Actor, tenant: &Tenant) -> Result<(), ChangeError> {
        self.delete_solution_at(actor, tenant, None).await
    }

    /// The same of one that is as it was when it was `marked`, where it was.
    pub(super) async fn delete_solution_at(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        marked: Option<Meta>,
    ) -> Result<(), ChangeError> {
        // Its own log goes with it.
        let scope = AuditScope::Company(tenant.company.clone());
        for _ in 0..TRIES_MAX {
            let key = Solution::key(tenant);
            let found = self.found("read solution", &key, Solution::decode).await?;
            let is_ours = |old: &Found<Solution>| old.value.as_ref().is_none_or(|old| old.tenant == *tenant);
            let Some(old) = found.filter(is_ours) else {
                return Err(ChangeError::NotFound("solution"));
            };
            old.check(marked)?;
            let now = rules::time::truncate(self.clock.now());
            let name = tenant.solution.name();
            let was = old.audited("solution", name, |old| {
                let mut was = old.audited();
                was["solution"] = json!(name);
                was
            });
            let entry = AuditEntry::new(now, actor, "solution.deleted").from(was);
            let mut writes = vec![self.delete(&key, Some(old.when())), self.audit(&scope, &entry)];
            writes.extend(self.retire_solution(tenant, now));
            let commit = self.commit("delete solution", writes).await;
            self.forget_solution(tenant);
            self.secrets.forget(tenant);
            if commit? == Commit::Applied {
                self.release(&tenant.company, Quota::Solutions, 1).await;
                self.delete_configuration(actor, tenant).await;
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }

    /// Deletes what a solution that is gone had in this table. What of it fails is removed with the solution's items.
    async fn delete_configuration(&self, actor: &Actor, tenant: &Tenant) {
        let delete = async {
            self.delete_activity_types(actor, tenant).await?;
            self.delete_dispatch_configs(actor, tenant).await?;
            match self.delete_reminder_configuration(actor, tenant).await {
                Ok(()) | Err(ChangeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            self.delete_notification_types(actor, tenant).await
        };
        if let Err(error) = delete.await {
            tracing::warn!(%tenant, %error, "configuration of a deleted solution left to the removal");
        }
    }

    /// Deletes every notification type of a solution, each with its own audit entry.
    async fn delete_notification_types(&self, actor: &Actor, tenant: &Tenant) -> Result<(), ChangeError> {
        for name in
            self.all(&listing::<NotificationType>(tenant), name_in::<NotificationType, TypeName>).await?
        {
            match self.delete_notification_type(actor, tenant, &name).await {
                Ok(()) | Err(ChangeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
