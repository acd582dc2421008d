//! The life of an activity.
//!
//! | from \ event | claim    | succeeded  | failed            | lease ran out     | cancel     | reschedule | dispatch now | retry | result |
//! | ------------ | -------- | ---------- | ----------------- | ----------------- | ---------- | ---------- | ------------ | ----- | ------ |
//! | `READY`      | claimed  | —          | —                 | —                 | `CANCELED` | `READY`    | `READY`      | —     | ends ⁴ |
//! | claimed      | —        | `DISPATCHED` | `READY`/`FAILED` | `READY`/`FAILED` | — ¹        | —          | —            | —     | judged |
//! | judged       | —        | ends       | ends              | ends              | —          | —          | —            | —     | — ²    |
//! | `DISPATCHED` | —        | —          | —                 | —                 | —          | —          | —            | —     | ends   |
//! | `FAILED`     | —        | —          | —                 | —                 | —          | —          | —            | `READY` | ends ³ |
//! | `CANCELED`   | —        | —          | —                 | —                 | —          | —          | —            | —     | — ²    |
//! | `COMPLETED`  | —        | —          | —                 | —                 | —          | —          | —            | —     | — ²    |
//!
//! A claimed one may also be *released* uncalled, as it was before the claim (a judged one ends); no other state may.
//!
//! *Claimed* is `READY` with a claim whose lease may still run. A dash is a
//! [`Refusal`]. ¹ Once the lease ran out it may be canceled: the worker is gone.
//!
//! A *result* (SPEC §4) is what the provider says happened, so it *ends* the
//! activity as [`Verdict::ends_as`] says, also one that waits for another
//! attempt (the call before it had arrived after all, only its answer had not).
//! While a claim is held it is noted beside the claim (*judged*), and whatever
//! comes of the attempt then ends the activity in the same write. ² Unless it
//! is a hard override, which always applies. ³ A dead letter may turn out to have
//! been executed; one that a result made `FAILED` has had its result (²). `retry`
//! begins a run without one. ⁴ Not before it is due or was called, but by a hard override.

mod refusal;

pub use refusal::Refusal;

use crate::claim::{Claim, Claimable, claimable};
use crate::retry::{self, Next, RescheduleRules};
use crate::verdict::Verdict;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Where an activity stands (SPEC §3).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_status)]
pub enum Status {
    /// Waiting for its instant, or being sent.
    Ready,
    /// Sent with success.
    Dispatched,
    /// The dead letter: no execution is left.
    Failed,
    /// Called off by its owner.
    Canceled,
    /// Ended by a result (SPEC §4).
    Completed,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] =
        [Status::Ready, Status::Dispatched, Status::Failed, Status::Canceled, Status::Completed];

    /// The name as SPEC §3 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_status(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be READY, DISPATCHED, FAILED, CANCELED or COMPLETED")
}

/// What decisions are made of: the part of an activity that is written often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// The instant its owner asked for.
    pub date: DateTime<Utc>,
    /// The instant of the next attempt; of the last one once it is finished.
    pub due: DateTime<Utc>,
    /// Executions begun in this run.
    pub attempts: u32,
    /// Executions in all (SPEC §3: `retries`, at least 1).
    pub max_attempts: u32,
    /// 0, and one more for each manual retry.
    pub run: u32,
    /// When the execution that ended the run was over.
    pub executed_at: Option<DateTime<Utc>>,
    /// Who holds it.
    pub claim: Option<Claim>,
    /// The result that ended it; beside a claim, the one that will.
    pub verdict: Option<Verdict>,
}

/// What may happen to an activity, apart from being claimed (see [`State::claimable`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The execution succeeded.
    Succeeded,
    /// The execution failed.
    Failed {
        /// What the receiver asked for on 429 and 503.
        retry_after: Option<TimeDelta>,
        /// The type's rules.
        rules: &'a RescheduleRules,
    },
    /// Its worker is gone: the lease ran out unsettled. Counts as a failed execution (SPEC §9.3).
    LeaseExpired {
        /// The type's rules.
        rules: &'a RescheduleRules,
    },
    /// Its worker gives it back uncalled: its solution was paused meanwhile. No attempt.
    Released,
    /// Its owner calls it off.
    Cancel,
    /// Its owner gives it another instant.
    Reschedule(DateTime<Utc>),
    /// Its owner wants it sent now (seed 000: manual dispatch).
    DispatchNow,
    /// Its owner wants a dead letter tried again, from attempt 0.
    Retry,
    /// A final result is reported (SPEC §4). One that changes nothing is no event.
    Result {
        /// The result.
        verdict: &'a Verdict,
        /// Whether it replaces what is final already.
        hard_override: bool,
    },
}

