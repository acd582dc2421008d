//! Claim, then send, then settle (SPEC §9.2): the activities of one message.

use crate::call::{self, Call, Failure, Made};
use crate::{Outcome, Worker, settle};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use futures::future::join_all;
use rules::activity::{Event, Status};
use rules::due;
use rules::names::Tenant;
use rules::retry::RescheduleRules;
use shared::engine::WorkItem;
use shared::engine::{CRASHED, Claimed, HistoryEntry, SUCCESS, Settled, StoreError, Success};
use shared::items::activity::{ActivityView, Attempt, Record, Ref};
use shared::queue::DueActivity;
use shared::telemetry::CallTarget;
use shared::tenancy::TenancyError;
use std::collections::HashMap;

/// Time to get through the gate, to begin the call and to settle, added to the lease beyond the call's own time limit.
pub const SETTLE_TIME: TimeDelta = TimeDelta::seconds(20);
/// A message that comes earlier than this goes back to the queue instead of being waited for. Delays are whole
/// seconds, so a second is usual and more is skew. With the lead, the gate, the longest call and the settle it
/// stays within the function's time limit.
pub const EARLY_MAX: TimeDelta = TimeDelta::seconds(5);

/// What has to be left of a lease beyond the call's own time limit for the call to begin: more than clocks differ by. A
/// worker that stood still for longer may find its activity in other hands, and two calls of it under way at once.
pub const LEASE_LEFT_MIN: TimeDelta = TimeDelta::seconds(5);

