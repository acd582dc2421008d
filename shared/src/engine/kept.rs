//! Until when finished items are kept, and who removes them then (SPEC §8).
//!
//! An item that has nothing beside it goes by DynamoDB's time to live, which costs nothing. One that has (attempts, results, a
//! large parameter) would leave that behind, and none of it can have a time of its own: it is needed until the item's end,
//! which nobody knows when it is written, and again if the item is retried. So it is removed as a whole by the log roller,
//! at about the same time. For readers both are gone when their time has come: DynamoDB removes within days, not at once.

use crate::engine::attributes::{Attributes, DecodeError, Item, n};
use crate::engine::erase::Erased;
use crate::engine::scan::{Phase, STRIDE};
use crate::engine::statements::Guard;
use crate::engine::{StoreError, WorkStore};
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rules::rolling::EXPIRY_GRACE;

/// Items, each with all that lies beside it, removed at a time.
const IN_FLIGHT: usize = 16;

/// Until when an item is kept, in whole seconds, and how it goes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// From then on it is gone for readers.
    pub until: DateTime<Utc>,
    /// Whether DynamoDB removes it; else the log roller does.
    pub by_ttl: bool,
}

impl Kept {
    /// Until `until`.
    pub fn new(until: DateTime<Utc>, by_ttl: bool) -> Self {
        let seconds = until.timestamp() + i64::from(until.timestamp_subsec_nanos() > 0);
        Self { until: DateTime::from_timestamp(seconds, 0).unwrap_or(until), by_ttl }
    }

    /// Whether its time has come.
    pub fn is_over(self, now: DateTime<Utc>) -> bool {
        self.until <= now
    }

    /// As an attribute.
    pub fn attribute(self) -> (&'static str, AttributeValue) {
        match self.by_ttl {
            true => (attr::EXPIRES, n((self.until + EXPIRY_GRACE).timestamp())),
            false => (attr::KEPT_UNTIL, n(self.until.timestamp())),
        }
    }
}

/// The attribute by which DynamoDB removes an item that is kept for `retention` from `at`; none without one.
pub(crate) fn expires(
    at: DateTime<Utc>,
    retention: Option<TimeDelta>,
) -> Option<(&'static str, AttributeValue)> {
    let until = at.checked_add_signed(retention?)?;
    Some(Kept::new(until, true).attribute())
}

/// Whether an item of any kind is gone for readers.
pub(crate) fn is_over(item: &Item, now: DateTime<Utc>) -> Result<bool, DecodeError> {
    Ok(Attributes::new(item)?.kept()?.is_some_and(|kept| kept.is_over(now)))
}

impl Attributes<'_> {
    /// Until when the item is kept, if that is known.
    pub fn kept(&self) -> Result<Option<Kept>, DecodeError> {
        let instant = |attribute| -> Result<Option<DateTime<Utc>>, DecodeError> {
            let seconds: Option<i64> = self.number_option(attribute)?;
            let at = |seconds| DateTime::from_timestamp(seconds, 0).ok_or_else(|| self.error(attribute));
            seconds.map(at).transpose()
        };
        if let Some(expires) = instant(attr::EXPIRES)? {
            return Ok(Some(Kept { until: expires - EXPIRY_GRACE, by_ttl: true }));
        }
        Ok(instant(attr::KEPT_UNTIL)?.map(|until| Kept { until, by_ttl: false }))
    }
}

/// What a step of a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items removed, each with all that lay beside it.
    pub removed: usize,
    /// The sort key behind which it goes on, if there may be more.
    pub after: Option<String>,
}

impl WorkStore {
    /// Removes the next items of partitions of `done` that ended by `until` and are not to be kept any longer.
    pub(crate) async fn sweep_over(
        &self,
        partitions: Vec<String>,
        until: DateTime<Utc>,
        after: Option<&str>,
    ) -> Result<Swept, StoreError> {
        let phase = Phase { newest_first: false, ..Phase::done(partitions) };
        let rows = self.stride(&phase, after, STRIDE).await?;
        let last = keys::instant(until) + "~";
        let due: Vec<_> = rows.into_iter().take_while(|(sort, _)| *sort <= last).collect();
        let pks: Vec<String> = due.iter().map(|(_, pk)| pk.clone()).collect();
        let mut over = Vec::new();
        for item in self.state_items(&pks).await? {
            let is_over = || {
                let read = Attributes::new(&item)?;
                // The index may be behind: something may happen to it again.
                let stands_there = read
                    .text_option(attr::DONE_PARTITION)?
                    .is_some_and(|partition| phase.partitions.iter().any(|known| known == partition));
                // What was over before this was noted goes by the index alone.
                let is_over = read.kept()?.is_none_or(|kept| kept.is_over(self.clock.now()));
                Ok::<_, DecodeError>((stands_there && is_over).then(|| read.pk().to_owned()))
            };
            if let Some(pk) = self.unreadable.skip(is_over()).flatten() {
                over.push((pk, item));
            }
        }
        let removals = over.iter().map(|(pk, item)| self.remove_over(pk, item));
        let removals: Vec<_> = removals.collect();
        let erased: Vec<Erased> = stream::iter(removals).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let removed = erased.iter().filter(|erased| **erased == Erased::Yes).count();
        Ok(Swept { removed, after: due.into_iter().nth(STRIDE - 1).map(|(sort, _)| sort) })
    }

    /// For how long what has no period is kept; `None` for ever.
    pub(crate) fn retention(&self) -> Option<TimeDelta> {
        (self.retention_days > 0).then(|| TimeDelta::days(self.retention_days.into()))
    }

    /// Removes the item of `pk` with all that lies beside it, if it is gone for readers: before another of its id is made.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub(crate) async fn make_room(&self, pk: &str) -> Result<(), StoreError> {
        if let Some(item) = self.item(pk, attr::ITEM).await?
            && is_over(&item, self.clock.now())?
        {
            self.remove_over(pk, &item).await?;
        }
        Ok(())
    }

    /// Removes the item of `pk`, if it is as it was read, with all that lies beside it.
    pub(crate) async fn remove_over(&self, pk: &str, item: &Item) -> Result<Erased, StoreError> {
        // Whatever happens to it changes one of these.
        let guards = [
            attr::TOKEN,
            attr::STATUS,
            attr::DONE_PARTITION,
            attr::DONE_SORT,
            attr::EXPIRES,
            attr::KEPT_UNTIL,
        ];
        let guard = |attribute| match item.get(attribute) {
            Some(value) => Guard::Equals(attribute, value.clone()),
            None => Guard::Missing(attribute),
        };
        self.erase(pk, &guards.map(guard)).await
    }
}
