//! What a function is made of: the clients, and what is built on them.

pub use crate::clients::Clients;

use crate::clock::{SharedClock, SystemClock};
use crate::crypto::Envelope;
use crate::engine::WorkStore;
use crate::engine::patience::Patience;
use crate::entropy::{OsEntropy, SharedEntropy};
use crate::items::reminder::ReminderStore;
use crate::lease::Leases;
use crate::queue::DueQueue;
use crate::settings::{Settings, SettingsError, environment};
use crate::slots::Slots;
use crate::tenancy::Tenancy;
use crate::unreadable::Unreadable;
use std::sync::Arc;

/// Everything a handler needs; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Trying again.
    pub patience: Patience,
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
    /// How much of what all share this process works for whom.
    pub slots: Arc<Slots>,
    /// Items of both tables that could not be read.
    pub unreadable: Unreadable,
}

impl Context {
    /// Builds everything on `clients`.
    pub fn new(clients: Clients, settings: &Settings, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let Clients { dynamodb, sqs, kms } = clients;
        let envelope =
            Arc::new(Envelope::new(kms, settings.kms_key_id.clone(), clock.clone(), entropy.clone()));
        let queue = Arc::new(DueQueue::new(sqs, settings.queue_url.clone(), clock.clone()));
        let tenancy = Arc::new(Tenancy::new(
            dynamodb.clone(),
            settings,
            clock.clone(),
            entropy.clone(),
            envelope.clone(),
        ));
        let work = Arc::new(WorkStore::new(
            dynamodb.clone(),
            settings,
            tenancy.clone(),
            queue.clone(),
            clock.clone(),
            entropy.clone(),
        ));
        Self {
            unreadable: tenancy.unreadable.clone(),
            tenancy,
            slots: Arc::new(Slots::new(
                dynamodb.clone(),
                settings.work_table.clone(),
                clock.clone(),
                entropy.clone(),
            )),
            leases: Arc::new(Leases::new(dynamodb, settings, clock.clone(), entropy.clone())),
            reminders: Arc::new(ReminderStore::new(work.clone())),
            patience: Patience::new(clock.clone(), entropy.clone()),
            work,
            clock,
            entropy,
            queue,
            envelope,
        }
    }

    /// The same for another instance of the function in this process, as local mode has them: what it holds in its own
    /// name is its own, and what costs connections and memory is shared.
    pub fn of_another_instance(&self) -> Self {
        Self { slots: Arc::new(self.slots.of_another_process()), ..self.clone() }
    }

    /// The context of a Lambda function.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault of the environment.
    pub fn from_env() -> Result<Self, SettingsError> {
        let settings = Settings::read(&environment)?;
        let clock = Arc::new(SystemClock);
        let clients = Clients::from_env(&environment, clock.clone())?;
        Ok(Self::new(clients, &settings, clock, Arc::new(OsEntropy)))
    }
}
