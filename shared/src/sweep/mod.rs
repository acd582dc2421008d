//! The sweep: what is due soon goes from the table to the queue (SPEC §9.4–§9.6).
//!
//! For each slice of the due index it enqueues what enters the horizon, and
//! again what is overdue and seems lost. Tenants take turns by their QoS levels.

mod slice;

use crate::context::Context;
use crate::queue::{DueActivity, QueueError};
use crate::tenancy::TenancyError;
use crate::work::{DueRow, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rules::due::SWEEP_HORIZON;
use rules::names::Tenant;
use rules::qos::{Levels, SLOT_ACTIVITIES_MAX, TenantTurns};
use serde::Serialize;
use slice::{Held, Slice};
use std::collections::{BTreeMap, VecDeque};

/// How long a sweep goes on; what is left then is the next one's, which follows within the minute.
pub const SWEEP_TIME: TimeDelta = TimeDelta::seconds(50);
/// How long the API works off what is overdue when a solution goes to running; the sweep does the rest.
pub const RESUME_TIME: TimeDelta = TimeDelta::seconds(5);
/// Slices looked at, and turns taken, at a time.
const IN_FLIGHT: usize = 16;

/// Why a sweep stopped early. What it had enqueued is enqueued; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or a lease.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// Slices there are, paused ones included.
    pub slices: usize,
    /// Activities enqueued.
    pub enqueued: usize,
    /// Of these, overdue ones that seemed lost.
    pub recovered: usize,
    /// Slices in which work is left that this sweep had no time for, or that another sweep holds.
    pub backlog: usize,
    /// How long the oldest activity of a running solution has been due.
    pub oldest_overdue_seconds: i64,
    /// The earliest instant past the horizon at which something is due.
    #[serde(skip_serializing_if = "Option::is_none", with = "rules::time::rfc3339_option")]
    pub next_due_at: Option<DateTime<Utc>>,
}

impl SweepReport {
    fn note_next(&mut self, due: Option<DateTime<Utc>>) {
        self.next_due_at = self.next_due_at.into_iter().chain(due).min();
    }
}

/// Sweeps every slice of every running solution.
///
/// # Errors
/// [`SweepError`]; the next sweep goes on where this one stopped.
pub async fn sweep(ctx: &Context) -> Result<SweepReport, SweepError> {
    Box::pin(run(ctx, all_slices(ctx).await?, SWEEP_TIME)).await
}

/// Enqueues again everything due within the horizon, as after a loss of the queue.
///
/// # Errors
/// [`SweepError`]; the slices that were told so enqueue everything at their next sweep.
pub async fn requeue(ctx: &Context) -> Result<SweepReport, SweepError> {
    let slices = all_slices(ctx).await?;
    ask_requeue(ctx, &slices).await?;
    Box::pin(run(ctx, slices, SWEEP_TIME)).await
}

/// Enqueues at once what is overdue of a solution that goes to running.
///
/// Messages that came up while it was paused were dropped, so everything is
/// enqueued again; what this call has no time for, the sweep does.
///
/// # Errors
/// [`SweepError`]; what could not be enqueued the sweep does.
pub async fn resume(ctx: &Context, tenant: &Tenant) -> Result<SweepReport, SweepError> {
    let kinds = ctx.tenancy.kinds(tenant).await?;
    let slices = kinds.iter().flat_map(|entry| {
        (0..entry.shards.due).map(|shard| Slice::new(tenant.clone(), entry.kind.clone(), shard))
    });
    let slices: Vec<Slice> = slices.collect();
    ask_requeue(ctx, &slices).await?;
    Box::pin(run(ctx, slices, RESUME_TIME)).await
}

async fn all_slices(ctx: &Context) -> Result<Vec<Slice>, SweepError> {
    let entries = ctx.tenancy.slices().await?;
    let slices = entries.into_iter().flat_map(|entry| {
        (0..entry.shards.due).map(move |shard| Slice::new(entry.tenant.clone(), entry.kind.clone(), shard))
    });
    Ok(slices.collect())
}

async fn ask_requeue(ctx: &Context, slices: &[Slice]) -> Result<(), SweepError> {
    let ask = ctx.entropy.uuid_v7(ctx.clock.now()).to_string();
    let asks = slices.iter().map(|slice| slice.ask_requeue(&ctx.leases, &ask));
    let asks: Vec<_> = asks.collect();
    Ok(stream::iter(asks).buffer_unordered(IN_FLIGHT).try_collect().await?)
}

