//! One slice of the due index and how far it has been swept.

use crate::engine::{StoreError, WorkStore};
use crate::items::activity::DueRow;
use crate::lease::{Lease, Leases, Values};
use crate::table::keys;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::due::{Mark, SWEEP_HORIZON, recovery_spans};
use rules::names::{Kind, Tenant};
use std::collections::VecDeque;

/// How long a sweep may hold a slice without renewing; more than one turn takes, less than a minute.
pub const SLICE_LEASE: TimeDelta = TimeDelta::seconds(45);

const CURSOR: &str = "cursor";
const SWEPT_AT: &str = "sweptAt";
const REQUEUE: &str = "requeue";
const REQUEUED: &str = "requeued";
const REQUEUE_CURSOR: &str = "requeueCursor";

/// A partition of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Whose work.
    pub tenant: Tenant,
    /// Which kind of it.
    pub kind: Kind,
    /// The partition, and the name of its lease.
    pub partition: String,
}

impl Slice {
    /// The slice of one shard.
    pub fn new(tenant: Tenant, kind: Kind, shard: u32) -> Self {
        let partition = keys::due_partition(&tenant, &kind, shard);
        Self { tenant, kind, partition }
    }

    /// Asks for a pass that enqueues everything again up to the horizon, whatever the marks say. `ask` tells this
    /// asking from others.
    ///
    /// # Errors
    /// [`StoreError`] when the word cannot be left.
    pub async fn ask_requeue(&self, leases: &Leases, ask: &str) -> Result<(), StoreError> {
        leases.leave_word(&self.partition, (REQUEUE, AttributeValue::S(ask.to_owned()))).await
    }
}

/// A part of a slice that a sweep reads: after a sort key, up to an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    after: String,
    until: DateTime<Utc>,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything again.
    Requeue,
    /// What is overdue and seems lost.
    Recovery,
    /// What enters the horizon and waits for the sweep.
    Horizon,
}

/// A slice whose lease is held, and what is left to read of it.
pub struct Held {
    slice: Slice,
    lease: Lease,
    ranges: VecDeque<Range>,
    /// The requeue that this sweep serves.
    requeue: Option<String>,
    requeue_cursor: Option<String>,
    cursor: String,
    swept_at: DateTime<Utc>,
    /// When it was taken: what it plans and notes refers to this instant.
    taken_at: DateTime<Utc>,
}

/// Rows to enqueue, and how many of them were overdue and seemed lost.
pub struct Taken {
    /// The rows.
    pub rows: Vec<DueRow>,
    /// Of these, the recovered ones.
    pub recovered: usize,
}

impl Held {
    /// Takes the slice's lease and plans what to read; `None` while another sweep has it.
    ///
    /// # Errors
    /// [`StoreError`] when the lease cannot be written.
    pub async fn take(
        slice: Slice,
        oldest: DateTime<Utc>,
        leases: &Leases,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(lease) = leases.acquire(&slice.partition, SLICE_LEASE).await? else { return Ok(None) };
        let number = |name: &str| match lease.values.get(name) {
            Some(AttributeValue::N(number)) => number.parse::<i64>().ok(),
            _ => None,
        };
        let text = |name: &str| match lease.values.get(name) {
            Some(AttributeValue::S(text)) => Some(text.clone()),
            _ => None,
        };
        let swept_at =
            number(SWEPT_AT).and_then(DateTime::from_timestamp_millis).unwrap_or(DateTime::UNIX_EPOCH);
        let cursor = text(CURSOR).unwrap_or_else(|| "0".to_owned());
        let requeue = text(REQUEUE).filter(|asked| text(REQUEUED).as_ref() != Some(asked));
        let horizon = now + SWEEP_HORIZON;
        let mut ranges = VecDeque::new();
        let mut requeue_cursor = None;
        if let Some(asked) = &requeue {
            // A cursor belongs to the requeue it was made in: "{asked}|{sort key}".
            let after = text(REQUEUE_CURSOR)
                .and_then(|cursor| cursor.strip_prefix(&format!("{asked}|")).map(str::to_owned))
                .unwrap_or_else(|| "0".to_owned());
            requeue_cursor = Some(after.clone());
            ranges.push_back(Range { after, until: horizon, part: Part::Requeue });
        } else {
            for (from, until) in recovery_spans(oldest, swept_at, now) {
                ranges.push_back(Range { after: keys::instant(from), until, part: Part::Recovery });
            }
            ranges.push_back(Range { after: cursor.clone(), until: horizon, part: Part::Horizon });
        }
        Ok(Some(Self { slice, lease, ranges, requeue, requeue_cursor, cursor, swept_at, taken_at: now }))
    }

