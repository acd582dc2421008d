//! Reporting results (SPEC §4): a result and what it does to its activity are one transaction.
//!
//! A result may come before what it is about: before the activity, or before its
//! dispatch is recorded and with it the provider's id. Both sides write first and
//! look then, so that one of them sees the other whatever the order:
//!
//! | who reports by the provider's id | who settles the dispatch |
//! | --- | --- |
//! | 1. reads the link: none | |
//! | 2. writes the result beside it, standalone | 1. inserts the link; it is not there yet: done |
//! | 3. inserts an empty link; there is one: applies the result | 2. there is an empty one: fills it |
//! | | 3. applies the results beside it |
//!
//! By the activity's own id it is the same with a mark beside the result in place of
//! the link, and the activity's creation in place of its dispatch.
//!
//! Applying a result twice is applying it once: it has an id, and its item is
//! inserted in the same transaction. In the common case all this costs the settle
//! one write unit for the link, and, where the activity's id is its creator's, one
//! read unit for the mark.
//!
//! However many results lie with one thing, they are held one at a time: of the
//! others no more is known than their [`Head`]s, some hundred bytes each.

use crate::engine::WorkItem;
use crate::engine::attributes::Item;
use crate::engine::batcher::Outcome;
use crate::engine::partition::Part;
use crate::engine::step::Together;
use crate::engine::{StoreError, WorkStore, statements};
use crate::items::activity::apply::{Applied, Keep};
use crate::items::activity::links::Link;
use crate::items::activity::result_item::{ActivityResult, Head};
use crate::page::{Page, PageRequest};
use crate::table::{attr, keys};
use rules::activity::{Refusal, Status};
use rules::names::{ActivityId, Tenant};
use rules::verdict::ResultStatus;

/// What a result is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An activity by its id.
    Activity(ActivityId),
    /// An activity by its provider's id of it.
    Provider(String),
}

/// What a report came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// Stored. With the activity and its status, or standalone.
    New(Option<(ActivityId, Status)>),
    /// The same report had been stored before: as it is stored, and the activity as it stands now.
    Existing(Box<ActivityResult>, Option<(ActivityId, Status)>),
    /// The id is taken by another report.
    Conflict,
    /// The activity has been ended already.
    Refused(Refusal),
    /// The provider has given its id to several activities.
    Ambiguous,
}

impl WorkStore {
    /// Stores a result and applies it to its activity, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written; nothing or all of it stands.
    pub async fn report(
        &self,
        tenant: &Tenant,
        target: &Target,
        result: ActivityResult,
    ) -> Result<Reported, StoreError> {
        match target {
            Target::Activity(id) => self.report_to(tenant, id, &result, None).await,
            Target::Provider(provider_id) => {
                match self.link(tenant, provider_id).await?.linked().as_slice() {
                    [] => self.report_unlinked(tenant, provider_id, result).await,
                    [one] => self.report_to(tenant, &one.id, &result, one.run).await,
                    _ => Ok(Reported::Ambiguous),
                }
            }
        }
    }

    /// Of `run`, if its reporter's id for the activity says so.
    async fn report_to(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
        run: Option<u32>,
    ) -> Result<Reported, StoreError> {
        let pk = keys::activity(tenant, id);
        if let Some(known) = self.known_result(&pk, &result.id).await? {
            if known.standalone && result.is_repeated_by(&known) {
                // Whoever reported it may have died before looking for the activity again.
                self.mark_early(tenant, &pk).await?;
                self.apply(tenant, id, &known, Keep::Link, run).await?;
            }
            return Ok(repeated(known, result, self.status_of(tenant, id).await?));
        }
        match self.apply(tenant, id, result, Keep::Insert, run).await? {
            Applied::Written(status) => Ok(Reported::New(Some((id.clone(), status)))),
            Applied::Refused(refusal) => Ok(Reported::Refused(refusal)),
            // Somebody else reported under the same id at the same time.
            Applied::Known => {
                let known = self.known_result(&pk, &result.id).await?.ok_or(StoreError::Throttled)?;
                Ok(repeated(known, result, self.status_of(tenant, id).await?))
            }
            Applied::Gone => self.report_early(tenant, id, result).await,
        }
    }

    /// Stores a result on an activity that is not there. It may be accepted later, and then
    /// [`WorkStore::adopt_early`] applies what it finds.
    async fn report_early(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
    ) -> Result<Reported, StoreError> {
        let pk = keys::activity(tenant, id);
        if let Some(refusal) = refused_beside(&self.result_heads(&pk).await?, result) {
            return Ok(Reported::Refused(refusal));
        }
        let early = ActivityResult { standalone: true, ..result.clone() };
        if let Together::Known = self.store_result(&pk, &early, Keep::Insert).await? {
            let known = self.known_result(&pk, &result.id).await?.ok_or(StoreError::Throttled)?;
            return Ok(repeated(known, result, None));
        }
        self.mark_early(tenant, &pk).await?;
        // The activity may have been accepted, even dispatched, since it was looked for.
        Ok(Reported::New(match self.apply(tenant, id, &early, Keep::Link, None).await? {
            Applied::Written(status) => Some((id.clone(), status)),
            Applied::Known | Applied::Refused(_) | Applied::Gone => None,
        }))
    }

