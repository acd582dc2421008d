//! The expander's run: every rule with something due, in the turns of their solutions.
//!
//! The index has all rules of a shard in one partition, by time. So that one company's hundred thousand are no wall before
//! another's one, the keys of what is due are read ahead, and turns are taken among their solutions by QoS: a turn is a
//! few rules, and one plan of each. A rule that has more to make up for comes again behind the others of its solution.

use super::RecurringError;
use super::expand::{Expanded, Planned, expand_once};
use crate::context::Context;
use crate::engine::StoreError;
use crate::engine::WorkItem;
use crate::items::recurring::{RULE_SHARDS, Rule};
use crate::lease::{Lease, Values};
use crate::table::keys;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use rules::due::shard;
use rules::names::Tenant;
use rules::qos::{Levels, TenantTurns};
use rules::recurring::LOOK_AHEAD;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Rules expanded together: their writes share calls.
const PAGE: usize = 100;
/// Pages expanded at a time.
const PAGES_IN_FLIGHT: usize = 4;
/// Rules of one turn of a solution.
const TURN_RULES: usize = 10;
/// Most keys of a shard that are read ahead, of 200 bytes each: so many oldest are shared out in turns.
const ROWS_MAX: usize = 10_000;
/// Keys read in one call.
const ROWS_A_CALL: usize = 1_000;
/// Shards, and then solutions, looked at a time.
const LOOKS_IN_FLIGHT: usize = 16;
/// How long a shard is held without renewal: more than a few pages take, less than the minute to the next run.
const SHARD_LEASE: TimeDelta = TimeDelta::seconds(45);

/// Expands every rule with something due, until `deadline`.
///
/// # Errors
/// [`RecurringError`] of one shard or rule, after all have been worked on; the next run goes on with it.
pub async fn expand_due(ctx: &Context, deadline: DateTime<Utc>) -> Result<Expanded, RecurringError> {
    let mut run = Run::default();
    let mut shards: Vec<(u32, Option<String>)> = (0..RULE_SHARDS).map(|shard| (shard, None)).collect();
    while !shards.is_empty() {
        let reads = shards.into_iter().map(|(shard, after)| read(ctx, shard, after));
        let reads: Vec<_> = reads.collect();
        let reads: Vec<_> = stream::iter(reads).buffered(LOOKS_IN_FLIGHT).collect().await;
        shards = Vec::new();
        for read in reads {
            match read {
                Ok(read) => shards.extend(run.note(ctx, read).await),
                Err(error) => run.failed = Some(error.into()),
            }
        }
        let result = run.take_turns(ctx, deadline).await;
        run.failed = result.err().or(run.failed);
        if ctx.clock.now() >= deadline || run.failed.is_some() {
            run.total.left |= !shards.is_empty();
            break;
        }
    }
    for (_, lease) in run.leases {
        ctx.leases.release(lease, Values::new()).await?;
    }
    run.failed.map_or(Ok(run.total), Err)
}

/// What was read of a shard.
struct Read {
    shard: u32,
    pks: Vec<String>,
    /// Where to go on, if there may be more.
    after: Option<String>,
    beyond: Option<DateTime<Utc>>,
}

async fn read(ctx: &Context, shard: u32, mut after: Option<String>) -> Result<Read, StoreError> {
    let mut read = Read { shard, pks: Vec::new(), after: None, beyond: None };
    while read.pks.len() < ROWS_MAX {
        let until = ctx.clock.now() + LOOK_AHEAD;
        let due = ctx.work.due_rules(shard, after.as_deref(), until, ROWS_A_CALL).await?;
        read.pks.extend(due.pks);
        read.beyond = due.beyond;
        after = due.after;
        if after.is_none() {
            break;
        }
    }
    read.after = after;
    Ok(read)
}

#[derive(Default)]
struct Run {
    total: Expanded,
    /// Of one shard or rule.
    failed: Option<RecurringError>,
    leases: BTreeMap<u32, Lease>,
    waiting: BTreeMap<Tenant, VecDeque<String>>,
}

impl Run {
    /// Takes what was read of a shard, if no other run is at it; the shard, if it has more.
    async fn note(&mut self, ctx: &Context, read: Read) -> Option<(u32, Option<String>)> {
        self.total.next_due_at = self.total.next_due_at.into_iter().chain(read.beyond).min();
        if read.pks.is_empty() {
            return None;
        }
        if let Entry::Vacant(place) = self.leases.entry(read.shard) {
            match ctx.leases.acquire(&keys::rule_due_partition(read.shard), SHARD_LEASE).await {
                Ok(Some(lease)) => drop(place.insert(lease)),
                // Another run is at it, and does what is to be done.
                Ok(None) => {
                    self.total.left = true;
                    return None;
                }
                Err(error) => {
                    self.failed = Some(error.into());
                    return None;
                }
            }
        }
        for pk in read.pks {
            let Some((tenant, _)) = keys::parse_rule(&pk) else { continue };
            self.waiting.entry(tenant).or_default().push_back(pk);
        }
        read.after.map(|after| (read.shard, Some(after)))
    }

