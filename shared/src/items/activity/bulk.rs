//! One change to all activities that match (SPEC §3): the whole of them, in as many calls as time asks for.

use crate::engine::WorkItem;
use crate::engine::scan::Position;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::change::Asked;
use crate::items::activity::codec::Record;
use crate::items::activity::{Change, Filter};
use crate::table::keys;
use crate::tenancy::KindEntry;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use rules::activity::{Event, Status};
use rules::names::{ActivityId, Tenant};
use rules::uri::UriPattern;
use std::collections::HashSet;

/// Changes under way at a time.
const CHANGES_IN_FLIGHT: usize = 50;

/// What to do to each match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkAction {
    /// Give it another URI pattern.
    SetUri(UriPattern),
    /// Give it another date.
    Reschedule(DateTime<Utc>),
    /// Call it off.
    Cancel,
    /// Try it again from attempt 0.
    Retry,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkReport {
    /// Matches seen in this call.
    pub matched: usize,
    /// Those whose state allowed the change.
    pub changed: usize,
    /// Where to go on, where this call's time did not suffice.
    pub cursor: Option<String>,
}

/// Where a bulk operation stands, and when its first call began: what it finished itself is no match.
struct Progress {
    began: DateTime<Utc>,
    position: Position,
}

impl Progress {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}|{}", self.began.timestamp_millis(), self.position.encode()))
    }

    fn decode(cursor: &str) -> Result<Self, StoreError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::Cursor)?;
        let text = String::from_utf8(bytes).map_err(|_| StoreError::Cursor)?;
        let (began, position) = text.split_once('|').ok_or(StoreError::Cursor)?;
        let began = began.parse().map_err(|_| StoreError::Cursor)?;
        let began = rules::time::from_millis(began).map_err(|_| StoreError::Cursor)?;
        Ok(Self { began, position: Position::decode(position)? })
    }
}

impl WorkStore {
    /// Does `action` to every match of `filter`, until `deadline`.
    ///
    /// # Errors
    /// [`StoreError`]; what was changed before it stays changed, and the same call may be made again.
    pub async fn bulk(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        filter: &Filter,
        action: &BulkAction,
        cursor: Option<&str>,
        deadline: DateTime<Utc>,
    ) -> Result<BulkReport, StoreError> {
        let phases = self.phases(tenant, kinds, filter);
        let continued = cursor.is_some();
        let mut progress = match cursor {
            Some(cursor) => Progress::decode(cursor)?,
            None => {
                Progress { began: rules::time::truncate(self.clock.now()), position: Position::default() }
            }
        };
        let mut report = BulkReport { matched: 0, changed: 0, cursor: None };
        let mut seen: HashSet<ActivityId> = HashSet::new();
        // Each call gets on, however short its time is.
        let mut walked = false;
        loop {
            if self.clock.now() >= deadline && walked {
                report.cursor = Some(progress.encode());
                return Ok(report);
            }
            let Some((found, next)) = self.walk(&phases, filter, progress.position.clone()).await? else {
                return Ok(report);
            };
            // What was finished in the very millisecond of the beginning was finished before it, by others.
            let after = keys::instant(progress.began + TimeDelta::milliseconds(1));
            let fresh: Vec<Record> = found
                .into_iter()
                .filter(|(sort, record)| {
                    let finished_by_us = record.state.status != Status::Ready
                        && filter.object_id.is_none()
                        && sort.as_str() >= after.as_str();
                    let moved_by_us = continued
                        && matches!(action, BulkAction::Reschedule(date) if *date == record.state.date);
                    let is_over = record.is_over(self.clock.now());
                    !is_over && !finished_by_us && !moved_by_us && seen.insert(record.id.clone())
                })
                .map(|(_, record)| record)
                .collect();
            report.matched += fresh.len();
            report.changed += self.change_all(fresh, action).await?;
            progress.position = next;
            walked = true;
        }
    }

    async fn change_all(&self, records: Vec<Record>, action: &BulkAction) -> Result<usize, StoreError> {
        let asked = match action {
            BulkAction::SetUri(uri) => Asked::SetUri(uri),
            BulkAction::Reschedule(date) => Asked::Event(Event::Reschedule(*date)),
            BulkAction::Cancel => Asked::Event(Event::Cancel),
            BulkAction::Retry => Asked::Event(Event::Retry),
        };
        let changes = records.into_iter().map(|record| self.change_record(record, asked));
        let mut changes = stream::iter(changes).buffer_unordered(CHANGES_IN_FLIGHT);
        let mut changed = 0;
        while let Some(change) = changes.next().await {
            let change = self.unreadable.leave_out(change)?;
            changed += usize::from(matches!(change, Some(Change::Applied(_))));
        }
        Ok(changed)
    }
}