/// A step from one state to the next. Made by the named constructors below alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state after it.
    pub to: State,
    /// Why, for the log.
    pub reason: &'static str,
    /// Whether the step makes the activity due, so that its writer must enqueue it (SPEC §9.4).
    pub enqueue: bool,
}

impl Transition {
    fn finish(
        from: &State,
        status: Status,
        executed_at: Option<DateTime<Utc>>,
        reason: &'static str,
    ) -> Self {
        let to = State { status, executed_at, claim: None, ..from.clone() };
        Self { to, reason, enqueue: false }
    }

    fn due_at(from: &State, due: DateTime<Utc>, reason: &'static str) -> Self {
        let to = State { status: Status::Ready, due, claim: None, ..from.clone() };
        Self { to, reason, enqueue: true }
    }

    /// The call was made and accepted.
    fn deliver(from: &State, now: DateTime<Utc>) -> Self {
        Self::finish(from, Status::Dispatched, Some(now), "delivered")
    }

    /// Free again as before the claim, whose attempt was not made. Whoever resumes the solution enqueues it.
    fn release(from: &State) -> Self {
        Self { enqueue: false, ..Self::due_at(from, from.due, "released") }
    }

    /// Another execution follows.
    fn retry_later(from: &State, at: DateTime<Utc>, max_attempts: u32, reason: &'static str) -> Self {
        let mut step = Self::due_at(from, at, reason);
        step.to.max_attempts = max_attempts;
        step
    }

    /// No execution is left.
    fn dead_letter(from: &State, now: DateTime<Utc>, max_attempts: u32, reason: &'static str) -> Self {
        let mut step = Self::finish(from, Status::Failed, Some(now), reason);
        step.to.max_attempts = max_attempts;
        step
    }

    /// Called off.
    fn cancel(from: &State) -> Self {
        Self::finish(from, Status::Canceled, from.executed_at, "canceled")
    }

    /// Ended by its result. What was executed stays so; what a result says was, was so by now.
    fn end(from: &State, verdict: &Verdict, now: DateTime<Utc>, reason: &'static str) -> Self {
        let executed = from.claim.is_some() || verdict.ends_as() != Status::Canceled;
        let executed_at = from.executed_at.or(executed.then_some(now));
        let mut step = Self::finish(from, verdict.ends_as(), executed_at, reason);
        step.to.verdict = Some(verdict.clone());
        step
    }

    /// The result is noted beside the claim, which goes on.
    fn note(from: &State, verdict: &Verdict) -> Self {
        let to = State { verdict: Some(verdict.clone()), ..from.clone() };
        Self { to, reason: "result noted", enqueue: false }
    }

    /// Another instant; what is past is due now.
    fn reschedule(from: &State, date: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let mut step = Self::due_at(from, date.max(now), "rescheduled");
        step.to.date = date;
        step
    }

    /// A new run of a dead letter.
    fn new_run(from: &State, now: DateTime<Utc>) -> Self {
        let mut step = Self::due_at(from, now, "retried manually");
        step.to.attempts = 0;
        step.to.run = from.run + 1;
        step.to.executed_at = None;
        step.to.verdict = None;
        step
    }
}

/// The state of an activity just accepted; a date that is past is due now (SPEC §3).
pub fn accepted(date: DateTime<Utc>, max_attempts: u32, now: DateTime<Utc>) -> State {
    State {
        status: Status::Ready,
        date,
        due: date.max(now),
        attempts: 0,
        max_attempts: max_attempts.max(1),
        run: 0,
        executed_at: None,
        claim: None,
        verdict: None,
    }
}

impl State {
    /// Whether the activity may be claimed at `now`, as far as `lead` before it is due; a claim's write condition says the same.
    pub fn claimable(&self, lead: TimeDelta, now: DateTime<Utc>) -> Claimable {
        let ready_at = (self.status == Status::Ready).then(|| self.due - lead);
        claimable(self.claim.as_ref(), ready_at, now)
    }
}

