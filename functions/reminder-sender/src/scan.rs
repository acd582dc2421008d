//! What is due, read from the index in passes: a page of every partition, then another of those with more.

use crate::groups::Groups;
use crate::{Sender, SenderError};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use rules::names::Tenant;
use rules::qos::{Levels, page_length};
use shared::items::reminder::DueRow;
use std::collections::VecDeque;

/// Partitions read at a time.
const READS_IN_FLIGHT: usize = 16;
/// Most rows of a page.
const PAGE: usize = 100;
/// Most rows that a pass reads over all partitions, of 300 bytes each; one of each at least.
const ROWS_HELD_MAX: usize = 20_000;
/// Most reminders of one partition of a paused solution that are counted as skipped.
const SKIPPED_MAX: usize = 1_000;

/// A partition that may have more.
#[derive(Debug, Clone)]
struct Partition {
    tenant: Tenant,
    shard: u32,
    after: Option<String>,
}

/// A walk through everything that is due at one instant.
#[derive(Debug)]
pub struct Scan {
    now: DateTime<Utc>,
    left: VecDeque<Partition>,
    /// The levels by which the tenants in it take turns.
    pub levels: Vec<(Tenant, Levels)>,
    /// Reminders whose solution is paused.
    pub skipped: usize,
    /// The first instant after the walk's at which something is due.
    pub next_due: Option<DateTime<Utc>>,
}

/// What a look at a configuration shows.
enum Look {
    Paused { waiting: usize },
    Running(Levels),
}

/// Partitions that a pass leaves out.
pub struct Later(VecDeque<Partition>);

/// A pass's result.
pub struct Pass {
    scan: Scan,
    rows: Vec<DueRow>,
}

impl Pass {
    /// Adds what was read to `groups`; gives the walk back.
    pub fn into_groups(self, groups: &mut Groups) -> Scan {
        self.rows.into_iter().for_each(|row| groups.add(row));
        self.scan
    }
}

impl Scan {
    /// Whether a pass may find more.
    pub fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// Whether a pass may find more of a tenant of which more is wanted.
    pub fn wants(&self, is_wanted: impl Fn(&Tenant) -> bool) -> bool {
        self.left.iter().any(|partition| is_wanted(&partition.tenant))
    }

    /// The same walk with what is wanted alone, and what is left for later.
    pub fn split(mut self, is_wanted: impl Fn(&Tenant) -> bool) -> (Self, Later) {
        let (wanted, later) = self.left.into_iter().partition(|partition| is_wanted(&partition.tenant));
        self.left = wanted;
        (self, Later(later))
    }
}

impl Sender {
    /// Begins a walk: every configuration whose solution runs.
    ///
    /// # Errors
    /// [`SenderError`] when the configurations or what is paused cannot be read.
    pub(crate) async fn scan(&self) -> Result<Scan, SenderError> {
        let now = self.ctx.clock.now();
        let mut scan = Scan { now, left: VecDeque::new(), levels: Vec::new(), skipped: 0, next_due: None };
        let configurations = self.ctx.tenancy.reminder_configurations().await?;
        let looks = configurations.into_iter().map(|found| self.look(found.tenant, found.shards.due, now));
        let mut looks = stream::iter(looks).buffered(READS_IN_FLIGHT);
        while let Some((tenant, shards, look)) = looks.next().await {
            match look? {
                Look::Paused { waiting } => scan.skipped += waiting,
                Look::Running(levels) => {
                    let partition = |shard| Partition { tenant: tenant.clone(), shard, after: None };
                    scan.left.extend((0..shards).map(partition));
                    scan.levels.push((tenant, levels));
                }
            }
        }
        drop(looks);
        Ok(scan)
    }

    /// Whether a configuration's solution runs; of a paused one, how many reminders are due.
    async fn look(
        &self,
        tenant: Tenant,
        shards: u32,
        now: DateTime<Utc>,
    ) -> (Tenant, u32, Result<Look, SenderError>) {
        let look = async {
            let solution = self.ctx.unreadable.leave_out(self.ctx.tenancy.solution(&tenant).await)?;
            // Whether one that cannot be decoded is paused is not known: its reminders stay where they are.
            let Some(solution) = solution else { return Ok(Look::Paused { waiting: 0 }) };
            if !solution.as_ref().is_some_and(|solution| solution.is_paused()) {
                return Ok(Look::Running(self.ctx.tenancy.levels(&tenant, solution.as_deref()).await?));
            }
            let mut waiting = 0;
            for shard in 0..shards {
                let rows = self.ctx.reminders.due_page(&tenant, shard, None, SKIPPED_MAX).await?;
                waiting += rows.iter().take_while(|row| row.due <= now).count();
            }
            Ok(Look::Paused { waiting })
        };
        let look = look.await;
        (tenant, shards, look)
    }

    /// Reads a page of every partition that may have more.
    ///
    /// # Errors
    /// [`SenderError`] when an index cannot be read; what is left is the next round's.
    pub(crate) async fn pass(&self, mut scan: Scan, later: Later) -> Result<Pass, SenderError> {
        let length = page_length(scan.left.len(), PAGE, ROWS_HELD_MAX);
        let reads = std::mem::take(&mut scan.left).into_iter().map(|partition| async move {
            let Partition { tenant, shard, after } = &partition;
            let page = self.ctx.reminders.due_page(tenant, *shard, after.as_deref(), length).await;
            (partition, page)
        });
        let mut reads = stream::iter(reads).buffered(READS_IN_FLIGHT);
        let mut rows = Vec::new();
        while let Some((mut partition, page)) = reads.next().await {
            let page = page?;
            let full = page.len() == length;
            let next = page.iter().map(|row| row.due).find(|due| *due > scan.now);
            partition.after = page.last().map(|row| row.sort.clone());
            rows.extend(page.into_iter().take_while(|row| row.due <= scan.now));
            match next {
                Some(next) => scan.next_due = scan.next_due.into_iter().chain([next]).min(),
                None if full => scan.left.push_back(partition),
                None => {}
            }
        }
        drop(reads);
        scan.left.extend(later.0);
        Ok(Pass { scan, rows })
    }
}
