//! What is counted against a company's quota when it is made ([`Quota`]): a place is reserved before, and given back
//! where nothing was made.

use super::quota::{Quota, made};
use super::{Actor, ChangeError, Changed, KeyCreated, NewApiKey, Rolling, Solution, Tenancy};
use rules::names::Tenant;
use zeroize::Zeroizing;

impl Tenancy {
    /// Makes or replaces the settings of the solution that has the tenant's name; its server state and its secrets
    /// stay. The signing secret of a new one is answered this once. One of a name that was deleted just now is made
    /// after a few seconds.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without its company, or the table or KMS failed.
    pub async fn put_solution(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        qos_level: u32,
        rolling: Rolling,
    ) -> Result<(Changed<Solution>, Option<Zeroizing<String>>), ChangeError> {
        let mut place = self.place(&tenant.company, Quota::Solutions);
        let changed = self.write_solution(actor, tenant, qos_level, rolling, &mut place).await;
        place.settle(made(changed.as_ref().map(|(changed, _)| changed))).await;
        changed
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without its company, [`ChangeError::Conflict`] if another request
    /// has used its id, or the table failed.
    pub async fn create_api_key(&self, actor: &Actor, new: &NewApiKey) -> Result<KeyCreated, ChangeError> {
        let mut place = self.place(&new.company, Quota::ApiKeys);
        let created = self.write_api_key(actor, new, &mut place).await;
        let made = match &created {
            Ok(created) => Some(matches!(created, KeyCreated::New(..))),
            Err(ChangeError::Tenancy(_)) => None,
            Err(_) => Some(false),
        };
        place.settle(made).await;
        created
    }
}
