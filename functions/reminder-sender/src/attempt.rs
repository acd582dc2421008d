//! One attempt: claimed, made, recorded, told, settled (SPEC §9.2).
//!
//! | dies after | what is found | what follows |
//! | --- | --- | --- |
//! | the claim, or the call | a claim whose lease ran out, no entry | recorded as lost, counts as a failed attempt |
//! | the entry | the same, and the entry of its attempt | what the entry says: nothing is sent twice |
//! | the webhook | the same, and the webhook by its id | the same; the webhook is there already |
//! | the settle | nothing | — |

use crate::call::{self, CallError};
use crate::hold::Hold;
use crate::{Sender, SenderError, webhook};
use chrono::{DateTime, TimeDelta, Utc};
use rules::reminder::{Event, Outcome, Outstanding, Status};
use shared::engine::Settled;
use shared::engine::patience::BRIEFLY;
use shared::items::reminder::{Entry, Record, Reminder};
use shared::outbound::OutboundRequest;
use shared::telemetry::CallTarget;
use shared::tenancy::ReminderConfiguration;

/// How long a claim holds: the call's time limit, time to record and settle, and the time before the call.
pub const CLAIM_LEASE: TimeDelta = TimeDelta::seconds(60);
/// How long after its claim a call may still begin. Later, somebody whose clock is ahead might take
/// the claim for abandoned while the call is under way.
const BEGIN_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// Why a reminder whose definition cannot be decoded is not sent.
pub const UNREADABLE: &str = "what is stored of it cannot be read";

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// The attempt that is recorded, and what it was settled as.
    Attempt(Entry, Settled<Record>),
    /// The call was not made, for this reason. No attempt.
    Not(&'static str),
}

impl Sender {
    /// Makes the attempt that `record` was claimed for; under the processor's lock, if `hold` is given.
    ///
    /// # Errors
    /// [`SenderError`]: the claim's lease will run out, and the attempt is recovered.
    pub(crate) async fn attempt(&self, record: &Record, hold: Option<&Hold>) -> Result<Made, SenderError> {
        let found = self.ctx.reminders.get(&record.tenant, &record.id).await;
        let Some(found) = self.ctx.unreadable.leave_out(found)? else {
            self.ctx.reminders.settle(record, Event::NotMade).await?;
            return Ok(Made::Not(UNREADABLE));
        };
        let claimed = |found: &Reminder| found.record.state.claim == record.state.claim;
        let Some(reminder) = found.filter(claimed) else { return Ok(Made::Not("it is in other hands")) };
        let configuration = self.ctx.tenancy.reminder_configuration(&record.tenant).await;
        let request = match configuration {
            Ok(configuration) => self.request(&reminder, configuration.as_deref()).await,
            Err(error) => Err(error.into()),
        };
        // Last, so that as little as can be lies between looking and calling.
        let hindered = match &request {
            Err(CallError::Ours(error)) => {
                tracing::warn!(tenant = %record.tenant, id = %record.id, %error, "not attempted");
                Some("its configuration cannot be read")
            }
            _ => self.hindered(&reminder.record, hold).await?,
        };
        if let Some(reason) = hindered {
            self.ctx.reminders.settle(&reminder.record, Event::NotMade).await?;
            return Ok(Made::Not(reason));
        }
        let target = request.as_ref().ok().map(CallTarget::of);
        let first_byte = request.as_ref().map(|request| request.began.clone()).unwrap_or_default();
        let asked = self.ctx.clock.now();
        let result = match request {
            Ok(request) => call::Result::of(self.http.send(request).await),
            Err(error) => call::Result::error(error.to_string()),
        };
        let (began, ended) = (first_byte.since(asked), self.ctx.clock.now());
        let entry = entry(&reminder.record, result, began, ended);
        self.finish(&reminder.record, &reminder.outstanding, entry, (began, target)).await
    }

    /// Accounts for an attempt whose sender was lost: by its entry, if it came that far (SPEC §9.3).
    ///
    /// # Errors
    /// [`SenderError`]: whoever finds the claim next tries again.
    pub(crate) async fn recover(&self, record: &Record) -> Result<Made, SenderError> {
        let Some(reminder) = self.ctx.reminders.get(&record.tenant, &record.id).await? else {
            return Ok(Made::Not("it is gone"));
        };
        let now = self.ctx.clock.now();
        let entry = match self.ctx.reminders.entry(record).await? {
            Some(entry) => entry,
            None => entry(record, call::Result::lost(), now, now),
        };
        self.finish(record, &reminder.outstanding, entry, (now, None)).await
    }

