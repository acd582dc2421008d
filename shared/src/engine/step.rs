//! Steps: an item goes from one state to the next by one conditional write, and a condition that does not hold is a normal
//! outcome (SPEC §9.2).

use crate::engine::attributes::Item;
use crate::engine::batcher::Outcome;
use crate::engine::item::{WorkItem, is_held_by};
use crate::engine::patience::BRIEFLY;
use crate::engine::statements;
use crate::engine::statements::Statement;
use crate::engine::{StoreError, WorkStore};
use crate::table::attr;
use chrono::{DateTime, TimeDelta, Utc};
use rules::claim::{Claim, Trigger};

/// How long a claim of unknown outcome is looked up: longer than two tries of a call that are swallowed, and within what an
/// HTTP API waits for its answer.
const LOOKUP_TIME: TimeDelta = TimeDelta::seconds(10);
/// How often a step is decided anew because the item changed meanwhile.
pub(crate) const TRIES: usize = 5;

/// A step that a decision asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<T> {
    /// The item after it.
    pub to: T,
    /// Whether it makes the item due, so that whoever writes it has to enqueue it (SPEC §9.4).
    pub enqueue: bool,
}

/// What came of a step's write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stepped<T> {
    /// Written, now or by an earlier try of the same write.
    Applied,
    /// The item was not as it had been read; as it is.
    Moved(T),
    /// There is no such item.
    Gone,
}

/// What came of a decision that is made anew as often as the item changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Advanced<T, R> {
    /// Written.
    Applied(Step<T>),
    /// The decision was against it.
    Refused(R),
    /// There is no such item, or another claim holds it than the one the step is to end.
    Stale,
    /// It changed under every try.
    Contended,
}

/// What came of an attempt's settlement.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled<T> {
    /// Written, now or by an earlier try of the same write; the item after it.
    Applied(Box<T>),
    /// The claim was no longer ours: whoever took it has settled, or will.
    Stale,
}

/// What became of two writes that are written together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    /// Both stand.
    Written,
    /// The item that the first one makes is there already.
    Known,
    /// The item that the second one changes was not as it had been read.
    Moved,
}

impl WorkStore {
    /// Writes the step from `from` to `to`, if nothing that it was decided from has changed; with the history entry of a lost
    /// attempt, if one is given. A step that claims and whose outcome is unknown is looked up: a claim that nobody
    /// knows of is a lost attempt.
    pub(crate) async fn step<T: WorkItem>(
        &self,
        from: &T,
        to: &T,
        lost: Option<&Statement>,
        now: DateTime<Utc>,
    ) -> Result<Stepped<T>, StoreError> {
        let step = statements::step(&self.table, from, to, now);
        let outcome = match lost {
            Some(entry) => self.run_with_entry(entry.clone(), step).await,
            None => self.batcher.run(step).await,
        };
        match outcome {
            Ok(Outcome::Applied(_)) => Ok(Stepped::Applied),
            Ok(Outcome::Lost(Some(item))) => {
                let found = T::decode(&item)?;
                // Our own write, retried by the SDK after it had succeeded.
                Ok(if found.is_left_by(to) { Stepped::Applied } else { Stepped::Moved(found) })
            }
            Ok(Outcome::Lost(None) | Outcome::Duplicate) => Ok(Stepped::Gone),
            Err(error) => match to.claim().filter(|claim| from.claim() != Some(claim)) {
                Some(claim) => match self.look_up::<T>(&to.pk(), claim).await {
                    Ok(Some(found)) if is_held_by(&found, claim) => Ok(Stepped::Applied),
                    Ok(_) | Err(_) => Err(error),
                },
                None => Err(error),
            },
        }
    }

