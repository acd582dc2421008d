//! The sweep: what is due soon goes from the table to the queue (SPEC §9.4–§9.6).
//!
//! For each slice of the due index it enqueues what enters the horizon, and
//! again what is overdue and seems lost. Tenants take turns by their QoS levels.

mod registry;
mod slice;
mod turns;

use crate::context::Context;
use crate::engine::StoreError;
use crate::items::activity::DueRow;
use crate::queue::{DueActivity, QueueError};
use crate::tenancy::TenancyError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use registry::Registry;
use rules::due::SWEEP_HORIZON;
use rules::names::{CompanyName, Tenant};
use rules::qos::{Levels, SLOT_ACTIVITIES_MAX};
use serde::Serialize;
use slice::{Held, Slice};
use std::collections::{BTreeMap, VecDeque};
use turns::Turns;

/// How long a sweep goes on; what is left then is the next one's, which follows within the minute.
pub const SWEEP_TIME: TimeDelta = TimeDelta::seconds(50);
/// How long the API works off what is overdue when a solution goes to running; the sweep does the rest.
pub const RESUME_TIME: TimeDelta = TimeDelta::seconds(5);
/// Slices looked at, and turns taken, at a time.
const IN_FLIGHT: usize = 16;
/// Slices looked at while 16 turns are taken.
const LOOKS_A_ROUND: usize = 128;
/// Of how many slices a company's leases are held before no further one of it is looked at.
const COMPANY_HELD_MAX: usize = 64;
/// Of how many in all, of a KiB each, before a company that has one waits with further ones.
const HELD_MAX: usize = 4_096;
/// The item on which it is noted what a sweep had no time to look at.
const SWEEP: &str = "dispatch-sweep";
const UNSEEN: &str = "unseen";

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
    /// Slices looked at, paused ones included.
    pub slices: usize,
    /// Activities enqueued.
    pub enqueued: usize,
    /// Of these, overdue ones that seemed lost.
    pub recovered: usize,
    /// Slices that this sweep had no time to look at, as far as it knows of them, in which work is left, or that another
    /// sweep holds.
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
    Box::pin(sweep_all(ctx, None)).await
}

/// Enqueues again everything due within the horizon, as after a loss of the queue.
///
/// # Errors
/// [`SweepError`]; what could not be enqueued again is what the same call, made again, enqueues.
pub async fn requeue(ctx: &Context) -> Result<SweepReport, SweepError> {
    let ask = ctx.entropy.uuid_v7(ctx.clock.now()).to_string();
    Box::pin(sweep_all(ctx, Some(&ask))).await
}

/// Enqueues at once what is overdue of a solution that goes to running.
///
/// Messages that came up while it was paused were dropped, so everything is
/// enqueued again. What this call has no time for was last swept before the pause: the sweep finds it
/// once it is overdue by a minute.
///
/// # Errors
/// [`SweepError`]; what could not be enqueued the sweep does.
pub async fn resume(ctx: &Context, tenant: &Tenant) -> Result<SweepReport, SweepError> {
    let ask = ctx.entropy.uuid_v7(ctx.clock.now()).to_string();
    let mut registry = Registry::of(tenant, &ask);
    Box::pin(run(ctx, &mut registry, RESUME_TIME)).await
}

async fn sweep_all(ctx: &Context, ask: Option<&str>) -> Result<SweepReport, SweepError> {
    let values = ctx.leases.values(SWEEP).await?;
    let left = values.get(UNSEEN).and_then(|left| left.as_s().ok()).map_or("", String::as_str);
    let mut registry = Registry::all(left, ask);
    let result = run(ctx, &mut registry, SWEEP_TIME).await;
    let note = registry.note();
    if note != left {
        ctx.leases.leave_word(SWEEP, (UNSEEN, AttributeValue::S(note))).await?;
    }
    result
}

