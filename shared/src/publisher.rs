//! Publishing notifications: at once by the API, again by the re-sender (SPEC §7).
//!
//! A notification is saved, claimed, sent and settled, in that order. Dying after the send leaves a claim
//! whose lease runs out: the attempt counts, and the next one carries the same `Idempotency-Key`.

mod manual;

use crate::context::Context;
use crate::engine::patience::BRIEFLY;
use crate::engine::{HistoryEntry, SUCCESS, StoreError, Success};
use crate::items::notification::{NewNotification, Notification, NotificationView, Saved, Stepped};
use crate::outbound::{Outbound, OutboundRequest, START_TIMEOUT};
use crate::signed_call::{CallFailure, SignedCall, configured};
use crate::telemetry::{AttemptRecord, CallTarget, Metrics};
use crate::tenancy::{NotificationType, ParentKind, TenancyError};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use http::Method;
use rules::claim::Trigger;
use rules::names::Tenant;
use rules::notification::{Event, Policy, Refusal, Status};
use rules::retry::{RETRY_AFTER_FUDGE_S, RescheduleRules};
use std::sync::Arc;
use std::time::Duration;

/// The whole call's time limit: within what an HTTP API waits for its answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The same as a span.
const CALL_TIME: TimeDelta = TimeDelta::seconds((CALL_TIMEOUT.as_secs() + START_TIMEOUT.as_secs()) as i64);
/// What has to be left of a lease beyond the call's time limit for the call to begin: more than clocks differ by.
const LEASE_LEFT_MIN: TimeDelta = TimeDelta::seconds(5);
/// How long a claim holds: the call, and time to settle.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// `retry_after_fudge_s` where the configuration says nothing (seed 003).
pub const RETRY_AFTER_FUDGE_S_DEFAULT: u32 = RETRY_AFTER_FUDGE_S as u32;
/// The longest first wait, in seconds: a week.
pub const RETRY_AFTER_FUDGE_S_MAX: u32 = 604_800;
/// Notifications that go out at once when their solution goes to running; the re-sender does the rest.
const RESUMED_MAX: usize = 20;

/// Why nothing could be said of a notification.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of a request to publish.
#[derive(Debug, Clone, PartialEq)]
pub enum Published {
    /// Saved, and tried unless that was left for later; as it stands now.
    New(Box<Notification>),
    /// The same request had been made before.
    Existing(Box<NotificationView>),
    /// The id is taken by another request.
    Conflict,
    /// What it is created below has been deleted meanwhile, and it is not saved.
    ParentGone(ParentKind),
}

/// What came of a request to send again by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Resent {
    /// Tried; as it stands now.
    Tried(Box<Notification>),
    /// There is none.
    NotFound,
    /// Its state does not allow it.
    Refused(Refusal),
    /// What it would be sent by is gone.
    ParentGone(ParentKind),
}

/// What came of one notification that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its receiver accepted it.
    Published,
    /// It failed, or its sender had been lost.
    Failed,
    /// Somebody else has it.
    NotOurs,
}

/// Sends notifications. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    ctx: Context,
    http: Outbound,
    retry_after_fudge_s: u32,
    metrics: Metrics,
}

impl Publisher {
    /// Sends through `http`. `retry_after_fudge_s` is seed 003's.
    pub fn new(ctx: Context, http: Outbound, retry_after_fudge_s: u32) -> Self {
        Self { ctx, http, retry_after_fudge_s, metrics: Metrics::off() }
    }

    /// Counting its attempts in `metrics`.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Saves a notification and publishes it at once, or `later`: then the re-sender makes the first attempt.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be saved.
    pub async fn publish(
        &self,
        new: NewNotification,
        of: &NotificationType,
        later: bool,
    ) -> Result<Published, StoreError> {
        let payload = new.payload.clone();
        let lease_until = (!later).then(|| self.ctx.clock.now() + LEASE);
        match self.ctx.work.save_notification(new, of, lease_until).await? {
            Saved::New(saved) if later => Ok(Published::New(saved)),
            Saved::New(saved) => {
                let due = saved.created_at;
                Ok(Published::New(Box::new(self.attempt(*saved, Some(payload), due).await)))
            }
            Saved::Existing(known) => Ok(Published::Existing(known)),
            Saved::Conflict => Ok(Published::Conflict),
            Saved::ParentGone(gone) => Ok(Published::ParentGone(gone)),
        }
    }

