//! Settling: what came of an attempt, written under the claim's token (SPEC §9.2).
//!
//! The history entry of a failure is written before the step, under a key that
//! names run and attempt. Dying between the two leaves an abandoned claim whose
//! attempt is already told; its recovery finds the entry and keeps it.

use super::batcher::Outcome;
use super::codec::{Record, Success};
use super::create::due_activity;
use super::read::encode_entry;
use super::{HistoryEntry, StoreError, WorkStore, keys, statements};
use rules::activity::{Event, Refusal, Status, Transition, decide};

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt<'a> {
    /// The call was accepted.
    Succeeded(Success),
    /// It failed, or its worker was lost.
    Failed {
        /// The event: failed, or the lease ran out.
        event: Event<'a>,
        /// What to record.
        entry: HistoryEntry,
    },
}

/// What a settle came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Written, now or by an earlier try of the same write.
    Applied(Transition),
    /// The claim was no longer ours: whoever took it has settled, or will.
    Stale,
}

impl WorkStore {
    /// Settles an attempt on `record`, which is claimed.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written: the lease will run out and the attempt counts as crashed.
    pub async fn settle(&self, record: &Record, attempt: &Attempt<'_>) -> Result<Settled, StoreError> {
        let now = rules::time::truncate(self.clock.now());
        let (event, success, entry) = match attempt {
            Attempt::Succeeded(success) => (Event::Succeeded, Some(*success), None),
            Attempt::Failed { event, entry } => (*event, None, Some(entry)),
        };
        let step = match decide(&record.state, event, now) {
            Ok(step) => step,
            Err(Refusal::Status(_) | Refusal::InHand | Refusal::NotClaimed) => return Ok(Settled::Stale),
        };
        if let Some(entry) = entry {
            self.record_entry(record, entry).await?;
        }
        let statement = statements::step(&self.table, record, &step.to, success, now);
        match self.batcher.run(statement).await? {
            Outcome::Applied(_) => {}
            Outcome::Lost(Some(item)) if Record::decode(&item)?.state == step.to => {}
            Outcome::Lost(_) | Outcome::Duplicate => return Ok(Settled::Stale),
        }
        if step.enqueue {
            let next = Record { state: step.to.clone(), ..record.clone() };
            self.enqueue(&[due_activity(&next)]).await;
        }
        Ok(Settled::Applied(step))
    }

    /// Writes a history entry of the attempt under way; one that is there already stands.
    pub(super) async fn record_entry(&self, record: &Record, entry: &HistoryEntry) -> Result<(), StoreError> {
        let sk = keys::history(record.state.run, record.state.attempts);
        let item = encode_entry(record.pk(), &sk, entry);
        self.batcher.run(statements::insert(&self.table, record.pk(), &sk, item)).await?;
        Ok(())
    }
}

impl Settled {
    /// The status it left, where it was written.
    pub fn status(&self) -> Option<Status> {
        match self {
            Settled::Applied(step) => Some(step.to.status),
            Settled::Stale => None,
        }
    }
}
