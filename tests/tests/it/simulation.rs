//! The simulation replays, and its auditor sees what is broken on purpose.

use local::embedded::Options;
use tests::simulation::{Mutation, run};

#[test]
fn a_seed_replays_to_the_same_trace() {
    let options = Options::in_memory().unwrap();
    let (first, second) = (run(3, &options, None), run(3, &options, None));
    let differ = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
    assert_eq!(differ, None);
    assert_eq!(first.hash, second.hash);
    assert!(first.is_clean(), "{:?} {:?}", first.failure, first.findings);
    assert_ne!(first.hash, run(4, &options, None).hash);
}

#[test]
fn the_auditor_sees_a_claim_without_its_condition() {
    let options = Options::in_memory().unwrap();
    let caught = (0..40).find(|seed| !run(*seed, &options, Some(Mutation::ClaimWithoutCondition)).is_clean());
    assert!(caught.is_some());
}
