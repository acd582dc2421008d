//! Who is next: smooth weighted round-robin (SPEC §9.6; the algorithm is nginx's, 2012).

use std::collections::BTreeMap;

/// Most activities a slot may enqueue (SPEC §9.6; seed 000: batch size).
pub const SLOT_ACTIVITIES_MAX: usize = 100;

/// Gives turns in proportion to weights, spread evenly instead of in runs.
#[derive(Debug, Clone)]
pub struct SmoothWeighted<K: Ord> {
    entries: BTreeMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    weight: i64,
    credit: i64,
}

impl<K: Ord> Default for SmoothWeighted<K> {
    /// Nobody yet.
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> SmoothWeighted<K> {
    /// Adds `key`, or changes its weight (at least 1).
    pub fn set(&mut self, key: K, weight: u32) {
        let weight = i64::from(weight.max(1));
        self.entries
            .entry(key)
            .and_modify(|entry| entry.weight = weight)
            .or_insert(Entry { weight, credit: 0 });
    }

    /// Takes `key` out: it has nothing left to do.
    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whose turn it is.
    pub fn turn(&mut self) -> Option<K> {
        let total: i64 = self.entries.values().map(|entry| entry.weight).sum();
        for entry in self.entries.values_mut() {
            entry.credit += entry.weight;
        }
        let (key, _) =
            self.entries.iter().max_by_key(|(key, entry)| (entry.credit, std::cmp::Reverse(*key)))?;
        let key = key.clone();
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.credit -= total;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[(&'static str, u32)], count: usize) -> Vec<&'static str> {
        let mut queue = SmoothWeighted::default();
        for (key, weight) in weights {
            queue.set(*key, *weight);
        }
        (0..count).filter_map(|_| queue.turn()).collect()
    }

    #[test]
    fn turns_are_in_proportion_and_spread() {
        assert_eq!(turns(&[("a", 5), ("b", 1), ("c", 1)], 7), ["a", "a", "b", "a", "c", "a", "a"]);
        assert_eq!(turns(&[("a", 3), ("b", 1)], 8), ["a", "a", "b", "a", "a", "a", "b", "a"]);
        assert!(turns(&[], 3).is_empty());
    }

    #[test]
    fn every_round_gives_each_exactly_its_weight() {
        let weights = [("a", 100), ("b", 7), ("c", 1), ("d", 42)];
        let seen = turns(&weights, 150 * 3);
        for (key, weight) in weights {
            assert_eq!(seen.iter().filter(|turn| **turn == key).count(), weight as usize * 3);
        }
    }

    #[test]
    fn who_leaves_gives_its_turns_to_the_rest() {
        let mut queue = SmoothWeighted::default();
        queue.set("a", 2);
        queue.set("b", 1);
        queue.turn();
        queue.remove(&"a");
        assert_eq!(queue.turn(), Some("b"));
        queue.remove(&"b");
        assert!(queue.is_empty() && queue.turn().is_none());
    }
}
