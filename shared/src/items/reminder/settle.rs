//! Settling: what came of an attempt, written under the claim's token (SPEC §9.2).

use crate::engine::{Settled, Step, StoreError};
use crate::items::reminder::ReminderStore;
use crate::items::reminder::codec::Record;
use rules::reminder::{Event, decide};

impl ReminderStore {
    /// Settles the attempt on `record`, which is claimed. Its owner may have cancelled it meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written: the lease will run out.
    pub async fn settle(&self, record: &Record, event: Event<'_>) -> Result<Settled<Record>, StoreError> {
        let now = rules::time::truncate(self.work.clock.now());
        let decided = |record: &Record| {
            let step = decide(&record.state, event, now)?;
            Ok::<_, rules::reminder::Refusal>(Step { to: self.at(record, step.to, now), enqueue: false })
        };
        Ok(self.work.advance(record.clone(), None, now, decided).await?.into())
    }
}
