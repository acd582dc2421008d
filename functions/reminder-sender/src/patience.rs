//! Writing with patience: an attempt that was made must not count as lost because of a moment's trouble.

use chrono::TimeDelta;
use shared::clock::SharedClock;
use shared::work::StoreError;

/// How often a write is tried in all, beside the SDK's own tries.
const TRIES: u32 = 4;
/// The first wait before another try; it doubles. All of them are far within a claim's lease.
const WAIT: TimeDelta = TimeDelta::milliseconds(250);

/// Tries `write` until it succeeds or fails for good. Each try must do the same, done once or twice.
///
/// # Errors
/// [`StoreError`] of the last try.
pub async fn patiently<T, F>(clock: &SharedClock, write: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = WAIT;
    for _ in 1..TRIES {
        match write().await {
            Err(StoreError::Throttled | StoreError::Unavailable(_) | StoreError::Abandoned) => {}
            done => return done,
        }
        clock.sleep_until(clock.now() + wait).await;
        wait = wait * 2;
    }
    write().await
}
