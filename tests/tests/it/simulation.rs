//! The simulation replays, and its auditor sees what is broken on purpose.

use local::embedded::Options;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::simulation::{Mutation, run};

/// In so many seeds a mutation has to be caught. Most are within ten.
const SEEDS_MAX: u64 = 200;

#[test]
fn a_seed_replays_to_the_same_trace() {
    let options = Options::in_memory().unwrap();
    for seed in [3, 10, 11] {
        let (first, second) = (run(seed, &options, None), run(seed, &options, None));
        let differ = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
        assert_eq!(differ, None);
        assert_eq!(first.hash, second.hash);
        assert!(first.is_clean(), "{:?} {:?}", first.failure, first.findings);
        assert_ne!(first.hash, run(seed + 1, &options, None).hash);
    }
}

/// The first seed in which a mutation is caught; several are tried at a time.
fn caught(mutation: Mutation) -> Option<u64> {
    let options = Options::in_memory().unwrap();
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(SEEDS_MAX));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= found.load(Ordering::SeqCst) {
                        return;
                    }
                    if !run(seed, &options, Some(mutation)).findings.is_empty() {
                        found.fetch_min(seed, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let found = found.into_inner();
    (found < SEEDS_MAX).then_some(found)
}

#[test]
fn every_mutation_is_caught() {
    let seeds = Mutation::ALL.map(|(name, mutation)| (name, caught(mutation)));
    let unseen: Vec<&str> = seeds.iter().filter(|(_, seed)| seed.is_none()).map(|(name, _)| *name).collect();
    assert!(unseen.is_empty(), "never caught: {unseen:?} among {seeds:?}");
}
