//! Finding activities: by status, kind, object and date.

use crate::engine::WorkItem;
use crate::engine::fetch::PAYLOAD_BATCH_MAX;
use crate::engine::scan::{Filling, Phase, Position, STRIDE, advance};
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::ActivityView;
use crate::items::activity::codec::Record;
use crate::page::Page;
use crate::table::keys;
use crate::tenancy::KindEntry;
use chrono::{DateTime, Utc};
use rules::activity::Status;
use rules::names::{Kind, Tenant, TypeName};

/// What to find; absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Whose `objectIdRef` fields have this value; a number in any spelling.
    pub object_id: Option<String>,
    /// With a date from this instant on.
    pub from: Option<DateTime<Utc>>,
    /// With a date before or at this instant.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    fn matches(&self, record: &Record) -> bool {
        let Self { status, kind, object_id: _, from, to } = self;
        status.is_none_or(|status| status == record.state.status)
            && kind.as_ref().is_none_or(|kind| *kind == record.kind)
            && from.is_none_or(|from| record.state.date >= from)
            && to.is_none_or(|to| record.state.date <= to)
    }
}

impl WorkStore {
    /// A page of the tenant's activities that match, without their histories.
    ///
    /// `kinds` are the tenant's. A page may be short of `limit`, even empty, and still have a `next`: see
    /// [`Filling`].
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that is none of this list's.
    pub async fn list(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ActivityView>, StoreError> {
        let phases = self.phases(tenant, kinds, filter);
        let mut page = Filling::begin(&phases, cursor, limit)?;
        while let Some(pks) = page.next(self).await? {
            let mut found = self.records(&pks).await?;
            let now = self.clock.now();
            found.retain(|record| filter.matches(record) && !record.is_over(now));
            for part in found.chunks(PAYLOAD_BATCH_MAX) {
                if page.is_full() {
                    break;
                }
                for view in self.with_parameters(part.to_vec()).await? {
                    let bytes = view.parameter.len();
                    page.push(&view.record.pk(), view, bytes);
                }
            }
        }
        Ok(page.finish())
    }

    /// The records of the next stride that match, and the position after it; `None` at the end.
    pub(crate) async fn walk(
        &self,
        phases: &[Phase],
        filter: &Filter,
        position: Position,
    ) -> Result<Option<(Vec<(String, Record)>, Position)>, StoreError> {
        let Some(phase) = phases.get(position.phase) else { return Ok(None) };
        let rows = self.stride(phase, position.after.as_deref(), STRIDE).await?;
        let pks: Vec<String> = rows.iter().map(|(_, pk)| pk.clone()).collect();
        let records = self.records(&pks).await?.into_iter().filter(|record| filter.matches(record));
        let sorts: std::collections::HashMap<&str, &str> =
            rows.iter().map(|(sort, pk)| (pk.as_str(), sort.as_str())).collect();
        let found = records
            .map(|record| (sorts.get(record.pk().as_str()).copied().unwrap_or_default().to_owned(), record))
            .collect();
        Ok(Some((found, advance(position, &rows, STRIDE))))
    }

    /// The phases in which the matches of `filter` stand.
    pub(crate) fn phases(&self, tenant: &Tenant, kinds: &[KindEntry], filter: &Filter) -> Vec<Phase> {
        let wanted: Vec<&KindEntry> = kinds
            .iter()
            .filter(|entry| filter.kind.as_ref().is_none_or(|kind| *kind == entry.kind))
            .collect();
        if let Some(object_id) = &filter.object_id {
            let meant = rules::field::object_ids_meant(object_id);
            let partitions = |name: &TypeName| -> Vec<String> {
                meant.iter().map(|object_id| keys::object_partition(tenant, name, object_id)).collect()
            };
            let partitions = wanted.iter().filter_map(|entry| match &entry.kind {
                Kind::Type(name) => Some(partitions(name)),
                Kind::Channel(_) => None,
            });
            return vec![Phase::object(partitions.flatten().collect())];
        }
        let mut phases = Vec::new();
        if filter.status.is_none_or(|status| status == Status::Ready) {
            let partitions = |entry: &&KindEntry| {
                let KindEntry { kind, shards } = (*entry).clone();
                (0..shards.due).map(move |shard| keys::due_partition(tenant, &kind, shard))
            };
            phases.push(Phase::due(wanted.iter().flat_map(partitions).collect()));
        }
        let finished: Vec<Status> = Status::ALL
            .into_iter()
            .filter(|status| *status != Status::Ready && filter.status.is_none_or(|wanted| wanted == *status))
            .collect();
        if !finished.is_empty() {
            phases.push(Phase::done(self.done_partitions(tenant, kinds, &finished)));
        }
        phases
    }

    /// The partitions of what is finished, over every shard a type of the tenant has or had.
    pub(crate) fn done_partitions(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        statuses: &[Status],
    ) -> Vec<String> {
        let shards = kinds.iter().fold(self.shards, |shards, entry| shards.max(entry.shards));
        // Activities that were accepted before `done` had shards of its own stand in those of `due`.
        let shards = shards.done.max(shards.due);
        let of_status = |status: &Status| {
            let status = *status;
            (0..shards).map(move |shard| keys::done_partition(tenant, status, shard))
        };
        statuses.iter().flat_map(of_status).collect()
    }
}
