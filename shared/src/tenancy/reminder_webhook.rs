//! The activity type by which a solution's reminder webhooks are sent (SPEC §6).

use super::change::When;
use super::store::Setting;
use super::{ActivityType, Actor, ChangeError, Tenancy, Verb};
use aws_sdk_dynamodb::types::TransactWriteItem;
use rules::field::FieldPath;
use rules::names::{Tenant, TypeName};

/// Its name.
pub use rules::names::ids::REMINDER_WEBHOOK;
/// The field by which the webhooks of a reminder are found again.
const REMINDER_ID: &str = "id";

impl Tenancy {
    /// Makes the type POST to `url`, which is a fixed URL. Its retries, headers and the like are its
    /// owner's to change, and stay.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table failed.
    pub async fn keep_reminder_webhook(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        url: &str,
    ) -> Result<(), ChangeError> {
        let refused = |_| ChangeError::Conflict("webhookUrl cannot be called".to_owned());
        let name = name()?;
        let uri_pattern = url.parse().map_err(refused)?;
        let object_id_ref: Vec<FieldPath> = REMINDER_ID.parse().into_iter().collect();
        let wanted = match self.fresh::<ActivityType>(&(tenant.clone(), name.clone())).await? {
            Some(found) => {
                ActivityType { verb: Verb::Post, uri_pattern, object_id_ref, ..ActivityType::clone(&found) }
            }
            None => ActivityType { object_id_ref, ..ActivityType::new(name, Verb::Post, uri_pattern) },
        };
        self.put_activity_type(actor, tenant, wanted).await.map(|_| ())
    }

    /// The write by which a configuration that needs the type does not go through without it, nor a deletion of the type
    /// that has not seen the configuration.
    ///
    /// # Errors
    /// Never: the type's name is a name.
    pub(super) fn touch_reminder_webhook(&self, tenant: &Tenant) -> Result<TransactWriteItem, ChangeError> {
        Ok(self.touch(&ActivityType::key(&(tenant.clone(), name()?)), When::Exists))
    }
}

fn name() -> Result<TypeName, ChangeError> {
    REMINDER_WEBHOOK.parse().map_err(|_| ChangeError::contended())
}
