//! Who is next: smooth weighted round-robin (SPEC §9.6; the algorithm is nginx's, 2012).

use crate::names::{CompanyName, SolutionId, Tenant};
use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};

/// Most activities a slot may enqueue (SPEC §9.6; seed 000: batch size).
pub const SLOT_ACTIVITIES_MAX: usize = 100;
/// How long a turn may last at the price of one; each further such span costs one more (see [`extra_turns`]).
pub const TURN_TIME: TimeDelta = TimeDelta::seconds(1);
/// Most further turns that one turn costs, however long it lasted.
pub const EXTRA_TURNS_MAX: u32 = 60;

/// Gives turns in proportion to weights, spread evenly instead of in runs.
#[derive(Debug, Clone)]
pub struct SmoothWeighted<K: Ord> {
    entries: BTreeMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    weight: i64,
    credit: i64,
    /// It takes no turns for now, and keeps its credit.
    is_resting: bool,
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
        self.entries.entry(key).and_modify(|entry| entry.weight = weight).or_insert(Entry {
            weight,
            credit: 0,
            is_resting: false,
        });
    }

    /// Takes `key` out: it has nothing left to do.
    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes `key` out of the turns until [`SmoothWeighted::wake`]: it is busy with the turn it has.
    pub fn rest(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_resting = true;
        }
    }

    /// Lets `key` take turns again; it pays for `extra` turns beyond the one it had.
    pub fn wake(&mut self, key: &K, extra: u32) {
        let total: i64 = self.entries.values().map(|entry| entry.weight).sum();
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_resting = false;
            entry.credit -= total * i64::from(extra);
        }
    }

    /// Whether nobody could take a turn now.
    pub fn is_idle(&self) -> bool {
        self.entries.values().all(|entry| entry.is_resting)
    }

    /// Whose turn it is.
    pub fn turn(&mut self) -> Option<K> {
        let awake = || self.entries.values().filter(|entry| !entry.is_resting);
        let total: i64 = awake().map(|entry| entry.weight).sum();
        let mut next: Option<(&K, &mut Entry)> = None;
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| !entry.is_resting) {
            entry.credit += entry.weight;
            if next.as_ref().is_none_or(|(_, most)| entry.credit > most.credit) {
                next = Some((key, entry));
            }
        }
        let (key, entry) = next?;
        entry.credit -= total;
        Some(key.clone())
    }
}

/// The QoS levels of a solution (SPEC §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// `qosLevel` of its company.
    pub company: u32,
    /// Its own, within its company.
    pub solution: u32,
}

impl Default for Levels {
    /// Those of a company and a solution that do not say, or are gone.
    fn default() -> Self {
        Self { company: 1, solution: 1 }
    }
}

/// Turns of solutions: companies by their level, a company's solutions by theirs.
#[derive(Debug, Clone, Default)]
pub struct TenantTurns {
    companies: SmoothWeighted<CompanyName>,
    solutions: BTreeMap<CompanyName, SmoothWeighted<SolutionId>>,
    /// Companies that have as much under way as they may.
    full: BTreeSet<CompanyName>,
}

impl TenantTurns {
    /// Adds a solution, or changes its levels.
    pub fn set(&mut self, tenant: &Tenant, levels: Levels) {
        let Tenant { company, solution } = tenant.clone();
        self.companies.set(company.clone(), levels.company);
        self.solutions.entry(company).or_default().set(solution, levels.solution);
        self.settle(&tenant.company);
    }

    /// Takes a solution out: it has nothing left to do.
    pub fn remove(&mut self, tenant: &Tenant) {
        if let Some(solutions) = self.solutions.get_mut(&tenant.company) {
            solutions.remove(&tenant.solution);
        }
        self.settle(&tenant.company);
    }

    /// Gives a solution no turns until [`TenantTurns::wake`].
    pub fn rest(&mut self, tenant: &Tenant) {
        if let Some(solutions) = self.solutions.get_mut(&tenant.company) {
            solutions.rest(&tenant.solution);
        }
        self.settle(&tenant.company);
    }

    /// Gives a solution turns again; it and its company pay for `extra` turns.
    pub fn wake(&mut self, tenant: &Tenant, extra: u32) {
        if let Some(solutions) = self.solutions.get_mut(&tenant.company) {
            solutions.wake(&tenant.solution, extra);
            self.companies.wake(&tenant.company, extra);
        }
        self.settle(&tenant.company);
    }

    /// Says whether a company has as much under way as it may; while it has, none of its solutions has a turn.
    pub fn set_full(&mut self, company: &CompanyName, is_full: bool) {
        let changes = if is_full { self.full.insert(company.clone()) } else { self.full.remove(company) };
        if changes {
            self.settle(company);
        }
    }

    /// Whether no solution could take a turn now.
    pub fn is_idle(&self) -> bool {
        self.companies.is_idle()
    }

    /// Whose turn it is.
    pub fn turn(&mut self) -> Option<Tenant> {
        let company = self.companies.turn()?;
        let solution = self.solutions.get_mut(&company)?.turn()?;
        Some(Tenant { company, solution })
    }

