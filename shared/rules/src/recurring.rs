//! What a recurring rule asks for at an instant: which occurrences to create, which to skip and why, and
//! where it goes on (SPEC §5).
//!
//! Occurrences come from the rule and the clock, never from the run before. How late an occurrence is says
//! what becomes of it, by the rule's `catchUp`:
//!
//! | late by | `all` | `latest` | `none` |
//! | --- | --- | --- | --- |
//! | at most [`ON_TIME`], or not at all | created | created | created |
//! | at most `catchUpWindowSeconds` | created | created, if no later one is late too | skipped |
//! | more | skipped | skipped | skipped |

use crate::activity::{State, Status};
use crate::cron::Cron;
use crate::zoned::Tz;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;

/// How far ahead occurrences are created: past the next run, which follows within a minute, and the one
/// after it, so that a run that fails makes nothing late.
pub const LOOK_AHEAD: TimeDelta = TimeDelta::minutes(3);
/// An occurrence no later than this was not missed: its run was slow, not away.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Most occurrences one plan creates.
pub const CREATED_MAX: usize = 500;
/// Most occurrences one plan passes over.
pub const SKIPPED_MAX: u64 = 100_000;
/// `catchUpWindowSeconds`, where a rule does not say (SPEC §5).
pub const WINDOW_SECONDS_DEFAULT: u32 = 3_600;
/// The longest window: a month.
pub const WINDOW_SECONDS_MAX: u32 = 31 * 86_400;
/// The longest `spreadSeconds`: a day.
pub const SPREAD_SECONDS_MAX: u32 = 86_400;

/// What becomes of occurrences that were missed inside the window.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, strum::IntoStaticStr, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_catch_up)]
pub enum CatchUp {
    /// Each is created.
    #[default]
    All,
    /// The latest alone is created.
    Latest,
    /// None is.
    None,
}

impl CatchUp {
    /// Every choice.
    pub const ALL: [CatchUp; 3] = [CatchUp::All, CatchUp::Latest, CatchUp::None];

    /// The name as SPEC §5 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_catch_up(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be all, latest or none")
}

/// When a rule's occurrences are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The algebra.
    pub cron: Cron,
    /// The zone whose clocks it speaks of.
    pub zone: Tz,
    /// No occurrence before it, shifted or not.
    pub start_at: Option<DateTime<Utc>>,
    /// No occurrence after it, shifted or not.
    pub end_at: Option<DateTime<Utc>>,
    /// Whole seconds, at least 0, by which every occurrence is shifted.
    pub shift: TimeDelta,
}

impl Schedule {
    /// The first occurrence at or after `from`; none is after `end_at` or the year 9999, the shift included.
    pub fn next(&self, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let from = from.checked_sub_signed(self.shift)?;
        let from = self.start_at.map_or(from, |start| start.max(from));
        let at = self.cron.next(from, self.zone)?.checked_add_signed(self.shift)?;
        let is_over = self.end_at.is_some_and(|end| at > end)
            || crate::time::from_millis(at.timestamp_millis()).is_err();
        (!is_over).then_some(at)
    }

    /// The first occurrence after `at`, which is one.
    fn following(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(at + TimeDelta::seconds(1))
    }
}

/// The stable shift of the rule `name` over `spread_seconds`: FNV-1a, as it is for shards.
pub fn shift(name: &str, spread_seconds: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(crate::due::shard(name, spread_seconds)))
}

/// Why an occurrence was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_skip_reason)]
pub enum SkipReason {
    /// It was missed by more than `catchUpWindowSeconds`.
    OutsideWindow,
    /// It was missed, and `catchUp` is `none`.
    NoCatchUp,
    /// It was missed, as was a later one, and `catchUp` is `latest`.
    NotLatest,
    /// The rule was changed before its occurrence was made up for.
    RuleChanged,
    /// The solution has no such activity type any more.
    TypeGone,
    /// An activity of the caller's has its id.
    IdTaken,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [SkipReason; 6] = [
        SkipReason::OutsideWindow,
        SkipReason::NoCatchUp,
        SkipReason::NotLatest,
        SkipReason::RuleChanged,
        SkipReason::TypeGone,
        SkipReason::IdTaken,
    ];

    /// In one word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// In words for people.
    pub fn detail(self) -> &'static str {
        match self {
            SkipReason::OutsideWindow => {
                "missed by more than catchUpWindowSeconds: nothing expanded the rule in time"
            }
            SkipReason::NoCatchUp => "missed: nothing expanded the rule in time, and catchUp is none",
            SkipReason::NotLatest => "missed, as was a later one, and catchUp is latest",
            SkipReason::RuleChanged => "the rule was changed before this was made up for",
            SkipReason::TypeGone => "the solution has no such activity type any more",
            SkipReason::IdTaken => "another activity has its id",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn refused_skip_reason(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("is no reason to skip")
}

/// Occurrences skipped one after the other for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// The first of them.
    pub from: DateTime<Utc>,
    /// The last of them.
    pub to: DateTime<Utc>,
    /// How many: every occurrence of the rule from the first to the last.
    pub count: u64,
    /// Why.
    pub reason: SkipReason,
}

/// How missed occurrences are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which of those inside the window.
    pub catch_up: CatchUp,
    /// How late they may be.
    pub window: TimeDelta,
}

