//! The attempts of a reminder and the send times skipped: an item each, so that a reminder never outgrows one
//! (SPEC §6).

use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::batcher::Outcome as Written;
use crate::engine::partition::Part;
use crate::engine::statements;
use crate::engine::{StoreError, WorkItem};
use crate::items::reminder::codec::Record;
use crate::items::reminder::{ReminderStore, attr, keys};
use crate::page::Page;
use crate::table::attr::{
    ENTRY_AT, ENTRY_DETAIL, ENTRY_MILLIS, ENTRY_OUTCOME, ENTRY_STATUS, HISTORY_PREFIX, PK, SK,
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{Ended, Outcome};
use std::collections::BTreeMap;

/// One attempt, or one send time that was skipped, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was over.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
    /// What happened, in words.
    pub detail: String,
    /// The Dialog service's answer, where there was one.
    pub http_status: Option<u16>,
    /// Milliseconds from the call to the end of the answer.
    pub duration_ms: u32,
    /// The send time it was about.
    pub send_time: DateTime<Utc>,
    /// Which attempt at that send time, from 1; 0 if it was skipped.
    pub attempt: u32,
}

impl Entry {
    pub(crate) fn encode(&self, pk: &str, sk: &str) -> Vec<(&'static str, AttributeValue)> {
        let mut item = vec![
            (PK, s(pk)),
            (SK, s(sk)),
            (ENTRY_AT, t(self.at)),
            (ENTRY_OUTCOME, s(self.outcome.as_str())),
            (ENTRY_DETAIL, s(&self.detail)),
            (ENTRY_MILLIS, n(self.duration_ms)),
            (attr::ENTRY_SEND_TIME, t(self.send_time)),
            (attr::ENTRY_ATTEMPT, n(self.attempt)),
        ];
        item.extend(self.http_status.map(|status| (ENTRY_STATUS, n(status))));
        item
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        Ok(Self {
            at: read.instant(ENTRY_AT)?,
            outcome: read.parsed(ENTRY_OUTCOME)?,
            detail: read.text(ENTRY_DETAIL)?.to_owned(),
            http_status: read.number_option(ENTRY_STATUS)?,
            duration_ms: read.number(ENTRY_MILLIS)?,
            send_time: read.instant(attr::ENTRY_SEND_TIME)?,
            attempt: read.number(attr::ENTRY_ATTEMPT)?,
        })
    }
}

impl ReminderStore {
    /// Records the attempt that `record`'s claim is for, and answers the entry that stands: another
    /// one, if somebody took the claim for abandoned and recorded it before.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written or read.
    pub async fn record_entry(&self, record: &Record, entry: Entry) -> Result<Entry, StoreError> {
        let (pk, sk) = (record.pk(), keys::history(record.state.sequence));
        let item = entry.encode(&pk, &sk);
        let insert = statements::insert(&self.work.table, pk, &sk, item);
        match self.work.batcher.run(insert.of_success(entry.outcome == Outcome::Sent)).await? {
            Written::Applied(_) => Ok(entry),
            Written::Lost(_) | Written::Duplicate => Ok(self.entry(record).await?.unwrap_or(entry)),
        }
    }

    /// The entry of the attempt that `record`'s claim is for, if it came to its end.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn entry(&self, record: &Record) -> Result<Option<Entry>, StoreError> {
        let item = self.work.item(&record.pk(), &keys::history(record.state.sequence)).await?;
        Ok(item.as_ref().map(Entry::decode).transpose()?)
    }

    /// Which of the send times `wanted` are ended, by all that is recorded.
    ///
    /// # Errors
    /// [`StoreError`] when the history cannot be read.
    pub(crate) async fn ended(
        &self,
        record: &Record,
        wanted: &[DateTime<Utc>],
    ) -> Result<BTreeMap<DateTime<Utc>, Ended>, StoreError> {
        let query = self
            .work
            .client
            .query()
            .table_name(&self.work.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(record.pk()))
            .expression_attribute_values(":prefix", AttributeValue::S(HISTORY_PREFIX.to_owned()))
            .projection_expression("PK, SK, #t, #o, #a")
            .expression_attribute_names("#t", attr::ENTRY_SEND_TIME)
            .expression_attribute_names("#o", ENTRY_OUTCOME)
            .expression_attribute_names("#a", attr::ENTRY_ATTEMPT);
        let (mut ended, mut start) = (BTreeMap::new(), None);
        loop {
            let page = query.clone().set_exclusive_start_key(start);
            let page = page.send().await.map_err(StoreError::from_sdk)?;
            for item in page.items.unwrap_or_default() {
                let read = Attributes::new(&item)?;
                let send_time = read.instant(attr::ENTRY_SEND_TIME)?;
                let by = Ended::by(read.parsed(ENTRY_OUTCOME)?, read.number(attr::ENTRY_ATTEMPT)?);
                // One that was skipped may have been sent later; one that was sent is never skipped.
                if let Some(by) = by.filter(|_| wanted.contains(&send_time)) {
                    ended.insert(send_time, by);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(ended);
            }
        }
    }

    /// A page of a reminder's entries, oldest first, after the cursor `after`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn history(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Entry>, StoreError> {
        let pk = keys::reminder(tenant, id);
        let part = Part { pk: &pk, prefix: HISTORY_PREFIX, newest_first: false, after, limit };
        self.work.part(&part, Entry::decode).await
    }
}
