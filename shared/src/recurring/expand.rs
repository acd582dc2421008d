//! Expansion: activities from rules and the clock.
//!
//! Plan, then create, then record what is skipped, then move the rule on, under the condition that nobody
//! else has. Ids are made of name and instant, so whoever dies on the way, or works at the same time, creates
//! nothing twice. What a plan says of missed occurrences depends on its instant; therefore that instant is
//! written to the rule first, and whoever takes over carries out the same plan.

use super::RecurringError;
use super::owners::{Of, Owner, Owners};
use crate::context::Context;
use crate::engine::StoreError;
use crate::engine::WorkItem;
use crate::items::activity::{Created, NewActivity};
use crate::items::recurring::{Rule, RuleView, rule_body_hash};
use crate::table::keys;
use crate::tenancy::ActivityType;
use chrono::{DateTime, Utc};
use futures::future::{join_all, try_join_all};
use rules::names::{Kind, Tenant, ids};
use rules::recurring::{LOOK_AHEAD, Plan, Skip, SkipReason, is_missed, plan};
use std::collections::HashMap;

/// Rules with large parameters, 256 KiB at most, whose parameters are in memory at a time.
const LARGE_TOGETHER: usize = 8;
/// Most activities that are created together,
const CREATED_TOGETHER: usize = 500;
/// and the bytes of their parameters at which a batch is full.
const CREATED_BYTES_MAX: usize = 2 << 20;

/// What an expansion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Rules that were moved on.
    pub rules: usize,
    /// Activities created.
    pub created: usize,
    /// Occurrences skipped.
    pub skipped: u64,
    /// Whether time ran out, or another is at work on what is due.
    pub left: bool,
    /// The earliest next occurrence that is not due for expansion yet, as far as was seen.
    pub next_due_at: Option<DateTime<Utc>>,
}

impl Expanded {
    pub(super) fn add(&mut self, other: Expanded) {
        self.rules += other.rules;
        self.created += other.created;
        self.skipped += other.skipped;
        self.left |= other.left;
        self.next_due_at = self.next_due_at.into_iter().chain(other.next_due_at).min();
    }
}

/// A rule, what is to be done with it now, and what its activities are created below.
struct Turn {
    rule: Rule,
    plan: Plan,
    of: Of,
    /// The instants at which activities were created just now, and not before by another.
    fresh: Vec<DateTime<Utc>>,
    /// The instants whose ids are taken by what another rule of this name made.
    taken: Vec<DateTime<Utc>>,
    failed: Option<StoreError>,
    /// Whether its rule's parameter cannot be decoded.
    is_left_out: bool,
}

/// Expands `rules` up to the look-ahead, in as many plans as each takes, until `deadline`.
///
/// # Errors
/// [`RecurringError`] of one rule, after all have had their turn.
pub async fn expand(
    ctx: &Context,
    rules: Vec<Rule>,
    deadline: DateTime<Utc>,
) -> Result<Expanded, RecurringError> {
    let mut total = Expanded::default();
    let mut waiting = rules;
    let mut failed = None;
    while !waiting.is_empty() {
        let planned = expand_once(ctx, std::mem::take(&mut waiting)).await?;
        total.add(planned.expanded);
        failed = planned.failed.or(failed);
        waiting = planned.waiting;
        if ctx.clock.now() >= deadline && !waiting.is_empty() {
            total.left = true;
            break;
        }
    }
    failed.map_or(Ok(total), |error| Err(error.into()))
}

/// What one plan of each of some rules came to.
pub(super) struct Planned {
    pub(super) expanded: Expanded,
    /// Rules that have more to do within the look-ahead.
    pub(super) waiting: Vec<Rule>,
    /// Why one of them was not expanded.
    pub(super) failed: Option<StoreError>,
}

/// Carries out one plan of each of `rules`.
///
/// # Errors
/// [`RecurringError`] when what the plans are made of cannot be read.
pub(super) async fn expand_once(ctx: &Context, rules: Vec<Rule>) -> Result<Planned, RecurringError> {
    let mut planned = Planned { expanded: Expanded::default(), waiting: Vec::new(), failed: None };
    let now = rules::time::truncate(ctx.clock.now());
    let mut turns = Vec::with_capacity(rules.len());
    let owners = Owners::of(ctx, &rules).await?;
    for rule in begin(ctx, rules, now).await? {
        match owners.get(&rule) {
            Owner::Known(of) => turns.push(Turn::new(rule, of, now)),
            // Its solution was deleted in the moment in which it was made.
            Owner::Gone => {
                ctx.work.move_rule(&rule, &Rule { next: None, planned_at: None, ..rule.clone() }).await?;
            }
            // It stays due.
            Owner::Unreadable => {}
        }
    }
    let turns = create(ctx, turns).await?;
    let total = &mut planned.expanded;
    for (mut turn, next) in finish(ctx, turns, now).await {
        if let Some(error) = turn.failed.take() {
            tracing::error!(tenant = %turn.rule.tenant, rule = %turn.rule.name, %error, "rule not expanded");
            planned.failed = Some(error);
            continue;
        }
        total.created += turn.fresh.len();
        let Some(next) = next else { continue };
        total.skipped += turn.plan.skips.iter().map(|skip| skip.count).sum::<u64>();
        total.rules += 1;
        match next.next {
            Some(at) if at <= ctx.clock.now() + LOOK_AHEAD => planned.waiting.push(next),
            next => total.next_due_at = total.next_due_at.into_iter().chain(next).min(),
        }
    }
    // A rule that needs several plans is counted with its last one.
    total.rules -= planned.waiting.len();
    Ok(planned)
}

