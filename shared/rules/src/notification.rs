//! The life of a notification (SPEC §7, seed 003).
//!
//! | from \ event  | begin    | manual    | succeeded   | failed                    | lease ran out             | released  |
//! | ------------- | -------- | --------- | ----------- | ------------------------- | ------------------------- | --------- |
//! | `PENDING`     | claimed ¹ | claimed  | —           | —                         | —                         | —         |
//! | claimed       | —        | —         | `PUBLISHED` | `PENDING` / `MAX_RETRIED` | `PENDING` / `MAX_RETRIED` | `PENDING` |
//! | `PUBLISHED`   | —        | —         | —           | —                         | —                         | —         |
//! | `MAX_RETRIED` | —        | claimed ² | —           | —                         | —                         | —         |
//!
//! *Claimed* is `PENDING` with a claim whose lease may still run; its due instant is the end of the lease,
//! so that the index of what is due finds it again if its sender is lost. A dash is a [`Refusal`].
//! ¹ Once it is due. ² As a new run, which counts its attempts anew.

use crate::claim::{Claim, Claimable, Trigger, claimable};
use crate::retry::{RETRY_AFTER_MAX_S, RescheduleRules};
use chrono::{DateTime, TimeDelta, Utc};

/// `maxRetries` of a type that does not say (seed 003: `max_retries`).
pub const MAX_RETRIES_DEFAULT: u32 = 3;
/// Most attempts that a type or a rule may speak of.
pub const ATTEMPTS_MAX: u32 = 1_000;

/// Where a notification stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::Display,
    strum::EnumString,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_status)]
pub enum Status {
    /// Not published yet: it will be tried, or is being sent.
    Pending,
    /// A receiver has accepted it.
    Published,
    /// No re-send is left; it stays until it is deleted or re-sent manually.
    MaxRetried,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 3] = [Status::Pending, Status::Published, Status::MaxRetried];

    /// The name as SPEC §7 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_status(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be PENDING, PUBLISHED or MAX_RETRIED")
}

/// What decisions are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// Attempts that count: 0 before the first has ended, 1 when that failed, and one more for each
    /// re-send that another follows, or that succeeded.
    pub attempts: u32,
    /// Re-sends go on while this is at least one more than `attempts`.
    pub retries: u32,
    /// 0, and one more for each time it was re-sent manually after `MAX_RETRIED`.
    pub run: u32,
    /// Sends begun, over all runs: names the entries of the history.
    pub sends: u32,
    /// When something will happen to it next: the next send, or the end of the lease; of the last send
    /// once it is over.
    pub due: DateTime<Utc>,
    /// When the last attempt was over.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// Who is sending it.
    pub claim: Option<Claim>,
}

impl State {
    /// Whether the notification may be claimed at `now`.
    pub fn claimable(&self, trigger: Trigger, now: DateTime<Utc>) -> Claimable {
        let due = match trigger {
            Trigger::Due => self.due,
            Trigger::Manual => now,
        };
        claimable(self.claim.as_ref(), (self.status == Status::Pending).then_some(due), now)
    }
}

/// What a type and the configuration say of failed attempts.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The type's rules.
    pub rules: &'a RescheduleRules,
    /// The type's `maxRetries`.
    pub max_retries: u32,
    /// Seconds: the first wait, that of rules without one, and the factor where no rule matches.
    pub retry_after_fudge_s: u32,
}

/// What may happen to a notification.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The re-sender begins an attempt.
    Begin(Claim),
    /// Its owner has it sent now; the type's `maxRetries` hold for a new run.
    Manual(Claim, u32),
    /// The receiver accepted it.
    Succeeded,
    /// The attempt failed.
    Failed(Policy<'a>),
    /// Its sender is gone: that counts as a failed attempt.
    LeaseExpired(Policy<'a>),
    /// Its sender gives it back unsent: its solution was paused meanwhile. No attempt.
    Released,
}

/// Why an event does not apply, ready for a 409.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The status does not allow it.
    #[error("the notification is {0}")]
    Status(Status),
    /// It is being sent right now, or its sender has just been lost.
    #[error("the notification is being sent")]
    InFlight,
    /// The event needs a claim, and there is none.
    #[error("the notification is not claimed")]
    NotClaimed,
    /// It is due later.
    #[error("the notification is not due yet")]
    NotDue,
}

