//! Changes of dispatch configs, and how their credentials come to be sealed.

use super::change::{Commit, TRIES_MAX, When};
use super::dispatch_config::{WHAT, purpose};
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, DispatchConfig, Meta, NewDispatchConfig, Shards,
    SliceEntry, Solution, Tenancy, TenancyError,
};
use crate::dispatch::Credentials;
use rules::names::{Channel, Kind, Tenant};
use serde_json::json;

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
        let scope = AuditScope::Solution(tenant.clone());
        let channel = wanted.channel;
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            let old = self.dispatch_config_fresh(tenant, channel).await?;
            let kept = match &old {
                Some(old) => self.same_credentials(tenant, old, &wanted).await,
                None => None,
            };
            let same_credentials = kept.is_some();
            let sealed = match kept {
                Some(sealed) => sealed,
                None => self.seal_credentials(tenant, channel, &wanted.provider, &wanted.credentials).await?,
            };
            let kind = Kind::Channel(channel);
            let registered = self.registered_shards(tenant, &kind).await?;
            let had = old.as_ref().map_or(Shards::default(), |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards);
            let (id, meta, when, action) = match &old {
                Some(old) => {
                    let when = When::Unchanged(old.meta);
                    (old.id.clone(), old.meta.changed(now), when, "dispatchConfig.updated")
                }
                None => (self.config_id(channel), Meta::new(now), When::Absent, "dispatchConfig.created"),
            };
            let new = DispatchConfig {
                channel,
                id,
                provider: wanted.provider.clone(),
                base_url: wanted.base_url.clone(),
                credential_keys: wanted.credentials.keys().map(str::to_owned).collect(),
                credentials: sealed,
                settings: wanted.settings.clone(),
                is_active: wanted.is_active,
                shards,
                meta,
            };
            if let Some(old) = &old
                && registered.is_some()
                && **old == (DispatchConfig { meta: old.meta, ..new.clone() })
            {
                return Ok(Changed::Unchanged(DispatchConfig::clone(old)));
            }
            let mut audited = new.audited();
            audited["credentialsChanged"] = json!(!same_credentials);
            let entry = AuditEntry::new(now, actor, action)
                .from(old.as_deref().map(DispatchConfig::audited))
                .to(audited);
            let slice = SliceEntry { tenant: tenant.clone(), kind, shards, retired_at: None };
            let mut writes = vec![
                self.put(new.encode(tenant)?, Some(when)),
                self.put(slice.encode(), None),
                self.audit(&scope, &entry),
            ];
            if old.is_none() {
                if self.solution_fresh(tenant).await?.is_none() {
                    return Err(ChangeError::NotFound("solution"));
                }
                writes.push(self.touch(&Solution::key(tenant), When::Exists));
            }
            let commit = self.commit("write dispatch config", writes).await;
            self.dispatch_configs.forget(&(tenant.clone(), channel));
            if commit? == Commit::Applied {
                return Ok(if old.is_some() { Changed::Replaced(new) } else { Changed::Created(new) });
            }
        }
        Err(ChangeError::contended())
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
        for _ in 0..TRIES_MAX {
            let key = DispatchConfig::key(tenant, channel);
            let Some(old) = self.found("read dispatch config", &key, DispatchConfig::decode).await? else {
                return Err(ChangeError::NotFound(WHAT));
            };
            let now = rules::time::truncate(self.clock.now());
            let was = old.audited("channel", channel, DispatchConfig::audited);
            let entry = AuditEntry::new(now, actor, "dispatchConfig.deleted").from(was);
            let kind = Kind::Channel(channel);
            let shards = match &old.value {
                Some(old) => old.shards,
                None => self.registered_shards(tenant, &kind).await?.unwrap_or(self.shards),
            };
            let slice = SliceEntry { tenant: tenant.clone(), kind, shards, retired_at: Some(now) };
            let writes = vec![
                self.delete(&key, Some(old.when())),
                self.put(slice.encode(), None),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            let commit = self.commit("delete dispatch config", writes).await;
            self.dispatch_configs.forget(&(tenant.clone(), channel));
            if commit? == Commit::Applied {
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }

    /// Deletes every config of a solution, each with its own audit entry.
    pub(super) async fn delete_dispatch_configs(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(), ChangeError> {
        for channel in self.all(&Self::configs_of(tenant), DispatchConfig::channel_in).await? {
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
            self.put(new.encode(tenant)?, Some(When::Unchanged(config.meta))),
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
