//! Recurring rules: what their owners change, and what becomes of them in time (SPEC §5).
//!
//! A rule and its next occurrence are one item of the work table; every change by its owner is one
//! transaction of that item and the audit entry. Whatever makes a rule due within the look-ahead expands it
//! at once, as the schedule does each minute.

mod deletion;
mod due;
mod expand;
mod owners;

pub use deletion::delete;
pub use due::expand_due;
pub(crate) use expand::objects;
pub use expand::{Expanded, expand};

use crate::context::Context;
use crate::engine::StoreError;
use crate::items::recurring::{Rule, RuleSpec, RuleView, inline_parameter};
use crate::tenancy::{
    Actor, AuditEntry, ChangeError, Changed, Parent, ParentKind, Place, Quota, ServerState, TenancyError,
};
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{Kind, RecurringName, Tenant};
use rules::parent::Stage;
use rules::recurring::{LOOK_AHEAD, Missed, Schedule, missed_before};
use serde_json::{Value, json};

/// How often a change that another one overtook is decided anew.
const TRIES_MAX: usize = 8;
/// How long its owner's call works on a rule; the schedule does the rest.
const EXPANSION_TIME: TimeDelta = TimeDelta::seconds(10);
/// Most activities that are taken back when a rule is paused or deleted: one a second of the look-ahead, and
/// some for a clock that stepped back.
const WITHDRAWN_MAX: usize = 1_000;

/// Why a rule was not changed or expanded.
#[derive(Debug, thiserror::Error)]
pub enum RecurringError {
    /// It does not exist, or others change it all the time, or the config table failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The work table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it would be made below does not exist, or was deleted meanwhile.
    #[error("there is no such {0}")]
    ParentGone(ParentKind),
    /// Nothing would ever come of it.
    #[error("the rule has no future occurrence")]
    NoFuture,
}

impl From<TenancyError> for RecurringError {
    fn from(error: TenancyError) -> Self {
        Self::Change(error.into())
    }
}

/// Makes or replaces a rule. What was created by it stays; what it missed before its occurrences become others is made up
/// for first, or, of a paused one, skipped.
///
/// # Errors
/// [`RecurringError::NoFuture`] for a rule without a future occurrence, or the tables failed.
pub async fn put(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    name: &RecurringName,
    spec: RuleSpec,
    parameter: String,
) -> Result<Changed<RuleView>, RecurringError> {
    let mut place = ctx.tenancy.place(&tenant.company, Quota::RecurringActivities);
    let changed = write(ctx, actor, tenant, name, (spec, parameter), &mut place).await;
    let made = match &changed {
        Ok(changed) => Some(matches!(changed, Changed::Created(_))),
        Err(RecurringError::Change(ChangeError::NotFound(_) | ChangeError::Conflict(_))) => Some(false),
        Err(RecurringError::NoFuture | RecurringError::ParentGone(_)) => Some(false),
        Err(_) => None,
    };
    place.settle(made).await;
    changed
}

