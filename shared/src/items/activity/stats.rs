//! Counts for the console and for alarms, read from the indexes.

use crate::engine::{StoreError, WorkStore};
use crate::table::{attr, keys};
use crate::tenancy::KindEntry;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rules::activity::Status;
use rules::names::{Kind, Tenant};
use rules::rolling::LogKind;
use std::collections::BTreeMap;

/// Most pages counted in one partition: about a million activities.
const PAGES_MAX: usize = 128;
/// Partitions counted at a time.
const COUNTS_IN_FLIGHT: usize = 16;

/// Kinds of a solution that are counted; of more, an answer says that it is truncated.
pub const KINDS_COUNTED_MAX: usize = 500;

/// What waits in a partition.
#[derive(Default)]
struct Waiting {
    ready: u64,
    overdue: u64,
    oldest_overdue: Option<DateTime<Utc>>,
    is_cut: bool,
}

/// The partitions of the due index of `kinds`.
fn due_partitions(tenant: &Tenant, kinds: &[KindEntry]) -> Vec<(Kind, String)> {
    let partitions = kinds.iter().flat_map(|entry| {
        let partition = |shard| (entry.kind.clone(), keys::due_partition(tenant, &entry.kind, shard));
        (0..entry.shards.due).map(partition)
    });
    partitions.collect()
}

/// Which part of a partition is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span {
    /// All of it.
    All,
    /// What is due before an instant.
    DueBefore(DateTime<Utc>),
    /// What ended after an instant.
    After(DateTime<Utc>),
}

/// How a tenant's activities stand. Index reads are eventually consistent.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// How many are in each status.
    pub by_status: BTreeMap<Status, u64>,
    /// How many of each kind are READY.
    pub ready_by_kind: BTreeMap<Kind, u64>,
    /// How many are READY past their instant.
    pub overdue: u64,
    /// Since when the oldest of these has been due.
    pub oldest_overdue: Option<DateTime<Utc>>,
    /// Whether a partition was too large to be counted to its end, or there are too many kinds.
    pub truncated: bool,
}

impl WorkStore {
    /// Counts the tenant's activities.
    ///
    /// # Errors
    /// [`StoreError`] when an index cannot be read.
    pub async fn stats(&self, tenant: &Tenant, kinds: &[KindEntry]) -> Result<Stats, StoreError> {
        let counted = &kinds[..kinds.len().min(KINDS_COUNTED_MAX)];
        let mut stats = Stats {
            by_status: Status::ALL.into_iter().map(|status| (status, 0)).collect(),
            ready_by_kind: counted.iter().map(|entry| (entry.kind.clone(), 0)).collect(),
            overdue: 0,
            oldest_overdue: None,
            truncated: counted.len() < kinds.len(),
        };
        let now = self.clock.now();
        let counts = due_partitions(tenant, counted).into_iter().map(|(kind, partition)| async move {
            Ok::<_, StoreError>((kind, self.waiting_in(&partition, now).await?))
        });
        let mut counts = stream::iter(counts).buffered(COUNTS_IN_FLIGHT);
        while let Some((kind, waiting)) = counts.try_next().await? {
            stats.truncated |= waiting.is_cut;
            *stats.ready_by_kind.entry(kind).or_default() += waiting.ready;
            *stats.by_status.entry(Status::Ready).or_default() += waiting.ready;
            stats.overdue += waiting.overdue;
            stats.oldest_overdue = stats.oldest_overdue.into_iter().chain(waiting.oldest_overdue).min();
        }
        drop(counts);
        for status in Status::ALL.into_iter().filter(|status| *status != Status::Ready) {
            let partitions = self.done_partitions(tenant, kinds, &[status]);
            let period = match LogKind::of(status) {
                Some(kind) => self.keeping(tenant, kind).await?,
                None => None,
            };
            let (count, cut) = self.count_done(partitions, period).await?;
            stats.by_status.insert(status, count);
            stats.truncated |= cut;
        }
        Ok(stats)
    }

    /// Whether an activity of these kinds is READY: then its type or solution may not be deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn has_waiting(&self, tenant: &Tenant, kinds: &[KindEntry]) -> Result<bool, StoreError> {
        let looks = due_partitions(tenant, kinds)
            .into_iter()
            .map(|(_, partition)| async move { self.first_due(&partition).await });
        let mut looks = stream::iter(looks).buffer_unordered(COUNTS_IN_FLIGHT);
        while let Some(first) = looks.try_next().await? {
            if first.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts what waits in a partition of the due index.
    async fn waiting_in(&self, partition: &str, now: DateTime<Utc>) -> Result<Waiting, StoreError> {
        let (ready, is_cut) = self.count(attr::DUE_INDEX, attr::DUE_PARTITION, partition, Span::All).await?;
        if ready == 0 {
            return Ok(Waiting { is_cut, ..Waiting::default() });
        }
        let (overdue, overdue_is_cut) =
            self.count(attr::DUE_INDEX, attr::DUE_PARTITION, partition, Span::DueBefore(now)).await?;
        let oldest_overdue = self.first_due(partition).await?.filter(|due| *due < now);
        Ok(Waiting { ready, overdue, oldest_overdue, is_cut: is_cut | overdue_is_cut })
    }

    /// The first instant in a partition of the due index.
    pub(crate) async fn first_due(&self, partition: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let page = self.due_page(partition, None, None, 1).await?;
        Ok(page.first().map(|row| row.due))
    }

    /// Counts what stands in partitions of the index `done`, some at a time; and whether one of them was cut. What is kept
    /// for `period` and ended before that is gone for readers.
    pub(crate) async fn count_done(
        &self,
        partitions: Vec<String>,
        period: Option<TimeDelta>,
    ) -> Result<(u64, bool), StoreError> {
        let from = period.and_then(|period| self.clock.now().checked_sub_signed(period));
        let span = from.map_or(Span::All, Span::After);
        let counts = partitions.into_iter().map(|partition| async move {
            self.count(attr::DONE_INDEX, attr::DONE_PARTITION, &partition, span).await
        });
        let sum = |(count, cut): (u64, bool), (more, more_cut): (u64, bool)| {
            std::future::ready(Ok((count + more, cut | more_cut)))
        };
        stream::iter(counts).buffer_unordered(COUNTS_IN_FLIGHT).try_fold((0, false), sum).await
    }

    /// Counts a partition; and whether it was cut.
    pub(crate) async fn count(
        &self,
        index: &str,
        partition_name: &str,
        partition: &str,
        span: Span,
    ) -> Result<(u64, bool), StoreError> {
        let mut count = 0;
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(index)
                .select(Select::Count)
                .expression_attribute_names("#p", partition_name)
                .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
                .set_exclusive_start_key(start.take());
            let (condition, name, at) = match span {
                Span::All => ("#p = :p", None, None),
                Span::DueBefore(at) => ("#p = :p AND #s < :s", Some(attr::DUE_SORT), Some(at)),
                Span::After(at) => ("#p = :p AND #s > :s", Some(attr::DONE_SORT), Some(at)),
            };
            query = query.key_condition_expression(condition);
            if let Some((name, at)) = name.zip(at) {
                query = query
                    .expression_attribute_names("#s", name)
                    .expression_attribute_values(":s", AttributeValue::S(keys::instant(at)));
            }
            let output = query.send().await.map_err(StoreError::from_sdk)?;
            count += u64::try_from(output.count).unwrap_or_default();
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok((count, false));
            }
        }
        Ok((count, true))
    }
}
