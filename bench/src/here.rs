//! Handlers run in this process on the services of a system, so that one invocation can be timed.

use crate::system::Addresses;
use anyhow::Result;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use shared::clients::{Access, Clients, http_client};
use shared::clock::{Clock, SystemClock};
use shared::context::Context;
use shared::entropy::OsEntropy;
use shared::outbound::Outbound;
use shared::settings::Settings;
use std::sync::Arc;

/// The machine's clock, moved.
struct Shifted(TimeDelta);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        SystemClock.sleep_until(at - self.0)
    }
}

/// Clients of the services at `aws`.
pub fn clients(aws: &str) -> Clients {
    let credentials = Credentials::new("local", "local", None, None, "bench");
    Clients::new(&Access {
        region: Region::new("us-east-1"),
        credentials: SharedCredentialsProvider::new(credentials),
        endpoint_url: Some(aws.to_owned()),
        http_client: http_client(Arc::new(SystemClock)),
    })
}

/// The context of a function on the services at `addresses`, whose clock is `ahead` of the machine's.
pub fn context(addresses: &Addresses, ahead: TimeDelta) -> Result<Context> {
    let clients = clients(&addresses.aws);
    let queue_url = format!("{}/123456789012/punctual-DueQueue", addresses.aws);
    // The names that local mode gives the resources of template.yaml.
    let variable = |name: &str| match name {
        "PUNCTUAL_CONFIG_TABLE" => Some("punctual-ConfigTable".to_owned()),
        "PUNCTUAL_WORK_TABLE" => Some("punctual-WorkTable".to_owned()),
        "PUNCTUAL_QUEUE_URL" => Some(queue_url.clone()),
        "PUNCTUAL_KMS_KEY_ID" => Some("alias/punctual-SecretsKey".to_owned()),
        _ => None,
    };
    let settings = Settings::read(&variable)?;
    Ok(Context::new(clients, &settings, Arc::new(Shifted(ahead)), Arc::new(OsEntropy)))
}

/// A way out to the receiver.
pub fn http() -> Result<Outbound> {
    Ok(Outbound::new(vec!["127.0.0.0/8".parse()?])?)
}
