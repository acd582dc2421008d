//! Changes of dispatch configs, and how their credentials come to be sealed.

use super::change::{Commit, When};
use super::dispatch_config::purpose;
use super::store::{Decision, Setting, listing, name_in};
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, DispatchConfig, Meta, NewDispatchConfig, Shards,
    SliceEntry, Tenancy, TenancyError,
};
use crate::dispatch::Credentials;
use rules::names::{Channel, Kind, Tenant};
use serde_json::json;
use std::sync::Arc;

impl Tenancy {
    /// Makes or replaces a config, and with it the slice of the due index.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table or KMS failed.
    pub async fn put_dispatch_config(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: NewDispatchConfig,
    ) -> Result<Changed<DispatchConfig>, ChangeError> {
        let channel = wanted.channel;
        let (kind, id, wanted) = (&Kind::Channel(channel), (tenant.clone(), channel), &wanted);
        let decide = async |old: Option<Arc<DispatchConfig>>| {
            let old = old.as_deref();
            let kept = match old {
                Some(old) => self.same_credentials(tenant, old, wanted).await,
                None => None,
            };
            let changed = kept.is_none();
            let credentials = match kept {
                Some(sealed) => sealed,
                None => self.seal_credentials(tenant, channel, &wanted.provider, &wanted.credentials).await?,
            };
            let registered = self.registered_shards(tenant, kind).await?;
            let had = old.map_or(Shards::default(), |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards);
            let new = DispatchConfig {
                channel,
                id: old.map_or_else(|| self.config_id(channel), |old| old.id.clone()),
                provider: wanted.provider.clone(),
                base_url: wanted.base_url.clone(),
                credential_keys: wanted.credentials.keys().map(str::to_owned).collect(),
                credentials,
                settings: wanted.settings.clone(),
                is_active: wanted.is_active,
                shards,
                meta: old.map_or_else(Meta::default, |old| old.meta),
            };
            if registered.is_some() && old == Some(&new) {
                return Ok(None);
            }
            let slice = SliceEntry { tenant: tenant.clone(), kind: kind.clone(), shards, retired_at: None };
            let beside = vec![self.put(slice.encode(), None)];
            Ok(Some(Decision { new, beside, note: Some(("credentialsChanged", json!(changed))) }))
        };
        let scope = AuditScope::Solution(tenant.clone());
        self.change(actor, (scope, &id), decide).await
    }

    /// Deletes a config. That no work waits for it is the caller's to see to; its slice stays, retired.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_dispatch_config(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        channel: Channel,
    ) -> Result<(), ChangeError> {
        let kind = &Kind::Channel(channel);
        let retire = async |old: Option<DispatchConfig>, now| {
            self.retire_slice(tenant, kind, old.map(|old| old.shards), now).await
        };
        let id = (AuditScope::Solution(tenant.clone()), &(tenant.clone(), channel));
        self.discard(actor, id, None, retire).await
    }

    /// Deletes every config of a solution, each with its own audit entry.
    pub(super) async fn delete_dispatch_configs(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(), ChangeError> {
        for channel in
            self.all(&listing::<DispatchConfig>(tenant), name_in::<DispatchConfig, Channel>).await?
        {
            match self.delete_dispatch_config(actor, tenant, channel).await {
                Ok(()) | Err(ChangeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Seals a config's credentials anew where they are sealed in an earlier way; what is sealed stays
    /// readable throughout, for functions of this version and of the one before. Whether it did.
    ///
    /// # Errors
    /// [`ChangeError`] if the table or KMS failed; the config is as good as before.
    pub async fn reseal_dispatch_config(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        config: &DispatchConfig,
    ) -> Result<bool, ChangeError> {
        if self.envelope.is_current(&config.credentials) {
            return Ok(false);
        }
        let credentials = self.dispatch_credentials(tenant, config).await?;
        let sealed = self.seal_credentials(tenant, config.channel, &config.provider, &credentials).await?;
        let now = rules::time::truncate(self.clock.now());
        let new = DispatchConfig { credentials: sealed, meta: config.meta.changed(now), ..config.clone() };
        let entry = AuditEntry::new(now, actor, "dispatchConfig.resealed").to(new.audited());
        let writes = vec![
            self.put(new.encode(&(tenant.clone(), config.channel))?, Some(When::Unchanged(config.meta))),
            self.audit(&AuditScope::Solution(tenant.clone()), &entry),
        ];
        let commit = self.commit("reseal dispatch config", writes).await;
        self.dispatch_configs.forget(&(tenant.clone(), config.channel));
        // Lost to a change, which has sealed them anew itself or leaves it to the next read.
        Ok(commit? == Commit::Applied)
    }

    /// The sealed credentials of `old`, if they are those wanted and sealed as they are today.
    async fn same_credentials(
        &self,
        tenant: &Tenant,
        old: &DispatchConfig,
        wanted: &NewDispatchConfig,
    ) -> Option<String> {
        if old.provider != wanted.provider || !self.envelope.is_current(&old.credentials) {
            return None;
        }
        // What cannot be opened is replaced.
        let known = self.dispatch_credentials(tenant, old).await.ok()?;
        (known == wanted.credentials).then(|| old.credentials.clone())
    }

    async fn seal_credentials(
        &self,
        tenant: &Tenant,
        channel: Channel,
        provider: &str,
        credentials: &Credentials,
    ) -> Result<String, TenancyError> {
        Ok(self.envelope.seal(tenant, &purpose(channel, provider), &credentials.to_json()).await?)
    }

    fn config_id(&self, channel: Channel) -> String {
        let random = u32::from_le_bytes(self.entropy.bytes());
        format!("{channel}-{random:08x}")
    }
}