    /// Whose slice it is.
    pub fn slice(&self) -> &Slice {
        &self.slice
    }

    /// Whether nothing is left to read.
    pub fn is_exhausted(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The next rows to enqueue, up to `limit`; fewer where a range ends or its rows were enqueued by their writers.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn turn(&mut self, work: &WorkStore, limit: usize) -> Result<Taken, StoreError> {
        let Some(range) = self.ranges.front_mut() else {
            return Ok(Taken { rows: Vec::new(), recovered: 0 });
        };
        let rows = work.due_page(&self.slice.partition, Some(&range.after), Some(range.until), limit).await?;
        let part = range.part;
        match rows.last() {
            Some(last) if rows.len() >= limit => range.after = last.sort.clone(),
            _ => {
                range.after = keys::instant(range.until) + "~";
                if part == Part::Horizon {
                    self.cursor = range.after.clone().max(std::mem::take(&mut self.cursor));
                }
                self.ranges.pop_front();
            }
        }
        if part == Part::Requeue {
            let after = rows.last().map(|row| row.sort.clone());
            self.requeue_cursor = after.or(self.requeue_cursor.take());
        }
        if part == Part::Horizon
            && let Some(last) = rows.last()
            && !self.ranges.is_empty()
        {
            self.cursor = last.sort.clone();
        }
        let rows: Vec<DueRow> =
            rows.into_iter().filter(|row| part != Part::Horizon || row.mark == Mark::Waiting).collect();
        let recovered = if part == Part::Recovery { rows.len() } else { 0 };
        Ok(Taken { rows, recovered })
    }

    /// Holds the slice on if the lease is about to run out; `false` if another sweep has it now.
    ///
    /// # Errors
    /// [`StoreError`] when the lease cannot be written.
    pub async fn hold(&mut self, leases: &Leases, now: DateTime<Utc>) -> Result<bool, StoreError> {
        if self.lease.until - now > SLICE_LEASE / 2 {
            return Ok(true);
        }
        leases.renew(&mut self.lease, SLICE_LEASE).await
    }

    /// Lets go of the slice and notes how far it was swept.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written; then the next sweep reads the same again.
    pub async fn release(self, leases: &Leases) -> Result<(), StoreError> {
        let number = |value: i64| AttributeValue::N(value.to_string());
        let (now, horizon) = (self.taken_at, keys::instant(self.taken_at + SWEEP_HORIZON) + "~");
        let recovered_all = !self.ranges.iter().any(|range| range.part != Part::Horizon);
        let mut values = Values::new();
        match self.requeue {
            // A requeue reads all that the cursor and the recovery would.
            Some(asked) if self.ranges.is_empty() => {
                values.insert(REQUEUED.to_owned(), AttributeValue::S(asked));
                values.insert(CURSOR.to_owned(), AttributeValue::S(horizon.max(self.cursor)));
                values.insert(SWEPT_AT.to_owned(), number(now.timestamp_millis()));
            }
            Some(asked) => {
                let cursor = format!("{asked}|{}", self.requeue_cursor.unwrap_or_default());
                values.insert(REQUEUE_CURSOR.to_owned(), AttributeValue::S(cursor));
            }
            None => {
                values.insert(CURSOR.to_owned(), AttributeValue::S(self.cursor));
                let swept_at = if recovered_all { now } else { self.swept_at };
                values.insert(SWEPT_AT.to_owned(), number(swept_at.timestamp_millis()));
            }
        }
        // Not ours any more: whoever holds it now notes its own progress.
        leases.release(self.lease, values).await.map(|_| ())
    }

    /// Lets go of the slice as it was before.
    ///
    /// # Errors
    /// [`StoreError`] when the lease cannot be written; then it runs out.
    pub async fn abandon(self, leases: &Leases) -> Result<(), StoreError> {
        leases.release(self.lease, Values::new()).await.map(|_| ())
    }
}
