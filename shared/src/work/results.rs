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

use super::apply::{Applied, Keep, Written};
use super::batcher::Outcome;
use super::codec::{Item, s};
use super::links::Link;
use super::result_item::ActivityResult;
use super::{StoreError, WorkStore, attr, keys, statements};
use aws_sdk_dynamodb::types::AttributeValue;
use rules::activity::{Refusal, Status};
use rules::names::{ActivityId, Tenant};

/// Most pages of results that are read: one activity's, or one provider id's.
const PAGES_MAX: usize = 64;

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
            Target::Activity(id) => self.report_to(tenant, id, &result).await,
            Target::Provider(provider_id) => {
                match self.link(tenant, provider_id).await?.activities().as_slice() {
                    [] => self.report_unlinked(tenant, provider_id, result).await,
                    [id] => self.report_to(tenant, id, &result).await,
                    _ => Ok(Reported::Ambiguous),
                }
            }
        }
    }

    async fn report_to(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
    ) -> Result<Reported, StoreError> {
        let pk = keys::activity(tenant, id);
        if let Some(known) = self.known_result(&pk, result).await? {
            if known.standalone && known.body_hash == result.body_hash {
                // Whoever reported it may have died before looking for the activity again.
                self.mark_early(tenant, &pk).await?;
                self.apply(tenant, id, &known, Keep::Link).await?;
            }
            return Ok(repeated(known, result, self.status_of(tenant, id).await?));
        }
        match self.apply(tenant, id, result, Keep::Insert).await? {
            Applied::Written(status) => Ok(Reported::New(Some((id.clone(), status)))),
            Applied::Refused(refusal) => Ok(Reported::Refused(refusal)),
            // Somebody else reported under the same id at the same time.
            Applied::Known => {
                let known = self.known_result(&pk, result).await?.ok_or(StoreError::Throttled)?;
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
        if let Written::Known = self.store_result(&pk, &early, Keep::Insert).await? {
            let known = self.known_result(&pk, result).await?.ok_or(StoreError::Throttled)?;
            return Ok(repeated(known, result, None));
        }
        self.mark_early(tenant, &pk).await?;
        // The activity may have been accepted, even dispatched, since it was looked for.
        Ok(Reported::New(match self.apply(tenant, id, &early, Keep::Link).await? {
            Applied::Written(status) => Some((id.clone(), status)),
            Applied::Known | Applied::Refused(_) | Applied::Gone => None,
        }))
    }

    /// The activity as it stands now, if there is one.
    pub(super) async fn status_of(
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
        let known = match beside.iter().any(|known| known.id == result.id) {
            true => self.known_result(&pk, &result).await?,
            false => None,
        };
        if known.is_none()
            && let Some(refusal) = refused_beside(&beside, &result)
        {
            return Ok(Reported::Refused(refusal));
        }
        let stored = ActivityResult { standalone: true, ..result };
        let known = match known {
            Some(known) => Some(known),
            None => match self.store_result(&pk, &stored, Keep::Insert).await? {
                Written::Yes => None,
                Written::Known | Written::Moved => self.known_result(&pk, &stored).await?,
            },
        };
        if known.as_ref().is_some_and(|known| known.body_hash != stored.body_hash) {
            return Ok(Reported::Conflict);
        }
        let stored = known.clone().unwrap_or(stored);
        let mark = self.early_mark(tenant, &pk, attr::ITEM);
        let marked = self.batcher.run(statements::insert(&self.table, pk, attr::ITEM, mark)).await?;
        let mut linked = None;
        if !matches!(marked, Outcome::Applied(_)) {
            // Others came before; if a dispatch is among them it may have looked before we wrote.
            if let [id] = self.link(tenant, provider_id).await?.activities().as_slice() {
                linked = self.adopt(tenant, id, &stored).await?.map(|status| (id.clone(), status));
            }
        }
        Ok(match known {
            Some(known) => Reported::Existing(Box::new(known), linked),
            None => Reported::New(linked),
        })
    }

    pub(super) async fn known_result(
        &self,
        pk: &str,
        result: &ActivityResult,
    ) -> Result<Option<ActivityResult>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .key(attr::PK, s(pk))
            .key(attr::SK, s(keys::result(&result.id)))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(output.item.as_ref().map(ActivityResult::decode).transpose()?)
    }

    /// The results that lie with `pk`, in the order they were reported, without their details: of very many large ones
    /// one at a time is to be in memory, for which there is [`WorkStore::known_result`].
    pub(super) async fn result_heads(&self, pk: &str) -> Result<Vec<ActivityResult>, StoreError> {
        let mut results = Vec::new();
        let mut start: Option<Item> = None;
        for _ in 0..PAGES_MAX {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .expression_attribute_values(":prefix", AttributeValue::S(attr::RESULT_PREFIX.to_owned()))
                .set_exclusive_start_key(start.take());
            let mut projection = Vec::with_capacity(ActivityResult::HEAD.len());
            for (number, name) in ActivityResult::HEAD.into_iter().enumerate() {
                projection.push(format!("#h{number}"));
                query = query.expression_attribute_names(format!("#h{number}"), name);
            }
            let output = query
                .projection_expression(projection.join(", "))
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
            for item in output.items.unwrap_or_default() {
                results.push(ActivityResult::decode_head(item)?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        results.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        Ok(results)
    }

    async fn link(&self, tenant: &Tenant, provider_id: &str) -> Result<Link, StoreError> {
        self.read_link(&keys::provider(tenant, provider_id)).await
    }
}

fn repeated(known: ActivityResult, result: &ActivityResult, now: Option<(ActivityId, Status)>) -> Reported {
    if known.body_hash == result.body_hash {
        Reported::Existing(Box::new(known), now)
    } else {
        Reported::Conflict
    }
}

/// The terminal rule among standalone results: what they are about has had its result already.
fn refused_beside(beside: &[ActivityResult], result: &ActivityResult) -> Option<Refusal> {
    let is_final = |result: &ActivityResult| result.status.ends_as().is_some();
    let second = is_final(result) && !result.hard_override && beside.iter().any(is_final);
    second.then_some(Refusal::HasResult)
}