/// Leaves out what is not due, and writes the instant of the plan to the rules that have missed something.
async fn begin(ctx: &Context, rules: Vec<Rule>, now: DateTime<Utc>) -> Result<Vec<Rule>, StoreError> {
    let due = rules
        .into_iter()
        .filter(|rule| !rule.is_paused() && rule.next.is_some_and(|next| next <= now + LOOK_AHEAD));
    let begun = due.map(|rule| async move {
        let has_missed = rule.next.is_some_and(|next| is_missed(next, now));
        if !has_missed || rule.planned_at.is_some() {
            return Ok::<_, StoreError>(Some(rule));
        }
        let planned = Rule { planned_at: Some(now), ..rule.clone() };
        // Whoever has moved it meanwhile expands it.
        Ok(ctx.work.move_rule(&rule, &planned).await?.then_some(planned))
    });
    let begun: Vec<Option<Rule>> = try_join_all(begun).await?;
    Ok(begun.into_iter().flatten().collect())
}

impl Turn {
    fn new(rule: Rule, of: Of, now: DateTime<Utc>) -> Self {
        let at = rule.planned_at.unwrap_or(now);
        let from = rule.next.unwrap_or(at);
        let mut plan = plan(&rule.schedule(), rule.policy(), from, at);
        if of.activity_type.is_none() {
            for at in std::mem::take(&mut plan.create) {
                plan.skip(at, SkipReason::TypeGone);
            }
        }
        let (fresh, taken) = (Vec::new(), Vec::new());
        Self { rule, plan, of, fresh, taken, failed: None, is_left_out: false }
    }

    /// The occurrence at `at` as an activity; `objects` are of the same parameter.
    fn activity(
        &self,
        of: &ActivityType,
        at: DateTime<Utc>,
        parameter: &str,
        objects: &[String],
    ) -> NewActivity {
        NewActivity {
            tenant: self.rule.tenant.clone(),
            kind: Kind::Type(of.name.clone()),
            id: ids::occurrence(&self.rule.name, at),
            date: at,
            parameter: parameter.to_owned(),
            max_attempts: self.rule.spec.retries.unwrap_or(of.retries).max(1),
            uri: None,
            objects: objects.to_vec(),
            body_hash: rule_body_hash(self.rule.created_at).into(),
            shards: of.shards,
            type_changed_at: Some(of.meta.updated_at),
            parents: vec![self.of.solution.as_parent(), of.as_parent(&self.rule.tenant)],
        }
    }
}

/// Partitions of the index `object`. What the type asks for and the parameter does not have (the type may have
/// changed since the rule was accepted) is left out: the activity's own history tells of it.
pub(crate) fn objects(tenant: &Tenant, of: &ActivityType, parameter: &str) -> Vec<String> {
    let values = of.object_id_ref.iter().filter_map(|field| field.scalar(parameter).ok());
    let mut objects: Vec<String> =
        values.map(|value| keys::object_partition(tenant, &of.name, &value.object_id())).collect();
    objects.sort_unstable();
    objects.dedup();
    objects
}

/// Creates the activities of all turns: those with small parameters share calls, of large ones a few are in memory. Turns
/// of rules whose parameter cannot be decoded are left out: they stay due.
async fn create(ctx: &Context, mut turns: Vec<Turn>) -> Result<Vec<Turn>, StoreError> {
    let with_work = (0..turns.len()).filter(|index| !turns[*index].plan.create.is_empty());
    let (small, large): (Vec<usize>, Vec<usize>) =
        with_work.partition(|index| turns[*index].rule.parameter.is_some());
    for group in small.chunks(turns.len().max(1)).chain(large.chunks(LARGE_TOGETHER)) {
        let rules = group.iter().map(|index| turns[*index].rule.clone()).collect();
        let views: HashMap<String, RuleView> = {
            let views = ctx.work.with_rule_parameters(rules).await?;
            views.into_iter().map(|view| (view.rule.pk(), view)).collect()
        };
        let (turns, mut batch) = (&mut turns, Batch::default());
        for index in group {
            let Some(RuleView { parameter, .. }) = views.get(&turns[*index].rule.pk()) else {
                turns[*index].is_left_out = true;
                continue;
            };
            let Some(of) = turns[*index].of.activity_type.clone() else { continue };
            let objects = objects(&turns[*index].rule.tenant, &of, parameter);
            for at in turns[*index].plan.create.clone() {
                let activity = turns[*index].activity(&of, at, parameter, &objects);
                if has_moved(ctx, &turns[*index].rule, &activity).await? {
                    continue;
                }
                batch.add(*index, activity);
                if batch.is_full() {
                    std::mem::take(&mut batch).create(ctx, turns).await;
                }
            }
        }
        batch.create(ctx, turns).await;
        // What is left of a rule of this name that was deleted keeps its ids.
        let mut again = Batch { is_last: true, ..Batch::default() };
        for index in group {
            let Some(RuleView { rule, parameter }) = views.get(&turns[*index].rule.pk()) else { continue };
            let Some(of) = turns[*index].of.activity_type.clone() else { continue };
            let objects = objects(&rule.tenant, &of, parameter);
            for at in std::mem::take(&mut turns[*index].taken) {
                let activity = turns[*index].activity(&of, at, parameter, &objects);
                let id = ids::of_incarnation(&activity.id, rule.created_at);
                again.add(*index, NewActivity { id, ..activity });
            }
        }
        again.create(ctx, turns).await;
    }
    turns.retain(|turn| !turn.is_left_out);
    Ok(turns)
}

