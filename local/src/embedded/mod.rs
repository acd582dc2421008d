//! One AWS in this process: DynamoDB, SQS and KMS behind one mount.
//!
//! The mount has two doors: HTTP, for any SDK or CLI with `AWS_ENDPOINT_URL`,
//! and a connector for SDK clients in this process, which skips the socket.

mod answer;
mod connector;
mod dynamodb;
mod expiry;
mod http;
mod kms;
mod sqs;
mod usage;

#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod tests;

pub use self::http::router;
pub use answer::Answer;
pub use sqs::Counts;
pub use usage::{DynamoDbUsage, Report, Requests, TableUsage};

use crate::data_dir::{DataDirError, keep_private, make_private};
use crate::template::{self, Provisioned, Template};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use shared::clients::{self, Access, Clients};
use shared::clock::{SharedClock, SystemClock};
use shared::entropy::OsEntropy;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The one region there is.
pub const REGION: &str = "us-east-1";
/// The one account there is.
pub const ACCOUNT: &str = "123456789012";
/// Where the queues' URLs point when there is no HTTP door.
const IN_PROCESS_URL: &str = "http://127.0.0.1:4566";
/// How often expired items are deleted. AWS takes up to two days.
const EXPIRY_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// The processor secret of worlds in memory.
pub const TEST_PROCESSOR_SECRET: &str = "processor-secret-of-a-world-in-memory";
/// The admin key of worlds in memory.
pub const TEST_ADMIN_KEY: &str = "admin-key-of-a-world-in-memory-000";
/// DynamoDB's limit for a request; those of the others are smaller, and theirs to check.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const DATABASE_FILE: &str = "punctual.db";
const KEYS_FILE: &str = "kms.json";
/// What SQLite keeps beside a database. It makes them with the database's mode, but takes them as they are.
const DATABASE_SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// The three services.
pub struct Mount {
    dynamodb: dynamodb::DynamoDb,
    sqs: sqs::Sqs,
    kms: kms::Kms,
    usage: Arc<usage::Usage>,
    /// Requests so far, and those of them that may have changed a table.
    requests: AtomicU64,
    writes: AtomicU64,
}

/// Through which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// HTTP.
    Network,
    /// An SDK client of this process.
    InProcess,
}

