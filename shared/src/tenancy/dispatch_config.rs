//! Dispatch configs: by which provider a channel's activities go out, and with which credentials (SPEC §4).
//!
//! The credentials are sealed for the channel and the provider, so that they open
//! in no other config. What is shown and audited of them is which are set.

use super::cache::Cache;
use super::item::{DecodeError, Item, Key, Reader, Writer};
use super::store::{Setting, name_in};
use super::{Meta, Tenancy, TenancyError};
use crate::dispatch::Credentials;
use crate::shards::Shards;
use rules::names::{Channel, Kind, Tenant};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const WHAT: &str = "dispatch config";
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
    /// Shards of the channel's work; never lowered.
    pub shards: Shards,
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
}

impl Setting for DispatchConfig {
    type Id = (Tenant, Channel);
    type Parent = Tenant;
    const WHAT: &'static str = WHAT;
    const ACTION: &'static str = "dispatchConfig";
    const NAMED: &'static str = "channel";
    const PREFIX: &'static str = "C:";

    fn partition(tenant: &Tenant) -> String {
        format!("T#{tenant}")
    }

    fn key((tenant, channel): &Self::Id) -> Key {
        Key::new(Self::partition(tenant), format!("{}{channel}", Self::PREFIX))
    }

    fn encode(&self, id: &Self::Id) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(id))
            .text(ID, &self.id)
            .text(PROVIDER, &self.provider)
            .optional_text(BASE_URL, self.base_url.as_ref())
            .text(CREDENTIALS, &self.credentials)
            .texts(CREDENTIAL_KEYS, &self.credential_keys)
            .text(SETTINGS, serde_json::to_string(&self.settings).map_err(json)?)
            .text(IS_ACTIVE, self.is_active);
        Ok(self.meta.write(self.shards.write(DUE_SHARDS, writer)).finish())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            channel: name_in::<Self, _>(item)?,
            id: reader.text(ID)?.to_owned(),
            provider: reader.text(PROVIDER)?.to_owned(),
            base_url: reader.optional_text(BASE_URL)?,
            credentials: reader.text(CREDENTIALS)?.to_owned(),
            credential_keys: reader.parsed_list(CREDENTIAL_KEYS)?,
            settings: reader.json(SETTINGS)?,
            is_active: reader.parsed(IS_ACTIVE)?,
            shards: Shards::read(&reader, DUE_SHARDS)?,
            meta: Meta::read(&reader)?,
        })
    }

    fn meta(&self) -> Meta {
        self.meta
    }

    fn with_meta(self, meta: Meta) -> Self {
        Self { meta, ..self }
    }

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

    fn cache(tenancy: &Tenancy) -> &Cache<Self::Id, Self> {
        &tenancy.dispatch_configs
    }
}

/// What the credentials of a config are sealed for.
pub(super) fn purpose(channel: Channel, provider: &str) -> String {
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
        self.cached(&(tenant.clone(), channel)).await
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn configs_round_trip() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() };
        let whole = DispatchConfig {
            channel: Channel::Email,
            id: "EMAIL-0badcafe".to_owned(),
            provider: "YOM".to_owned(),
            base_url: Some("https://x.example".to_owned()),
            credential_keys: vec!["apiKey".to_owned()],
            credentials: "sealed".to_owned(),
            settings: Map::from_iter([("timeoutSeconds".to_owned(), json!(1.5))]),
            is_active: false,
            shards: Shards { due: 4, done: 16 },
            meta: Meta { revision: 3, ..Meta::new(DateTime::UNIX_EPOCH) },
        };
        let bare = DispatchConfig {
            base_url: None,
            credential_keys: Vec::new(),
            settings: Map::new(),
            is_active: true,
            ..whole.clone()
        };
        for config in [whole, bare] {
            let item = config.encode(&(tenant.clone(), config.channel)).unwrap();
            assert_eq!(DispatchConfig::decode(&item).unwrap(), config);
        }
    }
}
