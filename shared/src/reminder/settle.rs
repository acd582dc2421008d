//! Settling: what came of an attempt, written under the claim's token (SPEC §9.2).

use super::codec::Record;
use super::{ReminderStore, TRIES, statement};
use crate::work::StoreError;
use crate::work::batcher::Outcome;
use rules::reminder::{Event, Transition, decide};

/// What a settle came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Written, now or by an earlier try of the same write.
    Applied(Transition),
    /// The claim was no longer ours: whoever took it has settled, or will.
    Stale,
}

impl ReminderStore {
    /// Settles the attempt on `record`, which is claimed. Its owner may have cancelled it meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written: the lease will run out.
    pub async fn settle(&self, record: &Record, event: Event<'_>) -> Result<Settled, StoreError> {
        let now = rules::time::truncate(self.work.clock.now());
        let mut record = std::borrow::Cow::Borrowed(record);
        for _ in 0..TRIES {
            let Ok(step) = decide(&record.state, event, now) else { return Ok(Settled::Stale) };
            let kept = self.kept(&record, &step.to, now);
            let statement = statement::step(&self.work.table, &record, &step.to, kept, None, now);
            let found = match self.work.batcher.run(statement).await? {
                Outcome::Applied(_) => return Ok(Settled::Applied(step)),
                Outcome::Lost(Some(item)) => Record::decode(&item)?,
                Outcome::Lost(None) | Outcome::Duplicate => return Ok(Settled::Stale),
            };
            if found.state == step.to {
                return Ok(Settled::Applied(step));
            }
            if found.state.claim != record.state.claim {
                return Ok(Settled::Stale);
            }
            record = std::borrow::Cow::Owned(found);
        }
        Ok(Settled::Stale)
    }
}