    /// Gives turns until nothing waits or `deadline` has come. Each rule has one plan at least.
    async fn take_turns(&mut self, ctx: &Context, deadline: DateTime<Utc>) -> Result<(), RecurringError> {
        let levels = self.waiting.keys().cloned().map(|tenant| async move {
            let solution = ctx.unreadable.leave_out(ctx.tenancy.solution(&tenant).await)?.flatten();
            let levels = ctx.tenancy.levels(&tenant, solution.as_deref()).await?;
            Ok::<_, RecurringError>((tenant, levels))
        });
        let levels: BTreeMap<Tenant, Levels> =
            stream::iter(levels).buffered(LOOKS_IN_FLIGHT).try_collect().await?;
        let mut turns = TenantTurns::default();
        levels.iter().for_each(|(tenant, levels)| turns.set(tenant, *levels));
        let mut is_first = true;
        loop {
            let pages: Vec<Vec<String>> = (0..PAGES_IN_FLIGHT).map(|_| self.page(&mut turns)).collect();
            let mut pages: Vec<Vec<String>> = pages.into_iter().filter(|page| !page.is_empty()).collect();
            if pages.is_empty() {
                return Ok(());
            }
            // What was read is expanded for a while, however late it has become by reading.
            if ctx.clock.now() >= deadline && !is_first {
                self.total.left = true;
                self.waiting.clear();
                return Ok(());
            }
            is_first = false;
            self.hold(ctx).await?;
            for page in &mut pages {
                page.retain(|pk| self.leases.contains_key(&shard(pk, RULE_SHARDS)));
            }
            let expanded = pages.into_iter().map(|page| expand_page(ctx, page));
            for planned in join_all(expanded).await {
                let Planned { expanded, waiting, failed } = match planned {
                    Ok(planned) => planned,
                    Err(error) => {
                        self.failed = Some(error);
                        continue;
                    }
                };
                self.total.add(expanded);
                self.failed = failed.map(RecurringError::from).or(self.failed.take());
                for rule in waiting {
                    turns.set(&rule.tenant, levels.get(&rule.tenant).copied().unwrap_or_default());
                    self.waiting.entry(rule.tenant.clone()).or_default().push_back(rule.pk());
                }
            }
        }
    }

    /// The rules of the next turns.
    fn page(&mut self, turns: &mut TenantTurns) -> Vec<String> {
        let mut page = Vec::with_capacity(PAGE);
        while page.len() < PAGE
            && let Some(tenant) = turns.turn()
        {
            if let Some(queue) = self.waiting.get_mut(&tenant) {
                page.extend(queue.drain(..queue.len().min(TURN_RULES)));
            }
            if self.waiting.get(&tenant).is_none_or(VecDeque::is_empty) {
                self.waiting.remove(&tenant);
                turns.remove(&tenant);
            }
        }
        page
    }

    /// Holds the shards on; one that another run has taken over is left to it.
    async fn hold(&mut self, ctx: &Context) -> Result<(), StoreError> {
        for (shard, mut lease) in std::mem::take(&mut self.leases) {
            let is_held = lease.until - ctx.clock.now() > SHARD_LEASE / 2
                || ctx.leases.renew(&mut lease, SHARD_LEASE).await?;
            if is_held {
                self.leases.insert(shard, lease);
            } else {
                self.total.left = true;
            }
        }
        Ok(())
    }
}

async fn expand_page(ctx: &Context, pks: Vec<String>) -> Result<Planned, RecurringError> {
    let rules: Vec<Rule> = ctx.work.rule_records(&pks).await?;
    expand_once(ctx, rules).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant { company: name.parse().unwrap(), solution: "main".parse().unwrap() }
    }

    /// A hundred thousand rules that were due before, and one of another company: its turn is the second.
    #[test]
    fn one_rule_is_in_the_first_page_whoever_has_very_many() {
        let (mut run, mut turns) = (Run::default(), TenantTurns::default());
        for (name, count) in [("acme", 100_000), ("beta", 1), ("gamma", 30)] {
            let pks = (0..count).map(|n| format!("Q#{name}/main#r{n}"));
            run.waiting.insert(tenant(name), pks.collect());
            turns.set(&tenant(name), Levels::default());
        }
        let page = run.page(&mut turns);
        let of = |page: &[String], name: &str| page.iter().filter(|pk| pk.contains(name)).count();
        assert_eq!((page.len(), of(&page, "beta"), of(&page, "gamma")), (101, 1, 30));
        let place = page.iter().position(|pk| pk.contains("beta"));
        assert_eq!(place, Some(TURN_RULES), "behind one turn of the other");
        assert_eq!(
            of(&run.page(&mut turns), "acme"),
            PAGE,
            "who has nothing left leaves its turns to the rest"
        );
        assert_eq!(run.waiting.len(), 1);
    }

    #[test]
    fn rules_take_turns_by_qos() {
        let (mut run, mut turns) = (Run::default(), TenantTurns::default());
        for (name, level) in [("gold", 4), ("plain", 1)] {
            run.waiting.insert(tenant(name), (0..500).map(|n| format!("Q#{name}/main#r{n}")).collect());
            turns.set(&tenant(name), Levels { company: level, solution: 1 });
        }
        let page = run.page(&mut turns);
        assert_eq!(page.iter().filter(|pk| pk.contains("gold")).count(), 80);
    }
}