    /// Gives the notification of `pk`, which is due, its turn: sends it, or accounts for a sender that was lost.
    ///
    /// # Errors
    /// [`PublishError`] when a table cannot be read or written.
    pub async fn turn(&self, pk: &str) -> Result<Turn, PublishError> {
        let Some(notification) = self.ctx.work.due_notification(pk).await? else { return Ok(Turn::NotOurs) };
        // Without its type it could not be settled.
        if self.ctx.unreadable.leave_out(self.kind(&notification).await)?.is_none() {
            return Ok(Turn::NotOurs);
        }
        if self.is_abandoned(&notification) {
            return Ok(match self.recover(&notification).await? {
                Stepped::Applied(_) => Turn::Failed,
                Stepped::Refused(_) | Stepped::Lost => Turn::NotOurs,
            });
        }
        let payload = self.ctx.work.notification_payload(&notification).await?;
        let due = notification.state.due;
        let claim = self.ctx.work.new_claim(Trigger::Due, self.ctx.clock.now() + LEASE);
        let (begin, now) = (Event::Begin(claim), self.ctx.clock.now());
        let step = self.ctx.work.step_notification(&notification, begin, None, None, now);
        Ok(match step.await? {
            Stepped::Applied(claimed) => match self.attempt(*claimed, payload, due).await.state.status {
                Status::Published => Turn::Published,
                Status::Pending | Status::MaxRetried => Turn::Failed,
            },
            Stepped::Refused(_) | Stepped::Lost => Turn::NotOurs,
        })
    }

    /// Sends at once what is due of a solution that goes to running, as far as one call's time allows.
    ///
    /// # Errors
    /// [`PublishError`]; what was not sent the re-sender sends.
    pub async fn resume(&self, tenant: &Tenant) -> Result<(), PublishError> {
        let slices = self.ctx.tenancy.notification_slices_of(tenant).await?;
        if slices.is_empty() {
            return Ok(());
        }
        let now = self.ctx.clock.now();
        let due = self.ctx.work.due_notifications(&slices, None, now, RESUMED_MAX).await?;
        let turns = due.rows.iter().map(|(_, pk)| self.turn(pk));
        // All are finished before an error is looked at, so that none is dropped with its claim held.
        let turns = join_all(turns).await;
        turns.into_iter().try_for_each(|turn| turn.map(drop))
    }

    fn is_abandoned(&self, notification: &Notification) -> bool {
        notification.state.claim.as_ref().is_some_and(|claim| claim.lease_until < self.ctx.clock.now())
    }

    async fn kind(&self, of: &Notification) -> Result<Option<Arc<NotificationType>>, TenancyError> {
        self.ctx.tenancy.notification_type(&of.tenant, &of.name).await
    }

    /// Sends a notification that was `due` and is claimed, and settles it; as it stands then. What cannot be settled
    /// stays claimed, and counts as a crash once its lease has run out.
    async fn attempt(
        &self,
        claimed: Notification,
        payload: Option<String>,
        due: DateTime<Utc>,
    ) -> Notification {
        let request = self.request(&claimed, payload).await;
        // Last, so that as little as can be lies between looking and calling.
        if !self.may_send(&claimed).await {
            return self.give_back(claimed).await;
        }
        let target = request.as_ref().ok().map(CallTarget::of);
        let first_byte = request.as_ref().map(|request| request.began.clone()).unwrap_or_default();
        let asked = self.ctx.clock.now();
        let answered = match request {
            Ok(request) => CallFailure::of(self.http.send(request).await).map(|answer| answer.status),
            Err(failure) => Err(failure),
        };
        let (began, ended) = (first_byte.since(asked), self.ctx.clock.now());
        let duration_ms = u32::try_from((ended - began).num_milliseconds()).unwrap_or_default();
        let settled = match self.settle(&claimed, &answered, duration_ms, ended).await {
            Ok(Stepped::Applied(settled)) => *settled,
            Ok(Stepped::Refused(_) | Stepped::Lost) => claimed.clone(),
            Err(error) => {
                tracing::warn!(tenant = %claimed.tenant, id = %claimed.id, %error, "an attempt was not settled");
                claimed.clone()
            }
        };
        let retry_at = retry_at(&settled);
        self.report(&claimed, &answered, (began - due, duration_ms), target.as_ref(), retry_at);
        settled
    }

    async fn request(
        &self,
        claimed: &Notification,
        payload: Option<String>,
    ) -> Result<OutboundRequest, CallFailure> {
        let payload = payload.ok_or_else(|| CallFailure::internal("the stored payload cannot be read"))?;
        let found = self.kind(claimed).await;
        let found = found.map_err(|_| CallFailure::internal("the notification type could not be read"))?;
        let Some(of) = found else {
            return Err(CallFailure::configuration(format!(
                "the solution has no notification type {}",
                claimed.name
            )));
        };
        let call = SignedCall {
            tenant: &claimed.tenant,
            method: Method::POST,
            url: of.uri.clone(),
            headers: configured(&of.headers)?,
            call_id: &claimed.call_id(),
            body: Some(Bytes::from(payload)),
            timeout: CALL_TIMEOUT,
        };
        call.request(&self.ctx).await
    }

    /// Whether its solution is known to run, and the call would be over before anybody may take the lease for lost.
    async fn may_send(&self, claimed: &Notification) -> bool {
        let lease_until = claimed.state.claim.as_ref().map(|claim| claim.lease_until);
        let runs = match self.ctx.tenancy.solution(&claimed.tenant).await {
            // Of one that is gone the call fails, and says so.
            Ok(solution) => solution.is_none_or(|solution| !solution.is_paused()),
            Err(_) => false,
        };
        let over_by = self.ctx.clock.now() + CALL_TIME + LEASE_LEFT_MIN;
        runs && lease_until.is_some_and(|until| over_by <= until)
    }

