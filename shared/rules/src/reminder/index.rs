//! Which index a reminder stands in.

use super::{State, Status};
use crate::claim::{Claim, Trigger};
use chrono::{DateTime, Utc};

/// The index a reminder stands in: exactly one of the two, by construction (DESIGN "Tables").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Something will still happen to it, at this instant.
    Due(DateTime<Utc>),
    /// Nothing will, unless its owner asks for it.
    Done(Done),
}

/// How a reminder is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Done {
    /// Somebody has to look.
    Review,
    /// Everything was sent, or given up with the last one sent.
    Completed,
    /// Called off.
    Cancelled,
}

impl Done {
    /// Every way.
    pub const ALL: [Done; 3] = [Done::Review, Done::Completed, Done::Cancelled];

    /// As keys have it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where `state` is indexed.
///
/// The processor's claim moves nothing, which keeps it small: it is made when the
/// send time has come, so the reminder is found again when its lease has run out.
/// A manual one, or one that was cancelled meanwhile, is found by its lease.
pub fn index(state: &State) -> Index {
    match (state.status, state.next, &state.claim) {
        (Status::Active, Some(next), Some(Claim { trigger: Trigger::Manual, lease_until, .. })) => {
            Index::Due(next.min(*lease_until))
        }
        (Status::Active, Some(next), _) => Index::Due(next),
        (_, _, Some(claim)) => Index::Due(claim.lease_until),
        (Status::Active, None, None) => Index::Done(Done::Review),
        (Status::Completed, _, None) => Index::Done(Done::Completed),
        (Status::Cancelled, _, None) => Index::Done(Done::Cancelled),
    }
}
