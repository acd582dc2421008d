//! What a function is made of: the clients, and what is built on them.

use crate::clock::{SharedClock, SystemClock};
use crate::crypto::Envelope;
use crate::entropy::{OsEntropy, SharedEntropy};
use crate::lease::Leases;
use crate::queue::DueQueue;
use crate::reminder::ReminderStore;
use crate::settings::{Settings, SettingsError, environment};
use crate::tenancy::Tenancy;
use crate::work::WorkStore;
use std::sync::Arc;

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
    /// Clients of the account and region that the environment names.
    pub async fn from_env() -> Self {
        // Boxed: the future is deep and large, and this is awaited once.
        let config = Box::pin(aws_config::load_defaults(aws_config::BehaviorVersion::latest())).await;
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
        }
    }
}

/// Everything a handler needs; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Companies, solutions, keys and types.
    pub tenancy: Arc<Tenancy>,
    /// Activities.
    pub work: Arc<WorkStore>,
    /// Reminders.
    pub reminders: Arc<ReminderStore>,
    /// What is due within the horizon.
    pub queue: Arc<DueQueue>,
    /// Secrets.
    pub envelope: Arc<Envelope>,
    /// Who works on what.
    pub leases: Arc<Leases>,
}

impl Context {
    /// Builds everything on `clients`.
    pub fn new(clients: Clients, settings: &Settings, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let Clients { dynamodb, sqs, kms } = clients;
        let envelope =
            Arc::new(Envelope::new(kms, settings.kms_key_id.clone(), clock.clone(), entropy.clone()));
        let queue = Arc::new(DueQueue::new(sqs, settings.queue_url.clone(), clock.clone()));
        let work = Arc::new(WorkStore::new(
            dynamodb.clone(),
            settings.work_table.clone(),
            settings.due_shards,
            queue.clone(),
            clock.clone(),
            entropy.clone(),
        ));
        Self {
            tenancy: Arc::new(Tenancy::new(
                dynamodb.clone(),
                settings.config_table.clone(),
                clock.clone(),
                entropy.clone(),
                envelope.clone(),
                settings.due_shards,
            )),
            leases: Arc::new(Leases::new(
                dynamodb,
                settings.config_table.clone(),
                clock.clone(),
                entropy.clone(),
            )),
            reminders: Arc::new(ReminderStore::new(work.clone())),
            work,
            clock,
            entropy,
            queue,
            envelope,
        }
    }

    /// The context of a Lambda function.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault of the environment.
    pub async fn from_env() -> Result<Self, SettingsError> {
        let settings = Settings::read(&environment)?;
        Ok(Self::new(Clients::from_env().await, &settings, Arc::new(SystemClock), Arc::new(OsEntropy)))
    }
}
