//! Which send times that have passed are still sent (SPEC §6, `catchUp`), and which are left of a new list.
//!
//! A send time was missed if it had passed before it could be sent: when the reminder was written, or when its
//! solution was resumed, by more than [`ON_TIME`](crate::recurring::ON_TIME), as with recurring rules.
//!
//! | `catchUp` | of the send times that were missed |
//! | --- | --- |
//! | `all` | each is sent |
//! | `latest` | the latest is sent, unless a later send time has passed too |
//! | `none` | none is sent |
//!
//! What is late for another reason was not missed, and is sent: the processor was slow or away, the recipient had
//! other messages, or the attempts before failed. Nor was a send time missed whose attempts had begun before.

use super::{ATTEMPTS_MAX, Outcome, State};
use crate::recurring::{CatchUp, is_missed};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt;

/// Why a send time was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// It had passed when the reminder was written.
    Written,
    /// It passed while the solution was paused.
    Paused,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missed::Written => "when the reminder was written",
            Missed::Paused => "while the solution was paused",
        })
    }
}

/// What the history says of a send time that needs no attempt any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was sent, or all its attempts failed: it is never sent again.
    Attempted,
    /// It was left out: it is sent if its reminder is written anew with another `catchUp`.
    Skipped,
}

impl Ended {
    /// What an entry of the history, the `attempt`th at its send time, makes of that send time.
    pub fn by(outcome: Outcome, attempt: u32) -> Option<Self> {
        match outcome {
            Outcome::Sent => Some(Self::Attempted),
            Outcome::SendFailed | Outcome::SendError => (attempt >= ATTEMPTS_MAX).then_some(Self::Attempted),
            Outcome::Skipped => Some(Self::Skipped),
        }
    }
}

/// The send times that a reminder's owner has written and that are not ended: each list is ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outstanding {
    /// All of them.
    pub times: Vec<DateTime<Utc>>,
    /// Those of them that were missed when it was written, and are left out.
    pub skip: Vec<DateTime<Utc>>,
}

impl Outstanding {
    /// What is outstanding of `send_times`, written at `now`, after what has `ended` before.
    ///
    /// `begun` is the send time at which attempts were made before and are to be made.
    pub fn of(
        catch_up: CatchUp,
        send_times: &[DateTime<Utc>],
        ended: &BTreeMap<DateTime<Utc>, Ended>,
        begun: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        let is_left_out =
            |time: DateTime<Utc>| Some(time) != begun && left_out(catch_up, send_times, time, now);
        let mut outstanding = Self::default();
        for time in send_times.iter().copied() {
            match (ended.get(&time), is_left_out(time)) {
                // Left out again: the history says so already.
                (Some(Ended::Attempted), _) | (Some(Ended::Skipped), true) => continue,
                (Some(Ended::Skipped) | None, false) => {}
                (None, true) => outstanding.skip.push(time),
            }
            outstanding.times.push(time);
        }
        outstanding
    }

    /// The send times, from the next one on, that are to be skipped before anything is attempted: those left out
    /// when it was written, and what was missed in a pause that ended at `resumed_at`.
    pub fn skippable(
        &self,
        state: &State,
        catch_up: CatchUp,
        send_times: &[DateTime<Utc>],
        resumed_at: Option<DateTime<Utc>>,
    ) -> Vec<(DateTime<Utc>, Missed)> {
        let Some(next) = state.next_send_time().filter(|_| state.claim.is_none() && state.attempts == 0)
        else {
            return Vec::new();
        };
        let missed = |time: DateTime<Utc>| {
            if self.skip.contains(&time) {
                return Some((time, Missed::Written));
            }
            let in_pause = resumed_at.is_some_and(|at| left_out(catch_up, send_times, time, at));
            in_pause.then_some((time, Missed::Paused))
        };
        self.times.iter().copied().filter(|time| *time >= next).map_while(missed).collect()
    }
}

