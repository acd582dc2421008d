//! Slots: who may have how many of something that all share, such as the delivery workers (SPEC §9.6).
//!
//! A key, such as a company, has numbered slots. Whoever works for it holds one as a lease, which ends by itself, so
//! that the slot of a process that died is free again. Slots from [`Shares::base`] on are for bursts: one that was
//! held for long rests afterwards, in proportion to that time. So a company whose receivers answer has the whole
//! share, and one whose receivers hang is left with its base share after the first time-out.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a slot is held beyond the instant until which it is surely used: quick calls end within this, and then
/// the slot has cost one write.
pub const GRACE: TimeDelta = TimeDelta::seconds(1);
/// By how much a lease is prolonged while its slot is in use.
pub const RENEWAL: TimeDelta = TimeDelta::seconds(9);
/// A lease is renewed after this at the latest, and when a third of it is left. So clocks may differ by this before a
/// prolonged lease is taken for over while its holder renews it.
const RENEW_AFTER_MAX: TimeDelta = TimeDelta::milliseconds(4_500);
/// Calls that last longer than this hold their slot for long.
pub const LONG: TimeDelta = TimeDelta::seconds(10);
/// A slot for bursts that was held for long rests for so many times as long.
pub const REST_FACTOR: i32 = 4;
/// The longest rest.
pub const REST_MAX: TimeDelta = TimeDelta::minutes(10);
/// The longest time that is asked of the work ahead when a slot is taken: what is due later is not waited for.
pub const AHEAD_MAX: TimeDelta = TimeDelta::seconds(15);
/// The shortest and the longest wait of a message whose company has no slot left.
pub const WAIT_SECONDS: std::ops::RangeInclusive<i64> = 1..=10;
/// A process that found all slots taken asks again after this, or when the first of them is free.
pub const ASK_AGAIN: TimeDelta = TimeDelta::seconds(1);

/// How many slots a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Slots that may be held for as long as it takes.
    pub base: u32,
    /// Slots in all, at least as many.
    pub burst: u32,
}

impl Shares {
    /// Percentages of `places`: at least one slot of each kind, and never more for a base than for a burst. `None`
    /// where a burst may have all of them: then there is nothing to hold.
    pub fn of(places: u32, base_percent: u32, burst_percent: u32) -> Option<Self> {
        if burst_percent >= 100 {
            return None;
        }
        let part = |percent: u32| {
            u32::try_from(u64::from(places) * u64::from(percent) / 100).unwrap_or(u32::MAX).max(1)
        };
        let burst = part(burst_percent);
        Some(Self { base: part(base_percent).min(burst), burst })
    }

    /// The slot to try before anything was read: the one that was held last, since others have theirs, or any.
    pub fn first(self, last: Option<u32>, draw: u64) -> u32 {
        let any = u32::try_from(draw % u64::from(self.burst.max(1))).unwrap_or_default();
        last.filter(|number| *number < self.burst).unwrap_or(any)
    }

    /// A free slot, drawn among all that are free; `taken` has those with a lease and when it ends.
    ///
    /// # Errors
    /// When the first of them is free again, if there is none now.
    pub fn choose(
        self,
        taken: &[(u32, DateTime<Utc>)],
        now: DateTime<Utc>,
        draw: u64,
    ) -> Result<u32, DateTime<Utc>> {
        let held = |number: u32| taken.iter().find(|(of, until)| *of == number && *until > now);
        let free: Vec<u32> = (0..self.burst).filter(|number| held(*number).is_none()).collect();
        if free.is_empty() {
            let first = (0..self.burst).filter_map(held).map(|(_, until)| *until).min();
            return Err(first.unwrap_or(now));
        }
        let index = draw % free.len() as u64;
        Ok(free[usize::try_from(index).unwrap_or_default()])
    }

    /// How long a slot rests after it was held for `held`.
    pub fn rest(self, number: u32, held: TimeDelta) -> TimeDelta {
        if number < self.base || held <= LONG {
            return TimeDelta::zero();
        }
        held.checked_mul(REST_FACTOR).map_or(REST_MAX, |rest| rest.min(REST_MAX))
    }
}

/// From when on the use of a slot counts as time of calls, if the last of them begins at `last_due`: waiting for an
/// instant is nobody's fault.
pub fn calls_from(now: DateTime<Utc>, last_due: DateTime<Utc>) -> DateTime<Utc> {
    last_due.clamp(now, now + AHEAD_MAX)
}

/// Until when a slot is held that is taken at `now` for calls of which the last begins at `last_due`.
pub fn lease_until(now: DateTime<Utc>, last_due: DateTime<Utc>) -> DateTime<Utc> {
    calls_from(now, last_due) + GRACE
}

