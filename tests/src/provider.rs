//! A provider on loopback: the receiver as `YOM` has it, with a config for it.

use crate::receiver::Reply;
use crate::world::World;
use rules::names::{Channel, Kind, Tenant};
use serde_json::{Map, Value, json};
use shared::dispatch::Credentials;
use shared::items::activity::NewActivity;
use shared::tenancy::{Actor, NewDispatchConfig};

/// What the provider is called with.
pub const API_KEY: &str = "yom-key-c0ffee-secret";

impl Reply {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: Value) -> Self {
        Reply::Status(status, vec![("content-type", "application/json".into())], body.to_string())
    }

    /// The provider takes it, under that id.
    pub fn taken(id: &str) -> Self {
        Reply::json(201, json!({"providerActivityId": id}))
    }
}

impl World {
    /// The config by which a channel's activities go to the receiver.
    pub fn yom(&self, channel: Channel) -> NewDispatchConfig {
        let mut credentials = Credentials::default();
        credentials.insert("apiKey", API_KEY.to_owned());
        NewDispatchConfig {
            channel,
            provider: "YOM".to_owned(),
            base_url: Some(format!("{}/yom", self.receiver.url())),
            credentials,
            settings: Map::new(),
            is_active: true,
        }
    }

    /// Puts a config; the id it is known by.
    pub async fn put_config(&self, tenant: &Tenant, config: NewDispatchConfig) -> String {
        let put = self.ctx.tenancy.put_dispatch_config(&Actor::Admin, tenant, config).await;
        put.unwrap().into_inner().id
    }

    /// A message through a channel, due at once.
    pub fn message(&self, tenant: &Tenant, channel: Channel, id: &str) -> NewActivity {
        let parameter = json!({
            "type": "MESSAGE",
            "reason": "welcome",
            "commerce": {"assignment": "shop-7", "targetUsers": ["u1"]},
        });
        NewActivity {
            kind: Kind::Channel(channel),
            parameter: parameter.to_string(),
            ..self.activity(tenant, id, chrono::TimeDelta::zero())
        }
    }
}