/// A notification that is saved and being sent for the first time.
pub fn begun(claim: Claim, max_retries: u32) -> State {
    State {
        status: Status::Pending,
        attempts: 0,
        retries: max_retries,
        run: 0,
        sends: 1,
        due: claim.lease_until,
        last_attempt_at: None,
        claim: Some(claim),
    }
}

/// A notification that is saved while its solution is paused: nothing counts as an attempt.
pub fn held(max_retries: u32, now: DateTime<Utc>) -> State {
    State {
        status: Status::Pending,
        attempts: 0,
        retries: max_retries,
        run: 0,
        sends: 0,
        due: now,
        last_attempt_at: None,
        claim: None,
    }
}

/// The state after `event` at `now`.
///
/// # Errors
/// [`Refusal`] where the table above has a dash.
pub fn decide(state: &State, event: Event<'_>, now: DateTime<Utc>) -> Result<State, Refusal> {
    match (state.status, &state.claim, event) {
        (Status::Pending, _, Event::Begin(claim)) => begin(state, claim, Trigger::Due, now),
        (Status::Pending, _, Event::Manual(claim, _)) => begin(state, claim, Trigger::Manual, now),
        (
            Status::Pending,
            None,
            Event::Succeeded | Event::Failed(_) | Event::LeaseExpired(_) | Event::Released,
        ) => Err(Refusal::NotClaimed),
        (Status::Pending, Some(_), Event::Released) => Ok(released(state, now)),
        (Status::Pending, Some(_), Event::Succeeded) => Ok(published(state, now)),
        (Status::Pending, Some(_), Event::Failed(policy)) => Ok(failed(state, policy, now)),
        (Status::Pending, Some(claim), Event::LeaseExpired(_)) if claim.holds(now) => Err(Refusal::InFlight),
        (Status::Pending, Some(_), Event::LeaseExpired(policy)) => Ok(failed(state, policy, now)),
        (Status::MaxRetried, _, Event::Manual(claim, max_retries)) => {
            let anew = State {
                status: Status::Pending,
                attempts: 0,
                retries: max_retries,
                run: state.run + 1,
                ..state.clone()
            };
            Ok(send(&anew, claim))
        }
        (
            status @ Status::MaxRetried,
            _,
            Event::Begin(_) | Event::Succeeded | Event::Failed(_) | Event::LeaseExpired(_) | Event::Released,
        )
        | (status @ Status::Published, _, _) => Err(Refusal::Status(status)),
    }
}

fn begin(state: &State, claim: Claim, trigger: Trigger, now: DateTime<Utc>) -> Result<State, Refusal> {
    match state.claimable(trigger, now) {
        Claimable::Yes => Ok(send(state, claim)),
        Claimable::NotYet => Err(Refusal::NotDue),
        Claimable::InFlight | Claimable::Expired => Err(Refusal::InFlight),
        Claimable::Finished => Err(Refusal::Status(state.status)),
    }
}

/// An attempt begins.
fn send(from: &State, claim: Claim) -> State {
    State { sends: from.sends + 1, due: claim.lease_until, claim: Some(claim), ..from.clone() }
}

/// Due at once, as if its send had not begun.
fn released(from: &State, now: DateTime<Utc>) -> State {
    State { sends: from.sends.saturating_sub(1), due: now, claim: None, ..from.clone() }
}

fn published(from: &State, now: DateTime<Utc>) -> State {
    let attempts = from.attempts + 1;
    State {
        status: Status::Published,
        attempts,
        due: now,
        last_attempt_at: Some(now),
        claim: None,
        ..from.clone()
    }
}