/// Whether `time` was missed at `at` and is not made up for.
fn left_out(catch_up: CatchUp, send_times: &[DateTime<Utc>], time: DateTime<Utc>, at: DateTime<Utc>) -> bool {
    let is_made_up_for = match catch_up {
        CatchUp::All => true,
        CatchUp::Latest => !send_times.iter().any(|later| *later > time && *later <= at),
        CatchUp::None => false,
    };
    is_missed(time, at) && !is_made_up_for
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Trigger;
    use crate::reminder::claimed;
    use crate::reminder::tests::{at, claim, minutes};

    fn of(catch_up: CatchUp, times: &[i64], ended: &[(i64, Ended)], now: i64) -> (Vec<i64>, Vec<i64>) {
        let ended = ended.iter().map(|(minute, ended)| (at(*minute), *ended)).collect();
        let times: Vec<_> = times.iter().copied().map(at).collect();
        let found = Outstanding::of(catch_up, &times, &ended, None, at(now));
        (minutes(&found.times), minutes(&found.skip))
    }

    #[test]
    fn what_has_passed_when_it_is_written() {
        use CatchUp::{All, Latest, None};
        let times = [10, 20, 30, 40];
        let all = times.to_vec();
        for (catch_up, now, skip) in [
            (All, 35, vec![]),
            (Latest, 35, vec![10, 20]),
            (None, 35, vec![10, 20, 30]),
            (Latest, 50, vec![10, 20, 30]),
            (None, 50, vec![10, 20, 30, 40]),
            (Latest, 5, vec![]),
            (None, 5, vec![]),
            // Late by a minute it was not missed; and then it is the latest.
            (None, 31, vec![10, 20]),
            (Latest, 31, vec![10, 20]),
            (Latest, 30, vec![10, 20]),
            (None, 32, vec![10, 20, 30]),
        ] {
            assert_eq!(of(catch_up, &times, &[], now), (all.clone(), skip), "{catch_up} at {now}");
        }
    }

    #[test]
    fn what_ended_is_not_outstanding() {
        use CatchUp::{All, Latest, None};
        use Ended::{Attempted, Skipped};
        // An earlier one that was never sent is due, whatever was sent since.
        assert_eq!(of(All, &[5, 10, 20], &[(10, Attempted)], 15), (vec![5, 20], vec![]));
        assert_eq!(of(All, &[5], &[(10, Attempted)], 15), (vec![5], vec![]));
        assert_eq!(of(None, &[5, 10, 20], &[(10, Attempted)], 15), (vec![5, 20], vec![5]));
        assert_eq!(
            of(Latest, &[5, 10, 20], &[(10, Attempted)], 15),
            (vec![5, 20], vec![5]),
            "10 was the latest"
        );
        assert_eq!(of(Latest, &[5, 20], &[(10, Attempted)], 15), (vec![5, 20], vec![]));
        // What was left out is left out again in silence, or sent if that is wanted now.
        assert_eq!(of(None, &[5, 10], &[(5, Skipped), (10, Skipped)], 15), (vec![], vec![]));
        assert_eq!(of(All, &[5, 10], &[(5, Skipped), (10, Skipped)], 15), (vec![5, 10], vec![]));
        assert_eq!(of(Latest, &[5, 10], &[(5, Skipped), (10, Skipped)], 15), (vec![10], vec![]));
    }

    #[test]
    fn attempts_that_have_begun_go_on() {
        let times = [10, 20].map(at);
        let found = Outstanding::of(CatchUp::None, &times, &BTreeMap::new(), Some(at(10)), at(30));
        assert_eq!((minutes(&found.times), minutes(&found.skip)), (vec![10, 20], vec![20]));
        let begun = State { attempts: 2, ..State::accepted(&times) };
        assert!(found.skippable(&begun, CatchUp::None, &times, Some(at(99))).is_empty());
    }

    #[test]
    fn entries_that_end_a_send_time() {
        for attempt in 1..=ATTEMPTS_MAX {
            let failed = (attempt == ATTEMPTS_MAX).then_some(Ended::Attempted);
            assert_eq!(Ended::by(Outcome::SendFailed, attempt), failed);
            assert_eq!(Ended::by(Outcome::SendError, attempt), failed);
            assert_eq!(Ended::by(Outcome::Sent, attempt), Some(Ended::Attempted));
        }
        assert_eq!(Ended::by(Outcome::Skipped, 0), Some(Ended::Skipped));
    }

    /// Paused from some time before 10 minutes until `resumed`.
    #[test]
    fn what_passed_in_a_pause() {
        let times = [10, 20, 30, 40].map(at);
        let outstanding = Outstanding { times: times.to_vec(), skip: Vec::new() };
        let state = State::accepted(&times);
        let skipped = |state: &State, catch_up, resumed: Option<i64>| -> Vec<i64> {
            let found = outstanding.skippable(state, catch_up, &times, resumed.map(at));
            assert!(found.iter().all(|(_, missed)| *missed == Missed::Paused));
            minutes(&found.into_iter().map(|(time, _)| time).collect::<Vec<_>>())
        };
        assert_eq!(skipped(&state, CatchUp::All, Some(35)), [0; 0]);
        assert_eq!(skipped(&state, CatchUp::Latest, Some(35)), [10, 20]);
        assert_eq!(skipped(&state, CatchUp::None, Some(35)), [10, 20, 30]);
        assert_eq!(skipped(&state, CatchUp::None, Some(11)), [0; 0], "late by a minute");
        assert_eq!(skipped(&state, CatchUp::None, None), [0; 0], "never paused");
        let further = State { next: Some(at(30)), ..state.clone() };
        assert_eq!(skipped(&further, CatchUp::None, Some(35)), [30], "what is done with is not skipped");
        assert_eq!(skipped(&claimed(&state, claim(Trigger::Due, 12)), CatchUp::None, Some(35)), [0; 0]);
        let written = Outstanding { skip: vec![at(20)], ..outstanding.clone() };
        let found = written.skippable(&state, CatchUp::None, &times, Some(at(12)));
        assert_eq!(found, [(at(10), Missed::Paused), (at(20), Missed::Written)]);
        assert_eq!(written.skippable(&state, CatchUp::None, &times, None), [], "10 is first");
    }
}
