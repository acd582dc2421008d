//! Finished activities on their way out: found, read whole, and deleted once their log is acknowledged (SPEC §8).

use crate::engine::WorkItem;
use crate::engine::attempt::{HistoryEntry, decode_entry};
use crate::engine::attributes::{Attributes, Item, s};
use crate::engine::erase::Erased;
use crate::engine::guard::Guard;
use crate::engine::kept::expires;
use crate::engine::scan::Phase;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::items::activity::links::Link;
use crate::items::activity::periods::unchanged;
use crate::items::activity::read::ViewParts;
use crate::items::activity::result_item::ActivityResult;
use crate::items::activity::{ActivityView, Earlier};
use crate::table::{attr, keys};
use crate::tenancy::KindEntry;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use chrono::{DateTime, Utc};
use rules::activity::Status;
use rules::names::{ActivityId, Tenant};

/// What no sort key is before: behind it the first part begins.
pub const PARTS_BEGIN: &str = "!";

/// What a large activity's parts consist of.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEntry {
    /// An attempt.
    Attempt(HistoryEntry),
    /// A result.
    Result(ActivityResult),
}

/// A finished activity with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The activity with its history and its results; of a large one, neither.
    pub view: ActivityView,
    /// What belongs to it fills more than one page of DynamoDB's, or of a batch: it goes in parts.
    pub is_large: bool,
    sort_keys: Vec<String>,
}

impl Finished {
    /// Drops what is of no use once the activity is written out.
    pub fn without_log(mut self) -> Self {
        self.view.parameter = String::new();
        (self.view.history, self.view.results) = (Vec::new(), Vec::new());
        self
    }

    /// As one that goes in parts.
    pub fn large(self) -> Self {
        Self { is_large: true, sort_keys: Vec::new(), ..self.without_log() }
    }
}