/// What is to be done at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The occurrences to create, in order.
    pub create: Vec<DateTime<Utc>>,
    /// The occurrences to skip, in order.
    pub skips: Vec<Skip>,
    /// The first occurrence that is not in this plan; `None` if there is no more.
    pub next: Option<DateTime<Utc>>,
}

impl Plan {
    /// Adds the occurrence that follows those skipped so far. What is missed comes before what is created,
    /// so those of one reason are one run.
    pub fn skip(&mut self, at: DateTime<Utc>, reason: SkipReason) {
        match self.skips.last_mut() {
            Some(last) if last.reason == reason => (last.to, last.count) = (at, last.count + 1),
            _ => self.skips.push(Skip { from: at, to: at, count: 1, reason }),
        }
    }
}

/// The plan at `now` of a rule whose first occurrence not dealt with is `from`: up to [`LOOK_AHEAD`], or as
/// far as one plan goes.
pub fn plan(schedule: &Schedule, policy: Policy, from: DateTime<Utc>, now: DateTime<Utc>) -> Plan {
    let mut plan = Plan::default();
    let mut skipped = 0;
    // From the schedule, not as given: a pointer is no occurrence once the rule has changed.
    let mut next = schedule.next(from);
    while let Some(at) = next.filter(|at| *at <= now + LOOK_AHEAD) {
        if plan.create.len() >= CREATED_MAX || skipped >= SKIPPED_MAX {
            break;
        }
        next = schedule.following(at);
        match judge(policy, at, next, now) {
            None => plan.create.push(at),
            Some(reason) => {
                plan.skip(at, reason);
                skipped += 1;
            }
        }
    }
    plan.next = next;
    plan
}

/// Whether an occurrence at `at` was missed at `now`. What a plan says of such ones depends on its instant.
pub fn is_missed(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - at > ON_TIME
}

/// Why the occurrence `at`, which `following` follows, is skipped; `None` if it is created.
fn judge(
    policy: Policy,
    at: DateTime<Utc>,
    following: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<SkipReason> {
    if !is_missed(at, now) {
        return None;
    }
    if now - at > policy.window {
        return Some(SkipReason::OutsideWindow);
    }
    match policy.catch_up {
        CatchUp::All => None,
        CatchUp::Latest => {
            following.filter(|following| is_missed(*following, now)).map(|_| SkipReason::NotLatest)
        }
        CatchUp::None => Some(SkipReason::NoCatchUp),
    }
}

/// What becomes of the occurrences that a rule has missed when its owner changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// There are none, or the rule makes up for them by its `catchUp` as before.
    Stay,
    /// They are made up for as they were, and the change is made after that.
    MakeUpFirst,
    /// They are skipped.
    Skip(Skip),
}

/// What becomes of the missed occurrences of a rule that is changed at `now`. `schedule` is the one before the change, `next`
/// its first occurrence that is not dealt with; `is_same` says whether the change leaves its occurrences as they were: their
/// instants, type, parameter and retries.
///
/// An occurrence is made as the rule was at its instant, or not at all: what a paused rule missed is not made of what its
/// owner wrote later.
pub fn missed_before(
    schedule: &Schedule,
    next: Option<DateTime<Utc>>,
    (is_paused, is_same): (bool, bool),
    now: DateTime<Utc>,
) -> Missed {
    match next.filter(|next| *next < now && !is_same) {
        None => Missed::Stay,
        Some(_) if !is_paused => Missed::MakeUpFirst,
        Some(from) => skipped_before(schedule, from, now).map_or(Missed::Stay, Missed::Skip),
    }
}

/// Whether an activity at `state`, which a rule made for `at`, is taken back when the rule is paused or deleted: nobody has
/// begun it, and it is as the rule made it. One that somebody has rescheduled, dispatched or retried is that person's.
pub fn may_take_back(at: DateTime<Utc>, state: &State) -> bool {
    let is_untouched = state.status == Status::Ready && state.attempts == 0 && state.run == 0;
    // What is made late is due later than its date; what is dispatched ahead of it, earlier.
    is_untouched && state.date == at && state.due >= at
}

/// What is skipped of a schedule: its occurrences from `from` on that are over by `now`. Of very many the last run is cut,
/// and counts what it names.
fn skipped_before(schedule: &Schedule, from: DateTime<Utc>, now: DateTime<Utc>) -> Option<Skip> {
    let mut plan = Plan::default();
    let mut next = schedule.next(from);
    while let Some(at) = next.filter(|at| *at < now) {
        plan.skip(at, SkipReason::RuleChanged);
        if plan.skips.last().is_some_and(|skip| skip.count >= SKIPPED_MAX) {
            break;
        }
        next = schedule.following(at);
    }
    plan.skips.pop()
}

#[cfg(test)]
mod tests;
