//! The life of a reminder (SPEC §6; seed 001, "Delivery Steps per Reminder" and "Retry Logic").
//!
//! | from \ event | claim by the processor | manual claim | sent | failed, 1st–4th ⁶ | failed, 5th | not made ⁴ | lease ran out | skip ⁵ | cancel | replace |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | waiting   | claimed if due | claimed | —               | —       | —                 | —       | —         | next ³ or completed | cancelled   | waiting or completed |
//! | claimed   | — ²            | — ²     | next ³ or completed | waiting | next ³ or review | waiting | as failed | — | cancelled ¹ | — |
//! | review    | —              | claimed | —               | —       | —                 | —       | —         | — | cancelled   | waiting or review |
//! | claimed in review | —      | — ²     | completed       | review  | review            | review  | review    | — | cancelled ¹ | — |
//! | completed | —              | —       | —               | —       | —                 | —       | —         | — | —           | waiting or completed |
//! | cancelled | —              | —       | —               | —       | —                 | —       | —         | — | —           | waiting or completed |
//! | cancelled, in flight ¹ | — ² | — ²     | cancelled       | cancelled | cancelled       | cancelled | cancelled | — | —         | — |
//!
//! *Waiting* is `active` with a next send time, *review* `active` without one:
//! its last send time was given up, and somebody has to look (`needsReview`). A
//! dash is a [`Refusal`]. ¹ What is on its way cannot be called back; its
//! outcome is still recorded, and changes nothing else. ² Unless the lease ran
//! out: then that comes first. ³ The first outstanding send time after it. ⁴ Its
//! holder finds it cancelled, its solution paused, or its own time run out, and
//! does not call: that is no attempt. ⁵ Of send times that `catchUp` leaves out ([`Outstanding`]). ⁶ And any manual one:
//! it uses up none of the attempts that the send time has when it comes.
//!
//! A paused solution makes no event: nothing is claimed, nothing counts.

mod catch_up;
mod index;
#[cfg(test)]
mod tests;
mod words;

pub use catch_up::{Ended, Missed, Outstanding};
pub use index::{Done, Index, index};
pub use words::{Outcome, Status};

use crate::claim::{Claim, Claimable, Trigger, claimable};
use chrono::{DateTime, Utc};

/// Attempts that a send time has (seed 001: "If `lastAttempts` reaches 5, skips the current send time").
pub const ATTEMPTS_MAX: u32 = 5;
/// Most send times of a reminder (SPEC §6).
pub const SEND_TIMES_MAX: usize = 100;

/// What decisions are made of: the part of a reminder that is written often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// The send time to come; of a cancelled one, that which was. See [`State::next_send_time`].
    pub next: Option<DateTime<Utc>>,
    /// The send time that was last done with: sent, given up or skipped.
    pub handled: Option<DateTime<Utc>>,
    /// Attempts that the processor has begun at the present send time.
    pub attempts: u32,
    /// Attempts begun in all: numbers the history.
    pub sequence: u32,
    /// When a message was last sent with success.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// When it was completed.
    pub completed_at: Option<DateTime<Utc>>,
    /// Who holds it.
    pub claim: Option<Claim>,
}

impl State {
    /// A reminder just accepted with these outstanding send times, ascending; those that have passed are due now.
    pub fn accepted(times: &[DateTime<Utc>]) -> Self {
        Self {
            status: Status::Active,
            next: times.first().copied(),
            handled: None,
            attempts: 0,
            sequence: 0,
            last_sent_at: None,
            completed_at: None,
            claim: None,
        }
    }

    /// The send time to come, while there is one.
    pub fn next_send_time(&self) -> Option<DateTime<Utc>> {
        self.next.filter(|_| self.status == Status::Active)
    }

    /// Whether somebody has to look at it: it is active, and nothing will be sent any more.
    pub fn needs_review(&self) -> bool {
        self.status == Status::Active && self.next.is_none()
    }

    /// Attempts that failed at the present send time (seed 001: `lastAttempts`).
    pub fn failed_attempts(&self) -> u32 {
        let is_under_way = self.claim.as_ref().is_some_and(|claim| claim.trigger == Trigger::Due);
        self.attempts.saturating_sub(u32::from(is_under_way))
    }

