//! What is recorded of attempts on work of any kind: an entry each, or, for the one that succeeded, a note on the item.

use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::item::Encoded;
use crate::engine::partition::Part;
use crate::engine::{StoreError, WorkStore};
use crate::page::{Page, PageRequest};
use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

/// Most attempts, and most results, that are shown with what they belong to; of either no more than one call of
/// DynamoDB answers, which is 1 MB.
pub(crate) const SHOWN_MAX: usize = 100;

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

/// The successful attempt, kept on the item: the common case costs no item of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// The receiver's answer.
    pub http_status: Option<u16>,
    /// Milliseconds from the send to the end of the answer.
    pub duration_ms: u32,
}

/// The item of a history entry. Its sort key `sk` names run and attempt, so that it is written once whoever writes it.
pub(crate) fn encode_entry(pk: String, sk: &str, entry: &HistoryEntry) -> Encoded {
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

pub(crate) fn decode_entry(item: &Item) -> Result<HistoryEntry, DecodeError> {
    let read = Attributes::new(item)?;
    Ok(HistoryEntry {
        at: read.instant(attr::ENTRY_AT)?,
        outcome: read.text(attr::ENTRY_OUTCOME)?.to_owned(),
        http_status: read.number_option(attr::ENTRY_STATUS)?,
        duration_ms: read.number(attr::ENTRY_MILLIS)?,
        detail: read.text_option(attr::ENTRY_DETAIL)?.map(str::to_owned),
    })
}

/// A successful attempt as attributes.
pub(crate) fn encode_success(
    success: Option<Success>,
) -> impl Iterator<Item = (&'static str, AttributeValue)> {
    success.into_iter().flat_map(|Success { http_status, duration_ms }| {
        let status = http_status.map(|status| (attr::SUCCESS_STATUS, n(status)));
        [(attr::SUCCESS_MILLIS, n(duration_ms))].into_iter().chain(status)
    })
}

impl Attributes<'_> {
    /// The successful attempt.
    pub(crate) fn success(&self) -> Result<Option<Success>, DecodeError> {
        let Some(duration_ms) = self.number_option(attr::SUCCESS_MILLIS)? else { return Ok(None) };
        Ok(Some(Success { http_status: self.number_option(attr::SUCCESS_STATUS)?, duration_ms }))
    }
}

impl WorkStore {
    /// A page of the attempts recorded in a partition, the last one first. The successful one, which is recorded
    /// elsewhere, is the last.
    pub(crate) async fn history_of(
        &self,
        pk: &str,
        success: Option<HistoryEntry>,
        request: &PageRequest,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let mut page = self.last_entries(pk, request.after.as_deref(), request.limit).await?;
        if let Some(success) = success.filter(|_| request.after.is_none()) {
            page.lead(success, format!("{}~", attr::HISTORY_PREFIX), request.limit);
        }
        Ok(page)
    }

    /// A page of the attempts that are recorded as items of `pk`, the last one first.
    pub(crate) async fn last_entries(
        &self,
        pk: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let part = Part { pk, prefix: attr::HISTORY_PREFIX, newest_first: true, after, limit };
        self.part(&part, decode_entry).await
    }
}
