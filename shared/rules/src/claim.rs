//! A claim: the hold on a work item for one attempt, the same for items of every kind (SPEC §9.2).

use chrono::{DateTime, Utc};

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// It is due.
    Due,
    /// Its owner wants it made now (seed 001, "Manual Send Trigger"; seed 003, re-send).
    Manual,
}

/// A hold on a work item for one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Names the claim; a settle is conditional on it.
    pub token: String,
    /// Until when nobody else may take the item.
    pub lease_until: DateTime<Utc>,
    /// Why the attempt is made.
    pub trigger: Trigger,
}

impl Claim {
    /// A claim of an item that is due.
    pub fn due(token: impl Into<String>, lease_until: DateTime<Utc>) -> Self {
        Self { token: token.into(), lease_until, trigger: Trigger::Due }
    }

    /// Whether nobody else may take the item at `now`.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.lease_until >= now
    }
}

/// What a claim finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimable {
    /// It may be claimed.
    Yes,
    /// No attempt is to come.
    Finished,
    /// It is claimed by somebody else.
    InFlight,
    /// Its claim has expired: whoever held it is gone, and the attempt has to be accounted for first.
    Expired,
    /// It is due later.
    NotYet,
}

/// Whether an item with this claim may be claimed at `now`. `ready_at` is when its next attempt may begin, if one may.
pub fn claimable(claim: Option<&Claim>, ready_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Claimable {
    match (claim, ready_at) {
        (Some(claim), _) if claim.holds(now) => Claimable::InFlight,
        (Some(_), _) => Claimable::Expired,
        (None, None) => Claimable::Finished,
        (None, Some(at)) if at > now => Claimable::NotYet,
        (None, Some(_)) => Claimable::Yes,
    }
}