    /// The send time that an attempt is about: the next one; in review the one that was given up.
    pub fn subject(&self) -> Option<DateTime<Utc>> {
        self.next.or(self.handled)
    }

    /// Whether the reminder may be claimed at `now`; a claim's write condition says the same.
    pub fn claimable(&self, trigger: Trigger, now: DateTime<Utc>) -> Claimable {
        let ready_at = match (self.status, trigger) {
            (Status::Completed | Status::Cancelled, _) => None,
            (Status::Active, Trigger::Due) => self.next,
            (Status::Active, Trigger::Manual) => Some(now),
        };
        claimable(self.claim.as_ref(), ready_at, now)
    }
}

/// What may happen to a reminder, apart from being claimed (see [`State::claimable`]). `times` are its
/// outstanding send times ([`Outstanding::times`]), ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The attempt ended.
    Attempted {
        /// How.
        outcome: Outcome,
        /// The outstanding send times.
        times: &'a [DateTime<Utc>],
    },
    /// Whoever claimed it did not call after all: no attempt.
    NotMade,
    /// Whoever made the attempt is gone: the lease ran out unsettled. Counts as a failed one (SPEC §9.3).
    LeaseExpired {
        /// The outstanding send times.
        times: &'a [DateTime<Utc>],
    },
    /// Send times are left out, from the next one on, of which each is recorded.
    Skip {
        /// The last of them.
        last: DateTime<Utc>,
        /// How many.
        count: u32,
        /// The outstanding send times.
        times: &'a [DateTime<Utc>],
    },
    /// Its owner calls it off.
    Cancel,
    /// Its owner writes it anew.
    Replace {
        /// The send times that are outstanding from now on.
        times: &'a [DateTime<Utc>],
    },
}

/// Why an event does not apply, ready for a 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The status does not allow it.
    #[error("the reminder is {0}")]
    Status(Status),
    /// It is being sent right now.
    #[error("the reminder is being sent; try again in a minute")]
    InFlight,
    /// The event needs a claim, and there is none.
    #[error("the reminder is not claimed")]
    NotClaimed,
}

/// A step from one state to the next. Made by the named constructors below alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state after it.
    pub to: State,
    /// Why, for the log.
    pub reason: &'static str,
}

impl Transition {
    fn unclaimed(from: &State, reason: &'static str) -> Self {
        Self { to: State { claim: None, ..from.clone() }, reason }
    }

    /// The message was taken: on to the next send time, or done.
    fn sent(from: &State, times: &[DateTime<Utc>], now: DateTime<Utc>) -> Self {
        let mut step = Self::past_subject(from, times, "sent");
        step.to.last_sent_at = Some(now);
        if step.to.needs_review() {
            step.to.status = Status::Completed;
            step.to.completed_at = Some(now);
            step.reason = "sent, the last one";
        }
        step
    }

    /// The same send time is tried again.
    fn again(from: &State, reason: &'static str) -> Self {
        Self::unclaimed(from, reason)
    }

    /// As if it had not been claimed; its number in the history is used up.
    fn not_made(from: &State) -> Self {
        let mut step = Self::unclaimed(from, "not made");
        step.to.attempts = from.failed_attempts();
        step
    }

    /// On to what is behind the send times that are left out, or done.
    fn skipped(
        from: &State,
        last: DateTime<Utc>,
        count: u32,
        times: &[DateTime<Utc>],
        now: DateTime<Utc>,
    ) -> Self {
        let next = following(times, last);
        let status = if next.is_some() { Status::Active } else { Status::Completed };
        let to = State {
            status,
            next,
            handled: Some(last),
            attempts: 0,
            sequence: from.sequence + count,
            completed_at: next.is_none().then_some(now),
            ..from.clone()
        };
        Self { to, reason: "skipped" }
    }

    /// Done with the present send time, whatever came of it.
    fn past_subject(from: &State, times: &[DateTime<Utc>], reason: &'static str) -> Self {
        let mut step = Self::unclaimed(from, reason);
        step.to.attempts = 0;
        step.to.handled = from.subject();
        step.to.next = from.next.and_then(|next| following(times, next));
        step
    }

