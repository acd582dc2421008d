//! A clock that stands still until somebody waits.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use shared::clock::Clock;
use shared::entropy::Entropy;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Time that jumps to whatever instant is waited for.
#[derive(Debug)]
pub struct JumpingClock(watch::Sender<DateTime<Utc>>);

impl JumpingClock {
    /// Stands at `at`.
    pub fn at(at: DateTime<Utc>) -> Self {
        Self(watch::Sender::new(at))
    }

    /// Goes on by `by`.
    pub fn advance(&self, by: TimeDelta) {
        self.0.send_modify(|now| *now += by);
    }

    /// Goes back by `by`, as a clock that is set does.
    pub fn step_back(&self, by: TimeDelta) {
        self.0.send_modify(|now| *now -= by);
    }

    /// Goes on to `at`, never back.
    pub fn advance_to(&self, at: DateTime<Utc>) {
        self.0.send_if_modified(|now| {
            let later = at > *now;
            *now = at.max(*now);
            later
        });
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        self.advance_to(at);
        Box::pin(std::future::ready(()))
    }

    fn sleep_beside_work(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        let mut time = self.0.subscribe();
        Box::pin(async move {
            // Without the clock itself nobody moves it any more.
            if time.wait_for(|now| *now >= at).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Chance that is the same in every run (SplitMix64).
#[derive(Debug, Default)]
pub struct SeededEntropy(AtomicU64);

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}
