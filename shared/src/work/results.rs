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
//! Applying a result twice is applying it once: it has an id, and its item is
//! inserted in the same transaction. In the common case this costs the settle
//! one write unit, for the link, and no read.

use super::batcher::Outcome;
use super::codec::{Item, Record};
use super::links::Link;
use super::result_item::ActivityResult;
use super::statements::{self, Statement};
use super::{StoreError, WorkStore, attr, keys};
use crate::work::codec::s;
use aws_sdk_dynamodb::operation::execute_transaction::ExecuteTransactionError;
use aws_sdk_dynamodb::types::AttributeValue;
use rules::activity::{Event, Refusal, Status, decide};
use rules::names::{ActivityId, Tenant};
use rules::verdict::Verdict;

/// How often a report is decided anew because the activity moved meanwhile.
const TRIES: usize = 8;
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

/// How a result comes to lie with its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// It is inserted.
    Insert,
    /// It lies there already, standalone, and is linked.
    Link,
}

/// What applying a result to an activity came to.
enum Applied {
    /// Written: the status after it.
    Written(Status),
    /// This result had been applied before.
    Known,
    /// The activity has been ended already.
    Refused(Refusal),
    /// There is no such activity.
    Gone,
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
        if let Some(refusal) = refused_beside(&self.results_in(&pk).await?, result) {
            return Ok(Reported::Refused(refusal));
        }
        let early = ActivityResult { standalone: true, ..result.clone() };
        if let Written::Known = self.alone(self.keep(&pk, &early, Keep::Insert)).await? {
            let known = self.known_result(&pk, result).await?.ok_or(StoreError::Throttled)?;
            return Ok(repeated(known, result, None));
        }
        // The activity may have been accepted, even dispatched, since it was looked for.
        Ok(Reported::New(match self.apply(tenant, id, &early, Keep::Link).await? {
            Applied::Written(status) => Some((id.clone(), status)),
            Applied::Known | Applied::Refused(_) | Applied::Gone => None,
        }))
    }

    async fn status_of(
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
        let beside = self.results_in(&pk).await?;
        let known = beside.iter().find(|known| known.id == result.id);
        if known.is_none()
            && let Some(refusal) = refused_beside(&beside, &result)
        {
            return Ok(Reported::Refused(refusal));
        }
        let stored = ActivityResult { standalone: true, ..result };
        let known = match known {
            Some(known) => Some(known.clone()),
            None => match self.alone(self.keep(&pk, &stored, Keep::Insert)).await? {
                Written::Yes => None,
                Written::Known | Written::Moved => self.known_result(&pk, &stored).await?,
            },
        };
        if known.as_ref().is_some_and(|known| known.body_hash != stored.body_hash) {
            return Ok(Reported::Conflict);
        }
        let stored = known.clone().unwrap_or(stored);
        let mark = vec![(attr::PK, s(&pk)), (attr::SK, s(attr::ITEM))];
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

    /// Applies a result that was standalone under a provider's id; the activity's status after it.
    pub(super) async fn adopt(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
    ) -> Result<Option<Status>, StoreError> {
        let result = ActivityResult { standalone: false, ..result.clone() };
        match self.apply(tenant, id, &result, Keep::Insert).await? {
            Applied::Written(status) => return Ok(Some(status)),
            Applied::Gone => return Ok(None),
            Applied::Known => {}
            // It comes too late for the activity, and is kept with it all the same.
            Applied::Refused(_) => {
                self.alone(self.keep(&keys::activity(tenant, id), &result, Keep::Insert)).await?;
            }
        }
        Ok(self.status_of(tenant, id).await?.map(|(_, status)| status))
    }

    /// Applies the results that were reported on an activity before it was accepted.
    pub(super) async fn adopt_early(&self, record: &Record) -> Result<(), StoreError> {
        let (pk, early) = (record.pk(), self.results_in(&record.pk()).await?);
        for result in early.iter().filter(|result| result.standalone) {
            let applied = self.apply(&record.tenant, &record.id, result, Keep::Link).await?;
            if matches!(applied, Applied::Refused(_)) {
                self.alone(self.keep(&pk, result, Keep::Link)).await?;
            }
        }
        Ok(())
    }

    /// Writes what `result` does to the activity, together with the result.
    async fn apply(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
        keep: Keep,
    ) -> Result<Applied, StoreError> {
        let verdict = Verdict::of(result.status, result.id.as_str());
        for _ in 0..TRIES {
            let Some(record) = self.record(tenant, id).await? else { return Ok(Applied::Gone) };
            if verdict.is_some() && record.state.verdict == verdict {
                return Ok(Applied::Known);
            }
            let kept = self.keep(&record.pk(), result, keep);
            let (status, written) = match &verdict {
                None => (record.state.status, self.alone(kept).await?),
                Some(verdict) => match self.judge(&record, verdict, result.hard_override) {
                    Ok((status, step)) => (status, self.together(kept, step).await?),
                    Err(refusal) => return Ok(Applied::Refused(refusal)),
                },
            };
            match written {
                Written::Yes => return Ok(Applied::Written(status)),
                Written::Known => return Ok(Applied::Known),
                Written::Moved => {}
            }
        }
        Err(StoreError::Throttled)
    }

    /// The write that a final result asks for, and the status after it.
    fn judge(
        &self,
        record: &Record,
        verdict: &Verdict,
        hard_override: bool,
    ) -> Result<(Status, Statement), Refusal> {
        let now = rules::time::truncate(self.clock.now());
        let step = decide(&record.state, Event::Result { verdict, hard_override }, now)?;
        let statement = if step.to.claim.is_some() {
            statements::note(&self.table, record, verdict)
        } else {
            statements::step(&self.table, record, &step.to, record.success, None, now)
        };
        Ok((step.to.status, statement))
    }

    fn keep(&self, pk: &str, result: &ActivityResult, keep: Keep) -> Statement {
        let sk = keys::result(&result.id);
        match keep {
            Keep::Insert => statements::insert(&self.table, pk.to_owned(), &sk, result.encode(pk)),
            Keep::Link => statements::link_result(&self.table, pk.to_owned(), &sk),
        }
    }

    async fn alone(&self, kept: Statement) -> Result<Written, StoreError> {
        Ok(match self.batcher.run(kept).await? {
            Outcome::Applied(_) => Written::Yes,
            Outcome::Duplicate | Outcome::Lost(_) => Written::Known,
        })
    }

    /// Two statements, written together or not at all.
    async fn together(&self, kept: Statement, step: Statement) -> Result<Written, StoreError> {
        let statements = vec![kept.for_transaction(), step.for_transaction()];
        let sent = self.client.execute_transaction().set_transact_statements(Some(statements)).send().await;
        let Err(error) = sent else { return Ok(Written::Yes) };
        let Some(ExecuteTransactionError::TransactionCanceledException(canceled)) = error.as_service_error()
        else {
            return Err(StoreError::from_sdk(error));
        };
        let codes: Vec<&str> =
            canceled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default()).collect();
        match codes.as_slice() {
            ["DuplicateItem" | "ConditionalCheckFailed", ..] => Ok(Written::Known),
            [_, "ConditionalCheckFailed"] => Ok(Written::Moved),
            _ => Err(StoreError::Throttled),
        }
    }

    async fn known_result(
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

    /// The results that lie with `pk`, in the order they were reported.
    pub(super) async fn results_in(&self, pk: &str) -> Result<Vec<ActivityResult>, StoreError> {
        let mut results = Vec::new();
        let mut start: Option<Item> = None;
        for _ in 0..PAGES_MAX {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .expression_attribute_values(":prefix", AttributeValue::S(attr::RESULT_PREFIX.to_owned()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
            for item in output.items.unwrap_or_default() {
                results.push(ActivityResult::decode(&item)?);
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

enum Written {
    Yes,
    /// The result is kept with the activity already.
    Known,
    /// The activity was not as it had been read.
    Moved,
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