    /// A company has turns while one of its solutions has.
    fn settle(&mut self, company: &CompanyName) {
        match self.solutions.get(company) {
            Some(solutions) if solutions.is_empty() => {
                self.solutions.remove(company);
                self.companies.remove(company);
            }
            Some(solutions) if solutions.is_idle() || self.full.contains(company) => {
                self.companies.rest(company)
            }
            _ => self.companies.wake(company, 0),
        }
    }
}

/// What a turn that `took` so long costs beyond itself, so that who waits for its receivers has no more of the
/// function's time than who does not.
pub fn extra_turns(took: TimeDelta) -> u32 {
    let spans = took.num_milliseconds() / TURN_TIME.num_milliseconds();
    u32::try_from(spans).unwrap_or(0).min(EXTRA_TURNS_MAX)
}

/// Into how large pages each of `count` queues is read ahead, where `wanted` rows of each are wanted and at most
/// `held_max` may be in memory; at least one.
pub fn page_length(count: usize, wanted: usize, held_max: usize) -> usize {
    (held_max / count.max(1)).clamp(1, wanted.max(1))
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

    fn tenant(text: &str) -> Tenant {
        text.parse().unwrap()
    }

    fn tenant_turns(tenants: &[(&str, u32, u32)]) -> TenantTurns {
        let mut turns = TenantTurns::default();
        for (name, company, solution) in tenants {
            turns.set(&tenant(name), Levels { company: *company, solution: *solution });
        }
        turns
    }

    fn count(turns: &mut TenantTurns, rounds: usize, name: &str) -> usize {
        (0..rounds).filter_map(|_| turns.turn()).filter(|turn| turn.to_string() == name).count()
    }

    #[test]
    fn solutions_share_the_turns_of_their_company() {
        let mut turns = tenant_turns(&[("a/one", 3, 1), ("a/two", 3, 2), ("b/one", 1, 9)]);
        assert_eq!(count(&mut turns.clone(), 12, "b/one"), 3, "whatever its own level");
        assert_eq!(count(&mut turns.clone(), 12, "a/two"), 6);
        turns.remove(&tenant("a/one"));
        turns.remove(&tenant("a/two"));
        assert_eq!(count(&mut turns, 5, "b/one"), 5);
        turns.remove(&tenant("b/one"));
        assert!(turns.is_idle() && turns.turn().is_none());
    }

    #[test]
    fn five_hundred_solutions_of_one_company_leave_the_other_every_second_turn() {
        let mut turns = tenant_turns(&[("b/main", 1, 1)]);
        for number in 0..500 {
            turns.set(&tenant(&format!("a/s{number}")), Levels::default());
        }
        assert_eq!(count(&mut turns.clone(), 2, "b/main"), 1);
        let all: std::collections::BTreeSet<_> = (0..1_000).filter_map(|_| turns.turn()).collect();
        assert_eq!(all.len(), 501, "and all of them have had one by then");
    }

    #[test]
    fn who_is_busy_has_no_turn_and_keeps_its_place() {
        let mut turns = tenant_turns(&[("a/one", 1, 1), ("a/two", 1, 1), ("b/one", 1, 1)]);
        let first = turns.turn().unwrap();
        turns.rest(&first);
        let second = turns.turn().unwrap();
        turns.rest(&second);
        let third = turns.turn().unwrap();
        turns.rest(&third);
        assert_ne!((&first, &second), (&second, &third));
        assert!(turns.is_idle() && turns.turn().is_none());
        turns.wake(&second, 0);
        assert_eq!(turns.turn(), Some(second.clone()));
        turns.rest(&second);
        turns.remove(&second);
        assert!(turns.is_idle(), "the others still rest");
        turns.wake(&first, 0);
        assert_eq!(turns.turn(), Some(first));
    }

    /// One whose turns last ten seconds has a tenth of the turns of one whose do not, and the same time.
    #[test]
    fn turns_are_paid_for_by_their_time() {
        let mut turns = tenant_turns(&[("slow/main", 1, 1), ("swift/main", 1, 1)]);
        let mut had = BTreeMap::new();
        for _ in 0..220 {
            let tenant = turns.turn().unwrap();
            turns.rest(&tenant);
            let took = if tenant.company.as_str() == "slow" { 9_900 } else { 100 };
            turns.wake(&tenant, extra_turns(TimeDelta::milliseconds(took)));
            *had.entry(tenant.to_string()).or_insert(0) += 1;
        }
        assert_eq!((had["slow/main"], had["swift/main"]), (20, 200));
        assert_eq!(extra_turns(TimeDelta::milliseconds(999)), 0);
        assert_eq!(extra_turns(TimeDelta::seconds(-5)), 0, "a clock was set");
        assert_eq!(extra_turns(TimeDelta::days(9)), EXTRA_TURNS_MAX);
    }

    #[test]
    fn pages_fit_in_what_may_be_held() {
        assert_eq!(page_length(0, 20, 1_000), 20);
        assert_eq!(page_length(50, 20, 1_000), 20);
        assert_eq!(page_length(500, 20, 1_000), 2);
        assert_eq!(page_length(9_999, 20, 1_000), 1, "no queue goes unread");
    }
}
