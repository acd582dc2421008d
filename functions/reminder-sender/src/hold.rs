//! Holding the processor's lock: renewed while working, and known to be lost (SPEC §6).

use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::SharedClock;
use shared::engine::StoreError;
use shared::lease::{Lease, Leases, Values};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// How much earlier than its end the holder takes the lock for lost: more than clocks are apart.
pub const SKEW: TimeDelta = TimeDelta::seconds(20);

/// The lock, held.
pub struct Hold {
    leases: Arc<Leases>,
    clock: SharedClock,
    ttl: TimeDelta,
    renewal: TimeDelta,
    /// Rises with each holder; claims carry it.
    pub fence: u64,
    lease: Mutex<Lease>,
    lost: AtomicBool,
}

impl Hold {
    /// Takes the lock `name`; `None` at once while another holds it.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn take(
        leases: Arc<Leases>,
        clock: SharedClock,
        name: &str,
        (ttl, renewal): (TimeDelta, TimeDelta),
    ) -> Result<Option<Self>, StoreError> {
        let Some(lease) = leases.acquire(name, ttl).await? else { return Ok(None) };
        let fence = lease.fence;
        let lost = AtomicBool::new(false);
        Ok(Some(Self { leases, clock, ttl, renewal, fence, lease: Mutex::new(lease), lost }))
    }

    /// Whether the lock is ours, renewing it when it is time: to be asked before every send.
    ///
    /// # Errors
    /// [`StoreError`] when it has to be renewed and cannot be: then it counts as lost for now.
    pub async fn keep(&self) -> Result<bool, StoreError> {
        if self.is_lost() {
            return Ok(false);
        }
        let mut lease = self.lease.lock().await;
        let now = self.clock.now();
        if now < self.renew_at(&lease) {
            return Ok(true);
        }
        // Even past its end: it may be that nobody has taken it meanwhile.
        let held = self.leases.renew(&mut lease, self.ttl).await?;
        if !held {
            self.lost.store(true, Ordering::Relaxed);
        }
        Ok(held)
    }

    /// Whether somebody else has it.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lets go of it.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written: the lock ends by itself.
    pub async fn release(self) -> Result<(), StoreError> {
        self.leases.release(self.lease.into_inner(), Values::new()).await.map(|_| ())
    }

    fn renew_at(&self, lease: &Lease) -> DateTime<Utc> {
        (lease.until - self.ttl + self.renewal).min(lease.until - SKEW)
    }
}
