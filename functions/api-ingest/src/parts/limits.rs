//! Ranges of numbers that several bodies have.

use std::ops::RangeInclusive;

/// Slots of the sweep, least and most (SPEC §3).
pub const QOS_LEVEL: RangeInclusive<u32> = 1..=100;
/// Slots of the sweep, if the caller does not say.
pub const QOS_LEVEL_DEFAULT: u32 = 1;
/// Executions that a caller may ask for.
pub const RETRIES: RangeInclusive<u32> = 0..=100;
