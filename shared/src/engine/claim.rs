//! Claiming what is due without reading it first: one conditional write each, 25 in one call (SPEC §9.2).

use crate::engine::batcher::Outcome;
use crate::engine::guard::Guard;
use crate::engine::item::{DueItem, is_held_by};
use crate::engine::statements;
use crate::engine::statements::Statement;
use crate::engine::{StoreError, WorkStore};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures::Stream;
use futures::stream::FuturesUnordered;
use rules::claim::{Claim, Claimable, Trigger};

/// What a claim came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed<T> {
    /// It is ours until the lease runs out.
    Ours(Box<T>),
    /// Its claim has expired: the attempt is to be accounted for first.
    Expired(Box<T>),
    /// It is claimed by somebody else, until that lease runs out.
    InFlight(Box<T>),
    /// Finished, gone, due later, or an item that cannot be read: there is nothing to do.
    NotOurs,
}

/// A claim that is to be written to an item, if its conditions hold.
pub(crate) struct Wanted {
    pub(crate) pk: String,
    pub(crate) claim: Claim,
    /// What is written beside the claim.
    pub(crate) sets: Vec<(&'static str, AttributeValue)>,
    /// What has to hold, apart from that nobody has claimed it.
    pub(crate) guards: Vec<Guard>,
}

impl WorkStore {
    /// A new claim of an item that holds until `lease_until`.
    pub fn new_claim(&self, trigger: Trigger, lease_until: DateTime<Utc>) -> Claim {
        let token = URL_SAFE_NO_PAD.encode(self.entropy.bytes::<12>());
        Claim { token, lease_until: rules::time::truncate(lease_until), trigger }
    }

    /// Claims up to 25 items. What the response shows is ready at once; the others are looked up as the stream is read, side by
    /// side, and each follows when its item was read: a caller that waited for all of them would lose of every lease what one
    /// lookup takes.
    pub(crate) async fn claim_due<T: DueItem>(
        &self,
        wanted: Vec<Wanted>,
        lead: TimeDelta,
    ) -> impl Stream<Item = Result<Claimed<T>, StoreError>> {
        let now = self.clock.now();
        let statements = wanted.iter().map(|one| statement::<T>(&self.table, one)).collect();
        let claimed = wanted.into_iter().zip(self.batcher.run_all(statements).await);
        let claimed = claimed.map(move |(one, outcome)| self.claimed(one, outcome, lead, now));
        claimed.collect::<FuturesUnordered<_>>()
    }

    /// Claims one item that is due by now, in one call with what else waits to be written.
    ///
    /// # Errors
    /// [`StoreError`]. After an error the claim may have been written; its lease will run out, and the attempt counts.
    pub(crate) async fn claim_one<T: DueItem>(&self, wanted: Wanted) -> Result<Claimed<T>, StoreError> {
        let now = self.clock.now();
        let outcome = self.batcher.run(statement::<T>(&self.table, &wanted)).await;
        self.claimed(wanted, outcome, TimeDelta::zero(), now).await
    }

    /// What came of a claim.
    async fn claimed<T: DueItem>(
        &self,
        Wanted { pk, claim, .. }: Wanted,
        outcome: Result<Outcome, StoreError>,
        lead: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Claimed<T>, StoreError> {
        let decoded = |item| self.unreadable.skip(T::decode(item));
        let found = match outcome {
            // An item that cannot be read can be worked on by nobody, and its message is spent.
            Ok(Outcome::Applied(Some(item))) => {
                return Ok(decoded(&item).map_or(Claimed::NotOurs, |item| Claimed::Ours(Box::new(item))));
            }
            // Some endpoints do not return what a statement of a batch wrote.
            Ok(Outcome::Applied(None)) => self.look_up(&pk, &claim).await?,
            Ok(Outcome::Lost(Some(item))) => decoded(&item),
            Ok(Outcome::Lost(None) | Outcome::Duplicate) => None,
            // A try whose response was lost may have written it, and a claim that nobody knows of is a lost attempt.
            Err(error) => match self.look_up::<T>(&pk, &claim).await {
                Ok(Some(found)) if is_held_by(&found, &claim) => Some(found),
                Ok(_) | Err(_) => return Err(error),
            },
        };
        let Some(found) = found else { return Ok(Claimed::NotOurs) };
        // The SDK's own retry of a claim that succeeded looks lost, and is ours.
        if is_held_by(&found, &claim) {
            return Ok(Claimed::Ours(Box::new(found)));
        }
        Ok(match found.claimable(lead, now) {
            Claimable::Expired => Claimed::Expired(Box::new(found)),
            Claimable::InFlight => Claimed::InFlight(Box::new(found)),
            Claimable::Yes | Claimable::Finished | Claimable::NotYet => Claimed::NotOurs,
        })
    }
}

/// The statement of a claim: it touches no indexed attribute, so it costs one write unit.
pub(crate) fn statement<T: DueItem>(table: &str, wanted: &Wanted) -> Statement {
    let Wanted { pk, claim, sets, guards } = wanted;
    statements::claim(table, pk.clone(), (T::COUNTERS, claim), sets, guards)
}
