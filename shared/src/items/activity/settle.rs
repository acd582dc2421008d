//! Settling: what came of an attempt, written under the claim's token (SPEC §9.2).
//!
//! The history entry of a failure is written before the step, under a key that
//! names run and attempt. Dying between the two leaves a claim that expires and whose
//! attempt is recorded already; its recovery finds the entry and keeps it.
//!
//! The entry of a lost attempt is written with the step, in one transaction: its
//! worker may only have been slow and settle a success meanwhile, which must not
//! be recorded as lost too.
//!
//! A result that is reported while the claim is held is noted beside it, which
//! makes the step's condition fail; the step is then decided again with it.

use crate::engine::attempt::Success;
use crate::engine::attempt::encode_entry;
use crate::engine::item::WorkItem;
use crate::engine::statements;
use crate::engine::statements::Statement;
use crate::engine::step::{Advanced, Settled, Step};
use crate::engine::{HistoryEntry, StoreError, WorkStore};
use crate::items::activity::codec::{Dispatch, Record};
use crate::items::activity::create::due_activity;
use crate::table::keys;
use chrono::{DateTime, Utc};
use rules::activity::{Event, Index, decide, index};

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt<'a> {
    /// The call was accepted.
    Succeeded {
        /// What to record.
        success: Success,
        /// What its provider made of it, where it went through a channel.
        dispatch: Option<Dispatch>,
    },
    /// It failed, or its worker was lost.
    Failed {
        /// The event: failed, or the lease ran out.
        event: Event<'a>,
        /// What to record.
        entry: HistoryEntry,
    },
    /// It was not made.
    Released,
}

impl WorkStore {
    /// Settles an attempt on `record`, which is claimed, at `now`: the same in every try of the same settle, so that
    /// a write which had succeeded although its answer was lost is known again.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written: the lease will run out and the attempt counts as crashed.
    pub async fn settle(
        &self,
        record: &Record,
        attempt: &Attempt<'_>,
        now: DateTime<Utc>,
    ) -> Result<Settled<Record>, StoreError> {
        let now = rules::time::truncate(now);
        let (event, success, dispatch) = match attempt {
            Attempt::Succeeded { success, dispatch } => (Event::Succeeded, Some(*success), dispatch.as_ref()),
            Attempt::Failed { event, .. } => (*event, None, None),
            Attempt::Released => (Event::Released, None, None),
        };
        let Ok(step) = decide(&record.state, event, now) else { return Ok(Settled::Stale) };
        let lost = match attempt {
            Attempt::Failed { event: Event::LeaseExpired { .. }, entry } => Some(self.entry(record, entry)),
            Attempt::Failed { entry, .. } => {
                self.record_entry(record, entry).await?;
                None
            }
            Attempt::Succeeded { .. } | Attempt::Released => None,
        };
        if let Some(dispatch) = dispatch {
            self.take_early_results(record, dispatch).await?;
        }
        // A result that is noted meanwhile may end what this would not: that one goes by the index alone.
        let periods = match index(&step.to) {
            Index::Done => self.periods(&record.tenant).await,
            Index::Due(_) => None,
        };
        let decided = |record: &Record| {
            decide(&record.state, event, now).map(|step| {
                let dispatch = dispatch.or(record.dispatch.as_ref()).cloned();
                let to = Record { state: step.to, success, dispatch, ..record.clone() };
                Step { to: to.kept_for(&periods, now), enqueue: step.enqueue }
            })
        };
        let settled = self.advance(record.clone(), lost.as_ref(), now, decided).await?;
        match &settled {
            Advanced::Applied(Step { to, enqueue: true }) => self.enqueue(&[due_activity(to)]).await,
            Advanced::Contended => return Err(StoreError::Throttled),
            _ => {}
        }
        Ok(settled.into())
    }

    /// Makes the activity known by its provider's id, and notes the results that came before that.
    async fn take_early_results(&self, record: &Record, dispatch: &Dispatch) -> Result<(), StoreError> {
        self.link_dispatch(record, dispatch).await?;
        // An id of ours was not known to anybody before the activity was there.
        if record.has_callers_id() {
            self.adopt_early(record).await?;
        }
        Ok(())
    }

    /// Writes a history entry of the attempt under way; one that is there already stands.
    pub(crate) async fn record_entry(&self, record: &Record, entry: &HistoryEntry) -> Result<(), StoreError> {
        self.batcher.run(self.entry(record, entry)).await?;
        Ok(())
    }

    /// The write of a history entry, under a key that names run and attempt.
    pub(crate) fn entry(&self, record: &Record, entry: &HistoryEntry) -> Statement {
        let sk = keys::history(record.state.run, record.state.attempts);
        let item = encode_entry(record.pk(), &sk, entry);
        statements::insert(&self.table, record.pk(), &sk, item)
    }
}
