//! The test clock: moves time forward and lets everything happen on the way.

use super::Runner;
use super::schedule::Ticking;
use super::work::Work;
use crate::clock::{FunctionClock, LocalClock, OFFSET_MAX, offset_in_range};
use crate::data_dir::{DataDir, DataDirError};
use crate::embedded::Mount;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use shared::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How often to look whether work in hand is only asleep.
const LOOK: Duration = Duration::from_millis(1);
/// Looks without any progress after which what sleeps is woken by moving the clock.
const QUIET_LOOKS: u32 = 3;
/// Looks without any progress after which what sleeps beyond the end is left
/// asleep. More, because a call to a slow receiver makes no progress either.
const QUIET_LOOKS_AT_END: u32 = 100;

/// Moves the whole system's time.
pub struct TestClock {
    clock: Arc<LocalClock>,
    functions: FunctionClock,
    mount: Arc<Mount>,
    queues: Vec<String>,
    work: Arc<Work>,
    schedules: Arc<Mutex<Vec<Ticking>>>,
    attempts: Box<dyn Fn() -> (u64, u64) + Send + Sync>,
    data_dir: Option<Arc<DataDir>>,
}

/// What happened on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Advanced {
    /// The time it is now.
    #[serde(with = "rules::time::rfc3339")]
    pub now: DateTime<Utc>,
    /// Attempts that succeeded.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
}

/// Why time was not moved.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// So far ahead that dates would run out.
    #[error("must not bring the clock more than {} seconds ahead", OFFSET_MAX.num_seconds())]
    TooFar,
    /// The new offset cannot be kept.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

impl TestClock {
    /// The clock of what `runner` runs on `mount`. `attempts` counts
    /// deliveries so far: those that succeeded and those that failed.
    pub fn new(
        runner: &Runner,
        functions: FunctionClock,
        mount: Arc<Mount>,
        attempts: impl Fn() -> (u64, u64) + Send + Sync + 'static,
        data_dir: Option<Arc<DataDir>>,
    ) -> Self {
        let triggers = runner.definitions.iter().flat_map(|function| &function.queues);
        Self {
            clock: Arc::clone(&runner.clock),
            functions,
            mount,
            queues: triggers.map(|trigger| trigger.queue.clone()).collect(),
            work: Arc::clone(&runner.work),
            schedules: Arc::clone(&runner.schedules),
            attempts: Box::new(attempts),
            data_dir,
        }
    }

    /// The time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Moves time forward by `by`, from one instant at which something falls
    /// due to the next. At each, what is due is done before time goes on, so
    /// a retry comes at its own time and not at the end.
    ///
    /// # Errors
    /// The new offset is out of range, or cannot be kept; time has not moved then.
    pub async fn advance(&self, by: TimeDelta) -> Result<Advanced, AdvanceError> {
        // One at a time; the schedules tick from here meanwhile.
        let mut schedules = self.schedules.lock().await;
        let wanted = self.clock.offset().checked_add(&by).filter(|wanted| offset_in_range(*wanted));
        let wanted = wanted.ok_or(AdvanceError::TooFar)?;
        let before = (self.attempts)();
        let target = self.clock.now() + by;
        // First, because time never goes back: after a crash on the way the
        // next process starts at the target and works off what it has missed.
        self.keep(wanted)?;
        self.settle(target).await;
        loop {
            let next = self.next_instant(&schedules).map_or(target, |next| next.min(target));
            self.clock.advance_to(next);
            self.fire(&mut schedules).await;
            self.settle(target).await;
            let left = self.next_instant(&schedules).is_some_and(|next| next <= self.clock.now());
            if self.clock.now() >= target && !left {
                break;
            }
        }
        // Ticks that did not matter are passed without being fired.
        let now = self.clock.now();
        schedules.iter_mut().for_each(|ticking| ticking.skip_to(now));
        self.keep(self.clock.offset())?;
        let after = (self.attempts)();
        Ok(Advanced { now, delivered: after.0 - before.0, failed: after.1 - before.1 })
    }

    fn keep(&self, offset: TimeDelta) -> Result<(), DataDirError> {
        self.data_dir.as_ref().map_or(Ok(()), |dir| dir.keep_clock_offset(offset))
    }

    /// When the next message becomes visible or the next tick that matters comes.
    fn next_instant(&self, schedules: &[Ticking]) -> Option<DateTime<Utc>> {
        let writes = self.mount.writes();
        let ticks = schedules.iter().filter_map(|ticking| ticking.next_that_matters(writes));
        let messages = self.queues.iter().filter_map(|queue| self.mount.next_visible(queue));
        ticks.chain(messages).min()
    }

    /// Fires the ticks that have come, in order, one after the other.
    async fn fire(&self, schedules: &mut [Ticking]) {
        loop {
            let (now, writes) = (self.clock.now(), self.mount.writes());
            let due = schedules
                .iter_mut()
                .filter_map(|ticking| Some((ticking.next_that_matters(writes)?, ticking)));
            let due = due.filter(|(at, _)| *at <= now).min_by_key(|(at, _)| *at);
            let Some((_, ticking)) = due else { return };
            let idle = ticking.tick(now, &self.work).await;
            ticking.note(idle, self.mount.writes());
        }
    }

    /// Waits until nothing is in hand. Work that sleeps on the clock, such as
    /// a claimed activity that is held until its instant, is woken by moving
    /// time there, if that is not beyond `until`.
    async fn settle(&self, until: DateTime<Utc>) {
        let (mut seen, mut quiet) = (self.progress(), 0);
        while !self.is_settled() {
            self.work.changed_within(LOOK).await;
            let progress = self.progress();
            quiet = if progress == seen { quiet + 1 } else { 0 };
            seen = progress;
            match self.functions.next_wake() {
                Some(wake) if wake <= until && quiet >= QUIET_LOOKS => {
                    self.clock.advance_to(wake);
                    quiet = 0;
                }
                Some(wake) if wake > until && quiet >= QUIET_LOOKS_AT_END => return,
                _ => {}
            }
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.work.changes(), self.mount.requests())
    }

    fn is_settled(&self) -> bool {
        // Read before the queues: what is finished then has been handed out before.
        let finished = self.work.finished_messages();
        let counts: Vec<_> = self.queues.iter().filter_map(|queue| self.mount.queue_counts(queue)).collect();
        let handed_out: u64 = counts.iter().map(|counts| counts.handed_out).sum();
        counts.iter().all(|counts| counts.visible == 0)
            && handed_out == finished
            && self.work.invocations() == 0
    }
}
