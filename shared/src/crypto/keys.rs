//! Data keys in hand: few, briefly, and zeroized when they go.

use super::CryptoError;
use crate::clock::SharedClock;
use aes_gcm::Aes256Gcm;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a data key is kept.
pub(super) const KEY_AGE_MAX: TimeDelta = TimeDelta::minutes(5);
/// Most data keys that are kept.
pub(super) const KEYS_MAX: usize = 256;

/// A data key. Its cipher zeroizes what it derived from the key when it is dropped
/// (feature `zeroize` of `aes-gcm`).
pub(super) struct DataKey {
    pub cipher: Aes256Gcm,
    /// The key as KMS wrapped it.
    pub wrapped: Vec<u8>,
}

/// A call of KMS that gives a data key.
pub(super) type Fetch = BoxFuture<'static, Result<DataKey, CryptoError>>;
type Fetched = Shared<BoxFuture<'static, Result<Arc<DataKey>, CryptoError>>>;

struct Entry {
    key: Fetched,
    until: DateTime<Utc>,
    uses_left: u32,
}

/// Keeps data keys by the digest of what they are for.
pub(super) struct KeyCache {
    clock: SharedClock,
    uses_max: u32,
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

impl KeyCache {
    pub(super) fn new(clock: SharedClock, uses_max: u32) -> Self {
        Self { clock, uses_max, entries: Mutex::default() }
    }

    /// The key kept under `id`, or the one that `fetch` brings. Those who ask for the same key at the
    /// same time wait for one call of KMS, and share its failure; a failure is not kept.
    pub(super) async fn get(
        &self,
        id: [u8; 32],
        fetch: impl FnOnce() -> Fetch,
    ) -> Result<Arc<DataKey>, CryptoError> {
        let key = self.entry(id, fetch);
        key.await
    }

    fn entry(&self, id: [u8; 32], fetch: impl FnOnce() -> Fetch) -> Fetched {
        let now = self.clock.now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            entry.until > now && entry.uses_left > 0 && !matches!(entry.key.peek(), Some(Err(_)))
        });
        if let Some(entry) = entries.get_mut(&id) {
            entry.uses_left -= 1;
            return entry.key.clone();
        }
        if entries.len() >= KEYS_MAX {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.until).map(|(id, _)| *id);
            oldest.and_then(|id| entries.remove(&id));
        }
        let key = fetch().map(|fetched| fetched.map(Arc::new)).boxed().shared();
        let entry = Entry { key: key.clone(), until: now + KEY_AGE_MAX, uses_left: self.uses_max - 1 };
        entries.insert(id, entry);
        key
    }
}