async fn run(ctx: &Context, slices: Vec<Slice>, time: TimeDelta) -> Result<SweepReport, SweepError> {
    let began = ctx.clock.now();
    let mut report = SweepReport { slices: slices.len(), ..SweepReport::default() };
    let mut turns = Turns::default();
    let looks = slices.into_iter().map(|slice| look(ctx, slice, began));
    let looks: Vec<_> = looks.collect();
    let mut looks = stream::iter(looks).buffer_unordered(IN_FLIGHT);
    let mut failed = None;
    while let Some(look) = looks.next().await {
        match look {
            Ok(Look::Idle(next)) => report.note_next(next),
            Ok(Look::Busy) => report.backlog += 1,
            Ok(Look::Held(held, levels, oldest)) => {
                let overdue = (began - oldest).num_seconds();
                report.oldest_overdue_seconds = report.oldest_overdue_seconds.max(overdue);
                turns.add(*held, levels);
            }
            // One slice that cannot be looked at keeps no other tenant waiting.
            Err(error) => failed = Some(error),
        }
    }
    let result = take_turns(ctx, &mut turns, began + time, &mut report, &mut failed).await;
    // Whatever happened, the slices are free for the next sweep. What was enqueued is noted, but not after an error:
    // then the next sweep reads the same again.
    for held in turns.into_held() {
        report.backlog += 1;
        match &result {
            Ok(()) => held.release(&ctx.leases).await?,
            Err(_) => held.abandon(&ctx.leases).await?,
        }
    }
    result?;
    failed.map_or(Ok(report), Err)
}

/// What a first look at a slice shows.
enum Look {
    /// Nothing within the horizon; the next instant after it.
    Idle(Option<DateTime<Utc>>),
    /// Another sweep is at it.
    Busy,
    /// Ours, with the QoS levels of its company and solution and its oldest instant.
    Held(Box<Held>, Levels, DateTime<Utc>),
}

async fn look(ctx: &Context, slice: Slice, now: DateTime<Utc>) -> Result<Look, SweepError> {
    let solution = ctx.tenancy.solution(&slice.tenant).await?;
    if solution.as_ref().is_some_and(|solution| solution.is_paused()) {
        return Ok(Look::Idle(None));
    }
    let Some(oldest) = ctx.work.first_due(&slice.partition).await? else { return Ok(Look::Idle(None)) };
    if oldest > now + SWEEP_HORIZON {
        return Ok(Look::Idle(Some(oldest)));
    }
    // What a deleted solution left behind is brought to its end like anything else.
    let levels = ctx.tenancy.levels(&slice.tenant, solution.as_deref()).await?;
    match Held::take(slice, oldest, &ctx.leases, now).await? {
        Some(held) => Ok(Look::Held(Box::new(held), levels, oldest)),
        None => Ok(Look::Busy),
    }
}

/// Gives turns until nothing is left or `deadline` has come. A slice that cannot be read is left out, with its error in
/// `failed`: it keeps no other tenant waiting.
async fn take_turns(
    ctx: &Context,
    turns: &mut Turns,
    deadline: DateTime<Utc>,
    report: &mut SweepReport,
    failed: &mut Option<SweepError>,
) -> Result<(), SweepError> {
    loop {
        let (order, hands) = turns.next(IN_FLIGHT);
        if hands.is_empty() {
            return Ok(());
        }
        if ctx.clock.now() >= deadline {
            hands.into_iter().for_each(|(held, _)| turns.give_back(held));
            return Ok(());
        }
        let played = hands.into_iter().map(|(held, slots)| play(ctx, held, slots));
        let played: Vec<_> = played.collect();
        // All hands are finished before an error is looked at, so that none is dropped with its lease held.
        let played: Vec<_> = stream::iter(played).buffered(IN_FLIGHT).collect().await;
        let mut taken: BTreeMap<String, VecDeque<DueActivity>> = BTreeMap::new();
        for (held, result) in played {
            match result {
                Ok(Some(rows)) => {
                    report.recovered += rows.recovered;
                    taken.insert(held.slice().partition.clone(), due_activities(&held, rows));
                    turns.give_back(held);
                }
                // Another sweep took it over: it notes its own progress.
                Ok(None) => turns.forget(&held),
                Err(error) => {
                    turns.forget(&held);
                    report.backlog += 1;
                    *failed = Some(error.into());
                }
            }
        }
        report.enqueued += taken.values().map(VecDeque::len).sum::<usize>();
        let slot = |partition: String| -> Vec<DueActivity> {
            let rows = taken.get_mut(&partition);
            rows.map(|rows| rows.drain(..rows.len().min(SLOT_ACTIVITIES_MAX)).collect()).unwrap_or_default()
        };
        let slots: Vec<Vec<DueActivity>> = order.into_iter().map(slot).collect();
        ctx.queue.enqueue_in_order(slots.iter().map(Vec::as_slice)).await?;
        for held in turns.exhausted() {
            let next = next_after_horizon(ctx, &held).await;
            match (next, held.release(&ctx.leases).await) {
                (Ok(next), Ok(())) => report.note_next(next),
                (Err(error), _) => *failed = Some(error),
                (_, Err(error)) => *failed = Some(error.into()),
            }
        }
    }
}

