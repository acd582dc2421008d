//! Claiming: one conditional write each, 25 in one call (SPEC §9.2).

use super::batcher::Outcome;
use super::codec::{Item, Record};
use super::{StoreError, WorkStore, keys, statements};
use crate::patience::BRIEFLY;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures::Stream;
use futures::stream::FuturesUnordered;
use rules::activity::{Claim, Claimable, claimable};
use rules::names::{ActivityId, Tenant};

/// An activity to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
    /// How long the claim shall hold.
    pub lease_until: DateTime<Utc>,
}

/// What a claim came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is ours until the lease runs out.
    Ours(Box<Record>),
    /// Its worker was lost: the crash is an attempt to account for first.
    Abandoned(Box<Record>),
    /// Another worker has it, until its lease runs out.
    InHand(Box<Record>),
    /// Finished, gone, due later, or an item that cannot be read: none of our business.
    NotOurs,
}

impl WorkStore {
    /// Claims up to 25 activities that are due by now and `lead`. What the answer shows is ready at once; the others are
    /// looked up as the stream is read, side by side, and each follows when its item was read: while it waits for one
    /// lookup, a caller that waits for all of them loses of every lease.
    ///
    /// # Errors
    /// [`StoreError`], each for itself. After an error the claim may have been
    /// written; its lease will run out, and the attempt counts (SPEC §9.3).
    pub async fn claim<'a>(
        &'a self,
        refs: &'a [Ref],
        lead: TimeDelta,
    ) -> impl Stream<Item = Result<Claimed, StoreError>> + 'a {
        let now = self.clock.now();
        let claims: Vec<Claim> = refs
            .iter()
            .map(|one| Claim {
                token: URL_SAFE_NO_PAD.encode(self.entropy.bytes::<12>()),
                lease_until: rules::time::truncate(one.lease_until),
            })
            .collect();
        let statements = refs
            .iter()
            .zip(&claims)
            .map(|(one, claim)| {
                statements::claim(&self.table, keys::activity(&one.tenant, &one.id), claim, now + lead)
            })
            .collect();
        let outcomes = self.batcher.run_all(statements).await;
        let outcomes = refs.iter().zip(claims).zip(outcomes);
        let claimed = move |((one, claim), outcome)| self.claimed(one, claim, outcome, lead, now);
        outcomes.map(claimed).collect::<FuturesUnordered<_>>()
    }

    /// What came of the claim of `one`.
    async fn claimed(
        &self,
        one: &Ref,
        claim: Claim,
        outcome: Result<Outcome, StoreError>,
        lead: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Claimed, StoreError> {
        match outcome {
            Ok(Outcome::Applied(Some(item))) => Ok(self.ours(&item)),
            // Some endpoints do not return what a statement of a batch wrote.
            Ok(Outcome::Applied(None)) => Ok(found(self.look_up(one, &claim).await?, &claim, lead, now)),
            Ok(Outcome::Lost(Some(item))) => {
                Ok(found(self.unreadable.skip(Record::decode(&item)), &claim, lead, now))
            }
            Ok(Outcome::Lost(None) | Outcome::Duplicate) => Ok(Claimed::NotOurs),
            // A try whose answer was lost may have written it, and a claim that nobody knows of is a lost attempt.
            Err(error) => {
                match self.look_up(one, &claim).await.map(|record| found(record, &claim, lead, now)) {
                    Ok(ours @ Claimed::Ours(_)) => Ok(ours),
                    Ok(_) | Err(_) => Err(error),
                }
            }
        }
    }

    /// Reads what a claim of unknown outcome may have been written to, for as long as the claim can still be given back.
    async fn look_up(&self, one: &Ref, claim: &Claim) -> Result<Option<Record>, StoreError> {
        let until = claim.lease_until - BRIEFLY;
        self.patience.until(until, || self.record(&one.tenant, &one.id)).await
    }

    /// A claim that was written, unless its item cannot be read: then nobody can work on it, and its message is spent.
    fn ours(&self, item: &Item) -> Claimed {
        let record = self.unreadable.skip(Record::decode(item));
        record.map_or(Claimed::NotOurs, |record| Claimed::Ours(Box::new(record)))
    }
}

/// Judges an item by its token: the SDK's own retry of a claim that succeeded looks lost, and is ours.
fn found(record: Option<Record>, claim: &Claim, lead: TimeDelta, now: DateTime<Utc>) -> Claimed {
    let Some(record) = record else { return Claimed::NotOurs };
    if record.state.claim.as_ref().is_some_and(|held| held.token == claim.token) {
        return Claimed::Ours(Box::new(record));
    }
    match claimable(&record.state, lead, now) {
        Claimable::Expired => Claimed::Abandoned(Box::new(record)),
        Claimable::InHand => Claimed::InHand(Box::new(record)),
        Claimable::Yes | Claimable::Finished | Claimable::NotYet => Claimed::NotOurs,
    }
}
