//! Trying again what DynamoDB refused or did not answer, by one policy for all who write.

use crate::clock::SharedClock;
use crate::engine::StoreError;
use crate::entropy::SharedEntropy;
use chrono::{DateTime, TimeDelta, Utc};
use rules::backoff::full_jitter;

/// How long a write or read is tried that nothing depends on but an answer to its caller.
pub const BRIEFLY: TimeDelta = TimeDelta::seconds(3);

/// Waits between tries, with full jitter ([`full_jitter`]). Nothing is held while it waits. Cheap to clone.
#[derive(Clone)]
pub struct Patience {
    clock: SharedClock,
    entropy: SharedEntropy,
}

impl Patience {
    /// By `clock`, with jitter from `entropy`.
    pub fn new(clock: SharedClock, entropy: SharedEntropy) -> Self {
        Self { clock, entropy }
    }

    /// Makes `call` for [`BRIEFLY`]; see [`Patience::until`].
    ///
    /// # Errors
    /// [`StoreError`] of the last try.
    pub async fn briefly<T, F>(&self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.until(self.deadline(BRIEFLY), call).await
    }

    /// The instant when `span` is over.
    pub fn deadline(&self, span: TimeDelta) -> DateTime<Utc> {
        self.clock.now() + span
    }

    /// Makes `call` again until it succeeds, or fails for good, or `deadline` has passed; twice in any case. Each try
    /// must do the same, since one that failed may have taken effect.
    ///
    /// # Errors
    /// [`StoreError`] of the last try.
    pub async fn until<T, F>(&self, deadline: DateTime<Utc>, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for tries in 1.. {
            match call().await {
                Err(error) if error.is_transient() => {
                    if !self.wait(tries, deadline).await {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
        unreachable!("there is always another try")
    }

    /// Waits before another try after `tries` tries; `false`, without a wait, if there is to be none before `deadline`.
    pub async fn wait(&self, tries: u32, deadline: DateTime<Utc>) -> bool {
        let wait = full_jitter(tries, u32::from_le_bytes(self.entropy.bytes()));
        let again = self.clock.now() + wait;
        if tries > 1 && again > deadline {
            return false;
        }
        self.clock.sleep_until(again).await;
        true
    }
}
