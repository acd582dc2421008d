//! The processor: what is pending, under the lock, group by group (SPEC §6).
//!
//! A run has rounds. The first begins at once; another one each minute, while
//! there is still something to do, so that what comes due meanwhile does not wait
//! for a slow recipient of the round before. A reminder is attempted once a
//! round, as if each had been a run of its own.

use crate::attempt::{CLAIM_LEASE, Made, UNREADABLE};
use crate::groups::{GroupKey, Groups};
use crate::hold::Hold;
use crate::scan::{Pass, Scan};
use crate::{Sender, SenderError};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, TryFutureExt};
use rules::names::Tenant;
use rules::recurring::is_missed;
use rules::reminder::Outcome;
use serde::Serialize;
use shared::engine::{Claimed, Settled};
use shared::items::reminder::DueRow;

/// The processor's lock.
pub const LOCK: &str = "reminder-processor";
/// How long after the begin of a round the next one begins, if anything is left to do: the schedule's rate.
pub const ROUND: TimeDelta = TimeDelta::minutes(1);
/// How many reminders of a company wait for each place at least before more are read of it.
const READ_AHEAD: usize = 4;

/// What a run did. What is counted is what was pending: `processed` is the sum of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Reminders that were pending and looked at.
    pub processed: u64,
    /// Messages the Dialog service took.
    pub sent: u64,
    /// Attempts that failed, lost ones among them.
    pub failed: u64,
    /// Reminders of paused solutions, those that were cancelled or paused before they were sent, and those whose
    /// send times had passed and were left out.
    pub skipped: u64,
    /// When the next send time comes that this run knows of.
    #[serde(skip)]
    pub next_due: Option<DateTime<Utc>>,
    /// Whether the next run has something to do at once: retries, what is in other hands, what there was no time for.
    #[serde(skip)]
    pub more: bool,
}

impl RunReport {
    fn note_next(&mut self, due: Option<DateTime<Utc>>) {
        self.next_due = self.next_due.into_iter().chain(due).min();
    }

    fn note(&mut self, made: &Made) {
        match made {
            Made::Attempt(entry, settled) => {
                match entry.outcome {
                    Outcome::Sent => self.sent += 1,
                    Outcome::SendFailed | Outcome::SendError => self.failed += 1,
                    Outcome::Skipped => self.skipped += 1,
                }
                match settled {
                    Settled::Applied(record) => self.note_next(record.state.next_send_time()),
                    Settled::Stale => self.more = true,
                }
            }
            Made::Not(reason) => {
                tracing::info!(reason, "not sent");
                self.skipped += 1;
                self.more = true;
            }
        }
        self.processed = self.sent + self.failed + self.skipped;
    }
}

/// What a read of the index has found.
enum Read {
    /// What a round begins with.
    Round(Scan),
    /// A pass of the round's walk.
    Pass(Pass),
}

/// A read under way. It is polled together with the turns: either may wait for what the other is reading.
type Reading<'a> = Option<BoxFuture<'a, Result<Read, SenderError>>>;

/// The read that is under way; never resolves while none is.
async fn read(reading: &mut Reading<'_>) -> Result<Read, SenderError> {
    match reading {
        Some(read) => read.await,
        None => std::future::pending().await,
    }
}

/// A reminder that is done with: its group, and what became of it.
type Done = (GroupKey, Result<Option<Made>, SenderError>);

impl Sender {
    /// Sends what is pending, beginning nothing after `until`; `None` at once while another holds the lock.
    ///
    /// # Errors
    /// [`SenderError`] when the lock, the configurations or an index could not be read. What was begun is finished.
    pub async fn run(&self, until: DateTime<Utc>) -> Result<Option<RunReport>, SenderError> {
        let times = (self.settings.lock_ttl, self.settings.lock_renewal);
        let held = Hold::take(self.ctx.leases.clone(), self.ctx.clock.clone(), LOCK, times).await?;
        let Some(hold) = held else { return Ok(None) };
        let mut report = RunReport::default();
        let result = self.rounds(&hold, until, &mut report).await;
        if let Err(error) = hold.release().await {
            tracing::warn!(%error, "the lock is not let go of; it ends by itself");
        }
        tracing::info!(
            processed = report.processed,
            sent = report.sent,
            failed = report.failed,
            skipped = report.skipped,
            "processed reminders"
        );
        self.metrics.flush(self.ctx.clock.now());
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
        result.map(|()| Some(report))
    }