impl WorkStore {
    /// Ids of activities in `statuses` that finished by `until`, oldest first, after the sort key `after`;
    /// each with its sort key.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn finished_by(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        statuses: &[Status],
        until: DateTime<Utc>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, ActivityId)>, StoreError> {
        let oldest_first =
            Phase { newest_first: false, ..Phase::done(self.done_partitions(tenant, kinds, statuses)) };
        let rows = self.stride(&oldest_first, after, limit).await?;
        let last = keys::instant(until) + "~";
        let due = rows.into_iter().take_while(|(sort, _)| *sort <= last);
        Ok(due.filter_map(|(sort, pk)| Some((sort, keys::parse_activity(&pk)?.1))).collect())
    }

    /// A finished activity, whole unless it is a large one; `None` if it is gone. One page is read of it, of 1 MB at most.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn finished(&self, tenant: &Tenant, id: &ActivityId) -> Result<Option<Finished>, StoreError> {
        let (items, more) = self.page(&keys::activity(tenant, id), PARTS_BEGIN).await?;
        if more.is_some() {
            let view = self.stored_record(tenant, id).await?.map(|record| ActivityView {
                record,
                parameter: String::new(),
                history: Vec::new(),
                results: Vec::new(),
                earlier: Earlier::default(),
            });
            return Ok(view.map(|view| Finished { view, is_large: true, sort_keys: Vec::new() }));
        }
        let mut view = ViewParts::default();
        let mut sort_keys = Vec::with_capacity(items.len());
        for item in items {
            view.add(&item)?;
            sort_keys.push(Attributes::new(&item)?.text(attr::SK)?.to_owned());
        }
        Ok(view.finish().map(|view| Finished { view, is_large: false, sort_keys }))
    }

    /// The parameter of an activity, as JSON text.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn parameter(&self, record: &Record) -> Result<String, StoreError> {
        if let Some(parameter) = &record.parameter {
            return Ok(parameter.clone());
        }
        let Some(item) = self.item(&record.pk(), attr::PAYLOAD).await? else { return Ok("{}".to_owned()) };
        Ok(Attributes::new(&item)?.text(attr::PARAMETER)?.to_owned())
    }

    /// The attempts and results of a large activity behind the sort key `after`, each given to `take` with its sort key,
    /// until that takes no more or all were given: then `true`. A page at a time is in memory.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn log_entries(
        &self,
        record: &Record,
        after: &str,
        mut take: impl FnMut(&str, LogEntry) -> bool,
    ) -> Result<bool, StoreError> {
        let pk = record.pk();
        let mut after = after.to_owned();
        loop {
            let (items, more) = self.page(&pk, &after).await?;
            for item in &items {
                let sk = Attributes::new(item)?.text(attr::SK)?;
                let entry = if sk.starts_with(attr::HISTORY_PREFIX) {
                    LogEntry::Attempt(decode_entry(item)?)
                } else if sk.starts_with(attr::RESULT_PREFIX) {
                    LogEntry::Result(ActivityResult::decode(item)?)
                } else {
                    continue;
                };
                if !take(sk, entry) {
                    return Ok(false);
                }
            }
            match more {
                Some(more) => after = more,
                None => return Ok(true),
            }
        }
    }

    /// Deletes a finished activity with everything that belongs to it, if nothing has happened to it since it
    /// was read.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written; the same call may be made again.
    pub async fn roll_away(&self, finished: &Finished) -> Result<Erased, StoreError> {
        let Finished { view, is_large, sort_keys } = finished;
        let record = &view.record;
        let link = self.own_link(record).await?;
        if *is_large {
            return self.roll_away_large(record, None, link).await;
        }
        let belongings = sort_keys.iter().filter(|sk| *sk != attr::ITEM).cloned().collect();
        self.erase_known(&record.pk(), &unchanged(record), belongings, link).await
    }

    /// The same of a large one, of which `sent` attempts and results were acknowledged; it stays if it has more.
    ///
    /// # Errors
    /// As [`WorkStore::roll_away`].
    pub async fn roll_away_parts(&self, record: &Record, sent: usize) -> Result<Erased, StoreError> {
        let link = self.own_link(record).await?;
        self.roll_away_large(record, Some(sent), link).await
    }

    async fn roll_away_large(
        &self,
        record: &Record,
        sent: Option<usize>,
        link: Option<(String, Guard)>,
    ) -> Result<Erased, StoreError> {
        let pk = record.pk();
        if let Some(sent) = sent
            && self.count_of(&pk, attr::HISTORY_PREFIX).await?
                + self.count_of(&pk, attr::RESULT_PREFIX).await?
                > sent
        {
            return Ok(Erased::Kept);
        }
        self.erase_with(&pk, &unchanged(record), &[], link).await
    }

    /// How many items `pk` has under sort keys that begin with `prefix`.
    async fn count_of(&self, pk: &str, prefix: &str) -> Result<usize, StoreError> {
        let (mut count, mut start) = (0, None);
        loop {
            let query = self.query_of(pk, prefix).select(Select::Count).set_exclusive_start_key(start);
            let output = query.send().await.map_err(StoreError::from_sdk)?;
            count += usize::try_from(output.count).unwrap_or_default();
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(count);
            }
        }
    }

    /// The link from the provider's id, if it leads to this activity alone.
    async fn own_link(&self, record: &Record) -> Result<Option<(String, Guard)>, StoreError> {
        let Some(dispatch) = &record.dispatch else { return Ok(None) };
        let pk = keys::provider(&record.tenant, &dispatch.provider_activity_id);
        let link = self.unreadable.leave_out(self.read_link(&pk).await)?;
        let Some(link): Option<Link> = link else { return Ok(None) };
        let is_own = link.is_of(&record.id);
        if !is_own && link.text.is_some() {
            // Its other activities need it for a while; whichever is the last does not know.
            self.prolong(&pk, attr::ITEM, expires(self.clock.now(), self.retention())).await?;
        }
        let text = link.text.filter(|_| is_own);
        Ok(text.map(|text| (pk, Guard::Equals(attr::LINKED, s(text)))))
    }

    /// A page of a partition behind a sort key, of 1 MB at most, as the last writes left it; and behind which sort key to go
    /// on, if there is more.
    pub(crate) async fn page(
        &self,
        pk: &str,
        after: &str,
    ) -> Result<(Vec<Item>, Option<String>), StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND SK > :after")
            .expression_attribute_values(":pk", s(pk))
            .expression_attribute_values(":after", s(after))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        let more = output.last_evaluated_key.and_then(|mut key| match key.remove(attr::SK) {
            Some(AttributeValue::S(sk)) => Some(sk),
            _ => None,
        });
        Ok((output.items.unwrap_or_default(), more))
    }
}
