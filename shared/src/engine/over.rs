//! Removing what is over and not to be kept any longer, and making room for another item of its id (SPEC §8).

use super::attributes::{Attributes, DecodeError, Item};
use super::erase::Erased;
use super::guard::Guard;
use super::kept::is_over;
use super::scan::{Phase, STRIDE};
use super::{StoreError, WorkStore};
use crate::table::{attr, keys};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};

/// Items, each with all that lies beside it, removed at a time.
const IN_FLIGHT: usize = 16;

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
