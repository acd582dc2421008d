//! Claiming activities that are due, without reading them first: 25 in one call (SPEC §9.2).

use crate::engine::attributes::{s, t};
use crate::engine::claim::{Claimed, Wanted, statement};
use crate::engine::guard::Guard;
use crate::engine::statements::Statement;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::table::{attr, keys};
use chrono::{DateTime, TimeDelta, Utc};
use futures::Stream;
use rules::activity::Status;
use rules::claim::{Claim, Trigger};
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

impl WorkStore {
    /// Claims up to 25 activities that are due by now and `lead`. What the response shows is ready at once; the others are
    /// looked up as the stream is read, side by side, and each follows when its item was read: a caller that waited for
    /// all of them would lose of every lease what one lookup takes.
    ///
    /// # Errors
    /// [`StoreError`], each for itself. After an error the claim may have been
    /// written; its lease will run out, and the attempt counts (SPEC §9.3).
    pub async fn claim(
        &self,
        refs: &[Ref],
        lead: TimeDelta,
    ) -> impl Stream<Item = Result<Claimed<Record>, StoreError>> {
        let due_by = self.clock.now() + lead;
        let wanted = refs.iter().map(|one| {
            let claim = self.new_claim(Trigger::Due, one.lease_until);
            wanted(keys::activity(&one.tenant, &one.id), claim, due_by)
        });
        self.claim_due(wanted.collect(), lead).await
    }
}

/// The claim of the activity `pk`, if it is due by `due_by`. Its condition is [`rules::activity::State::claimable`].
fn wanted(pk: String, claim: Claim, due_by: DateTime<Utc>) -> Wanted {
    let guards =
        vec![Guard::Equals(attr::STATUS, s(Status::Ready.as_str())), Guard::AtMost(attr::DUE, t(due_by))];
    Wanted { pk, claim, sets: Vec::new(), guards }
}

/// The statement that claims the activity `pk`, if it is due by `due_by`: it raises its attempts, sets token and lease, and
/// returns the item. It touches no indexed attribute, so it costs one write unit.
pub fn activity_statement(table: &str, pk: String, claim: &Claim, due_by: DateTime<Utc>) -> Statement {
    statement::<Record>(table, &wanted(pk, claim.clone(), due_by))
}