/// Whether an occurrence was created under the id of its rule's incarnation, although its plain id may be free by now.
async fn has_moved(ctx: &Context, rule: &Rule, new: &NewActivity) -> Result<bool, StoreError> {
    if !ids::may_have_moved(rule.created_at, new.date, ctx.clock.now()) {
        return Ok(false);
    }
    let id = ids::of_incarnation(&new.id, rule.created_at);
    Ok(ctx.work.get(&rule.tenant, &id).await?.is_some())
}

/// Activities that are created together, each with the turn that it belongs to.
#[derive(Default)]
struct Batch {
    turns: Vec<usize>,
    activities: Vec<NewActivity>,
    bytes: usize,
    /// Whether a taken id is not tried in another form.
    is_last: bool,
}

impl Batch {
    fn add(&mut self, turn: usize, activity: NewActivity) {
        self.bytes += activity.parameter.len();
        self.turns.push(turn);
        self.activities.push(activity);
    }

    fn is_full(&self) -> bool {
        self.activities.len() >= CREATED_TOGETHER || self.bytes >= CREATED_BYTES_MAX
    }

    async fn create(self, ctx: &Context, turns: &mut [Turn]) {
        let places: Vec<_> = self.turns.into_iter().zip(self.activities.iter().map(|one| one.date)).collect();
        for ((index, at), created) in places.into_iter().zip(ctx.work.create(self.activities).await) {
            let turn = &mut turns[index];
            let skip = |reason| Skip { from: at, to: at, count: 1, reason };
            match created {
                Ok(Created::New(_)) => turn.fresh.push(at),
                Ok(Created::Existing(_)) => {}
                Ok(Created::Conflict) if !self.is_last => turn.taken.push(at),
                Ok(Created::Conflict) => turn.plan.skips.push(skip(SkipReason::IdTaken)),
                // Of a solution that is gone the rule is gone too, or ends with the next run.
                Ok(Created::ParentGone(_)) => turn.plan.skips.push(skip(SkipReason::TypeGone)),
                Err(error) => turn.failed = Some(error),
            }
        }
    }
}

/// Records what is skipped and moves the rules on; each turn with its rule as it stands then, if it was moved.
async fn finish(ctx: &Context, turns: Vec<Turn>, now: DateTime<Utc>) -> Vec<(Turn, Option<Rule>)> {
    let finished = turns.into_iter().map(|mut turn| async move {
        if turn.failed.is_some() {
            return (turn, None);
        }
        let moved = move_on(ctx, &turn, now).await;
        match moved {
            Ok(moved) => (turn, moved),
            Err(error) => {
                turn.failed = Some(error);
                (turn, None)
            }
        }
    });
    join_all(finished).await
}

async fn move_on(ctx: &Context, turn: &Turn, now: DateTime<Utc>) -> Result<Option<Rule>, StoreError> {
    let Turn { rule, plan, .. } = turn;
    let decided_at = rule.planned_at.unwrap_or(now);
    ctx.work.record_skips(rule, &plan.skips, decided_at).await?;
    for skip in &plan.skips {
        tracing::warn!(
            company = rule.tenant.company.as_str(),
            solution = rule.tenant.solution.name().as_str(),
            rule = rule.name.as_str(),
            from = rules::time::format(skip.from),
            to = rules::time::format(skip.to),
            count = skip.count,
            reason = skip.reason.as_str(),
            "occurrences skipped"
        );
    }
    let next = Rule { next: plan.next, planned_at: None, ..rule.clone() };
    if next == *rule || ctx.work.move_rule(rule, &next).await? {
        return Ok(Some(next));
    }
    // Its owner may have paused or deleted it while this was at it: then nothing of it may be sent.
    let found = ctx.work.rule_records(&[rule.pk()]).await?.pop();
    if found.as_ref().is_none_or(Rule::is_paused) {
        let revision = found.map(|found| found.revision);
        for at in turn.fresh.iter().filter(|at| **at > now) {
            ctx.work.withdraw(rule, revision, *at).await?;
        }
    }
    Ok(None)
}