/// The step that `event` makes from `state` at `now`.
///
/// # Errors
/// [`Refusal`] where the table above has a dash.
pub fn decide(state: &State, event: Event<'_>, now: DateTime<Utc>) -> Result<Transition, Refusal> {
    let in_flight = state.claim.as_ref().is_some_and(|claim| claim.holds(now));
    match (state.status, event) {
        (
            Status::Ready,
            Event::Succeeded | Event::Failed { .. } | Event::LeaseExpired { .. } | Event::Released,
        ) if state.claim.is_none() => Err(Refusal::NotClaimed),
        (_, Event::Result { verdict, hard_override }) => judged(state, verdict, hard_override, now),
        (Status::Ready, Event::LeaseExpired { .. }) if in_flight => Err(Refusal::InFlight),
        (Status::Ready, Event::Succeeded) => Ok(settled(state, now, || Transition::deliver(state, now))),
        (Status::Ready, Event::Failed { retry_after, rules }) => {
            Ok(settled(state, now, || failed(state, retry_after, rules, now, "failed")))
        }
        (Status::Ready, Event::LeaseExpired { rules }) => {
            Ok(settled(state, now, || failed(state, None, rules, now, "its worker was lost")))
        }
        (Status::Ready, Event::Released) => {
            let uncalled = State { attempts: state.attempts.saturating_sub(1), claim: None, ..state.clone() };
            Ok(settled(&uncalled, now, || Transition::release(&uncalled)))
        }
        (Status::Ready, Event::Cancel) if in_flight => Err(Refusal::InFlight),
        (Status::Ready, Event::Cancel) if state.verdict.is_some() => Err(Refusal::HasResult),
        // An abandoned one has an attempt to account for first, or it could be READY with none left.
        (Status::Ready, Event::Reschedule(_) | Event::DispatchNow) if state.claim.is_some() => {
            Err(Refusal::InFlight)
        }
        (Status::Ready, Event::Cancel) => Ok(Transition::cancel(state)),
        (Status::Ready, Event::Reschedule(date)) => Ok(Transition::reschedule(state, date, now)),
        (Status::Ready, Event::DispatchNow) => Ok(Transition::due_at(state, now, "dispatched manually")),
        (Status::Failed, Event::Retry) => Ok(Transition::new_run(state, now)),
        (Status::Ready, Event::Retry)
        | (Status::Dispatched | Status::Failed | Status::Canceled | Status::Completed, _) => {
            Err(Refusal::Status(state.status))
        }
    }
}

/// The end of an attempt: as its result says where there is one, else as the attempt went.
fn settled(state: &State, now: DateTime<Utc>, otherwise: impl FnOnce() -> Transition) -> Transition {
    match &state.verdict {
        Some(verdict) => Transition::end(state, verdict, now, "ended by the result that came before"),
        None => otherwise(),
    }
}

fn judged(
    state: &State,
    verdict: &Verdict,
    hard_override: bool,
    now: DateTime<Utc>,
) -> Result<Transition, Refusal> {
    if !hard_override && state.verdict.is_some() {
        return Err(Refusal::HasResult);
    }
    let is_ahead = state.claim.is_none() && state.attempts == 0 && state.due > now;
    match state.status {
        Status::Canceled | Status::Completed if !hard_override => Err(Refusal::Status(state.status)),
        Status::Ready if is_ahead && !hard_override => Err(Refusal::NotDispatched),
        _ if state.claim.is_some() => Ok(Transition::note(state, verdict)),
        _ => Ok(Transition::end(state, verdict, now, "ended by its result")),
    }
}

fn failed(
    state: &State,
    retry_after: Option<TimeDelta>,
    rules: &RescheduleRules,
    now: DateTime<Utc>,
    reason: &'static str,
) -> Transition {
    match retry::after_activity_failure(state.attempts, state.max_attempts, rules, retry_after, now) {
        Next::Again { at, max_attempts } => Transition::retry_later(state, at, max_attempts, reason),
        Next::Exhausted { max_attempts } => Transition::dead_letter(state, now, max_attempts, reason),
    }
}

/// The index an activity stands in: exactly one of the two, by construction (DESIGN "Tables").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Something will still happen to it, at this instant.
    Due(DateTime<Utc>),
    /// Nothing will, unless its owner asks for it.
    Done,
}

/// Where `state` is indexed.
pub fn index(state: &State) -> Index {
    match state.status {
        Status::Ready => Index::Due(state.due),
        Status::Dispatched | Status::Failed | Status::Canceled | Status::Completed => Index::Done,
    }
}

#[cfg(test)]
mod tests;
