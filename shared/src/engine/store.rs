//! The work table, as each part of the engine and each kind of work extends it.

use super::batcher::Batcher;
use crate::clock::SharedClock;
use crate::engine::patience::Patience;
use crate::entropy::SharedEntropy;
use crate::queue::DueQueue;
use crate::settings::Settings;
use crate::tenancy::{Shards, Tenancy};
use crate::unreadable::Unreadable;
use aws_sdk_dynamodb::Client;
use std::sync::Arc;

/// The work table.
pub struct WorkStore {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) queue: Arc<DueQueue>,
    pub(crate) batcher: Batcher,
    pub(crate) reads: Batcher,
    pub(crate) patience: Patience,
    pub(crate) shards: Shards,
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) unreadable: Unreadable,
    pub(crate) retention_days: u32,
}

impl WorkStore {
    /// The table `table`; what becomes due within the horizon goes to `queue`.
    ///
    /// `settings` say its name, in how many shards something may stand beside those of its own kind, and how long what has no
    /// period is kept. `tenancy` knows the periods.
    pub fn new(
        client: Client,
        settings: &Settings,
        tenancy: Arc<Tenancy>,
        queue: Arc<DueQueue>,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        // Apart, since one call of DynamoDB's either reads or writes.
        let patience = Patience::new(clock.clone(), entropy.clone());
        let (table, shards, retention_days) =
            (settings.work_table.clone(), settings.shards(), settings.retention_days);
        let [batcher, reads] = [(); 2].map(|()| Batcher::new(&client, table.clone(), patience.clone()));
        let unreadable = tenancy.unreadable.clone();
        Self {
            client,
            table,
            clock,
            entropy,
            queue,
            batcher,
            reads,
            patience,
            shards,
            tenancy,
            unreadable,
            retention_days,
        }
    }
}