/// Looks at slices and gives turns to those in which something is due, both at the same time.
async fn run(ctx: &Context, registry: &mut Registry, time: TimeDelta) -> Result<SweepReport, SweepError> {
    let began = ctx.clock.now();
    let mut report = SweepReport::default();
    let (mut turns, mut failed, mut is_readable) = (Turns::default(), None, true);
    let result = loop {
        if ctx.clock.now() >= began + time {
            break Ok(());
        }
        let looks = match is_readable {
            true => next_looks(ctx, registry, &turns, &mut failed).await,
            false => Vec::new(),
        };
        is_readable = failed.is_none();
        let (order, hands) = turns.next(IN_FLIGHT);
        if looks.is_empty() && hands.is_empty() {
            break Ok(());
        }
        let looks = stream::iter(looks).map(|(slice, ask)| look(ctx, slice, ask, began));
        let played = stream::iter(hands).map(|(held, slots)| play(ctx, held, slots));
        // All are finished before an error is looked at, so that none is dropped with its lease held.
        let (looks, played): (Vec<_>, Vec<_>) = futures::join!(
            looks.buffered(IN_FLIGHT).collect::<Vec<_>>(),
            played.buffered(IN_FLIGHT).collect::<Vec<_>>()
        );
        for look in looks {
            report.slices += 1;
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
        if let Err(error) = settle(ctx, &mut turns, order, played, &mut report, &mut failed).await {
            break Err(error);
        }
    };
    report.backlog += registry.left();
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

/// The slices to look at next. A company of which many are held has its turns before further ones are looked at.
async fn next_looks(
    ctx: &Context,
    registry: &mut Registry,
    turns: &Turns,
    failed: &mut Option<SweepError>,
) -> Vec<(Slice, Option<String>)> {
    let (all, by_company) = turns.held();
    let most = if all < HELD_MAX { COMPANY_HELD_MAX } else { 1 };
    let may_look = |company: &CompanyName| by_company.get(company).is_none_or(|held| *held < most);
    let (looks, error) = registry.next(&ctx.tenancy, LOOKS_A_ROUND, may_look).await;
    if let Some(error) = error {
        *failed = Some(error.into());
    }
    let slices = looks.into_iter().flat_map(|registry::Look { entry, ask }| {
        let slice = move |shard| (Slice::new(entry.tenant.clone(), entry.kind.clone(), shard), ask.clone());
        (0..entry.shards.due).map(slice)
    });
    slices.collect()
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

async fn look(
    ctx: &Context,
    slice: Slice,
    ask: Option<String>,
    now: DateTime<Utc>,
) -> Result<Look, SweepError> {
    let solution = ctx.unreadable.leave_out(ctx.tenancy.solution(&slice.tenant).await)?;
    // Whether one that cannot be decoded is paused is not known: its work stays where it is.
    let Some(solution) = solution else { return Ok(Look::Idle(None)) };
    if solution.as_ref().is_some_and(|solution| solution.is_paused()) {
        return Ok(Look::Idle(None));
    }
    let Some(oldest) = ctx.work.first_due(&slice.partition).await? else { return Ok(Look::Idle(None)) };
    if oldest > now + SWEEP_HORIZON {
        return Ok(Look::Idle(Some(oldest)));
    }
    if let Some(ask) = ask {
        slice.ask_requeue(&ctx.leases, &ask).await?;
    }
    // What a deleted solution left behind is brought to its end like anything else.
    let levels = ctx.tenancy.levels(&slice.tenant, solution.as_deref()).await?;
    match Held::take(slice, oldest, &ctx.leases, now).await? {
        Some(held) => Ok(Look::Held(Box::new(held), levels, oldest)),
        None => Ok(Look::Busy),
    }
}

/// Enqueues what turns brought, in their `order`. A slice that cannot be read is left out, with its error in `failed`: it
/// keeps no other tenant waiting.
async fn settle(
    ctx: &Context,
    turns: &mut Turns,
    order: Vec<String>,
    played: Vec<Played>,
    report: &mut SweepReport,
    failed: &mut Option<SweepError>,
) -> Result<(), SweepError> {
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
    Ok(())
}

/// A slice after its turns, with what they brought; nothing if another sweep has it now.
type Played = (Held, Result<Option<slice::Taken>, StoreError>);

async fn play(ctx: &Context, mut held: Held, slots: usize) -> Played {
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
    let after = crate::table::keys::instant(ctx.clock.now() + SWEEP_HORIZON) + "~";
    let rows = ctx.work.due_page(&held.slice().partition, Some(&after), None, 1).await?;
    Ok(rows.first().map(|row| row.due))
}