    async fn rounds(
        &self,
        hold: &Hold,
        until: DateTime<Utc>,
        report: &mut RunReport,
    ) -> Result<(), SenderError> {
        let mut groups = Groups::new(self.settings.batch_size);
        let mut out: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut reading: Reading<'_> = None;
        let mut scan: Option<Scan> = None;
        let mut next_round = self.ctx.clock.now();
        let mut failed = None;
        loop {
            let now = self.ctx.clock.now();
            let open = now < until && failed.is_none() && !hold.is_lost();
            let idle = out.is_empty() && groups.len() == 0 && reading.is_none();
            // Each company for itself: what waits of one that hangs keeps nothing of another's from being read.
            let enough = READ_AHEAD * self.settings.batch_size;
            let is_wanted = |groups: &Groups, of: &Tenant| groups.waiting_of(&of.company) < enough;
            let drained = scan.as_ref().is_none_or(|scan| !scan.wants(|of| is_wanted(&groups, of)));
            let first = scan.is_none() && reading.is_none();
            if open && reading.is_none() && drained && now >= next_round && (first || !idle) {
                groups.begin_round();
                next_round = now + ROUND;
                reading = Some(self.scan().map_ok(Read::Round).boxed());
            }
            if open
                && reading.is_none()
                && let Some(more) = scan.take_if(|scan| scan.wants(|of| is_wanted(&groups, of)))
            {
                let (wanted, later) = more.split(|of| is_wanted(&groups, of));
                reading = Some(self.pass(wanted, later).map_ok(Read::Pass).boxed());
            }
            while open && groups.has_place(now) {
                let Some(row) = groups.take(now) else { break };
                out.push(self.turn(row, hold).boxed());
            }
            // A round does not wait for calls that hang, nor does a place that they have made free.
            let wakes = groups.next_place(now).into_iter().chain([next_round]).filter(|at| *at > now);
            let wake = if open { wakes.min() } else { None };
            tokio::select! {
                biased;
                Some(done) = out.next(), if !out.is_empty() => self.note(done, &mut groups, report),
                read = read(&mut reading), if reading.is_some() => {
                    reading = None;
                    match read {
                        Ok(Read::Round(begun)) => {
                            report.skipped += begun.skipped as u64;
                            report.processed += begun.skipped as u64;
                            begun.levels.iter().for_each(|(of, levels)| groups.set_levels(of, *levels));
                            scan = Some(begun);
                        }
                        Ok(Read::Pass(pass)) => {
                            let read = pass.into_groups(&mut groups);
                            report.note_next(read.next_due);
                            scan = Some(read);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                () = self.ctx.clock.sleep_beside_work(wake.unwrap_or(now)), if wake.is_some() && !out.is_empty() => {}
                else => {
                    report.more |= groups.len() > 0 || scan.is_some_and(|scan| scan.has_more()) || !open;
                    return failed.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn note(&self, (group, done): Done, groups: &mut Groups, report: &mut RunReport) {
        groups.back(&group);
        match done {
            Ok(Some(made)) => report.note(&made),
            Ok(None) => report.more = true,
            Err(error) => {
                // Its claim runs out, and a later round recovers it. The others go on.
                tracing::error!(%error, "a reminder could not be processed");
                report.more = true;
            }
        }
    }

    /// One reminder's turn; nothing if it is none of ours any more.
    async fn turn(&self, row: DueRow, hold: &Hold) -> Done {
        let group = GroupKey::of(&row);
        let made = async {
            if !hold.keep().await? {
                return Ok(None);
            }
            if !self.is_due_still(&row).await? {
                return Ok(Some(Made::Not("its send times that had passed are left out")));
            }
            match self.ctx.reminders.claim(&row.tenant, &row.id, hold.fence, CLAIM_LEASE).await? {
                Claimed::Ours(record) => self.attempt(&record, Some(hold)).await.map(Some),
                Claimed::Expired(record) => self.recover(&record).await.map(Some),
                Claimed::InFlight(_) | Claimed::NotOurs => Ok(None),
            }
        };
        let made = self.ctx.unreadable.leave_out(made.await);
        (group, made.map(|made| made.unwrap_or(Some(Made::Not(UNREADABLE)))))
    }

    /// Skips those of a late reminder's send times that `catchUp` leaves out; whether one is due after that. What
    /// is on time was not missed, and costs no read.
    async fn is_due_still(&self, row: &DueRow) -> Result<bool, SenderError> {
        if !is_missed(row.due, self.ctx.clock.now()) {
            return Ok(true);
        }
        let Some(found) = self.ctx.reminders.get(&row.tenant, &row.id).await? else { return Ok(true) };
        let solution = self.ctx.tenancy.solution(&row.tenant).await?;
        let resumed_at =
            solution.filter(|solution| !solution.is_paused()).map(|solution| solution.state_since);
        let next = found.record.state.next;
        let state = self.ctx.reminders.skip_missed(found, resumed_at).await?.record.state;
        Ok(state.next == next || state.next_send_time().is_some_and(|next| next <= self.ctx.clock.now()))
    }
}
