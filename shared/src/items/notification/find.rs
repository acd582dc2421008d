//! Finding notifications: one, pages of them, how many, and what is due.

use crate::engine::WorkItem;
use crate::engine::attempt::{SHOWN_MAX, decode_entry};
use crate::engine::attributes::{Attributes, DecodeError};
use crate::engine::fetch::PAYLOAD_BATCH_MAX;
use crate::engine::scan::{Filling, Phase};
use crate::engine::{HistoryEntry, StoreError, WorkStore};
use crate::items::activity::stats::KINDS_COUNTED_MAX;
use crate::items::activity::stats::Span;
use crate::items::notification::Notification;
use crate::page::{Page, PageRequest};
use crate::table::{attr, keys};
use crate::tenancy::NotificationSlice;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream, try_join};
use rules::names::{ActivityId, Tenant, TypeName};
use rules::notification::Status;
use std::collections::{BTreeMap, HashMap};

/// What is shown of a notification whose payload is gone.
const NO_PAYLOAD: &str = "null";
/// Partitions asked for what is due, or counted, at a time.
const READS_IN_FLIGHT: usize = 16;

/// A notification with its payload and, where it was asked for alone, its history.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationView {
    /// The notification.
    pub notification: Notification,
    /// The payload as JSON text.
    pub payload: String,
    /// Its last attempts, oldest first; empty in lists.
    pub history: Vec<HistoryEntry>,
    /// What [`WorkStore::notification_history`] goes on from for the attempts before, if there are any.
    pub earlier: Option<String>,
}

impl NotificationView {
    /// The instant of the next attempt, while there is one and none is under way.
    pub fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        let state = &self.notification.state;
        (state.status == Status::Pending && state.claim.is_none()).then_some(state.due)
    }
}

/// What to find; absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this type.
    pub name: Option<TypeName>,
}

/// How many notifications of each type are in each status. Index reads are eventually consistent.
pub type NotificationCounts = BTreeMap<TypeName, BTreeMap<Status, u64>>;