async fn play(
    ctx: &Context,
    mut held: Held,
    slots: usize,
) -> (Held, Result<Option<slice::Taken>, StoreError>) {
    let taken = async {
        if !held.hold(&ctx.leases, ctx.clock.now()).await? {
            return Ok(None);
        }
        held.turn(&ctx.work, slots * SLOT_ACTIVITIES_MAX).await.map(Some)
    }
    .await;
    (held, taken)
}

fn due_activities(held: &Held, taken: slice::Taken) -> VecDeque<DueActivity> {
    let kind = &held.slice().kind;
    let activity =
        |row: DueRow| DueActivity { tenant: row.tenant, kind: kind.clone(), id: row.id, due: row.due };
    taken.rows.into_iter().map(activity).collect()
}

async fn next_after_horizon(ctx: &Context, held: &Held) -> Result<Option<DateTime<Utc>>, SweepError> {
    let after = crate::work::keys::instant(ctx.clock.now() + SWEEP_HORIZON) + "~";
    let rows = ctx.work.due_page(&held.slice().partition, Some(&after), None, 1).await?;
    Ok(rows.first().map(|row| row.due))
}

/// Whose turn it is: solutions by their levels, a solution's slices in a ring.
#[derive(Default)]
struct Turns {
    tenants: TenantTurns,
    slices: BTreeMap<Tenant, VecDeque<String>>,
    held: BTreeMap<String, Held>,
}

impl Turns {
    fn add(&mut self, held: Held, levels: Levels) {
        let Slice { tenant, partition, .. } = held.slice().clone();
        self.tenants.set(&tenant, levels);
        self.slices.entry(tenant).or_default().push_back(partition.clone());
        self.held.insert(partition, held);
    }

    /// The slices of the next `count` turns in order, and each of them with the number of its turns.
    fn next(&mut self, count: usize) -> (Vec<String>, Vec<(Held, usize)>) {
        let mut order: Vec<String> = Vec::new();
        for _ in 0..count {
            let Some(tenant) = self.tenants.turn() else { break };
            let Some(ring) = self.slices.get_mut(&tenant) else { break };
            let Some(partition) = ring.pop_front() else { break };
            ring.push_back(partition.clone());
            order.push(partition);
        }
        let mut slots: BTreeMap<&String, usize> = BTreeMap::new();
        order.iter().for_each(|partition| *slots.entry(partition).or_default() += 1);
        let hands = slots
            .into_iter()
            .filter_map(|(partition, slots)| self.held.remove(partition).map(|held| (held, slots)))
            .collect();
        (order, hands)
    }

    fn give_back(&mut self, held: Held) {
        self.held.insert(held.slice().partition.clone(), held);
    }

    /// Takes out a slice, and with the last one its solution.
    fn forget(&mut self, held: &Held) {
        let Slice { tenant, partition, .. } = held.slice();
        let Some(ring) = self.slices.get_mut(tenant) else { return };
        ring.retain(|other| other != partition);
        if !ring.is_empty() {
            return;
        }
        self.slices.remove(tenant);
        self.tenants.remove(tenant);
    }

    /// Takes out the slices of which nothing is left to read.
    fn exhausted(&mut self) -> Vec<Held> {
        let done: Vec<Held> =
            self.held.extract_if(.., |_, held| held.is_exhausted()).map(|(_, held)| held).collect();
        done.iter().for_each(|held| self.forget(held));
        done
    }

    fn into_held(self) -> impl Iterator<Item = Held> {
        self.held.into_values()
    }
}
