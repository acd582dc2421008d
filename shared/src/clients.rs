//! The AWS clients: of Lambda's environment, and of any other place where the services are. All have the same time limits.

mod pool;
#[cfg(test)]
mod swallowed_tests;

use crate::clock::SharedClock;
use crate::settings::{Lookup, Reader, SettingsError};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
};
use std::time::Duration;

/// How long a connection to AWS may take to be made, TLS included. TCP repeats a lost packet after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long an attempt of a DynamoDB call may take, from connecting to the end of the answer. A call of the largest size is
/// answered in well under a second; what takes longer is a connection on which nothing arrives any more.
pub const DYNAMODB_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// The same of a KMS call.
pub const KMS_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// The same of an SQS call, but for a receive that waits for messages: its caller adds the wait
/// ([`long_poll_timeouts`]).
pub const SQS_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The AWS clients.
#[derive(Debug, Clone)]
pub struct Clients {
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// KMS.
    pub kms: aws_sdk_kms::Client,
}

/// Where the services are, and who asks.
#[derive(Debug, Clone)]
pub struct Access {
    /// The region.
    pub region: Region,
    /// What requests are signed with.
    pub credentials: SharedCredentialsProvider,
    /// The services' address, if it is not AWS's own.
    pub endpoint_url: Option<String>,
    /// How requests are sent; see [`http_client`].
    pub http_client: SharedHttpClient,
}

impl Clients {
    /// Clients of the services that `access` names.
    pub fn new(access: &Access) -> Self {
        macro_rules! client {
            ($sdk:ident, $attempt_timeout:expr) => {{
                let mut config = $sdk::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .region(access.region.clone())
                    .credentials_provider(access.credentials.clone())
                    .http_client(access.http_client.clone())
                    // The attempt's time limit holds for the answer's body too.
                    .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
                    .timeout_config(timeouts($attempt_timeout));
                config.set_endpoint_url(access.endpoint_url.clone());
                $sdk::Client::from_conf(config.build())
            }};
        }
        Self {
            dynamodb: client!(aws_sdk_dynamodb, DYNAMODB_ATTEMPT_TIMEOUT),
            sqs: client!(aws_sdk_sqs, SQS_ATTEMPT_TIMEOUT),
            kms: client!(aws_sdk_kms, KMS_ATTEMPT_TIMEOUT),
        }
    }

    /// Clients of the account and region that Lambda names in the environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and where the services are, if `AWS_ENDPOINT_URL` says so.
    ///
    /// Lambda gives credentials in no other way. The SDK's chain, which also asks profiles, web identities and the
    /// metadata services, would be carried along and gone through at each cold start for nothing.
    ///
    /// # Errors
    /// [`SettingsError`] naming what is not set.
    pub fn from_env(lookup: Lookup<'_>, clock: SharedClock) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let region = Region::new(reader.required("AWS_REGION"));
        let (id, secret) = (reader.required("AWS_ACCESS_KEY_ID"), reader.required("AWS_SECRET_ACCESS_KEY"));
        let given = |name| lookup(name).filter(|value| !value.is_empty());
        let credentials = Credentials::new(id, secret, given("AWS_SESSION_TOKEN"), None, "environment");
        let credentials = SharedCredentialsProvider::new(credentials);
        let endpoint_url = given("AWS_ENDPOINT_URL");
        reader.finish(Self::new(&Access {
            region,
            credentials,
            endpoint_url,
            http_client: http_client(clock),
        }))
    }
}

/// The time limits of a client whose attempts may take so long each.
fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(attempt).build()
}

/// The time limits of a receive that waits for messages as long as `wait`.
pub fn long_poll_timeouts(wait: Duration) -> TimeoutConfig {
    timeouts(SQS_ATTEMPT_TIMEOUT + wait)
}

/// The way to AWS over the network, with one pool of connections for all clients. A connection that nothing was heard of
/// for longer than the pool keeps unused ones is not used again, also where the process was frozen meanwhile; `clock` tells.
pub fn http_client(clock: SharedClock) -> SharedHttpClient {
    pool::http_client(clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::sync::Arc;

    #[test]
    fn what_is_not_set_is_named() {
        let lookup = |name: &str| (name == "AWS_REGION").then(|| "eu-west-1".to_owned());
        let text = Clients::from_env(&lookup, Arc::new(SystemClock)).unwrap_err().to_string();
        assert!(text.contains("AWS_ACCESS_KEY_ID") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
        assert!(!text.contains("AWS_REGION"), "{text}");
    }

    #[test]
    fn the_environment_is_what_lambda_gives() {
        let clients = Clients::from_env(&|name| Some(format!("the {name}")), Arc::new(SystemClock)).unwrap();
        assert_eq!(clients.sqs.config().region().unwrap().as_ref(), "the AWS_REGION");
        assert_eq!(clients.kms.config().region().unwrap().as_ref(), "the AWS_REGION");
    }
}