/// Why the services did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    DynamoDb(#[from] dynamodb::OpenError),
    #[error(transparent)]
    Kms(#[from] kms::OpenError),
    #[error(transparent)]
    Template(#[from] template::TemplateError),
    #[error(transparent)]
    Provision(#[from] template::ProvisionError),
}

impl Mount {
    /// Opens the services with their state in `data_dir`, or in memory.
    ///
    /// # Errors
    /// What is in the directory cannot be read.
    pub async fn open(
        data_dir: Option<&Path>,
        base_url: &str,
        clock: SharedClock,
    ) -> Result<Self, EmbeddedError> {
        let usage = Arc::new(usage::Usage::default());
        let database = data_dir.map(|dir| dir.join(DATABASE_FILE));
        let keys = data_dir.map(|dir| dir.join(KEYS_FILE));
        if let Some(dir) = data_dir {
            make_private(&dir.join(DATABASE_FILE))?;
            for side_file in DATABASE_SIDE_FILES {
                keep_private(&dir.join(format!("{DATABASE_FILE}{side_file}")))?;
            }
            keep_private(&dir.join(KEYS_FILE))?;
        }
        Ok(Self {
            dynamodb: dynamodb::DynamoDb::open(database.as_deref(), Arc::clone(&usage))?,
            sqs: sqs::Sqs::new(base_url.to_owned(), clock, Arc::new(OsEntropy)),
            kms: kms::Kms::open(keys, Arc::clone(&usage)).await?,
            usage,
            requests: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        })
    }

    /// Answers a request by its `X-Amz-Target`, such as `AmazonSQS.SendMessage`.
    pub async fn answer(&self, door: Door, target: &str, body: Bytes) -> Answer {
        if body.len() > BODY_BYTES_MAX {
            let message = format!("A request has {BODY_BYTES_MAX} bytes at most.");
            return Answer::fault(413, "RequestEntityTooLargeException", &message);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        match target.split_once('.') {
            Some(("DynamoDB_20120810", operation)) => {
                if !dynamodb::READS.contains(&operation) {
                    self.writes.fetch_add(1, Ordering::Relaxed);
                }
                self.dynamodb.handle(operation, &body).await
            }
            Some(("AmazonSQS", operation)) => {
                self.usage.request(usage::Service::Sqs, operation);
                self.sqs.handle(door, operation, &body).await
            }
            Some(("TrentService", operation)) => self.kms.handle(operation, &body).await,
            _ => {
                let message = format!(
                    "'{target}' is not a target of DynamoDB, SQS or KMS, which are all there is here."
                );
                Answer::fault(400, "UnknownOperationException", &message)
            }
        }
    }

    /// What the services were asked for so far.
    pub fn usage(&self) -> Report {
        self.usage.report()
    }

    /// Begins counting anew.
    pub fn reset_usage(&self) {
        self.usage.reset();
    }

    /// Requests so far: while it grows, somebody is at work.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests so far that may have changed a table.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// How many messages are where in a queue, by its name.
    pub fn queue_counts(&self, name: &str) -> Option<Counts> {
        self.sqs.counts(name)
    }

    /// When the next hidden message of a queue becomes visible.
    pub fn next_visible(&self, name: &str) -> Option<DateTime<Utc>> {
        self.sqs.next_visible(name)
    }

    /// Deletes the items of all tables whose time to live has passed by `now`; how many.
    ///
    /// # Errors
    /// What the store says.
    pub async fn expire(&self, now: DateTime<Utc>) -> Result<usize, String> {
        self.dynamodb.delete_expired(now.timestamp()).await.map_err(|error| error.to_string())
    }

    /// Deletes items past their time to live every hour, for ever.
    pub async fn expire_items(self: Arc<Self>, clock: SharedClock) {
        loop {
            match self.dynamodb.delete_expired(clock.now().timestamp()).await {
                Ok(deleted) => tracing::debug!(deleted, "expired items"),
                Err(error) => tracing::error!(%error, "cannot delete expired items"),
            }
            clock.sleep_until(clock.now() + EXPIRY_INTERVAL).await;
        }
    }
}

/// Where the state is, where the services can be reached, and what the
/// template's parameters are.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the state; `None` keeps it in memory.
    pub data_dir: Option<PathBuf>,
    /// The address of the HTTP door, such as `http://127.0.0.1:4566`.
    pub base_url: String,
    pub template: Arc<Template>,
    /// Values that go before the defaults of the template's parameters.
    pub parameters: BTreeMap<String, String>,
}

impl Options {
    /// The project's template in memory, with local mode's parameters.
    ///
    /// # Errors
    /// The template is none.
    pub fn in_memory() -> Result<Self, EmbeddedError> {
        Ok(Self {
            data_dir: None,
            base_url: IN_PROCESS_URL.to_owned(),
            template: Template::project()?,
            parameters: template::parameters(
                TEST_ADMIN_KEY,
                TEST_PROCESSOR_SECRET,
                template::LOCAL_ALLOWED_CIDRS,
            ),
        })
    }
}

/// The services with everything in them that template.yaml describes.
pub struct Embedded {
    mount: Arc<Mount>,
    clients: Clients,
    provisioned: Provisioned,
}

impl Embedded {
    /// Opens the services and creates what the template describes and is not
    /// there yet.
    ///
    /// # Errors
    /// The state cannot be read, or the template's resources cannot be created.
    pub async fn start(options: Options, clock: SharedClock) -> Result<Self, EmbeddedError> {
        let Options { data_dir, base_url, template, parameters } = options;
        let mount = Arc::new(Mount::open(data_dir.as_deref(), &base_url, clock).await?);
        let clients = clients_at(&base_url, connector::http_client(Arc::clone(&mount)));
        let provisioned = template::provision(&template, &parameters, &clients).await?;
        Ok(Self { mount, clients, provisioned })
    }

    /// All in memory, without an HTTP door: a test's world.
    ///
    /// # Errors
    /// The template's resources cannot be created.
    pub async fn start_in_memory(clock: SharedClock) -> Result<Self, EmbeddedError> {
        Self::start(Options::in_memory()?, clock).await
    }

    /// The services themselves.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// SDK clients that reach the services without a socket.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The functions and queues that the template describes.
    pub fn provisioned(&self) -> &Provisioned {
        &self.provisioned
    }

    /// The environment variables that the template gives a function, by the
    /// function's name (`api-ingest`); none for a function it does not have.
    pub fn settings(&self, function: &str) -> HashMap<String, String> {
        self.provisioned.environment(function)
    }
}

/// Clients of services like these in another process, over HTTP. What the
/// environment says of region and credentials goes before our own.
pub async fn remote_clients(endpoint_url: &str) -> Clients {
    let mut config = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(endpoint_url);
    if std::env::var_os("AWS_REGION").is_none() {
        config = config.region(Region::from_static(REGION));
    }
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() && std::env::var_os("AWS_PROFILE").is_none() {
        config = config.credentials_provider(credentials());
    }
    let config = config.load().await;
    Clients::new(&Access {
        region: config.region().cloned().unwrap_or(Region::from_static(REGION)),
        credentials: config.credentials_provider().unwrap_or_else(credentials),
        endpoint_url: Some(endpoint_url.to_owned()),
        http_client: clients::http_client(Arc::new(SystemClock)),
    })
}

/// Nobody checks them here, but the SDK signs its requests.
fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("local", "local", None, None, "punctual local mode"))
}

/// Clients whose requests go to `base_url` through `http_client`.
fn clients_at(base_url: &str, http_client: SharedHttpClient) -> Clients {
    let (region, credentials) = (Region::from_static(REGION), credentials());
    Clients::new(&Access { region, credentials, endpoint_url: Some(base_url.to_owned()), http_client })
}
