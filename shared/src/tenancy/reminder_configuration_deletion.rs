//! Deleting a reminder configuration: it stays, retired, since it says where its reminders are.

use super::change::{Commit, TRIES_MAX};
use super::found::Found;
use super::reminder_configuration::WHAT;
use super::{Actor, AuditEntry, AuditScope, ChangeError, Meta, ReminderConfiguration, Tenancy};
use rules::names::Tenant;

impl Tenancy {
    /// Deletes a configuration. That no reminder waits in it is the caller's to see to.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_reminder_configuration(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(), ChangeError> {
        self.delete_reminder_configuration_at(actor, tenant, None).await
    }

    /// The same of one that is as it was when it was `marked`, where it was.
    pub(super) async fn delete_reminder_configuration_at(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        marked: Option<Meta>,
    ) -> Result<(), ChangeError> {
        let key = ReminderConfiguration::key(tenant);
        for _ in 0..TRIES_MAX {
            let found =
                self.found("read reminder configuration", &key, ReminderConfiguration::decode).await?;
            let is_there = |old: &Found<ReminderConfiguration>| !ReminderConfiguration::is_retired(&old.item);
            let Some(old) = found.filter(is_there) else { return Err(ChangeError::NotFound(WHAT)) };
            old.check(marked)?;
            let now = rules::time::truncate(self.clock.now());
            let retired = match &old.value {
                Some(old) => old.retired(now),
                None => {
                    let revision = old.meta().revision + 1;
                    let meta = Meta { revision, ..Meta::new(now) };
                    let (shards, secret) = (self.shards_in(&old.item), self.new_reminder_secret());
                    ReminderConfiguration::remains(tenant, shards, &secret, meta)
                }
            };
            let name = tenant.solution.name();
            let was = old.audited("configurationId", name, ReminderConfiguration::audited);
            let entry = AuditEntry::new(now, actor, "reminderConfiguration.deleted").from(was);
            let writes = vec![
                self.put(retired.encode(), Some(old.when())),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            let commit = self.commit("delete reminder configuration", writes).await;
            self.reminders.forget(tenant);
            if commit? == Commit::Applied {
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }
}
