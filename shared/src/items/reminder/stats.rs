//! Counts of a tenant's reminders, read from the indexes.

use crate::engine::StoreError;
use crate::items::activity::stats::Span;
use crate::items::reminder::list::done_partitions;
use crate::items::reminder::{ReminderStore, keys};
use crate::table::attr::{DUE_INDEX, DUE_PARTITION};
use crate::tenancy::Shards;
use chrono::TimeDelta;
use rules::names::Tenant;
use rules::reminder::Done;

/// How a tenant's reminders stand. Index reads are eventually consistent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Those with a send time to come.
    pub waiting: u64,
    /// Of these, those whose send time has come.
    pub pending: u64,
    /// Those somebody has to look at.
    pub needs_review: u64,
    /// Those that are completed.
    pub completed: u64,
    /// Those that were called off.
    pub cancelled: u64,
}

impl ReminderStore {
    /// Counts the tenant's reminders; `shards` are those of its configuration.
    ///
    /// # Errors
    /// [`StoreError`] when an index cannot be read.
    pub async fn stats(&self, tenant: &Tenant, shards: Shards) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        // Counts end before the instant; what is due at this very one is pending.
        let now = self.work.clock.now() + TimeDelta::milliseconds(1);
        for shard in 0..shards.due {
            let due = keys::due_partition(tenant, shard);
            stats.waiting += self.work.count(DUE_INDEX, DUE_PARTITION, &due, Span::All).await?.0;
            stats.pending += self.work.count(DUE_INDEX, DUE_PARTITION, &due, Span::DueBefore(now)).await?.0;
        }
        for done in Done::ALL {
            let partitions = done_partitions(tenant, done, shards).collect();
            let period = self.work.retention().filter(|_| done != Done::Review);
            let (count, _) = self.work.count_done(partitions, period).await?;
            match done {
                Done::Review => stats.needs_review = count,
                Done::Completed => stats.completed = count,
                Done::Cancelled => stats.cancelled = count,
            }
        }
        Ok(stats)
    }

    /// Whether a reminder of the tenant waits: then its configuration or solution may not be deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn has_waiting(&self, tenant: &Tenant, shards: Shards) -> Result<bool, StoreError> {
        for shard in 0..shards.due {
            if !self.due_page(tenant, shard, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
