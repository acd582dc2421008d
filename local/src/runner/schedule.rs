//! The schedules of the template and when they tick.

use super::event::schedule_event;
use super::functions::{Idle, ScheduleHandler};
use super::work::{InHand, Work, invoke};
use crate::template::Schedule;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use shared::entropy::{Entropy, OsEntropy};
use std::sync::Arc;
use std::time::Duration;

/// A schedule, its function, and its next tick.
pub struct Ticking {
    pub function: String,
    pub schedule: Schedule,
    pub timeout: Duration,
    pub handler: ScheduleHandler,
    pub next: DateTime<Utc>,
    /// What the last tick knew, and the count of writes when it ended.
    idle: (Idle, u64),
}

impl Ticking {
    /// A schedule whose first tick follows `now`. Ticks are whole multiples of
    /// the rate, so that a restart does not shift them: minutes on the minute.
    pub fn new(
        function: String,
        schedule: Schedule,
        timeout: Duration,
        handler: ScheduleHandler,
        now: DateTime<Utc>,
    ) -> Self {
        let next = tick_after(now, schedule.every);
        Self { function, schedule, timeout, handler, next, idle: (Idle::No, 0) }
    }

    /// The next tick at which the function may have something to do, given
    /// how often the tables have been written to.
    pub fn next_that_matters(&self, writes: u64) -> Option<DateTime<Utc>> {
        match self.idle {
            (idle, then) if idle == Idle::No || then != writes => Some(self.next),
            (Idle::Until(until), _) if until > self.next => {
                let every = self.schedule.every.num_milliseconds();
                let ticks = ((until - self.next).num_milliseconds() + every - 1) / every;
                Some(self.next + TimeDelta::milliseconds(ticks * every))
            }
            (Idle::Always, _) => None,
            _ => Some(self.next),
        }
    }

    /// The tick's invocation; the next tick is the first after `now`.
    pub fn tick(&mut self, now: DateTime<Utc>, work: &Arc<Work>) -> BoxFuture<'static, Idle> {
        let event = schedule_event(&self.schedule, (&OsEntropy as &dyn Entropy).uuid_v7(now), self.next);
        self.next = tick_after(now, self.schedule.every);
        let in_hand = work.begin(0);
        run(self.function.clone(), Arc::clone(&self.handler), self.timeout, event, in_hand).boxed()
    }

    /// Passes over the ticks up to `now` without firing them.
    pub fn skip_to(&mut self, now: DateTime<Utc>) {
        if self.next <= now {
            self.next = tick_after(now, self.schedule.every);
        }
    }

    /// Notes what a tick said, and the writes up to its end.
    pub fn note(&mut self, idle: Idle, writes: u64) {
        self.idle = (idle, writes);
    }
}

/// One scheduled invocation. Its failure is logged; the next tick tries again.
pub async fn run(
    function: String,
    handler: ScheduleHandler,
    timeout: Duration,
    event: Value,
    in_hand: InHand,
) -> Idle {
    let error = match invoke(timeout, handler(event)).await {
        Ok(Ok(idle)) => return idle,
        Ok(Err(error)) => error,
        Err(error) => error.to_string(),
    };
    drop(in_hand);
    tracing::error!(function, error, "invocation failed");
    Idle::No
}

/// The first multiple of `every` after `now`.
fn tick_after(now: DateTime<Utc>, every: TimeDelta) -> DateTime<Utc> {
    let every = every.num_milliseconds();
    let next = (now.timestamp_millis().div_euclid(every) + 1) * every;
    DateTime::from_timestamp_millis(next).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        rules::time::parse(text).unwrap()
    }

    #[test]
    fn ticks_fall_on_multiples_of_the_rate() {
        for (now, every, expect) in [
            ("2026-03-01T10:00:00Z", TimeDelta::minutes(1), "2026-03-01T10:01:00Z"),
            ("2026-03-01T10:00:59.999Z", TimeDelta::minutes(1), "2026-03-01T10:01:00Z"),
            ("2026-03-01T10:07:30Z", TimeDelta::minutes(5), "2026-03-01T10:10:00Z"),
            ("2026-03-01T10:07:30Z", TimeDelta::days(1), "2026-03-02T00:00:00Z"),
        ] {
            assert_eq!(tick_after(at(now), every), at(expect), "{now} {every}");
        }
    }

    #[test]
    fn ticks_with_nothing_to_do_are_skipped() {
        let handler: ScheduleHandler = Arc::new(|_| Box::pin(async { Ok(Idle::No) }));
        let schedule = Schedule { name: "S".to_owned(), every: TimeDelta::minutes(1), input: None };
        let now = at("2026-03-01T10:00:30Z");
        let mut ticking = Ticking::new("f".to_owned(), schedule, Duration::from_secs(1), handler, now);
        let first = at("2026-03-01T10:01:00Z");
        for (idle, writes, expect) in [
            (Idle::No, 7, Some(first)),
            (Idle::Always, 7, None),
            (Idle::Always, 8, Some(first)),
            (Idle::Until(at("2026-03-01T12:00:00Z")), 7, Some(at("2026-03-01T12:00:00Z"))),
            (Idle::Until(at("2026-03-01T12:00:00.001Z")), 7, Some(at("2026-03-01T12:01:00Z"))),
            (Idle::Until(at("2026-03-01T09:00:00Z")), 7, Some(first)),
            (Idle::Until(at("2026-03-01T12:00:00Z")), 8, Some(first)),
        ] {
            ticking.note(idle, 7);
            assert_eq!(ticking.next_that_matters(writes), expect, "{idle:?} {writes}");
        }
    }
}
