//! Applying a result to its activity: one transaction with the result's own item.

use crate::engine::attributes::s;
use crate::engine::batcher::Outcome;
use crate::engine::item::WorkItem;
use crate::engine::kept::{Kept, expires};
use crate::engine::statements;
use crate::engine::statements::Statement;
use crate::engine::step::Together;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::items::activity::result_item::ActivityResult;
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use rules::activity::{Event, Refusal, Status, decide};
use rules::names::{ActivityId, Tenant};
use rules::verdict::Verdict;

/// How often a report is decided anew because the activity moved meanwhile.
const TRIES: usize = 8;

/// How a result comes to lie with its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is inserted.
    Insert,
    /// It lies there already, standalone, and is linked.
    Link,
}

/// What applying a result to an activity came to.
pub(crate) enum Applied {
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
    /// Applies a result that was standalone under a provider's id; the activity's status after it.
    pub(crate) async fn adopt(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
        run: Option<u32>,
    ) -> Result<Option<Status>, StoreError> {
        let result = ActivityResult { standalone: false, ..result.clone() };
        match self.apply(tenant, id, &result, Keep::Insert, run).await? {
            Applied::Written(status) => return Ok(Some(status)),
            Applied::Gone => return Ok(None),
            Applied::Known => {}
            // It comes too late for the activity, and is kept with it all the same.
            Applied::Refused(_) => {
                self.store_late(tenant, id, &result, Keep::Insert).await?;
            }
        }
        Ok(self.status_of(tenant, id).await?.map(|(_, status)| status))
    }

    /// The item `sk` of `pk` that says that results lie there which met no activity when they came.
    pub(crate) fn early_mark(
        &self,
        tenant: &Tenant,
        pk: &str,
        sk: &str,
    ) -> Vec<(&'static str, AttributeValue)> {
        let now = self.clock.now();
        let mut mark = vec![
            (attr::PK, s(pk)),
            (attr::SK, s(sk)),
            (attr::DONE_PARTITION, s(keys::early_partition(tenant, pk))),
            // Its own key, so that no two have the same.
            (attr::DONE_SORT, s(format!("{}#{pk}", keys::instant(now)))),
        ];
        mark.extend(expires(now, self.retention()));
        mark
    }

    /// Marks that a result lies with an activity that is not there yet.
    pub(crate) async fn mark_early(&self, tenant: &Tenant, pk: &str) -> Result<(), StoreError> {
        let mark = self.early_mark(tenant, pk, attr::EARLY);
        let marked =
            self.batcher.run(statements::insert(&self.table, pk.to_owned(), attr::EARLY, mark)).await?;
        if !matches!(marked, Outcome::Applied(_)) {
            // It has to be there as long as the last of the results.
            self.prolong(pk, attr::EARLY, expires(self.clock.now(), self.retention())).await?;
        }
        Ok(())
    }

    /// Applies the results that were reported on an activity before it was accepted.
    pub(crate) async fn adopt_early(&self, record: &Record) -> Result<(), StoreError> {
        // One item that is seldom there, so that the reads of many dispatches are one call.
        let mark = self.reads.run(statements::read(&self.table, record.pk(), attr::EARLY)).await?;
        let Outcome::Applied(Some(_)) = mark else { return Ok(()) };
        let pk = record.pk();
        for head in self.result_heads(&pk).await?.iter().filter(|head| head.standalone) {
            let result = self.unreadable.leave_out(self.known_result(&pk, &head.id).await)?;
            let Some(result) = result.flatten() else { continue };
            let applied = self.apply(&record.tenant, &record.id, &result, Keep::Link, None).await?;
            if matches!(applied, Applied::Refused(_)) {
                self.store_late(&record.tenant, &record.id, &result, Keep::Link).await?;
            }
        }
        Ok(())
    }

    /// Writes what `result` does to the activity, together with the result. One of another `run` than the present is kept
    /// and does nothing, unless it shall override.
    pub(crate) async fn apply(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
        keep: Keep,
        run: Option<u32>,
    ) -> Result<Applied, StoreError> {
        for _ in 0..TRIES {
            let Some(record) = self.record(tenant, id).await? else { return Ok(Applied::Gone) };
            let is_of_this_run = run.is_none_or(|run| run == record.state.run) || result.hard_override;
            let verdict = Verdict::of(result.status, result.id.as_str()).filter(|_| is_of_this_run);
            if verdict.is_some() && record.state.verdict == verdict {
                return Ok(Applied::Known);
            }
            let (status, written) = match &verdict {
                None => (record.state.status, self.store_beside(&record, result, keep).await?),
                Some(verdict) => match self.judge(&record, verdict, result.hard_override).await {
                    Ok((status, step)) => {
                        let kept = self.keep(&record.pk(), result, keep);
                        (status, self.together(kept, step).await?)
                    }
                    Err(refusal) => return Ok(Applied::Refused(refusal)),
                },
            };
            match written {
                Together::Written => return Ok(Applied::Written(status)),
                Together::Known => return Ok(Applied::Known),
                Together::Moved => {}
            }
        }
        Err(StoreError::Throttled)
    }

    /// The write that a final result asks for, and the status after it.
    async fn judge(
        &self,
        record: &Record,
        verdict: &Verdict,
        hard_override: bool,
    ) -> Result<(Status, Statement), Refusal> {
        let now = rules::time::truncate(self.clock.now());
        let state = decide(&record.state, Event::Result { verdict, hard_override }, now)?.to;
        let to = self.kept_as_its_solution_says(Record { state, ..record.clone() }, now).await;
        Ok((to.state.status, statements::step(&self.table, record, &to, now)))
    }

    fn keep(&self, pk: &str, result: &ActivityResult, keep: Keep) -> Statement {
        let sk = keys::result(&result.id);
        match keep {
            Keep::Insert => {
                let item = result.encode(pk, self.retention());
                statements::insert(&self.table, pk.to_owned(), &sk, item)
            }
            Keep::Link => statements::link_result(&self.table, pk.to_owned(), &sk),
        }
    }

    /// Has the result lie beside its activity, and changes nothing else but that the activity notes it.
    async fn store_beside(
        &self,
        record: &Record,
        result: &ActivityResult,
        keep: Keep,
    ) -> Result<Together, StoreError> {
        let pk = record.pk();
        if record.has_companions {
            return self.store_result(&pk, result, keep).await;
        }
        // What has results beside it does not go by its time to live.
        let kept = record.kept.map(|kept| Kept { by_ttl: false, ..kept });
        let noted = Record { has_companions: true, kept, ..record.clone() };
        let step = statements::step(&self.table, record, &noted, self.clock.now());
        self.together(self.keep(&pk, result, keep), step).await
    }

    /// The same of a result that comes too late to change anything.
    async fn store_late(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        result: &ActivityResult,
        keep: Keep,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(record) = self.record(tenant, id).await? else { return Ok(()) };
            if self.store_beside(&record, result, keep).await? != Together::Moved {
                return Ok(());
            }
        }
        Err(StoreError::Throttled)
    }

    /// Has the result lie with `pk`, and changes nothing else.
    pub(crate) async fn store_result(
        &self,
        pk: &str,
        result: &ActivityResult,
        keep: Keep,
    ) -> Result<Together, StoreError> {
        Ok(match self.batcher.run(self.keep(pk, result, keep)).await? {
            Outcome::Applied(_) => Together::Written,
            Outcome::Duplicate | Outcome::Lost(_) => Together::Known,
        })
    }
}
