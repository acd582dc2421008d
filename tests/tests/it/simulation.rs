//! The simulation replays, and its auditor sees what is broken on purpose.
//!
//! `simulate --mutations` tries every mutation; these are some that are caught soon.

use local::embedded::Options;
use tests::simulation::{Mutation, first_caught, run};

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

#[test]
fn what_is_broken_on_purpose_is_seen() {
    let options = Options::in_memory().unwrap();
    for mutation in [Mutation::ClaimWithoutCondition, Mutation::StaysDue, Mutation::ClaimUncounted] {
        assert!(first_caught(mutation, &options, 1).is_some(), "{mutation:?}");
    }
}