impl WorkStore {
    /// One notification with its last attempts: [`SHOWN_MAX`] of them.
    ///
    /// One call of DynamoDB, where that answers all there is; three others, where it does not. So at most 2 MB are held.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn notification(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<NotificationView>, StoreError> {
        let pk = keys::notification(tenant, id);
        if let Some(items) = self.whole(&pk).await? {
            let (mut found, mut payload, mut history) = (None, None, Vec::new());
            for item in &items {
                let read = Attributes::new(item)?;
                match read.text(attr::SK)? {
                    attr::ITEM => found = Some(Notification::decode(item)?),
                    attr::PAYLOAD => payload = Some(read.text(attr::PARAMETER)?.to_owned()),
                    // The query returns them in order of run and send.
                    sk if sk.starts_with(attr::HISTORY_PREFIX) => {
                        history.extend(self.unreadable.skip(decode_entry(item)));
                    }
                    _ => {}
                }
            }
            if history.len() <= SHOWN_MAX {
                let now = self.clock.now();
                let Some(notification) = found.filter(|one| !one.is_over(now)) else { return Ok(None) };
                history.extend(notification.success_entry());
                let payload =
                    notification.payload.clone().or(payload).unwrap_or_else(|| NO_PAYLOAD.to_owned());
                return Ok(Some(NotificationView { notification, payload, history, earlier: None }));
            }
        }
        let (found, history) =
            try_join!(self.notification_record(tenant, id), self.last_entries(&pk, None, SHOWN_MAX))?;
        let Some(found) = found else { return Ok(None) };
        let unreadable = DecodeError { pk, attribute: attr::PARAMETER };
        let view = self.with_payloads(vec![found]).await?.pop().ok_or(unreadable)?;
        let success = view.notification.success_entry();
        let entries = history.items.into_iter().rev().chain(success).collect();
        Ok(Some(NotificationView { history: entries, earlier: history.next, ..view }))
    }

    /// The item of one notification, as the last write left it.
    pub(crate) async fn notification_record(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<Notification>, StoreError> {
        let item = self.item(&keys::notification(tenant, id), attr::ITEM).await?;
        let found = item.as_ref().map(Notification::decode).transpose()?;
        Ok(found.filter(|found| !found.is_over(self.clock.now())))
    }

    /// A page of a notification's attempts, the last one first; `None` without the notification.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn notification_history(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        request: &PageRequest,
    ) -> Result<Option<Page<HistoryEntry>>, StoreError> {
        let Some(found) = self.notification_record(tenant, id).await? else { return Ok(None) };
        self.history_of(&found.pk(), found.success_entry(), request).await.map(Some)
    }

    /// The payload of a notification, read where it is too large for the item; `None` if it cannot be decoded.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn notification_payload(&self, of: &Notification) -> Result<Option<String>, StoreError> {
        if of.payload.is_some() {
            return Ok(of.payload.clone());
        }
        Ok(self.with_payloads(vec![of.clone()]).await?.pop().map(|view| view.payload))
    }

    /// Adds to each notification its payload, read where it is too large for the item. Those whose payload cannot be decoded
    /// are left out.
    async fn with_payloads(&self, found: Vec<Notification>) -> Result<Vec<NotificationView>, StoreError> {
        let large: Vec<String> =
            found.iter().filter(|one| one.payload.is_none()).map(Notification::pk).collect();
        let mut payloads = self.payloads(&large).await?;
        let view = |notification: Notification| {
            let payload = match notification.payload.clone() {
                Some(payload) => payload,
                None => payloads.remove(&notification.pk()).unwrap_or_else(|| Some(NO_PAYLOAD.to_owned()))?,
            };
            Some(NotificationView { notification, payload, history: Vec::new(), earlier: None })
        };
        Ok(found.into_iter().filter_map(view).collect())
    }

    /// A page of a solution's notifications that match, without their histories: what is pending, next first; then
    /// what is over, newest first. `slices` are the solution's.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that is none of this list's.
    pub async fn notifications(
        &self,
        slices: &[NotificationSlice],
        filter: &NotificationFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<NotificationView>, StoreError> {
        let phases = phases(slices, filter);
        let mut page = Filling::begin(&phases, cursor, limit)?;
        while let Some(pks) = page.next(self).await? {
            let mut found = self.notification_records(&pks).await?;
            found.retain(|one| filter.status.is_none_or(|status| status == one.state.status));
            for part in found.chunks(PAYLOAD_BATCH_MAX) {
                if page.is_full() {
                    break;
                }
                for view in self.with_payloads(part.to_vec()).await? {
                    let bytes = view.payload.len();
                    page.push(&view.notification.pk(), view, bytes);
                }
            }
        }
        Ok(page.finish())
    }

    /// Which notifications of `slices` are due by `now`: the oldest `limit` behind the sort key `after`.
    ///
    /// Their items are read one by one when their turns come, so that a page is a few hundred bytes a row.
    ///
    /// # Errors
    /// [`StoreError`] when an index cannot be read.
    pub async fn due_notifications(
        &self,
        slices: &[NotificationSlice],
        after: Option<&str>,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<DueNotifications, StoreError> {
        // Each partition is a phase of its own, so that they are asked a few at a time. One row more than is wanted says
        // whether there is more.
        let partitions: Vec<String> = slices.iter().flat_map(due_partitions).collect();
        let phases = partitions.into_iter().map(|partition| Phase::due(vec![partition]));
        let reads = phases.map(|phase| async move { self.stride(&phase, after, limit + 1).await });
        let mut reads = stream::iter(reads).buffer_unordered(READS_IN_FLIGHT);
        let mut rows: Vec<(String, String)> = Vec::new();
        while let Some(page) = reads.try_next().await? {
            rows.extend(page);
            rows.sort_unstable();
            rows.truncate(limit + 1);
        }
        let last = keys::instant(now) + "~";
        let due = rows.iter().take_while(|(sort, _)| *sort <= last).count();
        let next = rows.get(due).and_then(|(sort, _)| sort.get(..15)?.parse().ok());
        rows.truncate(due.min(limit));
        Ok(DueNotifications {
            rows,
            left: due > limit,
            next_due_at: next.and_then(DateTime::from_timestamp_millis),
        })
    }

    /// The partitions in which all notifications of `slices` stand.
    pub(crate) fn notification_phases(&self, slices: &[NotificationSlice]) -> Vec<Phase> {
        phases(slices, &NotificationFilter::default())
    }

    /// The notification of a row of [`WorkStore::due_notifications`], as its item stands; `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn due_notification(&self, pk: &str) -> Result<Option<Notification>, StoreError> {
        Ok(self.notification_records(&[pk.to_owned()]).await?.pop())
    }

    /// Whether a notification of `slices` is pending: then its type or solution may not be deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn has_pending_notifications(&self, slices: &[NotificationSlice]) -> Result<bool, StoreError> {
        let partitions: Vec<String> = slices.iter().flat_map(due_partitions).collect();
        let phases = partitions.into_iter().map(|partition| Phase::due(vec![partition]));
        let reads = phases
            .map(|phase| async move { Ok::<_, StoreError>(!self.stride(&phase, None, 1).await?.is_empty()) });
        let mut reads = stream::iter(reads).buffer_unordered(READS_IN_FLIGHT);
        while let Some(is_pending) = reads.try_next().await? {
            if is_pending {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is any notification of `slices`, pending or finished.
    ///
    /// # Errors
    /// [`StoreError`] when an index cannot be read.
    pub async fn has_notifications(&self, slices: &[NotificationSlice]) -> Result<bool, StoreError> {
        for phase in self.notification_phases(slices) {
            if !self.stride(&phase, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts the notifications of `slices` by type and status, of the first [`KINDS_COUNTED_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when an index cannot be read.
    pub async fn count_notifications(
        &self,
        slices: &[NotificationSlice],
    ) -> Result<NotificationCounts, StoreError> {
        let mut places = Vec::new();
        for slice in slices.iter().take(KINDS_COUNTED_MAX) {
            for status in Status::ALL {
                places.extend(
                    partitions(slice, status).map(|partition| (slice.name.clone(), status, partition)),
                );
            }
        }
        let counts = places.into_iter().map(|(name, status, partition)| async move {
            let (count, _) = match status {
                Status::Pending => {
                    self.count(attr::DUE_INDEX, attr::DUE_PARTITION, &partition, Span::All).await?
                }
                Status::Published => self.count_done(vec![partition], self.retention()).await?,
                Status::MaxRetried => self.count_done(vec![partition], None).await?,
            };
            Ok::<_, StoreError>((name, status, count))
        });
        let mut counts = stream::iter(counts).buffer_unordered(READS_IN_FLIGHT);
        let mut counted = NotificationCounts::new();
        while let Some((name, status, count)) = counts.try_next().await? {
            *counted.entry(name).or_default().entry(status).or_default() += count;
        }
        Ok(counted)
    }

    /// The partitions of what was published, of which the log roller removes what has been kept for its time.
    pub(crate) fn published_partitions(&self, slices: &[NotificationSlice]) -> Vec<String> {
        slices.iter().flat_map(|slice| partitions(slice, Status::Published)).collect()
    }

    /// The notifications of `pks`, in that order; those that are gone, for readers too, or cannot be read are left out.
    async fn notification_records(&self, pks: &[String]) -> Result<Vec<Notification>, StoreError> {
        let mut found = HashMap::new();
        for item in self.state_items(pks).await? {
            let Some(notification) = self.unreadable.skip(Notification::decode(&item)) else { continue };
            if !notification.is_over(self.clock.now()) {
                found.insert(notification.pk(), notification);
            }
        }
        Ok(pks.iter().filter_map(|pk| found.remove(pk)).collect())
    }
}

/// What is due.
#[derive(Debug, Clone, PartialEq)]
pub struct DueNotifications {
    /// Sort key in the index, and partition key of the item; the oldest first.
    pub rows: Vec<(String, String)>,
    /// Whether more are due.
    pub left: bool,
    /// When something is due next, if nothing more is due now.
    pub next_due_at: Option<DateTime<Utc>>,
}

fn due_partitions(slice: &NotificationSlice) -> impl Iterator<Item = String> {
    partitions(slice, Status::Pending)
}

fn partitions(slice: &NotificationSlice, status: Status) -> impl Iterator<Item = String> {
    let NotificationSlice { tenant, name, shards, .. } = slice;
    (0..*shards).map(move |shard| match status {
        Status::Pending => keys::notification_due_partition(tenant, name, shard),
        Status::Published | Status::MaxRetried => {
            keys::notification_done_partition(tenant, name, status, shard)
        }
    })
}

fn phases(slices: &[NotificationSlice], filter: &NotificationFilter) -> Vec<Phase> {
    let wanted = || slices.iter().filter(|slice| filter.name.as_ref().is_none_or(|name| *name == slice.name));
    let asked = |status: &Status| filter.status.is_none_or(|wanted| wanted == *status);
    let mut phases = Vec::new();
    if asked(&Status::Pending) {
        phases.push(Phase::due(wanted().flat_map(due_partitions).collect()));
    }
    let over: Vec<Status> =
        [Status::Published, Status::MaxRetried].into_iter().filter(|status| asked(status)).collect();
    if !over.is_empty() {
        let of_slice = |slice| over.iter().flat_map(move |status| partitions(slice, *status));
        phases.push(Phase::done(wanted().flat_map(of_slice).collect()));
    }
    phases
}