    /// Frees a notification that was not sent; the re-sender sends it once its solution runs. Where others may take
    /// the lease for lost already, the attempt is theirs to account for.
    async fn give_back(&self, claimed: Notification) -> Notification {
        let lease_until = claimed.state.claim.as_ref().map(|claim| claim.lease_until);
        if lease_until.is_none_or(|until| self.ctx.clock.now() + LEASE_LEFT_MIN > until) {
            return claimed;
        }
        match self.step(&claimed, Event::Released, (None, None), self.ctx.clock.now()).await {
            Ok(Stepped::Applied(free)) => *free,
            Ok(Stepped::Refused(_) | Stepped::Lost) => claimed,
            Err(error) => {
                tracing::warn!(tenant = %claimed.tenant, id = %claimed.id, %error, "a claim was not given back");
                claimed
            }
        }
    }

    async fn settle(
        &self,
        claimed: &Notification,
        answered: &Result<u16, CallFailure>,
        duration_ms: u32,
        at: DateTime<Utc>,
    ) -> Result<Stepped, PublishError> {
        match answered {
            Ok(status) => {
                let success = Success { http_status: Some(*status), duration_ms };
                Ok(self.step(claimed, Event::Succeeded, (Some(success), None), at).await?)
            }
            Err(failure) => self.fail(claimed, entry(failure.clone(), duration_ms, at), false).await,
        }
    }

    /// Makes a step of an attempt, trying for as long as nobody else may take the lease for lost.
    async fn step(
        &self,
        claimed: &Notification,
        event: Event<'_>,
        (success, entry): (Option<Success>, Option<&HistoryEntry>),
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        // The margin is the time of a try.
        let until = claimed.state.claim.as_ref().map_or(now, |claim| claim.lease_until - BRIEFLY);
        let work = &self.ctx.work;
        let step = || work.step_notification(claimed, event.clone(), success, entry, now);
        self.ctx.patience.until(until, step).await
    }

    /// The attempt's one line, and its metrics (SPEC §12).
    fn report(
        &self,
        notification: &Notification,
        answered: &Result<u16, CallFailure>,
        (lateness, duration_ms): (TimeDelta, u32),
        target: Option<&CallTarget>,
        retry_at: Option<DateTime<Utc>>,
    ) {
        let (outcome, http_status) = match answered {
            Ok(status) => (SUCCESS, Some(*status)),
            Err(failure) => (failure.outcome, failure.http_status),
        };
        let attempt = AttemptRecord {
            tenant: &notification.tenant,
            id: notification.id.as_str(),
            kind: &format!("N:{}", notification.name),
            run: notification.state.run,
            attempt: notification.state.sends,
            outcome,
            http_status,
            lateness_ms: Some(lateness.num_milliseconds()),
            duration_ms,
            target,
            retry_at,
        };
        attempt.log();
        self.metrics.attempt(&attempt);
    }

    /// Accounts for an attempt whose sender was lost.
    async fn recover(&self, abandoned: &Notification) -> Result<Stepped, PublishError> {
        let failure = CallFailure::crashed();
        let now = self.ctx.clock.now();
        let failed = self.fail(abandoned, entry(failure.clone(), 0, now), true).await?;
        let retry_at = match &failed {
            Stepped::Applied(settled) => retry_at(settled),
            Stepped::Refused(_) | Stepped::Lost => None,
        };
        self.report(abandoned, &Err(failure), (now - abandoned.state.due, 0), None, retry_at);
        Ok(failed)
    }

    /// A failed attempt, or, if its sender was `lost`, one that counts as failed.
    async fn fail(
        &self,
        claimed: &Notification,
        entry: HistoryEntry,
        lost: bool,
    ) -> Result<Stepped, PublishError> {
        let of = self.kind(claimed).await?;
        let none = RescheduleRules::default();
        let policy = Policy {
            rules: of.as_deref().map_or(&none, |of| &of.rules),
            max_retries: of.as_deref().map_or(claimed.state.retries, |of| of.max_retries),
            retry_after_fudge_s: self.retry_after_fudge_s,
        };
        let event = if lost { Event::LeaseExpired(policy) } else { Event::Failed(policy) };
        let stepped = self.step(claimed, event, (None, Some(&entry)), entry.at).await?;
        if matches!(&stepped, Stepped::Applied(after) if after.state.status == Status::MaxRetried) {
            self.metrics.given_up();
        }
        Ok(stepped)
    }
}

/// When a notification whose attempt was settled so is sent again, if it is.
fn retry_at(settled: &Notification) -> Option<DateTime<Utc>> {
    (settled.state.status == Status::Pending && settled.state.claim.is_none()).then_some(settled.state.due)
}

fn entry(failure: CallFailure, duration_ms: u32, at: DateTime<Utc>) -> HistoryEntry {
    let CallFailure { outcome, http_status, detail } = failure;
    let at = rules::time::truncate(at);
    HistoryEntry { at, outcome: outcome.to_owned(), http_status, duration_ms, detail }
}
