//! One activity as its owner sees it.

use super::codec::{Attributes, Dispatch, Item, Record};
use super::result_item::ActivityResult;
use super::{StoreError, WorkStore, attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::activity::Status;
use rules::names::{ActivityId, Tenant};

/// Most pages of one activity's items that are read: 100 runs of 100 attempts with full details.
const PAGES_MAX: usize = 64;

/// One attempt, as it is recorded (SPEC §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When it was over.
    pub at: DateTime<Utc>,
    /// What came of it, in one word such as `SUCCESS` or `TIMEOUT`.
    pub outcome: String,
    /// The receiver's answer, where there was one.
    pub http_status: Option<u16>,
    /// Milliseconds from the send to the end of the answer.
    pub duration_ms: u32,
    /// What happened, in words, or the beginning of the answer.
    pub detail: Option<String>,
}

/// The outcome of an attempt that succeeded.
pub const SUCCESS: &str = "SUCCESS";
/// The outcome of an attempt whose worker was lost.
pub const CRASHED: &str = "CRASHED";

impl HistoryEntry {
    /// The entry of an attempt whose worker was lost, as it is found `at` this instant.
    pub fn lost(at: DateTime<Utc>) -> Self {
        let detail = "the worker was lost between claiming and settling; the call may have been made";
        Self {
            at: rules::time::truncate(at),
            outcome: CRASHED.to_owned(),
            http_status: None,
            duration_ms: 0,
            detail: Some(detail.to_owned()),
        }
    }
}

/// An activity with its parameter and, where it was asked for, its history.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityView {
    /// The activity.
    pub record: Record,
    /// The parameter as JSON text.
    pub parameter: String,
    /// Its attempts, oldest first; empty in lists.
    pub history: Vec<HistoryEntry>,
    /// Its results, in the order they were reported; empty in lists.
    pub results: Vec<ActivityResult>,
}

impl ActivityView {
    /// The instant of the next attempt, while there is one.
    pub fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        (self.record.state.status == Status::Ready).then_some(self.record.state.due)
    }
}

impl Record {
    /// The history entry of the successful attempt.
    pub fn success_entry(&self) -> Option<HistoryEntry> {
        let (success, at) = (self.success?, self.state.executed_at?);
        Some(HistoryEntry {
            at,
            outcome: SUCCESS.to_owned(),
            http_status: success.http_status,
            duration_ms: success.duration_ms,
            // A new run gets another id of its provider's; here the old one is kept.
            detail: self.dispatch.as_ref().map(|dispatch| {
                let Dispatch { provider_activity_id, dispatch_config_id } = dispatch;
                format!("dispatched by {dispatch_config_id} as {provider_activity_id}")
            }),
        })
    }
}

/// The item of a history entry. Its sort key `sk` names run and attempt, so that it is written once whoever writes it.
pub(super) fn encode_entry(
    pk: String,
    sk: &str,
    entry: &HistoryEntry,
) -> Vec<(&'static str, AttributeValue)> {
    use super::codec::{n, s, t};
    let mut item = vec![
        (attr::PK, s(pk)),
        (attr::SK, s(sk)),
        (attr::ENTRY_AT, t(entry.at)),
        (attr::ENTRY_OUTCOME, s(&entry.outcome)),
        (attr::ENTRY_MILLIS, n(entry.duration_ms)),
    ];
    item.extend(entry.http_status.map(|status| (attr::ENTRY_STATUS, n(status))));
    item.extend(entry.detail.as_ref().map(|detail| (attr::ENTRY_DETAIL, s(detail))));
    item
}

pub(super) fn decode_entry(item: &Item) -> Result<HistoryEntry, StoreError> {
    let read = Attributes::new(item)?;
    Ok(HistoryEntry {
        at: read.instant(attr::ENTRY_AT)?,
        outcome: read.text(attr::ENTRY_OUTCOME)?.to_owned(),
        http_status: read.number_option(attr::ENTRY_STATUS)?,
        duration_ms: read.number(attr::ENTRY_MILLIS)?,
        detail: read.text_option(attr::ENTRY_DETAIL)?.map(str::to_owned),
    })
}

impl WorkStore {
    /// One activity with all its history.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn get(&self, tenant: &Tenant, id: &ActivityId) -> Result<Option<ActivityView>, StoreError> {
        let mut view = ViewParts::default();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(keys::activity(tenant, id)))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
            for item in output.items.unwrap_or_default() {
                view.add(&item)?;
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(view.finish())
    }

    /// The item of one activity, as the last write left it.
    pub(super) async fn record(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<Record>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .key(attr::PK, AttributeValue::S(keys::activity(tenant, id)))
            .key(attr::SK, AttributeValue::S(attr::ITEM.to_owned()))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(output.item.as_ref().map(Record::decode).transpose()?)
    }
}

#[derive(Default)]
pub(super) struct ViewParts {
    record: Option<Record>,
    payload: Option<String>,
    history: Vec<HistoryEntry>,
    results: Vec<ActivityResult>,
}

impl ViewParts {
    pub(super) fn add(&mut self, item: &Item) -> Result<(), StoreError> {
        let read = Attributes::new(item)?;
        match read.text(attr::SK)? {
            attr::ITEM => self.record = Some(Record::decode(item)?),
            attr::PAYLOAD => self.payload = Some(read.text(attr::PARAMETER)?.to_owned()),
            // The query returns them in order of run and attempt.
            sk if sk.starts_with(attr::HISTORY_PREFIX) => self.history.push(decode_entry(item)?),
            sk if sk.starts_with(attr::RESULT_PREFIX) => self.results.push(ActivityResult::decode(item)?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Option<ActivityView> {
        let Self { record, payload, mut history, mut results } = self;
        let record = record?;
        results.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        let parameter = record.parameter.clone().or(payload).unwrap_or_else(|| "{}".to_owned());
        history.extend(record.success_entry());
        Some(ActivityView { record, parameter, history, results })
    }
}
