//! Calls after one that was taken: each needs a word in the history that says why (SPEC §9.7).

use super::evidence::Arrival;
use chrono::{DateTime, TimeDelta, Utc};

/// Outcomes of attempts that may have been taken all the same: the sender was lost, or the answer was. Where there was no
/// connection nothing can have been taken.
pub const UNHEARD: [&str; 3] = ["CRASHED", "TIMEOUT", "NO_ANSWER"];

/// What history tells of one attempt.
#[derive(Debug, Clone)]
pub struct Told {
    /// When it was over, by the clock of whoever wrote it.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub outcome: String,
}

/// The first call that was taken and the call after it, if nothing of `told` explains that: an attempt that was not
/// heard of (`unheard`), over between the two. Each such attempt explains one call.
pub fn unexplained(
    arrivals: &[&Arrival],
    told: &[Told],
    unheard: &[&str],
    tolerance: TimeDelta,
) -> Option<String> {
    let mut left: Vec<&Told> = told.iter().filter(|one| unheard.contains(&one.outcome.as_str())).collect();
    left.sort_by_key(|one| one.at);
    for pair in arrivals.windows(2).filter(|pair| pair[0].is_taken()) {
        let explains = |one: &&Told| one.at + tolerance >= pair[0].at && one.at <= pair[1].at + tolerance;
        match left.iter().position(explains) {
            Some(index) => drop(left.remove(index)),
            None => {
                return Some(format!(
                    "called at {} though the call of {} was taken, and no attempt is told that was not heard of",
                    pair[1].at, pair[0].at
                ));
            }
        }
    }
    None
}
