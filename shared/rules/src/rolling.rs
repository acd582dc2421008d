//! Log rolling: which activities leave, when, and in batches of what size (SPEC §8).

use crate::activity::{State, Status};
use crate::number::Decimal;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;

/// Most activities of a batch.
pub const BATCH_ACTIVITIES_MAX: usize = 500;
/// Most bytes of a batch's body.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

const DAY_MILLIS: u64 = 86_400_000;

/// How long an activity that the system made itself, an occurrence or a webhook, is kept after its end at least, whatever
/// its period: its maker may have died before it wrote down that it had made it, and whoever goes on for it tells by the
/// id. More than any lease, and than the longest wait for the next run.
pub const OWN_KEPT_MIN: TimeDelta = TimeDelta::hours(1);

/// The two rollers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    /// Of activities that were dispatched.
    Success,
    /// Of dead letters.
    DeadLetter,
}

impl LogKind {
    /// Both.
    pub const ALL: [LogKind; 2] = [LogKind::Success, LogKind::DeadLetter];

    /// The name as SPEC §8 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogKind::Success => "success",
            LogKind::DeadLetter => "deadLetter",
        }
    }

    /// In which statuses its activities are. Canceled ones are in neither: they are kept.
    pub fn statuses(self) -> &'static [Status] {
        match self {
            LogKind::Success => &[Status::Dispatched, Status::Completed],
            LogKind::DeadLetter => &[Status::Failed],
        }
    }

    /// Whether an activity belongs to it and has been kept for its period: executed by `cutoff`.
    pub fn takes(self, state: &State, cutoff: DateTime<Utc>) -> bool {
        // One that a result ended before any execution was never executed: its period runs from its end.
        self.statuses().contains(&state.status) && state.executed_at.unwrap_or(state.due) <= cutoff
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What executed activities of a period have been kept for it by `now`; `None` if that is before all time.
pub fn cutoff(period_days: &Decimal, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let millis = i64::try_from(period_days.times_rounded_up(DAY_MILLIS)?).ok()?;
    now.checked_sub_signed(TimeDelta::try_milliseconds(millis)?)
}

/// How much of a batch is filled.
#[derive(Debug, Clone, Copy)]
pub struct BatchSize {
    bytes: usize,
    activities: usize,
}

impl BatchSize {
    /// A batch without activities, whose body has `frame_bytes`.
    pub fn new(frame_bytes: usize) -> Self {
        Self { bytes: frame_bytes, activities: 0 }
    }

    /// Takes an activity of so many bytes in, if the batch has room for it.
    pub fn take(&mut self, bytes: usize) -> bool {
        // With the separator before it.
        let bytes = self.bytes + bytes + usize::from(self.activities > 0);
        let has_room = bytes <= BATCH_BYTES_MAX && self.activities < BATCH_ACTIVITIES_MAX;
        if has_room {
            (self.bytes, self.activities) = (bytes, self.activities + 1);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::accepted;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn what_was_executed_by_the_cutoff_is_taken_by_its_roller() {
        for status in Status::ALL {
            for (executed, old) in [(at(-1), true), (at(0), true), (at(1), false)] {
                let state = State { status, executed_at: Some(executed), ..accepted(at(-9), 3, at(-9)) };
                let takers = LogKind::ALL.map(|kind| kind.takes(&state, at(0)));
                let expect = match status {
                    Status::Dispatched | Status::Completed => [old, false],
                    Status::Failed => [false, old],
                    Status::Ready | Status::Canceled => [false, false],
                };
                assert_eq!(takers, expect, "{status} {executed}");
            }
        }
    }

    #[test]
    fn periods_are_days_and_their_fractions() {
        let cutoff = |days: &str| cutoff(&days.parse().unwrap(), at(0));
        for (days, seconds) in [("0", 0), ("-0", 0), ("1.0", 86_400), ("0.5", 43_200), ("3.65e2", 31_536_000)]
        {
            assert_eq!(cutoff(days), Some(at(-seconds)), "{days}");
        }
        assert_eq!(cutoff("1e-400"), Some(at(0) - TimeDelta::milliseconds(1)));
        for never in ["-1", "1e15", "1e300"] {
            assert_eq!(cutoff(never), None, "{never}");
        }
    }

    #[test]
    fn a_batch_ends_at_its_count_or_its_size() {
        let taken = |frame: usize, sizes: Vec<usize>| {
            let mut size = BatchSize::new(frame);
            sizes.into_iter().take_while(|bytes| size.take(*bytes)).count()
        };
        assert_eq!(taken(100, vec![10; 2_000]), BATCH_ACTIVITIES_MAX);
        assert_eq!(taken(100, vec![BATCH_BYTES_MAX]), 0, "one that is too large goes in parts");
        assert_eq!(taken(0, vec![BATCH_BYTES_MAX - 11, 10]), 2, "with its separator it fits");
        assert_eq!(taken(0, vec![BATCH_BYTES_MAX - 10, 10]), 1);
        assert_eq!(taken(0, vec![]), 0);
    }
}