    /// Called off.
    fn cancel(from: &State) -> Self {
        Self { to: State { status: Status::Cancelled, ..from.clone() }, reason: "cancelled" }
    }

    /// Goes on with the first outstanding send time of the new list.
    fn replace(from: &State, times: &[DateTime<Utc>], now: DateTime<Utc>) -> Self {
        let mut step = Self::unclaimed(from, "replaced");
        let to = &mut step.to;
        to.next = times.first().copied();
        if to.next != from.next {
            to.attempts = 0;
        }
        to.status = if to.next.is_some() || from.needs_review() { Status::Active } else { Status::Completed };
        to.completed_at = (to.status == Status::Completed).then(|| from.completed_at.unwrap_or(now));
        step
    }
}

/// The first send time after `at`.
fn following(times: &[DateTime<Utc>], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    times.iter().copied().find(|time| *time > at)
}

/// The state once `claim` is made: the processor's attempt counts from here (SPEC §9.2), a manual one has a number in the
/// history alone.
pub fn claimed(state: &State, claim: Claim) -> State {
    let attempts = state.attempts + u32::from(claim.trigger == Trigger::Due);
    State { attempts, sequence: state.sequence + 1, claim: Some(claim), ..state.clone() }
}

/// The step that `event` makes from `state` at `now`.
///
/// # Errors
/// [`Refusal`] where the table above has a dash.
pub fn decide(state: &State, event: Event<'_>, now: DateTime<Utc>) -> Result<Transition, Refusal> {
    match event {
        Event::Attempted { .. } | Event::NotMade | Event::LeaseExpired { .. } if state.claim.is_none() => {
            Err(Refusal::NotClaimed)
        }
        Event::NotMade => Ok(Transition::not_made(state)),
        Event::LeaseExpired { .. } if state.claim.as_ref().is_some_and(|claim| claim.holds(now)) => {
            Err(Refusal::InFlight)
        }
        Event::Attempted { outcome, times } => Ok(attempted(state, outcome, times, now)),
        Event::LeaseExpired { times } => Ok(attempted(state, Outcome::SendError, times, now)),
        Event::Skip { .. } if state.claim.is_some() => Err(Refusal::InFlight),
        Event::Skip { last, count, times } => match state.next_send_time() {
            Some(_) => Ok(Transition::skipped(state, last, count, times, now)),
            None => Err(Refusal::Status(state.status)),
        },
        Event::Cancel => match state.status {
            Status::Active => Ok(Transition::cancel(state)),
            Status::Completed | Status::Cancelled => Err(Refusal::Status(state.status)),
        },
        // An abandoned attempt is accounted for first: it may be that its message was sent.
        Event::Replace { .. } if state.claim.is_some() => Err(Refusal::InFlight),
        Event::Replace { times } => Ok(Transition::replace(state, times, now)),
    }
}

/// A skipped send time is no attempt, and no claim has it for an outcome: then it was not made.
fn attempted(state: &State, outcome: Outcome, times: &[DateTime<Utc>], now: DateTime<Utc>) -> Transition {
    match (state.status, outcome) {
        (_, Outcome::Skipped) => Transition::not_made(state),
        (Status::Active, Outcome::Sent) => Transition::sent(state, times, now),
        (Status::Active, Outcome::SendFailed | Outcome::SendError) => {
            let manual = state.claim.as_ref().is_some_and(|claim| claim.trigger == Trigger::Manual);
            if manual || (state.next.is_some() && state.attempts < ATTEMPTS_MAX) {
                Transition::again(state, "failed")
            } else {
                Transition::past_subject(state, times, "failed, given up")
            }
        }
        // Called off while it was on its way: recorded, so that a new life does not send it again.
        (Status::Cancelled | Status::Completed, Outcome::Sent) => {
            let mut step = Transition::unclaimed(state, "sent while it was cancelled");
            step.to.handled = state.subject();
            step.to.last_sent_at = Some(now);
            step
        }
        (Status::Cancelled | Status::Completed, Outcome::SendFailed | Outcome::SendError) => {
            Transition::unclaimed(state, "failed while it was cancelled")
        }
    }
}