async fn write(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    name: &RecurringName,
    (spec, parameter): (RuleSpec, String),
    place: &mut Place<'_>,
) -> Result<Changed<RuleView>, RecurringError> {
    for _ in 0..TRIES_MAX {
        let now = rules::time::truncate(ctx.clock.now());
        let schedule = spec.schedule(tenant, name);
        let future = schedule.next(now).ok_or(RecurringError::NoFuture)?;
        let old = ctx.work.rule(tenant, name).await?;
        let (mut keeps_next, mut missed) = (false, Missed::Stay);
        if let Some(RuleView { rule, parameter: before }) = &old {
            let same_parameter = is_same_parameter(before, &parameter);
            if rule.spec == spec && same_parameter {
                // Whoever wrote it may have died before it could take it back.
                if let Err(gone) = parents_stand(ctx, tenant, &spec).await {
                    if matches!(gone, RecurringError::ParentGone(_)) {
                        undo(ctx, actor, None, rule).await?;
                    }
                    return Err(gone);
                }
                return Ok(Changed::Unchanged(RuleView { rule: rule.clone(), parameter: before.clone() }));
            }
            let same_schedule = rule.schedule() == schedule;
            let is_same = same_schedule && same_parameter && rule.spec.makes_the_same(&spec);
            // What a running rule has created ahead of its time is not created again.
            keeps_next = is_same || (same_schedule && !rule.is_paused());
            missed = missed_before(&rule.schedule(), rule.next, (rule.is_paused(), is_same), now);
            if missed == Missed::MakeUpFirst {
                if expand(ctx, vec![rule.clone()], now + EXPANSION_TIME).await?.left {
                    let detail = "what the rule has missed is being made up for; try again";
                    return Err(ChangeError::Conflict(detail.to_owned()).into());
                }
                continue;
            }
        }
        let new = Rule {
            spec: spec.clone(),
            parameter: inline_parameter(&parameter),
            updated_at: now,
            ..match &old {
                Some(old) => Rule {
                    next: old.rule.next.filter(|_| keeps_next).or(Some(future)),
                    planned_at: old.rule.planned_at.filter(|_| keeps_next),
                    revision: old.rule.revision + 1,
                    ..old.rule.clone()
                },
                None => first(tenant, name, &spec, future, now),
            }
        };
        let action = if old.is_some() { "recurringActivity.updated" } else { "recurringActivity.created" };
        let entry = AuditEntry {
            from: old.as_ref().map(|old| audited(&old.rule)),
            to: Some(audited(&new)),
            ..entry(now, actor, action)
        };
        let old_rule = old.as_ref().map(|old| &old.rule);
        let writes = ctx.work.rule_writes(old_rule, &new, &parameter);
        // Not part of the transaction: a hundred thousand rules would stand in line for one item.
        let mut parents = parents_of(ctx, tenant, &spec).await?;
        look(ctx, Stage::Writing, &mut parents).await?;
        if old.is_none() {
            place.take().await?;
        }
        if !ctx.tenancy.commit_below("write recurring activity", tenant, &entry, writes).await? {
            continue;
        }
        if let Err(gone) = look(ctx, Stage::Written, &mut parents).await {
            if matches!(gone, RecurringError::ParentGone(_)) {
                undo(ctx, actor, old.as_ref(), &new).await?;
            }
            return Err(gone);
        }
        if let Missed::Skip(skip) = missed {
            ctx.work.record_skips(&new, &[skip], now).await?;
        }
        expand_now(ctx, &new).await;
        let view = RuleView { rule: new, parameter };
        return Ok(if old.is_some() { Changed::Replaced(view) } else { Changed::Created(view) });
    }
    Err(contended())
}

/// Whether two parameters make the same activity: the order of members alone makes no difference.
fn is_same_parameter(one: &str, other: &str) -> bool {
    let read = |text| serde_json::from_str::<Value>(text);
    one == other || matches!((read(one), read(other)), (Ok(one), Ok(other)) if one == other)
}

/// What a rule is made below, from the cache.
async fn parents_of(ctx: &Context, tenant: &Tenant, spec: &RuleSpec) -> Result<Vec<Parent>, RecurringError> {
    let kind = Kind::Type(spec.activity_type.clone());
    ctx.tenancy.parents(tenant, &kind).await?.map_err(RecurringError::ParentGone)
}

/// Sees to it that the parents of a rule that was written before are there.
async fn parents_stand(ctx: &Context, tenant: &Tenant, spec: &RuleSpec) -> Result<(), RecurringError> {
    look(ctx, Stage::Known, &mut parents_of(ctx, tenant, spec).await?).await
}

/// Sees to it that a rule's parents are there.
async fn look(ctx: &Context, stage: Stage, parents: &mut [Parent]) -> Result<(), RecurringError> {
    ctx.tenancy.gone(stage, parents).await?.map_or(Ok(()), |gone| Err(RecurringError::ParentGone(gone)))
}

/// Takes back a rule that was written and must not be, before anything was created by it.
async fn undo(
    ctx: &Context,
    actor: &Actor,
    old: Option<&RuleView>,
    new: &Rule,
) -> Result<(), RecurringError> {
    let now = rules::time::truncate(ctx.clock.now());
    let action = if old.is_some() { "recurringActivity.updated" } else { "recurringActivity.deleted" };
    let entry = AuditEntry {
        from: Some(audited(new)),
        to: old.map(|old| audited(&old.rule)),
        ..entry(now, actor, action)
    };
    let writes = match old {
        Some(old) => {
            let restored = Rule { revision: new.revision + 1, ..old.rule.clone() };
            ctx.work.rule_writes(Some(new), &restored, &old.parameter)
        }
        None => ctx.work.rule_deletes(new),
    };
    // If its owner has changed it meanwhile, it is that change's to see to.
    ctx.tenancy.commit_below("take back recurring activity", &new.tenant, &entry, writes).await?;
    withdraw(ctx, new, None, now).await?;
    Ok(())
}

