//! Dispatch configs: by which provider a channel's activities go out, and with which credentials (SPEC §4).
//!
//! The credentials are sealed for the channel and the provider, so that they open
//! in no other config. What is shown and audited of them is which are set.

use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::slice::SliceEntry;
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, Page, PageRequest, Solution, Tenancy,
    TenancyError,
};
use crate::dispatch::Credentials;
use chrono::{DateTime, Utc};
use rules::names::{Channel, Kind, Tenant};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const WHAT: &str = "dispatch config";
const PREFIX: &str = "C:";
const ID: &str = "id";
const PROVIDER: &str = "provider";
const BASE_URL: &str = "baseUrl";
const CREDENTIALS: &str = "credentials";
const CREDENTIAL_KEYS: &str = "credentialKeys";
const SETTINGS: &str = "settings";
const IS_ACTIVE: &str = "isActive";
const DUE_SHARDS: &str = "dueShards";

/// A channel's config.
#[derive(Debug, Clone, PartialEq)]
pub struct DispatchConfig {
    /// The channel.
    pub channel: Channel,
    /// Names the config in what was dispatched by it; stays through changes.
    pub id: String,
    /// Code of the provider.
    pub provider: String,
    /// Where the provider is, without a slash at the end; `None` for one that needs no address.
    pub base_url: Option<String>,
    /// Which credentials are set.
    pub credential_keys: Vec<String>,
    /// The credentials, sealed.
    pub(super) credentials: String,
    /// Everything else.
    pub settings: Map<String, Value>,
    /// Whether anything is dispatched by it.
    pub is_active: bool,
    /// Shards of the channel's due work; never lowered.
    pub due_shards: u32,
    /// When it was made and changed.
    pub meta: Meta,
}

/// A config as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDispatchConfig {
    /// The channel.
    pub channel: Channel,
    /// Code of the provider.
    pub provider: String,
    /// Where the provider is, without a slash at the end.
    pub base_url: Option<String>,
    /// The credentials.
    pub credentials: Credentials,
    /// Everything else.
    pub settings: Map<String, Value>,
    /// Whether anything is to be dispatched by it.
    pub is_active: bool,
}

impl DispatchConfig {
    /// The channel's kind in keys.
    pub fn kind(&self) -> Kind {
        Kind::Channel(self.channel)
    }

    fn key(tenant: &Tenant, channel: Channel) -> Key {
        Key::new(format!("T#{tenant}"), format!("{PREFIX}{channel}"))
    }

    fn encode(&self, tenant: &Tenant) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(tenant, self.channel))
            .text(ID, &self.id)
            .text(PROVIDER, &self.provider)
            .optional_text(BASE_URL, self.base_url.as_ref())
            .text(CREDENTIALS, &self.credentials)
            .texts(CREDENTIAL_KEYS, &self.credential_keys)
            .text(SETTINGS, serde_json::to_string(&self.settings).map_err(json)?)
            .text(IS_ACTIVE, self.is_active)
            .number(DUE_SHARDS, self.due_shards);
        Ok(self.meta.write(writer).finish())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let channel = reader.text(SK)?.strip_prefix(PREFIX).and_then(|channel| channel.parse().ok());
        Ok(Self {
            channel: channel.ok_or_else(|| reader.error(SK, "names no channel"))?,
            id: reader.text(ID)?.to_owned(),
            provider: reader.text(PROVIDER)?.to_owned(),
            base_url: reader.optional_text(BASE_URL)?,
            credentials: reader.text(CREDENTIALS)?.to_owned(),
            credential_keys: reader.parsed_list(CREDENTIAL_KEYS)?,
            settings: reader.json(SETTINGS)?,
            is_active: reader.parsed(IS_ACTIVE)?,
            due_shards: reader.number(DUE_SHARDS)?,
            meta: Meta::read(&reader)?,
        })
    }

    /// For the audit log.
    fn audited(&self) -> Value {
        json!({
            "channel": self.channel,
            "provider": self.provider,
            "baseUrl": self.base_url,
            "credentialKeys": self.credential_keys,
            "settings": self.settings,
            "isActive": self.is_active,
        })
    }

    fn slice(&self, tenant: &Tenant, retired_at: Option<DateTime<Utc>>) -> SliceEntry {
        SliceEntry { tenant: tenant.clone(), kind: self.kind(), shards: self.due_shards, retired_at }
    }
}

/// What the credentials of a config are sealed for.
fn purpose(channel: Channel, provider: &str) -> String {
    format!("dispatch-credentials/{channel}/{provider}")
}