    /// Records an attempt, tells of it, and settles it as what is recorded.
    async fn finish(
        &self,
        record: &Record,
        outstanding: &Outstanding,
        entry: Entry,
        (began, target): (DateTime<Utc>, Option<CallTarget>),
    ) -> Result<Made, SenderError> {
        // As long as nobody else may take the lease for lost: what was sent and is not recorded is sent again.
        let lease_until = record.state.claim.as_ref().map(|claim| claim.lease_until);
        let until = lease_until.map_or(entry.at, |until| until - BRIEFLY);
        let (patience, reminders) = (&self.ctx.patience, &self.ctx.reminders);
        let entry = patience.until(until, || reminders.record_entry(record, entry.clone())).await?;
        let configuration = self.ctx.tenancy.reminder_configuration(&record.tenant).await?;
        if configuration.is_some_and(|configuration| configuration.webhook_url.is_some()) {
            webhook::create(&self.ctx, record, &entry).await?;
        }
        let event = Event::Attempted { outcome: entry.outcome, times: &outstanding.times };
        let settled = patience.until(until, || reminders.settle(record, event)).await?;
        self.report(record, &entry, began, target.as_ref(), retry_at(&entry, &settled));
        // Once, when its last send time is given up: further attempts in review are somebody's own.
        let needs_review = settled.applied().is_some_and(|settled| settled.state.needs_review());
        if needs_review && !record.state.needs_review() {
            self.metrics.given_up();
        }
        Ok(Made::Attempt(entry, settled))
    }

    /// What stands against calling now, if anything.
    async fn hindered(
        &self,
        record: &Record,
        hold: Option<&Hold>,
    ) -> Result<Option<&'static str>, SenderError> {
        if record.state.status != Status::Active {
            return Ok(Some("it was cancelled"));
        }
        if self.ctx.tenancy.solution(&record.tenant).await?.is_none_or(|solution| solution.is_paused()) {
            return Ok(Some("its solution is paused"));
        }
        if let Some(hold) = hold
            && !hold.keep().await?
        {
            return Ok(Some("another processor has the lock"));
        }
        let lease_until = record.state.claim.as_ref().map(|claim| claim.lease_until);
        if lease_until.is_none_or(|until| self.ctx.clock.now() > until - CLAIM_LEASE + BEGIN_WITHIN) {
            return Ok(Some("its claim is too old"));
        }
        Ok(None)
    }

    /// The call, as far as it can be made.
    pub(crate) async fn request(
        &self,
        reminder: &Reminder,
        configuration: Option<&ReminderConfiguration>,
    ) -> Result<OutboundRequest, CallError> {
        let Some(configuration) = configuration else {
            return Err(CallError::Definition("its configuration was deleted".to_owned()));
        };
        let own = configuration.dialog_service_uri.as_deref();
        let uri = own.or(self.settings.dialog_service_uri.as_deref()).ok_or(CallError::NoService)?;
        let key = self.ctx.tenancy.notification_key(configuration).await?;
        let record = &reminder.record;
        let send_time = record.state.subject().unwrap_or(record.created_at);
        let idempotency_key = call::idempotency_key(&record.id, send_time);
        call::request(uri, &key, &configuration.account_code, &reminder.definition, &idempotency_key)
    }
}

/// When a reminder whose attempt failed is sent at the earliest: again, or at its next send time.
fn retry_at(entry: &Entry, settled: &Settled<Record>) -> Option<DateTime<Utc>> {
    let next = settled.applied().filter(|_| entry.outcome != Outcome::Sent)?.state.next_send_time()?;
    Some(next.max(entry.at))
}

fn entry(record: &Record, result: call::Result, began: DateTime<Utc>, ended: DateTime<Utc>) -> Entry {
    Entry {
        at: rules::time::truncate(ended),
        outcome: result.outcome,
        detail: result.detail,
        http_status: result.http_status,
        duration_ms: u32::try_from((ended - began).num_milliseconds()).unwrap_or_default(),
        send_time: record.state.subject().unwrap_or(record.created_at),
        attempt: record.state.attempts,
    }
}

impl Made {
    /// Whether a message was sent.
    pub fn is_sent(&self) -> bool {
        matches!(self, Made::Attempt(entry, _) if entry.outcome == Outcome::Sent)
    }
}