fn failed(from: &State, policy: Policy<'_>, now: DateTime<Utc>) -> State {
    let over = State { last_attempt_at: Some(now), claim: None, ..from.clone() };
    match after_failure(from.attempts, from.retries, policy) {
        Next { retries, wait_s: Some(wait_s) } => {
            let due = crate::time::after(now, TimeDelta::seconds(wait_s.min(RETRY_AFTER_MAX_S) as i64));
            State { attempts: from.attempts + 1, retries, due, ..over }
        }
        Next { retries, wait_s: None } => State { status: Status::MaxRetried, retries, due: now, ..over },
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next {
    /// What stays on the notification.
    retries: u32,
    /// Seconds until the next attempt; `None` if none is left.
    wait_s: Option<u64>,
}

/// The rule language, as SPEC §7 has it.
fn after_failure(attempts: u32, retries: u32, policy: Policy<'_>) -> Next {
    let fudge_s = u64::from(policy.retry_after_fudge_s);
    if attempts == 0 {
        // The first wait is the same whatever the rules: they speak of re-sends.
        return Next { retries, wait_s: Some(fudge_s) };
    }
    let (wait_s, retries) = match policy.rules.matching(attempts) {
        Some(rule) => (rule.retry_after_s.unwrap_or(fudge_s), rule.retries.unwrap_or(policy.max_retries)),
        None => (fudge_s * u64::from(attempts), retries),
    };
    Next { retries, wait_s: (retries > attempts).then_some(wait_s) }
}

/// The index a notification stands in: exactly one of the two, by construction.
pub fn index(state: &State) -> crate::activity::Index {
    match state.status {
        Status::Pending => crate::activity::Index::Due(state.due),
        Status::Published | Status::MaxRetried => crate::activity::Index::Done,
    }
}

/// What is to be said of each rule that can never cause a wait, in the order written.
///
/// Nothing but the rules and `max_retries` decides what follows a failure, so the one course that a
/// notification of which every attempt fails can take is followed to its end.
pub fn warnings(rules: &RescheduleRules, max_retries: u32) -> Vec<String> {
    let policy = Policy { rules, max_retries, retry_after_fudge_s: 1 };
    let rule_for = |attempts| rules.iter().position(|(_, rule)| rule.attempt.is_none_or(|at| at == attempts));
    let (mut waits, mut attempts, mut retries) = (vec![false; rules.iter().count()], 1, max_retries);
    while attempts <= ATTEMPTS_MAX {
        let next = after_failure(attempts, retries, policy);
        if next.wait_s.is_none() {
            break;
        }
        if let Some(index) = rule_for(attempts) {
            waits[index] = true;
        }
        (attempts, retries) = (attempts + 1, next.retries);
    }
    let last = attempts;
    let idle = rules.iter().enumerate().filter(|(index, _)| !waits[*index]);
    let warning = |(index, (name, rule)): (usize, (&str, &crate::retry::Rule))| {
        let before = rules.iter().take(index);
        let shadow = before.filter(|(_, other)| other.attempt.is_none() || other.attempt == rule.attempt);
        let why = match (rule.attempt, shadow.map(|(other, _)| other).next()) {
            (Some(0), _) => "failed attempts are counted from 1".to_owned(),
            (_, Some(other)) => format!("the rule \"{other}\" before it matches first"),
            (Some(at), None) if at > last => {
                format!("attempt {at} is never reached: there is no re-send after attempt {last}")
            }
            (at, None) => {
                let (at, retries) = (at.unwrap_or(last), rule.retries.unwrap_or(max_retries));
                format!("after attempt {at} its retries, {retries}, leave no re-send")
            }
        };
        format!("the rule \"{name}\" can never cause a wait: {why}")
    };
    idle.map(warning).collect()
}

#[cfg(test)]
mod tests;
