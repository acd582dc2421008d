//! Log rolling: which activities leave, when, and in batches of what size (SPEC §8).

use crate::activity::{State, Status};
use crate::number::Decimal;
use chrono::{DateTime, TimeDelta, Utc};

/// Most activities of a batch.
pub const BATCH_ACTIVITIES_MAX: usize = 500;
/// Most bytes of a batch's body.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

const DAY_MILLIS: u64 = 86_400_000;

/// How long an activity that the system made itself, an occurrence or a webhook, is kept after its end at least, whatever
/// its period: its maker may have died before it wrote down that it had made it, and whoever goes on for it tells by the
/// id. More than any lease, and than the longest wait for the next run.
pub const OWN_KEPT_MIN: TimeDelta = TimeDelta::hours(1);

/// How long after its time an item that goes by itself is kept at least: so that the daily round of a roller that its
/// solution gets meanwhile still finds it.
pub const EXPIRY_GRACE: TimeDelta = TimeDelta::days(2);
/// How long DynamoDB's time to live has for what it removes, before the roller does.
const EXPIRY_LAG: TimeDelta = TimeDelta::days(2);
/// How long what is finished is kept at least, where it goes by itself: until the next daily round, as what a roller takes
/// is. By its id the same request is known again meanwhile, and so is what the system made itself.
const KEPT_MIN: TimeDelta = TimeDelta::days(1);
const _: () = assert!(KEPT_MIN.num_seconds() >= OWN_KEPT_MIN.num_seconds());

/// The rollers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "camelCase")]
pub enum LogKind {
    /// Of activities that were dispatched.
    Success,
    /// Of dead letters.
    DeadLetter,
    /// Of canceled activities, which are handed on to nobody and have no period of their own.
    Canceled,
}

impl LogKind {
    /// All.
    pub const ALL: [LogKind; 3] = [LogKind::Success, LogKind::DeadLetter, LogKind::Canceled];

    /// The one whose activities end in `status`.
    pub fn of(status: Status) -> Option<Self> {
        LogKind::ALL.into_iter().find(|kind| kind.statuses().contains(&status))
    }

    /// The name as SPEC §8 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// In which statuses its activities are.
    pub fn statuses(self) -> &'static [Status] {
        match self {
            LogKind::Success => &[Status::Dispatched, Status::Completed],
            LogKind::DeadLetter => &[Status::Failed],
            LogKind::Canceled => &[Status::Canceled],
        }
    }

    /// Whether an activity that ended by `cutoff`, as the index has it, belongs to it and was executed by then.
    pub fn takes(self, state: &State, cutoff: DateTime<Utc>) -> bool {
        // Of one that was never executed only the index says when it ended.
        self.statuses().contains(&state.status) && state.executed_at.is_none_or(|at| at <= cutoff)
    }
}

/// How long what a solution has finished in one way is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keeping<'a> {
    /// Whether it is handed on before it is removed.
    pub has_uri: bool,
    /// Its solution's period.
    pub period_days: Option<&'a Decimal>,
    /// The deployment's, for what has no period; 0 for ever.
    pub retention_days: u32,
}

impl Keeping<'_> {
    /// From its end to when it goes by itself. `None` for what its roller has to hand on first, and for what is kept for ever.
    pub fn period(&self) -> Option<TimeDelta> {
        match self.period_days {
            Some(_) if self.has_uri => None,
            Some(days) => days_of(days).map(|period| period.max(KEPT_MIN)),
            None => (self.retention_days > 0).then(|| TimeDelta::days(self.retention_days.into())),
        }
    }
}

/// What ended by then and is kept for `period` has gone by itself by `now`, unless something lies beside it: the rest is
/// for the roller to remove.
pub fn overdue(period: TimeDelta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(period.checked_add(&(EXPIRY_GRACE + EXPIRY_LAG))?)
}

/// What executed activities of a period have been kept for it by `now`; `None` if that is before all time.
pub fn cutoff(period_days: &Decimal, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(days_of(period_days)?)
}

fn days_of(days: &Decimal) -> Option<TimeDelta> {
    TimeDelta::try_milliseconds(i64::try_from(days.times_rounded_up(DAY_MILLIS)?).ok()?)
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
                    Status::Dispatched | Status::Completed => [old, false, false],
                    Status::Failed => [false, old, false],
                    Status::Canceled => [false, false, old],
                    Status::Ready => [false; 3],
                };
                assert_eq!(LogKind::of(status).is_none(), status == Status::Ready);
                assert_eq!(takers, expect, "{status} {executed}");
            }
        }
    }

    #[test]
    fn what_nobody_takes_goes_by_itself() {
        for (has_uri, days, retention_days, hours) in [
            (false, None, 365, Some(365 * 24)),
            (true, None, 365, Some(365 * 24)),
            (false, None, 0, None),
            (false, Some("2.5"), 365, Some(60)),
            (false, Some("2.5"), 0, Some(60)),
            (false, Some("0"), 365, Some(24)),
            (false, Some("1e300"), 365, None),
            (true, Some("2.5"), 365, None),
        ] {
            let period = days.map(|days| days.parse().unwrap());
            let keeping = Keeping { has_uri, period_days: period.as_ref(), retention_days };
            assert_eq!(keeping.period(), hours.map(TimeDelta::hours), "{keeping:?}");
        }
        assert_eq!(overdue(TimeDelta::days(1), at(0)), Some(at(-5 * 86_400)));
        assert_eq!(overdue(TimeDelta::MAX, at(0)), None);
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
