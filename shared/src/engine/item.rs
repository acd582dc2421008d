//! What an item of every kind of work has: where it lies, how it is stored, and by what its states differ. Each kind
//! brings this and its own decisions; the protocol that moves them is one (SPEC §9).

use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::guard::Guard;
use crate::engine::kept::Kept;
use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::claim::{Claim, Claimable, Trigger};

/// Names and values of attributes, in a fixed order.
pub type Encoded = Vec<(&'static str, AttributeValue)>;

/// A stored item of work.
pub trait WorkItem: Clone + PartialEq {
    /// Its partition key.
    fn pk(&self) -> String;

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    fn decode(item: &Item) -> Result<Self, DecodeError>;

    /// The attributes that a step may change, its place in exactly one of the indexes `due` and `done` among them. What
    /// ends by a step ends at `now`.
    fn changing(&self, now: DateTime<Utc>) -> Encoded;

    /// Who holds it.
    fn claim(&self) -> Option<&Claim> {
        None
    }

    /// Until when it is kept, if it is over.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// What has to be as it was read for the step to `to` to be written: its claim's token, or everything that a decision
    /// on it is made from.
    fn guards(&self, to: &Self) -> Vec<Guard>;

    /// Whether it is what the step to `to` leaves, as far as decisions look at it.
    fn is_left_by(&self, to: &Self) -> bool {
        self == to
    }

    /// Whether it records a success, which is written before all else.
    fn is_success(&self) -> bool {
        false
    }

    /// Whether it is gone for readers.
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.kept().is_some_and(|kept| kept.is_over(now))
    }
}

/// Work that is claimed without reading it first, when it is due.
pub trait DueItem: WorkItem {
    /// The counters that a claim raises by one.
    const COUNTERS: &'static [&'static str];

    /// What a claim finds at `now` that may be as far as `lead` before the item is due.
    fn claimable(&self, lead: TimeDelta, now: DateTime<Utc>) -> Claimable;
}

/// Whether `claim` is the one that holds an item: its token alone names it.
pub(crate) fn is_held_by<T: WorkItem>(item: &T, claim: &Claim) -> bool {
    item.claim().is_some_and(|held| held.token == claim.token)
}

/// A claim as attributes.
pub(crate) fn encode_claim(claim: Option<&Claim>) -> impl Iterator<Item = (&'static str, AttributeValue)> {
    claim.into_iter().flat_map(|claim| {
        let manual = (claim.trigger == Trigger::Manual).then(|| (attr::MANUAL, n(1)));
        [(attr::TOKEN, s(&claim.token)), (attr::LEASE, t(claim.lease_until))].into_iter().chain(manual)
    })
}

impl Attributes<'_> {
    /// Who holds the item.
    pub(crate) fn claim(&self) -> Result<Option<Claim>, DecodeError> {
        let manual: Option<u8> = self.number_option(attr::MANUAL)?;
        let trigger = manual.map_or(Trigger::Due, |_| Trigger::Manual);
        match (self.text_option(attr::TOKEN)?, self.instant_option(attr::LEASE)?) {
            (Some(token), Some(lease_until)) => {
                Ok(Some(Claim { token: token.to_owned(), lease_until, trigger }))
            }
            (None, None) => Ok(None),
            _ => Err(self.error(attr::TOKEN)),
        }
    }
}
