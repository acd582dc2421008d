//! Waits between the tries of a call that a service refused for now.

use chrono::TimeDelta;

/// The longest first wait; it doubles with each try.
const BASE: TimeDelta = TimeDelta::milliseconds(50);
/// No wait is longer.
const CAP: TimeDelta = TimeDelta::seconds(1);

/// The wait after `tries` tries, of which there was at least one: full jitter, that is any time from nothing to a bound
/// that doubles up to one second. `random` is uniform over its whole range.
///
/// Full jitter spreads callers that were refused at the same moment better than a fraction of the wait would (Brooker,
/// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
pub fn full_jitter(tries: u32, random: u32) -> TimeDelta {
    let doublings = tries.saturating_sub(1).min(16);
    let bound = (BASE * (1 << doublings)).min(CAP).num_microseconds().unwrap_or_default();
    TimeDelta::microseconds(i64::from(random) * bound / i64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_a_second() {
        for (tries, bound_ms) in [(1, 50), (2, 100), (5, 800), (6, 1_000), (u32::MAX, 1_000)] {
            assert_eq!(full_jitter(tries, u32::MAX), TimeDelta::milliseconds(bound_ms), "{tries} tries");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_spread_over_the_whole_of_its_bound(tries: u32, random: u32) {
            let (wait, bound) = (full_jitter(tries, random), full_jitter(tries, u32::MAX));
            prop_assert!(wait >= TimeDelta::zero() && wait <= bound);
            let share = f64::from(random) / f64::from(u32::MAX) * bound.as_seconds_f64();
            prop_assert!((wait.as_seconds_f64() - share).abs() < 1e-5);
        }
    }
}