    /// The activity as it stands now, if there is one.
    pub(crate) async fn status_of(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<(ActivityId, Status)>, StoreError> {
        Ok(self.record(tenant, id).await?.map(|record| (id.clone(), record.state.status)))
    }

    /// Stores a result under an id of a provider's that no activity is known by.
    async fn report_unlinked(
        &self,
        tenant: &Tenant,
        provider_id: &str,
        result: ActivityResult,
    ) -> Result<Reported, StoreError> {
        let pk = keys::provider(tenant, provider_id);
        let beside = self.result_heads(&pk).await?;
        let is_known = beside.iter().any(|known| known.id == result.id);
        if !is_known && let Some(refusal) = refused_beside(&beside, &result) {
            return Ok(Reported::Refused(refusal));
        }
        let stored = ActivityResult { standalone: true, ..result };
        let known = match is_known {
            true => self.known_result(&pk, &stored.id).await?,
            false => match self.store_result(&pk, &stored, Keep::Insert).await? {
                Together::Written => None,
                Together::Known | Together::Moved => self.known_result(&pk, &stored.id).await?,
            },
        };
        if known.as_ref().is_some_and(|known| !stored.is_repeated_by(known)) {
            return Ok(Reported::Conflict);
        }
        let stored = known.clone().unwrap_or(stored);
        let mark = self.early_mark(tenant, &pk, attr::ITEM);
        let marked = self.batcher.run(statements::insert(&self.table, pk.clone(), attr::ITEM, mark)).await?;
        let mut linked = None;
        if !matches!(marked, Outcome::Applied(_)) {
            self.prolong_unlinked(&pk).await?;
            // Others came before; if a dispatch is among them it may have looked before we wrote.
            if let [one] = self.link(tenant, provider_id).await?.linked().as_slice() {
                let status = self.adopt(tenant, &one.id, &stored, one.run).await?;
                linked = status.map(|status| (one.id.clone(), status));
            }
        }
        Ok(match known {
            Some(known) => Reported::Existing(Box::new(known), linked),
            None => Reported::New(linked),
        })
    }

    /// The result that lies with `pk` under this id.
    pub(crate) async fn known_result(
        &self,
        pk: &str,
        id: &ActivityId,
    ) -> Result<Option<ActivityResult>, StoreError> {
        let item = self.item(pk, &keys::result(id)).await?;
        Ok(item.as_ref().map(ActivityResult::decode).transpose()?)
    }

    /// What the results that lie with `pk` are, in the order they were reported.
    pub(crate) async fn result_heads(&self, pk: &str) -> Result<Vec<Head>, StoreError> {
        let mut heads = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let query = self.query_of(pk, attr::RESULT_PREFIX).set_exclusive_start_key(start.take());
            let query = [attr::PK, attr::SK, attr::STATUS, attr::RESULT_RECEIVED, attr::RESULT_STANDALONE]
                .iter()
                .enumerate()
                .fold(query, |query, (number, name)| {
                    query.expression_attribute_names(format!("#{number}"), *name)
                });
            let output = query.projection_expression("#0, #1, #2, #3, #4").send().await;
            let output = output.map_err(StoreError::from_sdk)?;
            let items = output.items.unwrap_or_default();
            heads.extend(items.iter().filter_map(|item| self.unreadable.skip(Head::decode(item))));
            start = output.last_evaluated_key;
            if start.is_none() {
                heads.sort_by(|a: &Head, b: &Head| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
                return Ok(heads);
            }
        }
    }

    /// A page of an activity's results, the last one by id first: of ids that Punctual made, the last one reported.
    /// `None` without the activity.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn results(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        request: &PageRequest,
    ) -> Result<Option<Page<ActivityResult>>, StoreError> {
        let Some(record) = self.record(tenant, id).await? else { return Ok(None) };
        self.last_results(&record.pk(), request.after.as_deref(), request.limit).await.map(Some)
    }

    /// A page of the results that lie with `pk`, the last one by id first.
    pub(crate) async fn last_results(
        &self,
        pk: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ActivityResult>, StoreError> {
        let part = Part { pk, prefix: attr::RESULT_PREFIX, newest_first: true, after, limit };
        self.part(&part, ActivityResult::decode).await
    }

    async fn link(&self, tenant: &Tenant, provider_id: &str) -> Result<Link, StoreError> {
        self.read_link(&keys::provider(tenant, provider_id)).await
    }
}

fn repeated(known: ActivityResult, result: &ActivityResult, now: Option<(ActivityId, Status)>) -> Reported {
    if result.is_repeated_by(&known) { Reported::Existing(Box::new(known), now) } else { Reported::Conflict }
}

/// The terminal rule among standalone results: what they are about has had its result already.
fn refused_beside(beside: &[Head], result: &ActivityResult) -> Option<Refusal> {
    let is_final = |status: ResultStatus| status.ends_as().is_some();
    let second =
        is_final(result.status) && !result.hard_override && beside.iter().any(|known| is_final(known.status));
    second.then_some(Refusal::HasResult)
}