/// When a lease that was written at `written` is renewed.
pub fn renew_at(written: DateTime<Utc>, until: DateTime<Utc>) -> DateTime<Utc> {
    (until - (until - written) / 3).min(written + RENEW_AFTER_MAX)
}

/// Whole seconds after which a message comes again whose company has had no slot for `waited`: longer the longer it
/// waits, so that a long queue costs little, and spread, so that it does not come all at once.
pub fn wait_seconds(waited: TimeDelta, draw: u64) -> u16 {
    let most = (waited.num_seconds() / 2).clamp(*WAIT_SECONDS.start(), *WAIT_SECONDS.end());
    let least = (most / 2).max(*WAIT_SECONDS.start());
    let span = u64::try_from(most - least).unwrap_or_default() + 1;
    u16::try_from(least.unsigned_abs() + draw % span).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHARES: Shares = Shares { base: 5, burst: 25 };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn shares_are_parts_of_the_places() {
        for (places, base, burst, expect) in [
            (100, 5, 25, Some((5, 25))),
            (2, 5, 25, Some((1, 1))),
            (1_000, 5, 25, Some((50, 250))),
            (40, 50, 25, Some((10, 10))),
            (100, 0, 99, Some((1, 99))),
            (100, 5, 100, None),
        ] {
            let expect = expect.map(|(base, burst)| Shares { base, burst });
            assert_eq!(Shares::of(places, base, burst), expect);
        }
    }

    #[test]
    fn who_holds_on_gets_its_rest_and_the_base_share_none() {
        let seconds = TimeDelta::seconds;
        assert_eq!(SHARES.rest(4, seconds(120)), TimeDelta::zero());
        assert_eq!(SHARES.rest(5, seconds(10)), TimeDelta::zero());
        assert_eq!(SHARES.rest(5, seconds(30)), seconds(120));
        assert_eq!(SHARES.rest(24, seconds(120)), seconds(480));
        assert_eq!(SHARES.rest(24, TimeDelta::MAX), REST_MAX);
    }

    #[test]
    fn quick_calls_need_no_renewal() {
        let until = lease_until(at(0), at(5));
        assert_eq!(until, at(6));
        assert_eq!(lease_until(at(0), at(-900)), at(1));
        assert_eq!(lease_until(at(0), at(9_000)), at(0) + AHEAD_MAX + GRACE);
        assert_eq!(renew_at(at(0), until), at(4));
        assert!(renew_at(at(0), at(1)) >= at(0) + TimeDelta::milliseconds(600));
        assert_eq!(renew_at(at(0), at(0) + RENEWAL), at(0) + RENEW_AFTER_MAX);
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let longest = |waited| (0..100).map(|draw| wait_seconds(TimeDelta::seconds(waited), draw)).max();
        assert_eq!([0, 3, 8, 20, 9_999].map(|waited| longest(waited).unwrap()), [1, 1, 4, 10, 10]);
        let shortest = |waited| (0..100).map(|draw| wait_seconds(TimeDelta::seconds(waited), draw)).min();
        assert_eq!([0, 8, 20].map(|waited| shortest(waited).unwrap()), [1, 2, 5]);
    }

    proptest! {
        /// Of all slots taken one after the other none is given twice, and all are given.
        #[test]
        fn every_free_slot_is_found_and_none_twice(base in 1..9_u32, more in 0..30_u32, draws in prop::collection::vec(any::<u64>(), 40)) {
            let shares = Shares { base, burst: base + more };
            let mut taken = vec![(0, at(-1)), (shares.burst + 3, at(99))];
            for draw in draws.iter().take(shares.burst as usize) {
                let number = shares.choose(&taken, at(0), *draw).unwrap();
                prop_assert!(number < shares.burst);
                prop_assert!(!taken.iter().any(|(of, until)| *of == number && *until > at(0)));
                taken.push((number, at(7 + i64::from(number))));
            }
            if draws.len() >= shares.burst as usize {
                prop_assert_eq!(shares.choose(&taken, at(0), 1), Err(at(7)));
                prop_assert_eq!(shares.choose(&taken, at(7), 1), Ok(0));
            }
        }

        #[test]
        fn the_first_try_is_one_of_the_slots(last in prop::option::of(any::<u32>()), draw: u64) {
            let first = SHARES.first(last, draw);
            prop_assert!(first < SHARES.burst);
            if let Some(last) = last.filter(|last| *last < SHARES.burst) {
                prop_assert_eq!(first, last);
            }
        }

        #[test]
        fn a_wait_is_within_its_bounds(waited in -10_i64..100_000, draw: u64) {
            let wait = i64::from(wait_seconds(TimeDelta::seconds(waited), draw));
            prop_assert!(WAIT_SECONDS.contains(&wait));
        }
    }
}
