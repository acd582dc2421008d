//! Claiming a reminder for one attempt: one conditional write (SPEC §9.2).

use crate::engine::attributes::{n, s, t};
use crate::engine::claim::Wanted;
use crate::engine::guard::Guard;
use crate::engine::step::Advanced;
use crate::engine::{Claimed, Step, StoreError};
use crate::items::reminder::codec::Record;
use crate::items::reminder::{ReminderStore, attr, keys};
use crate::table::attr as work;
use chrono::TimeDelta;
use rules::claim::{Claimable, Trigger};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{Refusal, Status, claimed};

/// What a manual claim came to.
#[derive(Debug, Clone, PartialEq)]
pub enum ManualClaim {
    /// It is ours until the lease runs out.
    Ours(Box<Record>),
    /// Its claim has expired: the attempt is to be accounted for first.
    Expired(Box<Record>),
    /// There is no such reminder.
    NotFound,
    /// Its state does not allow it.
    Refused(Refusal),
}

impl ReminderStore {
    /// Claims a reminder whose send time has come, for `lease` from now on, as the processor with `fence`: one write unit. A
    /// processor that lost its lock to a later one is refused, though it may not know yet.
    ///
    /// # Errors
    /// [`StoreError`]. After it the claim may have been written; its lease will run out, and the attempt counts.
    pub async fn claim(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        fence: u64,
        lease: TimeDelta,
    ) -> Result<Claimed<Record>, StoreError> {
        let now = self.work.clock.now();
        let wanted = Wanted {
            pk: keys::reminder(tenant, id),
            claim: self.work.new_claim(Trigger::Due, now + lease),
            sets: vec![(attr::FENCE, n(fence))],
            guards: vec![
                Guard::Equals(work::STATUS, s(Status::Active.as_str())),
                Guard::AtMost(attr::NEXT, t(now)),
                Guard::AtMost(attr::FENCE, n(fence)),
            ],
        };
        self.work.claim_one(wanted).await
    }

    /// Claims a reminder for `lease` from now on because its owner wants it sent now.
    ///
    /// # Errors
    /// [`StoreError`]. After it the claim may have been written; its lease will run out, and the attempt counts.
    pub async fn claim_manually(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        lease: TimeDelta,
    ) -> Result<ManualClaim, StoreError> {
        let Some(record) = self.record(tenant, id).await? else { return Ok(ManualClaim::NotFound) };
        let now = self.work.clock.now();
        let claim = self.work.new_claim(Trigger::Manual, now + lease);
        let decided = |record: &Record| match record.state.claimable(Trigger::Manual, now) {
            Claimable::Yes => {
                let to = self.at(record, claimed(&record.state, claim.clone()), now);
                Ok(Step { to, enqueue: false })
            }
            Claimable::Expired => Err(ManualClaim::Expired(Box::new(record.clone()))),
            Claimable::InFlight => Err(ManualClaim::Refused(Refusal::InFlight)),
            Claimable::Finished | Claimable::NotYet => {
                Err(ManualClaim::Refused(Refusal::Status(record.state.status)))
            }
        };
        Ok(match self.work.advance(record, None, now, decided).await? {
            Advanced::Applied(step) => ManualClaim::Ours(Box::new(step.to)),
            Advanced::Refused(refused) => refused,
            Advanced::Stale => ManualClaim::NotFound,
            Advanced::Contended => ManualClaim::Refused(Refusal::InFlight),
        })
    }
}
