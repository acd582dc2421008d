//! One activity as its owner sees it.

use crate::engine::WorkItem;
use crate::engine::attempt::{HistoryEntry, SHOWN_MAX, SUCCESS, decode_entry};
use crate::engine::attributes::{Attributes, DecodeError, Item};
use crate::engine::partition::sort_key;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::{Dispatch, Record};
use crate::items::activity::result_item::ActivityResult;
use crate::page::{Page, PageRequest};
use crate::table::{attr, keys};
use crate::unreadable::Unreadable;
use chrono::{DateTime, Utc};
use futures::try_join;
use rules::activity::Status;
use rules::names::{ActivityId, Tenant};

/// An activity with its parameter and, where it was asked for, its history.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityView {
    /// The activity.
    pub record: Record,
    /// The parameter as JSON text.
    pub parameter: String,
    /// Its last attempts, oldest first; empty in lists.
    pub history: Vec<HistoryEntry>,
    /// Its last results by id, in the order they were reported; empty in lists.
    pub results: Vec<ActivityResult>,
    /// Where those before begin.
    pub earlier: Earlier,
}

/// Where a list of an activity's earlier attempts or results begins, if there are more than are shown with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What [`WorkStore::history`] goes on from.
    pub history: Option<String>,
    /// What [`WorkStore::results`] goes on from.
    pub results: Option<String>,
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
                // What a provider says may be anything.
                let shown = rules::shown::on_terminal(provider_activity_id);
                format!("dispatched by {dispatch_config_id} as {shown}")
            }),
        })
    }
}

impl WorkStore {
    /// One activity with its last attempts and results: [`SHOWN_MAX`] of each.
    ///
    /// One call of DynamoDB, where that answers all there is; four others, where it does not. So at most 3 MB are held.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn get(&self, tenant: &Tenant, id: &ActivityId) -> Result<Option<ActivityView>, StoreError> {
        let pk = keys::activity(tenant, id);
        if let Some(items) = self.whole(&pk).await? {
            let mut view = ViewParts::default();
            items.iter().try_for_each(|item| view.add_readable(item, &self.unreadable))?;
            if view.history.len() <= SHOWN_MAX && view.results.len() <= SHOWN_MAX {
                return Ok(view.finish().filter(|view| !view.record.is_over(self.clock.now())));
            }
        }
        let (record, history, results) = try_join!(
            self.record(tenant, id),
            self.last_entries(&pk, None, SHOWN_MAX),
            self.last_results(&pk, None, SHOWN_MAX),
        )?;
        let Some(record) = record else { return Ok(None) };
        let unreadable = DecodeError { pk, attribute: attr::PARAMETER };
        let view = self.with_parameters(vec![record]).await?.pop().ok_or(unreadable)?;
        let earlier = Earlier { history: history.next, results: results.next };
        let history = history.items.into_iter().rev().chain(view.record.success_entry()).collect();
        Ok(Some(ActivityView { history, results: in_order(results.items), earlier, ..view }))
    }

    /// A page of an activity's attempts, the last one first; `None` without the activity.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn history(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        request: &PageRequest,
    ) -> Result<Option<Page<HistoryEntry>>, StoreError> {
        let Some(record) = self.record(tenant, id).await? else { return Ok(None) };
        self.history_of(&record.pk(), record.success_entry(), request).await.map(Some)
    }

    /// One activity, as the last write left it; none that is gone for readers.
    pub(crate) async fn record(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<Record>, StoreError> {
        self.read(&keys::activity(tenant, id)).await
    }

    /// One activity that is stored, whether or not its time is over.
    pub(crate) async fn stored_record(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<Record>, StoreError> {
        self.read_stored(&keys::activity(tenant, id)).await
    }
}

#[derive(Default)]
pub(crate) struct ViewParts {
    record: Option<Record>,
    payload: Option<String>,
    history: Vec<HistoryEntry>,
    results: Vec<ActivityResult>,
}

impl ViewParts {
    pub(crate) fn add(&mut self, item: &Item) -> Result<(), StoreError> {
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

    /// The same where an attempt or a result that cannot be decoded may be left out.
    fn add_readable(&mut self, item: &Item, unreadable: &Unreadable) -> Result<(), StoreError> {
        match sort_key(item).as_str() {
            attr::ITEM | attr::PAYLOAD => self.add(item),
            _ => unreadable.leave_out(self.add(item)).map(drop),
        }
    }

    pub(crate) fn finish(self) -> Option<ActivityView> {
        let Self { record, payload, mut history, results } = self;
        let record = record?;
        let parameter = record.parameter.clone().or(payload).unwrap_or_else(|| "{}".to_owned());
        history.extend(record.success_entry());
        let (results, earlier) = (in_order(results), Earlier::default());
        Some(ActivityView { record, parameter, history, results, earlier })
    }
}

/// Results in the order they were reported.
fn in_order(mut results: Vec<ActivityResult>) -> Vec<ActivityResult> {
    results.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
    results
}
