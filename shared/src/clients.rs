//! The AWS clients, from what Lambda's environment says.

use crate::settings::{Lookup, Reader, SettingsError};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpClient, http_client_fn};
use std::time::Duration;

/// How long a connection to AWS may take to be made; the SDK's own default with a configuration file.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

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

impl Clients {
    /// Clients of the account and region that Lambda names in the environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and where the services are, if `AWS_ENDPOINT_URL` says so.
    ///
    /// Lambda gives credentials in no other way. The SDK's chain, which also asks profiles, web identities and the
    /// metadata services, would be carried along and gone through at each cold start for nothing.
    ///
    /// # Errors
    /// [`SettingsError`] naming what is not set.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let region = Region::new(reader.required("AWS_REGION"));
        let (id, secret) = (reader.required("AWS_ACCESS_KEY_ID"), reader.required("AWS_SECRET_ACCESS_KEY"));
        let given = |name| lookup(name).filter(|value| !value.is_empty());
        let credentials = Credentials::new(id, secret, given("AWS_SESSION_TOKEN"), None, "environment");
        let endpoint_url = given("AWS_ENDPOINT_URL");
        let http_client = http_client();
        macro_rules! client {
            ($sdk:ident) => {{
                let mut config = $sdk::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .region(region.clone())
                    .credentials_provider(credentials.clone())
                    .http_client(http_client.clone())
                    .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build());
                config.set_endpoint_url(endpoint_url.clone());
                $sdk::Client::from_conf(config.build())
            }};
        }
        reader.finish(Self {
            dynamodb: client!(aws_sdk_dynamodb),
            sqs: client!(aws_sdk_sqs),
            kms: client!(aws_sdk_kms),
        })
    }
}

/// One way out for all clients, with one pool of connections.
///
/// The trusted certificates are parsed at the first call. An SDK client that has the `HttpClient` itself also parses
/// them when it is built, to tell at once if there are none: once more for each client, at every cold start.
fn http_client() -> SharedHttpClient {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    http_client_fn(move |settings, components| https.http_connector(settings, components))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_named() {
        let refused = Clients::from_env(&|name| (name == "AWS_REGION").then(|| "eu-west-1".to_owned()));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("AWS_ACCESS_KEY_ID") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
        assert!(!text.contains("AWS_REGION"), "{text}");
    }

    #[test]
    fn the_environment_is_what_lambda_gives() {
        let clients = Clients::from_env(&|name| Some(format!("the {name}"))).unwrap();
        assert_eq!(clients.sqs.config().region().unwrap().as_ref(), "the AWS_REGION");
        assert_eq!(clients.kms.config().region().unwrap().as_ref(), "the AWS_REGION");
    }
}
