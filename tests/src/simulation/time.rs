//! Simulated time: it stands still while anything can happen, and jumps to the next thing that will.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use shared::clock::Clock;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// The true time, and who waits for which instant of it.
#[derive(Debug)]
pub struct Time(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    now: DateTime<Utc>,
    timers: BTreeMap<(DateTime<Utc>, u64), Waker>,
    numbers: u64,
}

impl Time {
    /// Begins at `now`.
    pub fn new(now: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { now, timers: BTreeMap::new(), numbers: 0 })))
    }

    /// The true time.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().now
    }

    /// When the next timer fires.
    pub fn next_timer(&self) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap().timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Goes on to `at`, never back, and fires what lies on the way.
    pub fn advance_to(&self, at: DateTime<Utc>) {
        let mut inner = self.0.lock().unwrap();
        inner.now = inner.now.max(at);
        let past = inner.now + TimeDelta::nanoseconds(1);
        let later = inner.timers.split_off(&(past, 0));
        let fired = std::mem::replace(&mut inner.timers, later);
        drop(inner);
        fired.into_values().for_each(Waker::wake);
    }

    /// Resolves at `at`.
    pub fn sleep_until(self: &Arc<Self>, at: DateTime<Utc>) -> Timer {
        Timer { time: self.clone(), at, number: None }
    }
}

/// A wait for an instant.
#[derive(Debug)]
pub struct Timer {
    time: Arc<Time>,
    at: DateTime<Utc>,
    number: Option<u64>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut inner = time.0.lock().unwrap();
        if inner.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            inner.numbers += 1;
            inner.numbers
        });
        inner.timers.insert((self.at, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.time.0.lock().unwrap().timers.remove(&(self.at, number));
        }
    }
}

/// A process's clock: the true time, a little wrong.
#[derive(Debug)]
pub struct SkewedClock {
    time: Arc<Time>,
    skew: TimeDelta,
}

impl SkewedClock {
    /// Ahead of the true time by `skew`.
    pub fn new(time: Arc<Time>, skew: TimeDelta) -> Self {
        Self { time, skew }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> DateTime<Utc> {
        self.time.now() + self.skew
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        Box::pin(self.time.sleep_until(at - self.skew))
    }
}
