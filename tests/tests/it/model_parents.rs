//! Deletions and what is created below what they delete: in no order of steps does a child that was accepted lose its parent,
//! nothing is refused without a reason, and a defect put into the model is found.

use tests::model::explore::explore;
use tests::model::parents::{Mutation, Setup};

const ONE_EACH: Setup = Setup { deleters: 1, creators: 1, puts: 0, deaths: 0, crashes: 0, mutation: None };

fn check(setup: Setup) {
    let explored = match explore(&setup) {
        Ok(explored) => explored,
        Err(found) => panic!("{}\n{}", found.what, found.way),
    };
    let (states, steps) = (explored.states, explored.steps);
    println!("{setup:?}: {states} states, {steps} steps");
    assert!(states > 20_000, "fewer states than the ages of reads and marks have: {states}");
}

#[test]
fn two_creations_of_which_one_dies() {
    check(Setup { creators: 2, deaths: 1, crashes: 1, ..ONE_EACH });
}

#[test]
fn two_deletions_of_which_one_dies() {
    check(Setup { deleters: 2, deaths: 1, crashes: 1, ..ONE_EACH });
}

#[test]
fn two_deletions_of_a_parent_that_is_made_again() {
    check(Setup { deleters: 2, puts: 2, ..ONE_EACH });
}

#[test]
fn all_die_and_the_parent_is_made_again() {
    check(Setup { puts: 2, deaths: 1, crashes: 1, ..ONE_EACH });
}

/// A checker that finds nothing wrong must be one that could.
#[test]
fn a_defect_is_found() {
    let orphan = "a child that was accepted has no parent";
    let refused = "a creation was refused though its parent is there";
    for (mutation, setup, what) in [
        (Mutation::MarkIgnored, ONE_EACH, orphan),
        (Mutation::MarkRefuses, ONE_EACH, refused),
        (Mutation::LateWriteTrusted, ONE_EACH, orphan),
        (Mutation::KnownTrusted, Setup { crashes: 1, ..ONE_EACH }, orphan),
        (Mutation::NoWait, ONE_EACH, orphan),
        (Mutation::WaitTooShort, ONE_EACH, orphan),
        (Mutation::OneLook, ONE_EACH, orphan),
        (Mutation::DeletionUnconditional, ONE_EACH, orphan),
        (Mutation::RevisionAlone, Setup { deleters: 2, puts: 2, ..ONE_EACH }, orphan),
    ] {
        let found = explore(&Setup { mutation: Some(mutation), ..setup });
        let found = found.err().unwrap_or_else(|| panic!("{mutation:?} was not found"));
        println!("{mutation:?}: {} in {} steps", found.what, found.way.lines().count() / 2);
        assert_eq!(found.what, what, "{mutation:?}\n{}", found.way);
    }
}
