//! Settling: what came of an attempt, written under the claim's token (SPEC §9.2).
//!
//! The history entry of a failure is written before the step, under a key that
//! names run and attempt. Dying between the two leaves an abandoned claim whose
//! attempt is already told; its recovery finds the entry and keeps it.
//!
//! The entry of a lost attempt is written with the step, in one transaction: its
//! worker may only have been slow and settle a success meanwhile, which must not
//! be told as lost too.
//!
//! A result that is reported while the claim is held is noted beside it, which
//! makes the step's condition fail; the step is then decided again with it.

use super::apply::Written;
use super::batcher::Outcome;
use super::codec::{Dispatch, Record, Success};
use super::create::due_activity;
use super::read::encode_entry;
use super::statements::{self, Statement};
use super::{HistoryEntry, StoreError, WorkStore, attr, keys};
use chrono::{DateTime, Utc};
use rules::activity::{Event, Status, Transition, decide};

/// How often a settle is decided anew because results were noted meanwhile.
const TRIES: usize = 5;

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

/// What a settle came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Written, now or by an earlier try of the same write.
    Applied(Transition),
    /// The claim was no longer ours: whoever took it has settled, or will.
    Stale,
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
    ) -> Result<Settled, StoreError> {
        let now = rules::time::truncate(now);
        let (event, success, dispatch) = match attempt {
            Attempt::Succeeded { success, dispatch } => (Event::Succeeded, Some(*success), dispatch.as_ref()),
            Attempt::Failed { event, .. } => (*event, None, None),
            Attempt::Released => (Event::Released, None, None),
        };
        let mut record = record.clone();
        if decide(&record.state, event, now).is_err() {
            return Ok(Settled::Stale);
        }
        let lost = match attempt {
            Attempt::Failed { event: Event::LeaseExpired { .. }, entry } => Some(entry),
            Attempt::Failed { entry, .. } => {
                self.record_entry(&record, entry).await?;
                None
            }
            Attempt::Succeeded { .. } | Attempt::Released => None,
        };
        if let Some(dispatch) = dispatch {
            self.take_early_results(&record, dispatch).await?;
        }
        for _ in 0..TRIES {
            let Ok(step) = decide(&record.state, event, now) else { return Ok(Settled::Stale) };
            let kept = self.kept(&record, &step.to, success, now).await;
            let statement = statements::step(&self.table, &record, &step.to, success, dispatch, kept, now);
            let outcome = match lost {
                Some(entry) => self.run_with_entry(&record, entry, statement).await?,
                None => self.batcher.run(statement).await?,
            };
            match outcome {
                Outcome::Applied(_) => return self.settled(record, step).await,
                Outcome::Lost(Some(item)) => {
                    let found = Record::decode(&item)?;
                    // Our own write, retried by the SDK after it had succeeded.
                    if found.state == step.to {
                        return self.settled(record, step).await;
                    }
                    // A result was noted beside our claim, so the step is another one.
                    if found.state.claim.is_none() || found.state.claim != record.state.claim {
                        return Ok(Settled::Stale);
                    }
                    record = found;
                }
                Outcome::Lost(None) | Outcome::Duplicate => return Ok(Settled::Stale),
            }
        }
        Err(StoreError::Throttled)
    }

    async fn settled(&self, record: Record, step: Transition) -> Result<Settled, StoreError> {
        if step.enqueue {
            let next = Record { state: step.to.clone(), ..record };
            self.enqueue(&[due_activity(&next)]).await;
        }
        Ok(Settled::Applied(step))
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

    /// Runs `step`, which accounts for the lost attempt of `record`, together with the attempt's history entry.
    pub(super) async fn run_with_entry(
        &self,
        record: &Record,
        entry: &HistoryEntry,
        step: Statement,
    ) -> Result<Outcome, StoreError> {
        match self.together(self.entry(record, entry), step.clone()).await? {
            Written::Yes => Ok(Outcome::Applied(None)),
            // Told already: by a worker that was lost after that, or by an earlier try of this.
            Written::Known => self.batcher.run(step).await,
            Written::Moved => {
                let read = statements::read(&self.table, record.pk(), attr::ITEM);
                Ok(match self.reads.run(read).await? {
                    Outcome::Applied(item) | Outcome::Lost(item) => Outcome::Lost(item),
                    Outcome::Duplicate => Outcome::Duplicate,
                })
            }
        }
    }

    /// Writes a history entry of the attempt under way; one that is there already stands.
    pub(super) async fn record_entry(&self, record: &Record, entry: &HistoryEntry) -> Result<(), StoreError> {
        self.batcher.run(self.entry(record, entry)).await?;
        Ok(())
    }

    fn entry(&self, record: &Record, entry: &HistoryEntry) -> Statement {
        let sk = keys::history(record.state.run, record.state.attempts);
        let item = encode_entry(record.pk(), &sk, entry);
        statements::insert(&self.table, record.pk(), &sk, item)
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
