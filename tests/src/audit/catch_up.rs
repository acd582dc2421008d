//! Which send times of a reminder may be skipped, and which have to be (SPEC §6, `catchUp`).
//!
//! A send time was missed if it had passed, by more than a minute, when the reminder was written or its solution
//! resumed. What is uncertain, since clocks differ or an answer did not come, is allowed either way.

use super::evidence::{Evidence, Exchange};
use super::pauses::{EFFECTIVE, windows};
use super::wishes::StateChange;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// Late by no more than this, it was not missed.
const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// What one reminder's owner asked for, if it was the same each time.
pub struct CatchUp<'a> {
    /// `all`, `latest` or `none`.
    choice: &'a str,
    /// Its send times, in milliseconds.
    times: &'a BTreeSet<i64>,
    /// By when each writing, and each end of a pause, may have been done at the latest.
    until: Vec<DateTime<Utc>>,
    /// From when on, and until when, a send time was missed for certain: before the first writing, and in pauses.
    missed: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl<'a> CatchUp<'a> {
    /// Of a reminder written by `puts`, in a solution whose state was changed by `states`.
    pub fn of(
        evidence: &Evidence,
        choice: &'a str,
        times: &'a BTreeSet<i64>,
        puts: &[&Exchange],
        states: &[StateChange],
    ) -> Self {
        let tolerance = evidence.tolerance();
        // Without an answer it may be done at any time.
        let until = |is_done: bool, answered| if is_done { answered + tolerance } else { evidence.ended };
        let resumes = states.iter().filter(|change| !change.paused);
        let written = puts.iter().map(|put| until(put.is_done(), put.answered));
        let until = written.chain(resumes.map(|change| until(change.certain, change.answered))).collect();
        let first = puts.iter().map(|put| put.asked).min();
        let mut missed: Vec<_> =
            first.map(|first| (DateTime::UNIX_EPOCH, first - tolerance)).into_iter().collect();
        let pauses = windows(states).into_iter();
        missed
            .extend(pauses.filter_map(|(from, end)| Some((from + EFFECTIVE + tolerance, end? - tolerance))));
        Self { choice, times, until, missed }
    }

    /// Whether it may be skipped.
    pub fn may_skip(&self, time: i64) -> bool {
        self.until.iter().any(|until| self.leaves_out(time, *until))
    }

    /// Whether nothing of it may be sent: it was missed for certain, whatever was answered when.
    pub fn must_skip(&self, time: i64) -> bool {
        let from = |from: &DateTime<Utc>| time >= from.timestamp_millis();
        self.missed.iter().any(|(start, end)| from(start) && self.leaves_out(time, *end))
    }

    fn leaves_out(&self, time: i64, at: DateTime<Utc>) -> bool {
        let at_millis = at.timestamp_millis();
        let is_made_up_for = match self.choice {
            "none" => false,
            "latest" => !self.times.iter().any(|later| *later > time && *later <= at_millis),
            _ => true,
        };
        time < (at - ON_TIME).timestamp_millis() && !is_made_up_for
    }
}