impl Tenancy {
    /// The config of a channel; cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn dispatch_config(
        &self,
        tenant: &Tenant,
        channel: Channel,
    ) -> Result<Option<Arc<DispatchConfig>>, TenancyError> {
        if let Some(found) = self.dispatch_configs.get(&(tenant.clone(), channel)) {
            return Ok(Some(found));
        }
        self.dispatch_config_fresh(tenant, channel).await
    }

    /// The config of a channel, read past the cache.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn dispatch_config_fresh(
        &self,
        tenant: &Tenant,
        channel: Channel,
    ) -> Result<Option<Arc<DispatchConfig>>, TenancyError> {
        let begun = self.dispatch_configs.begin();
        let item = self.read("read dispatch config", &DispatchConfig::key(tenant, channel)).await?;
        let Some(item) = item else { return Ok(None) };
        let found = Arc::new(DispatchConfig::decode(&item)?);
        self.dispatch_configs.keep(&begun, (tenant.clone(), channel), found.clone());
        Ok(Some(found))
    }

    /// A config's credentials. Only the data key that opens them is kept, and briefly.
    ///
    /// # Errors
    /// [`TenancyError`] if they cannot be opened; its text holds nothing of them.
    pub async fn dispatch_credentials(
        &self,
        tenant: &Tenant,
        config: &DispatchConfig,
    ) -> Result<Credentials, TenancyError> {
        let purpose = purpose(config.channel, &config.provider);
        let opened = self.envelope.open(tenant, &purpose, &config.credentials).await?;
        Ok(Credentials::from_json(&opened)?)
    }

    /// A page of a solution's configs, by channel.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn dispatch_configs(
        &self,
        tenant: &Tenant,
        request: &PageRequest,
    ) -> Result<Page<DispatchConfig>, TenancyError> {
        self.page(&Self::configs_of(tenant), request, DispatchConfig::decode).await
    }

    fn configs_of(tenant: &Tenant) -> Listing<'static> {
        Listing {
            operation: "list dispatch configs",
            pk: format!("T#{tenant}"),
            prefix: PREFIX,
            newest_first: false,
        }
    }

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
            let slice = self.slice(tenant, &Kind::Channel(channel)).await?;
            let (id, meta, when, action) = match &old {
                Some(old) => {
                    let when = When::Revision(old.meta.revision);
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
                due_shards: slice.map_or(0, |slice| slice.shards).max(self.due_shards),
                meta,
            };
            if let Some(old) = &old
                && **old == (DispatchConfig { meta: old.meta, ..new.clone() })
            {
                return Ok(Changed::Unchanged(DispatchConfig::clone(old)));
            }
            let mut audited = new.audited();
            audited["credentialsChanged"] = json!(!same_credentials);
            let entry = AuditEntry::new(now, actor, action)
                .from(old.as_deref().map(DispatchConfig::audited))
                .to(audited);
            let mut writes = vec![
                self.put(new.encode(tenant)?, Some(when)),
                self.put(new.slice(tenant, None).encode(), None),
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
            let Some(old) = self.dispatch_config_fresh(tenant, channel).await? else {
                return Err(ChangeError::NotFound(WHAT));
            };
            let now = rules::time::truncate(self.clock.now());
            let entry = AuditEntry::new(now, actor, "dispatchConfig.deleted").from(Some(old.audited()));
            let when = When::Revision(old.meta.revision);
            let writes = vec![
                self.delete(&DispatchConfig::key(tenant, channel), Some(when)),
                self.put(old.slice(tenant, Some(now)).encode(), None),
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
        for found in self.all(&Self::configs_of(tenant), DispatchConfig::decode).await? {
            match self.delete_dispatch_config(actor, tenant, found.channel).await {
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
            self.put(new.encode(tenant)?, Some(When::Revision(config.meta.revision))),
            self.audit(&AuditScope::Solution(tenant.clone()), &entry),
        ];
        let commit = self.commit("reseal dispatch config", writes).await;
        self.dispatch_configs.forget(&(tenant.clone(), config.channel));
        // Lost to a change, which has sealed them anew itself or leaves it to the next read.
        Ok(commit? == Commit::Applied)
    }

    /// Shards of a channel's due work. A channel without a config has some too: its activities are
    /// accepted, and each attempt fails by saying that there is none.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table failed.
    pub async fn channel_shards(&self, tenant: &Tenant, channel: Channel) -> Result<u32, ChangeError> {
        let key = (tenant.clone(), channel);
        if let Some(shards) = self.channel_shards.get(&key) {
            return Ok(*shards);
        }
        let kind = Kind::Channel(channel);
        for _ in 0..TRIES_MAX {
            let begun = self.channel_shards.begin();
            if let Some(slice) = self.slice(tenant, &kind).await? {
                self.channel_shards.keep(&begun, key, Arc::new(slice.shards));
                return Ok(slice.shards);
            }
            if self.solution_fresh(tenant).await?.is_none() {
                return Err(ChangeError::NotFound("solution"));
            }
            let slice = SliceEntry {
                tenant: tenant.clone(),
                kind: kind.clone(),
                shards: self.due_shards,
                retired_at: None,
            };
            let writes = vec![
                self.put(slice.encode(), Some(When::Absent)),
                self.touch(&Solution::key(tenant), When::Exists),
            ];
            self.commit("open channel", writes).await?;
        }
        Err(ChangeError::contended())
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