/// Why a message goes back to the queue.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Worker {
    /// Delivers what of `due` is due and nobody else has.
    ///
    /// # Errors
    /// [`DeliveryError`] where some could not be claimed or settled. What was
    /// settled stays so: when the message comes back, claims on it are lost.
    pub(crate) async fn deliver(&self, due: Vec<DueActivity>) -> Result<(), DeliveryError> {
        let lead = due::lead(due.len());
        let due = self.running(due).await?;
        let instants = || due.iter().map(|activity| activity.due);
        let (Some(first), Some(last)) = (instants().min(), instants().max()) else { return Ok(()) };
        if first - lead > self.ctx.clock.now() + EARLY_MAX {
            // The queue's clock and ours disagree. Waiting would hold the worker; the message is sent anew.
            return Ok(self.ctx.queue.enqueue(&due).await.map_err(StoreError::from)?);
        }
        self.ctx.clock.sleep_until(first - lead).await;
        // They are due within a second, not at one instant: the claim has to reach the last of them.
        let lead = lead.max(last - self.ctx.clock.now());

        let turn = match due.first() {
            Some(activity) => self.gate.claim(&activity.tenant.company).await,
            None => None,
        };
        let mut refs = Vec::with_capacity(due.len());
        for activity in due {
            // How one whose type or config cannot be decoded is called is not known: it stays in the table.
            refs.extend(self.ctx.unreadable.leave_out(self.reference(activity).await)?);
        }
        let claims = self.ctx.work.claim(&refs, lead).await;
        drop(turn);
        let most = refs.len().max(1);
        let worked = claims.ready_chunks(most).map(|claims| self.work_on(claims)).buffer_unordered(most);
        worked.collect::<Vec<_>>().await.into_iter().collect()
    }

    /// Makes the attempts on what was claimed, and accounts for those that were lost.
    async fn work_on(&self, claims: Vec<Result<Claimed<Record>, StoreError>>) -> Result<(), DeliveryError> {
        let mut failed = None;
        let (mut ours, mut expired, mut in_flight) = (Vec::new(), Vec::new(), Vec::new());
        for claimed in claims {
            match claimed {
                Ok(Claimed::Ours(record)) => ours.push(*record),
                Ok(Claimed::Expired(record)) => expired.push(*record),
                Ok(Claimed::InFlight(record)) => in_flight.push(*record),
                Ok(Claimed::NotOurs) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.look_again(in_flight).await?;
        let views = self.load(&ours).await?;
        let attempts = ours.iter().map(|record| self.attempt(record, views.get(&record.pk())));
        let attempts = join_all(attempts);
        let recoveries =
            join_all(expired.into_iter().map(|record| async move { self.recover(&record).await }));
        let (attempts, recoveries) = futures::join!(attempts, recoveries);
        attempts.into_iter().chain(recoveries).chain(failed.map(|error| Err(error.into()))).collect()
    }

    /// Comes back to activities that other workers have once their leases are over: should those be lost, this message
    /// may be the last that names them.
    async fn look_again(&self, in_flight: Vec<Record>) -> Result<(), StoreError> {
        let again = |record: Record| {
            let lease_until = record.state.claim?.lease_until;
            let Record { tenant, kind, id, .. } = record;
            Some(DueActivity { tenant, kind, id, due: due::after_lease(lease_until) })
        };
        let again: Vec<DueActivity> = in_flight.into_iter().filter_map(again).collect();
        Ok(self.ctx.queue.enqueue(&again).await?)
    }

    /// Claimed activities with their parameters by partition key, those left out whose parameter cannot be decoded; where the table cannot be
    /// read, the claims are given back.
    async fn load(&self, claimed: &[Record]) -> Result<HashMap<String, ActivityView>, StoreError> {
        match self.ctx.work.with_parameters(claimed.to_vec()).await {
            Ok(views) => Ok(views.into_iter().map(|view| (view.record.pk(), view)).collect()),
            Err(error) => {
                join_all(claimed.iter().map(|record| settle::settle(&self.ctx, record, &Attempt::Released)))
                    .await;
                Err(error)
            }
        }
    }

    /// Leaves out what belongs to paused solutions: it stays in the table, and resuming enqueues it again.
    async fn running(&self, due: Vec<DueActivity>) -> Result<Vec<DueActivity>, TenancyError> {
        let mut paused: HashMap<Tenant, bool> = HashMap::new();
        for tenant in due.iter().map(|activity| &activity.tenant) {
            if paused.contains_key(tenant) {
                continue;
            }
            let mut is_paused = self.is_paused(tenant).await;
            if let Ok(true) = is_paused {
                // Dropping what has just been resumed would make it late, so the cache is not enough.
                let solution = self.ctx.tenancy.solution_fresh(tenant).await;
                is_paused = solution.map(|found| found.is_some_and(|solution| solution.is_paused()));
            }
            // Whether a solution that cannot be decoded is paused is not known: its work stays in the table too.
            let is_paused = self.ctx.unreadable.leave_out(is_paused)?;
            paused.insert(tenant.clone(), is_paused.unwrap_or(true));
        }
        Ok(due
            .into_iter()
            .filter(|activity| !paused.get(&activity.tenant).copied().unwrap_or(true))
            .collect())
    }

    /// Whether nothing of the solution may be sent. One that is gone is not paused: what it left behind fails and ends.
    async fn is_paused(&self, tenant: &Tenant) -> Result<bool, TenancyError> {
        let solution = self.ctx.tenancy.solution(tenant).await?;
        Ok(solution.is_some_and(|solution| solution.is_paused()))
    }

    async fn reference(&self, activity: DueActivity) -> Result<Ref, TenancyError> {
        let DueActivity { tenant, kind, id, due } = activity;
        let timeout = call::time_limit(&self.ctx, &tenant, &kind).await?;
        let lease_until = due.max(self.ctx.clock.now()) + timeout + SETTLE_TIME;
        Ok(Ref { tenant, id, lease_until })
    }

    /// One attempt on an activity that is claimed: hold it until its instant, call, settle. Without a `view` its parameter
    /// cannot be decoded, and the attempt fails.
    async fn attempt(&self, record: &Record, view: Option<&ActivityView>) -> Result<(), DeliveryError> {
        let due = record.state.due;
        let call = match view {
            Some(view) => call::prepare(&self.ctx, view).await,
            None => Err(Failure::internal("the stored parameter cannot be read")),
        };
        self.ctx.clock.sleep_until(due).await;
        let place = match call.as_ref().ok().and_then(Call::url) {
            Some(url) => self.gate.enter(&record.tenant.company, url).await,
            None => None,
        };
        // It may have been paused while this was held: a pause is in effect within 5 s of its answer.
        let rules = match self.terms(record).await {
            Ok(Some(rules)) => rules,
            Ok(None) => return Ok(self.free(record).await.map(drop)?),
            // Not known is not running, nor is it without rules: it comes again.
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether the solution is paused, or by which rules it retries");
                return Ok(self.give_back(record).await?);
            }
        };
        let asked = self.ctx.clock.now();
        if let Ok(call) = &call
            && !is_in_time(record, call, asked)
        {
            return Ok(self.give_back(record).await?);
        }
        let target = call.as_ref().ok().and_then(Call::target);
        let first_byte = call.as_ref().map(Call::began).unwrap_or_default();
        let outcome = match call {
            Ok(call) => call.make(&self.http).await,
            Err(failure) => Err((failure, None)),
        };
        let (began, ended) = (first_byte.since(asked), self.ctx.clock.now());
        drop(place);
        self.gate.calm().await;
        Ok(self.settle_attempt(record, (target, outcome), (began, ended), &rules).await?)
    }

    /// Gives back an activity that may not be called now, and has it come again.
    async fn give_back(&self, record: &Record) -> Result<(), StoreError> {
        tracing::warn!(id = record.id.as_str(), "not called; it comes again");
        if let Some(Settled::Applied(freed)) = self.free(record).await?
            // A result that was noted meanwhile may have ended it.
            && freed.state.status == Status::Ready
        {
            let Record { tenant, kind, id, state, .. } = *freed;
            self.ctx.queue.enqueue(&[DueActivity { tenant, kind, id, due: state.due }]).await?;
        }
        Ok(())
    }

    /// Takes back a claim and its attempt. Where others may take the lease for lost already, the attempt is theirs to account
    /// for, and it is looked at again after that.
    async fn free(&self, record: &Record) -> Result<Option<Settled<Record>>, StoreError> {
        let lease_until = record.state.claim.as_ref().map(|claim| claim.lease_until);
        if lease_until.is_none_or(|until| self.ctx.clock.now() + LEASE_LEFT_MIN > until) {
            self.look_again(vec![record.clone()]).await?;
            return Ok(None);
        }
        settle::settle(&self.ctx, record, &Attempt::Released).await.map(Some)
    }

    async fn settle_attempt(
        &self,
        record: &Record,
        (target, outcome): (Option<CallTarget>, call::Outcome),
        (began, ended): (DateTime<Utc>, DateTime<Utc>),
        rules: &RescheduleRules,
    ) -> Result<(), StoreError> {
        let duration_ms = u32::try_from((ended - began).num_milliseconds()).unwrap_or_default();
        let mut report = Outcome {
            word: SUCCESS,
            http_status: None,
            lateness_ms: (began - record.state.due).num_milliseconds(),
            duration_ms,
            target,
            retry_at: None,
        };
        let settled = match outcome {
            Ok(Made { http_status, dispatch }) => {
                report.http_status = http_status;
                let success = Success { http_status, duration_ms };
                settle::settle(&self.ctx, record, &Attempt::Succeeded { success, dispatch }).await?
            }
            Err((failure, answer)) => {
                report.word = failure.outcome;
                report.http_status = answer.as_ref().map(|answer| answer.status);
                let retry_after = answer.and_then(|answer| answer.retry_after).map(|asked| asked.wait(ended));
                let event = Event::Failed { retry_after, rules };
                let entry = entry(failure, report.http_status, duration_ms, ended);
                settle::settle(&self.ctx, record, &Attempt::Failed { event, entry }).await?
            }
        };
        if settled == Settled::Stale {
            // The lease ran out under the call: whoever found it has recorded the attempt as crashed.
            tracing::warn!(id = record.id.as_str(), "the claim was lost before the attempt was settled");
        }
        report.retry_at = retry_at(&settled);
        self.report(record, &report);
        self.count_end(&settled);
        Ok(())
    }

    /// Accounts for an attempt whose worker was lost (SPEC §9.3).
    async fn recover(&self, record: &Record) -> Result<(), DeliveryError> {
        let rules = self.rules(record).await?;
        let now = self.ctx.clock.now();
        let attempt =
            Attempt::Failed { event: Event::LeaseExpired { rules: &rules }, entry: HistoryEntry::lost(now) };
        let settled = settle::settle(&self.ctx, record, &attempt).await?;
        if settled == Settled::Stale {
            // Another worker was first.
            return Ok(());
        }
        let lateness_ms = (now - record.state.due).num_milliseconds();
        let retry_at = retry_at(&settled);
        let report =
            Outcome { word: CRASHED, http_status: None, lateness_ms, duration_ms: 0, target: None, retry_at };
        self.report(record, &report);
        self.count_end(&settled);
        Ok(())
    }

    /// Counts an activity that this settle made a dead letter.
    fn count_end(&self, settled: &Settled<Record>) {
        if settled.applied().is_some_and(|record| record.state.status == Status::Failed) {
            self.metrics.given_up();
        }
    }

    /// By which rules a call that is made now is retried; `None` while its solution is paused.
    async fn terms(&self, record: &Record) -> Result<Option<RescheduleRules>, TenancyError> {
        if self.is_paused(&record.tenant).await? {
            return Ok(None);
        }
        self.rules(record).await.map(Some)
    }

    /// The rules of the activity's type; without any, the default wait holds.
    async fn rules(&self, record: &Record) -> Result<RescheduleRules, TenancyError> {
        let found = call::activity_type(&self.ctx, &record.tenant, &record.kind).await?;
        Ok(found.map_or_else(RescheduleRules::default, |found| found.reschedule_rules.clone()))
    }
}

/// When an activity whose attempt was settled so is tried again, if it is.
fn retry_at(settled: &Settled<Record>) -> Option<DateTime<Utc>> {
    let state = &settled.applied()?.state;
    (state.status == Status::Ready).then_some(state.due)
}

/// Whether `call` would be over before anybody may take the lease for lost.
fn is_in_time(record: &Record, call: &Call, now: DateTime<Utc>) -> bool {
    let lease_until = record.state.claim.as_ref().map(|claim| claim.lease_until);
    lease_until.is_some_and(|until| now + call.time_limit() + LEASE_LEFT_MIN <= until)
}

fn entry(failure: Failure, http_status: Option<u16>, duration_ms: u32, at: DateTime<Utc>) -> HistoryEntry {
    HistoryEntry {
        at: rules::time::truncate(at),
        outcome: failure.outcome.to_owned(),
        http_status,
        duration_ms,
        detail: failure.detail,
    }
}
