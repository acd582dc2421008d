//! Claiming a reminder for one attempt: one conditional write (SPEC §9.2).

use super::codec::Record;
use super::{ReminderStore, TRIES, keys, statement};
use crate::work::StoreError;
use crate::work::batcher::Outcome;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{By, Claim, Claimable, Refusal, claimable, claimed};

/// What a claim by the processor came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is ours until the lease runs out.
    Ours(Box<Record>),
    /// Whoever had it is gone: the attempt is to be accounted for first.
    Abandoned(Box<Record>),
    /// Finished, gone, in other hands, or due later: none of our business.
    NotOurs,
}

/// What a claim by hand came to.
#[derive(Debug, Clone, PartialEq)]
pub enum ByHand {
    /// It is ours until the lease runs out.
    Ours(Box<Record>),
    /// Whoever had it is gone: the attempt is to be accounted for first.
    Abandoned(Box<Record>),
    /// There is no such reminder.
    NotFound,
    /// Its state does not allow it.
    Refused(Refusal),
}

impl ReminderStore {
    /// Claims a reminder whose send time has come, for `lease` from now on, as the processor with `fence`.
    ///
    /// # Errors
    /// [`StoreError`]. After it the claim may have been written; its lease will run out, and the attempt counts.
    pub async fn claim(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        fence: u64,
        lease: TimeDelta,
    ) -> Result<Claimed, StoreError> {
        let now = self.work.clock.now();
        let claim = self.new_claim(By::Processor, now + lease);
        let statement = statement::claim(&self.work.table, keys::reminder(tenant, id), &claim, fence, now);
        let record = match self.work.batcher.run(statement).await {
            Ok(outcome) => outcome,
            // A try whose answer was lost may have written it, and a claim that nobody knows of is a lost attempt.
            Err(error) => match self.record(tenant, id).await {
                Ok(Some(record)) if record.state.claim.as_ref() == Some(&claim) => {
                    return Ok(Claimed::Ours(Box::new(record)));
                }
                _ => return Err(error),
            },
        };
        let record = match record {
            Outcome::Applied(Some(item)) => {
                let record = self.work.unreadable.skip(Record::decode(&item));
                return Ok(record.map_or(Claimed::NotOurs, |record| Claimed::Ours(Box::new(record))));
            }
            // Some endpoints do not return what a statement of a batch wrote.
            Outcome::Applied(None) => self.record(tenant, id).await?,
            Outcome::Lost(item) => item.and_then(|item| self.work.unreadable.skip(Record::decode(&item))),
            Outcome::Duplicate => None,
        };
        let Some(record) = record else { return Ok(Claimed::NotOurs) };
        // Our own claim, retried by the SDK after it had succeeded, looks lost.
        if record.state.claim.as_ref() == Some(&claim) {
            return Ok(Claimed::Ours(Box::new(record)));
        }
        Ok(match claimable(&record.state, By::Processor, now) {
            Claimable::Expired => Claimed::Abandoned(Box::new(record)),
            Claimable::Yes | Claimable::Finished | Claimable::InHand | Claimable::NotYet => Claimed::NotOurs,
        })
    }

    /// Claims a reminder for `lease` from now on because somebody wants it sent now.
    ///
    /// # Errors
    /// [`StoreError`]. After it the claim may have been written; its lease will run out, and the attempt counts.
    pub async fn claim_by_hand(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        lease: TimeDelta,
    ) -> Result<ByHand, StoreError> {
        let mut found = self.record(tenant, id).await?;
        for _ in 0..TRIES {
            let Some(record) = found else { return Ok(ByHand::NotFound) };
            let now = self.work.clock.now();
            match claimable(&record.state, By::Hand, now) {
                Claimable::Yes => {}
                Claimable::Expired => return Ok(ByHand::Abandoned(Box::new(record))),
                Claimable::InHand => return Ok(ByHand::Refused(Refusal::InHand)),
                Claimable::Finished | Claimable::NotYet => {
                    return Ok(ByHand::Refused(Refusal::Status(record.state.status)));
                }
            }
            let to = claimed(&record.state, self.new_claim(By::Hand, now + lease));
            let kept = self.kept(&record, &to, now);
            let statement = statement::step(&self.work.table, &record, &to, kept, None, now);
            found = match self.work.batcher.run(statement).await? {
                Outcome::Applied(_) => return Ok(ByHand::Ours(Box::new(Record { state: to, ..record }))),
                Outcome::Lost(item) => item.as_ref().map(Record::decode).transpose()?,
                Outcome::Duplicate => None,
            };
            if let Some(found) = found.take_if(|found| found.state == to) {
                return Ok(ByHand::Ours(Box::new(found)));
            }
        }
        Ok(ByHand::Refused(Refusal::InHand))
    }

    fn new_claim(&self, by: By, lease_until: DateTime<Utc>) -> Claim {
        let token = URL_SAFE_NO_PAD.encode(self.work.entropy.bytes::<12>());
        Claim { token, lease_until: rules::time::truncate(lease_until), by }
    }
}