    /// Decides on `from` and writes the step, anew with each state that it is found in; where the step ends a claim, while
    /// the item is held by that claim.
    pub(crate) async fn advance<T: WorkItem, R>(
        &self,
        from: T,
        lost: Option<&Statement>,
        now: DateTime<Utc>,
        decide: impl Fn(&T) -> Result<Step<T>, R>,
    ) -> Result<Advanced<T, R>, StoreError> {
        let mut from = from;
        for _ in 0..TRIES {
            let step = match decide(&from) {
                Ok(step) => step,
                Err(refusal) => return Ok(Advanced::Refused(refusal)),
            };
            let ends_claim = from.claim().is_some() && step.to.claim() != from.claim();
            from = match self.step(&from, &step.to, lost, now).await? {
                Stepped::Applied => return Ok(Advanced::Applied(step)),
                Stepped::Moved(found) if ends_claim && found.claim() != from.claim() => {
                    return Ok(Advanced::Stale);
                }
                Stepped::Moved(found) => found,
                Stepped::Gone => return Ok(Advanced::Stale),
            };
        }
        Ok(Advanced::Contended)
    }

    /// Reads what a claim of unknown outcome may have been written to, for [`LOOKUP_TIME`] at most, since the request that
    /// made it waits, and not past the time at which the claim can be given back.
    pub(super) async fn look_up<T: WorkItem>(
        &self,
        pk: &str,
        claim: &Claim,
    ) -> Result<Option<T>, StoreError> {
        let span = match claim.trigger {
            Trigger::Due => LOOKUP_TIME,
            Trigger::Manual => BRIEFLY,
        };
        let until = self.patience.deadline(span).min(claim.lease_until - BRIEFLY);
        self.patience.until(until, || self.read(pk)).await
    }

    /// An item of work, as the last write left it; none that is gone for readers.
    pub(crate) async fn read<T: WorkItem>(&self, pk: &str) -> Result<Option<T>, StoreError> {
        let item: Option<T> = self.read_stored(pk).await?;
        Ok(item.filter(|item| !item.is_over(self.clock.now())))
    }

    /// An item of work that is stored, whether or not its time is over.
    pub(crate) async fn read_stored<T: WorkItem>(&self, pk: &str) -> Result<Option<T>, StoreError> {
        let item: Option<Item> = self.item(pk, attr::ITEM).await?;
        Ok(item.as_ref().map(T::decode).transpose()?)
    }

    /// Runs `step`, which accounts for a lost attempt, together with the attempt's history entry.
    async fn run_with_entry(&self, entry: Statement, step: Statement) -> Result<Outcome, StoreError> {
        let (pk, sk) = step.key.clone();
        match self.together(entry, step.clone()).await? {
            Together::Written => Ok(Outcome::Applied(None)),
            // Recorded already: by a worker that was lost after that, or by an earlier try of this.
            Together::Known => self.batcher.run(step).await,
            Together::Moved => Ok(match self.reads.run(statements::read(&self.table, pk, &sk)).await? {
                Outcome::Applied(item) | Outcome::Lost(item) => Outcome::Lost(item),
                Outcome::Duplicate => Outcome::Duplicate,
            }),
        }
    }

    /// An insert and a step, written together or not at all.
    pub(crate) async fn together(&self, insert: Statement, step: Statement) -> Result<Together, StoreError> {
        Ok(match self.execute([insert, step]).await? {
            Ok(()) => Together::Written,
            Err(canceled) if canceled.is_refused_at(0) => Together::Known,
            Err(canceled) if canceled.is_refused_at(1) => Together::Moved,
            Err(_) => return Err(StoreError::Throttled),
        })
    }
}

impl<T> Settled<T> {
    /// The item that the settlement left, where it was written.
    pub fn applied(&self) -> Option<&T> {
        match self {
            Settled::Applied(item) => Some(item),
            Settled::Stale => None,
        }
    }
}

impl<T, R> From<Advanced<T, R>> for Settled<T> {
    fn from(advanced: Advanced<T, R>) -> Self {
        match advanced {
            Advanced::Applied(step) => Settled::Applied(Box::new(step.to)),
            Advanced::Refused(_) | Advanced::Stale | Advanced::Contended => Settled::Stale,
        }
    }
}
