//! Reads kept for a few seconds.

use super::CACHE_TTL;
use crate::clock::SharedClock;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Most entries of one cache; beyond it the stale ones go, and if none is stale, all.
const ENTRIES_MAX: usize = 10_000;

/// Keys share this many turns by their hashes.
const TURNS: usize = 64;

/// What was read lately. What was not found is never kept: it may be made any moment.
pub struct Cache<K, V> {
    clock: SharedClock,
    entries: RwLock<HashMap<K, Entry<V>>>,
    /// Counts invalidations, so that a read that began before one cannot bring the old value back.
    epoch: AtomicU64,
    /// Who reads what is missing: one at a time for a key. Thousands due at one instant would all read otherwise.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

struct Entry<V> {
    value: Arc<V>,
    fresh_until: DateTime<Utc>,
}

/// When a read began.
pub(super) struct Begun {
    at: DateTime<Utc>,
    epoch: u64,
}

impl Begun {
    /// The instant.
    pub(super) fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl<K: Eq + Hash, V> Cache<K, V> {
    pub(super) fn new(clock: SharedClock) -> Self {
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { clock, entries: RwLock::default(), epoch: AtomicU64::new(0), turns }
    }

    /// The value, if it was read within [`CACHE_TTL`].
    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(key)?;
        (self.clock.now() < entry.fresh_until).then(|| entry.value.clone())
    }

    /// The value, read with `read` if it was not read within [`CACHE_TTL`]; while one reads, others wait for it.
    pub(super) async fn get_or<E>(
        &self,
        key: &K,
        read: impl Future<Output = Result<Option<Arc<V>>, E>>,
    ) -> Result<Option<Arc<V>>, E> {
        if let Some(value) = self.get(key) {
            return Ok(Some(value));
        }
        let hash = std::hash::BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let _turn = self.turns[hash as usize % TURNS].lock().await;
        match self.get(key) {
            Some(value) => Ok(Some(value)),
            None => read.await,
        }
    }

    /// To be called before a read whose result goes to [`Cache::keep`].
    pub(super) fn begin(&self) -> Begun {
        Begun { at: self.clock.now(), epoch: self.epoch.load(Ordering::Acquire) }
    }

    /// Keeps what was read, counting its age from the start of the read.
    pub(super) fn keep(&self, begun: &Begun, key: K, value: Arc<V>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if begun.epoch != self.epoch.load(Ordering::Acquire) {
            return;
        }
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, entry| begun.at < entry.fresh_until);
            if entries.len() >= ENTRIES_MAX {
                entries.clear();
            }
        }
        entries.insert(key, Entry { value, fresh_until: begun.at + CACHE_TTL });
    }

    /// Forgets a value that this process has changed.
    pub(super) fn forget(&self, key: &K) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::SetClock;
    use chrono::TimeDelta;

    fn cache() -> (Arc<SetClock>, Cache<&'static str, u32>) {
        let clock = Arc::new(SetClock::default());
        (clock.clone(), Cache::new(clock))
    }

    #[test]
    fn a_value_is_kept_for_the_ttl_from_the_start_of_its_read() {
        let (clock, cache) = cache();
        let begun = cache.begin();
        clock.advance(TimeDelta::seconds(1));
        cache.keep(&begun, "a", Arc::new(1));
        clock.advance(TimeDelta::milliseconds(1_999));
        assert_eq!(cache.get(&"a").as_deref(), Some(&1));
        clock.advance(TimeDelta::milliseconds(1));
        assert_eq!(cache.get(&"a"), None);
    }

    #[tokio::test]
    async fn many_who_miss_a_value_read_it_once() {
        let (_, cache) = cache();
        let reads = AtomicU64::new(0);
        let read = async || {
            let begun = cache.begin();
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            cache.keep(&begun, "a", Arc::new(7));
            Ok::<_, ()>(Some(Arc::new(7)))
        };
        let found = futures::future::join_all((0..100).map(|_| cache.get_or(&"a", read()))).await;
        assert!(found.iter().all(|found| found.as_ref().is_ok_and(|found| found.as_deref() == Some(&7))));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_read_overtaken_by_a_change_is_not_kept() {
        let (_, cache) = cache();
        let begun = cache.begin();
        cache.forget(&"a");
        cache.keep(&begun, "a", Arc::new(1));
        assert_eq!(cache.get(&"a"), None);
    }
}