fn first(
    tenant: &Tenant,
    name: &RecurringName,
    spec: &RuleSpec,
    next: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Rule {
    Rule {
        tenant: tenant.clone(),
        name: name.clone(),
        spec: spec.clone(),
        parameter: None,
        server_state: ServerState::Running,
        state_reason: None,
        state_since: now,
        next: Some(next),
        planned_at: None,
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

/// Pauses or resumes a rule. Paused, it creates nothing, and what it created ahead of its time is taken back;
/// resumed, what it missed is made up for by its `catchUp`.
///
/// # Errors
/// [`RecurringError`] without the rule, or the tables failed.
pub async fn set_server_state(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    name: &RecurringName,
    state: ServerState,
    reason: Option<&str>,
) -> Result<Changed<Rule>, RecurringError> {
    for _ in 0..TRIES_MAX {
        let RuleView { rule: old, parameter } = existing(ctx, tenant, name).await?;
        let now = rules::time::truncate(ctx.clock.now());
        if old.server_state == state {
            if state == ServerState::Paused {
                // Whoever paused it may have died before all was taken back, and this is the repetition.
                withdraw(ctx, &old, Some(old.revision), now).await?;
            }
            return Ok(Changed::Unchanged(old));
        }
        let mut new = Rule {
            server_state: state,
            state_reason: reason.map(str::to_owned),
            state_since: now,
            revision: old.revision + 1,
            ..old.clone()
        };
        if state == ServerState::Paused {
            // What is taken back is to be created again.
            new.next = old.next.into_iter().chain(old.schedule().next(now)).min();
        }
        let entry = AuditEntry {
            from: Some(json!({"recurringActivity": name, "serverState": old.server_state.as_str()})),
            to: Some(json!({"recurringActivity": name, "serverState": state.as_str()})),
            reason: reason.map(str::to_owned),
            ..entry(now, actor, "recurringActivity.serverStateChanged")
        };
        let writes = ctx.work.rule_writes(Some(&old), &new, &parameter);
        if ctx.tenancy.commit_below("write recurring activity", tenant, &entry, writes).await? {
            match state {
                ServerState::Paused => withdraw(ctx, &old, Some(new.revision), now).await?,
                ServerState::Running => expand_now(ctx, &new).await,
            }
            return Ok(Changed::Replaced(new));
        }
    }
    Err(contended())
}

/// Up to `count` occurrences of a schedule from `from` on, itself included.
pub fn occurrences(schedule: &Schedule, from: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    let mut found = Vec::with_capacity(count);
    let mut next = schedule.next(from);
    while let Some(at) = next
        && found.len() < count
    {
        found.push(at);
        next = schedule.next(at + TimeDelta::seconds(1));
    }
    found
}

async fn existing(ctx: &Context, tenant: &Tenant, name: &RecurringName) -> Result<RuleView, RecurringError> {
    let found = ctx.work.rule(tenant, name).await?;
    found.ok_or_else(|| ChangeError::NotFound("recurring activity").into())
}

fn contended() -> RecurringError {
    ChangeError::Conflict("it is being changed by others at the same time; try again".to_owned()).into()
}

fn entry(at: DateTime<Utc>, actor: &Actor, action: &str) -> AuditEntry {
    AuditEntry { at, actor: actor.clone(), action: action.to_owned(), from: None, to: None, reason: None }
}

/// For the audit log. Parameters are the activities' data, and large; that they changed shows in the entry.
fn audited(rule: &Rule) -> Value {
    let RuleSpec { activity_type, cron, zone, start_at, end_at, catch_up, .. } = &rule.spec;
    json!({
        "recurringActivity": rule.name,
        "activityType": activity_type,
        "expression": cron.to_string(),
        "timeZone": zone.name(),
        "startAt": start_at.map(rules::time::format),
        "endAt": end_at.map(rules::time::format),
        "catchUp": catch_up.as_str(),
        "catchUpWindowSeconds": rule.spec.window_seconds,
        "spreadSeconds": rule.spec.spread_seconds,
        "retries": rule.spec.retries,
    })
}

/// Expands a rule that was just written. Its next occurrence may be before the next run of the schedule; if
/// this fails, that run makes up for it.
async fn expand_now(ctx: &Context, rule: &Rule) {
    if let Err(error) = expand(ctx, vec![rule.clone()], ctx.clock.now() + EXPANSION_TIME).await {
        tracing::warn!(tenant = %rule.tenant, rule = %rule.name, %error, "rule not expanded at once");
    }
}

/// Takes back what a rule created for after `now`, while it stands at `revision`, or, for `None`, is gone.
async fn withdraw(
    ctx: &Context,
    rule: &Rule,
    revision: Option<u64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let schedule = rule.schedule();
    // Whoever may be at it right now goes no further than this.
    let until = rule.next.into_iter().chain([now + LOOK_AHEAD]).max();
    for at in occurrences(&schedule, now, WITHDRAWN_MAX) {
        if until.is_some_and(|until| at > until) {
            break;
        }
        ctx.work.withdraw(rule, revision, at).await?;
    }
    Ok(())
}
