//! Local mode's clock: the machine's time and an offset that can be moved forward.
//!
//! The whole system in this process reads this one clock. Moving it wakes
//! everything that sleeps on it, so that what fell due meanwhile is due now.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use shared::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The furthest that the clock goes ahead: a thousand years, since times end with the year 9999.
pub const OFFSET_MAX: TimeDelta = TimeDelta::days(366_000);

/// An offset that the clock may have: none, or up to [`OFFSET_MAX`] ahead.
pub fn offset_in_range(offset: TimeDelta) -> bool {
    (TimeDelta::zero()..=OFFSET_MAX).contains(&offset)
}

/// Time that can be moved forward, never back.
#[derive(Debug)]
pub struct LocalClock {
    base: Base,
    offset: watch::Sender<TimeDelta>,
}

/// What the offset is added to.
#[derive(Debug, Clone, Copy)]
enum Base {
    /// The machine's clock, which runs.
    System,
    /// One instant: time stands still but for [`LocalClock::advance_to`].
    Frozen(DateTime<Utc>),
}

impl Base {
    fn now(self) -> DateTime<Utc> {
        match self {
            Base::System => SystemClock.now(),
            Base::Frozen(at) => at,
        }
    }
}

impl LocalClock {
    /// A clock that runs `offset` ahead of the machine's.
    pub fn running(offset: TimeDelta) -> Self {
        Self { base: Base::System, offset: watch::Sender::new(offset) }
    }

    /// A clock that stands at `at` until it is moved: the tests' clock.
    pub fn frozen(at: DateTime<Utc>) -> Self {
        Self { base: Base::Frozen(at), offset: watch::Sender::new(TimeDelta::zero()) }
    }

    /// How far the clock is ahead of its base.
    pub fn offset(&self) -> TimeDelta {
        *self.offset.borrow()
    }

    /// Moves the clock to `at` and wakes all who sleep; an instant already
    /// passed moves nothing.
    pub fn advance_to(&self, at: DateTime<Utc>) {
        let wanted = at - self.base.now();
        self.offset.send_if_modified(|offset| {
            let later = wanted > *offset;
            if later {
                *offset = wanted;
            }
            later
        });
    }
}

impl Clock for LocalClock {
    fn now(&self) -> DateTime<Utc> {
        self.base.now() + self.offset()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        let base = self.base;
        let mut offset = self.offset.subscribe();
        Box::pin(async move {
            loop {
                let ahead = *offset.borrow_and_update();
                if base.now() + ahead >= at {
                    return;
                }
                let moved = async {
                    // The clock itself is gone: nobody can move it any more.
                    if offset.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                match base {
                    Base::System => tokio::select! {
                        () = moved => {}
                        () = SystemClock.sleep_until(at - ahead) => {}
                    },
                    Base::Frozen(_) => moved.await,
                }
            }
        })
    }
}

/// The clock that the functions are given: [`LocalClock`], and a record of who
/// sleeps on it. Whoever moves time forward sees from it for what work in hand waits.
#[derive(Debug, Clone)]
pub struct FunctionClock {
    clock: Arc<LocalClock>,
    sleepers: Arc<Mutex<Sleepers>>,
}

#[derive(Debug, Default)]
struct Sleepers {
    until: BTreeSet<(DateTime<Utc>, u64)>,
    last_key: u64,
}

impl FunctionClock {
    /// The functions' view of `clock`.
    pub fn new(clock: Arc<LocalClock>) -> Self {
        Self { clock, sleepers: Arc::default() }
    }

    /// The first instant at which one of those asleep wakes.
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        lock(&self.sleepers).until.first().map(|(until, _)| *until)
    }
}

impl Clock for FunctionClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        if at <= self.clock.now() {
            return Box::pin(std::future::ready(()));
        }
        let sleeper = Sleeper::register(&self.sleepers, at);
        let sleep = self.clock.sleep_until(at);
        Box::pin(async move {
            sleep.await;
            drop(sleeper);
        })
    }

    fn sleep_beside_work(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(at)
    }
}

/// An entry among the sleepers, gone when the sleep ends or is given up.
struct Sleeper {
    sleepers: Arc<Mutex<Sleepers>>,
    entry: (DateTime<Utc>, u64),
}

impl Sleeper {
    fn register(sleepers: &Arc<Mutex<Sleepers>>, at: DateTime<Utc>) -> Self {
        let mut all = lock(sleepers);
        all.last_key += 1;
        let entry = (at, all.last_key);
        all.until.insert(entry);
        Self { sleepers: Arc::clone(sleepers), entry }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        lock(&self.sleepers).until.remove(&self.entry);
    }
}

fn lock(sleepers: &Mutex<Sleepers>) -> MutexGuard<'_, Sleepers> {
    sleepers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use rules::time::from_millis;

    fn noon() -> DateTime<Utc> {
        from_millis(1_800_000_000_000).unwrap()
    }

    #[test]
    fn moves_forward_only() {
        let clock = LocalClock::frozen(noon());
        clock.advance_to(noon() + TimeDelta::seconds(5));
        clock.advance_to(noon());
        assert_eq!(clock.now(), noon() + TimeDelta::seconds(5));
    }

    #[test]
    fn a_running_clock_keeps_its_lead() {
        let clock = LocalClock::running(TimeDelta::days(30));
        let lead = clock.now() - SystemClock.now();
        assert!(lead > TimeDelta::days(29) && lead <= TimeDelta::days(30));
    }

    #[tokio::test]
    async fn sleepers_wake_when_the_clock_is_moved_far_enough() {
        let clock = LocalClock::frozen(noon());
        let mut sleep = clock.sleep_until(noon() + TimeDelta::seconds(10));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance_to(noon() + TimeDelta::seconds(9));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance_to(noon() + TimeDelta::seconds(10));
        sleep.await;
    }

    #[tokio::test]
    async fn an_instant_that_has_passed_is_no_wait() {
        let clock = LocalClock::frozen(noon());
        assert!(clock.sleep_until(noon()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_running_clock_wakes_sleepers_when_it_is_moved() {
        let clock = LocalClock::running(TimeDelta::zero());
        let at = clock.now() + TimeDelta::days(1);
        let sleep = clock.sleep_until(at);
        clock.advance_to(at);
        sleep.await;
    }

    #[tokio::test]
    async fn the_functions_sleeps_are_on_record() {
        let clock = Arc::new(LocalClock::frozen(noon()));
        let functions = FunctionClock::new(clock.clone());
        let (early, late) = (noon() + TimeDelta::seconds(1), noon() + TimeDelta::seconds(2));
        let (first, second) = (functions.sleep_until(early), functions.sleep_until(late));
        functions.sleep_until(noon()).await;
        assert_eq!(functions.next_wake(), Some(early));
        clock.advance_to(early);
        first.await;
        assert_eq!(functions.next_wake(), Some(late));
        drop(second);
        let _beside = functions.sleep_beside_work(late);
        assert_eq!(functions.next_wake(), None);
    }
}
