//! What strangers send, by the thousand: nothing of it brings a handler down, and what is refused is refused clearly.
//!
//! The cases are the same in every run. `PUNCTUAL_STRANGERS=n` draws others, n times as many, for a longer look.

mod bodies;
mod cursors;
mod events;
mod json;
mod texts;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Asks for other cases than usual, and for so many times as many.
const MORE: &str = "PUNCTUAL_STRANGERS";

/// What a property says of one case.
type Seen = Result<(), TestCaseError>;

/// Holds `property` for `cases` cases; fails with the smallest that breaks it.
#[track_caller]
fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Seen) {
    let more: u32 = std::env::var(MORE).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&more.to_le_bytes());
    let config = Config { cases: cases * more.max(1), failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    match TestRunner::new_with_rng(config, rng).run(strategy, property) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nsmallest case: {case:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The same for handlers: each case is awaited.
#[track_caller]
fn check_async<S: Strategy>(
    cases: u32,
    strategy: &S,
    runtime: &tokio::runtime::Runtime,
    property: impl AsyncFn(S::Value) -> Seen,
) {
    check(cases, strategy, |case| runtime.block_on(property(case)));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
