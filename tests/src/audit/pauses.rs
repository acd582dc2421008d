//! Nothing of a paused solution is sent, from 5 s after the pause was answered (SPEC §3).

use super::evidence::{Evidence, Finding, Subject};
use super::wishes::Wishes;
use chrono::{DateTime, TimeDelta, Utc};

/// A change of state is in effect everywhere within this.
pub(super) const EFFECTIVE: TimeDelta = TimeDelta::seconds(5);

/// Checks what arrived while its solution was paused.
pub fn check(evidence: &Evidence, wishes: &Wishes, findings: &mut Vec<Finding>) {
    for (tenant, changes) in &wishes.states {
        for (from, until) in windows(changes) {
            let from = from + EFFECTIVE;
            let inside = |at: DateTime<Utc>| at > from && until.is_none_or(|until| at < until);
            for arrival in evidence.arrivals.iter().filter(|one| one.tenant() == *tenant && inside(one.at)) {
                findings.push(Finding {
                    property: "paused",
                    subject: Subject { tenant: tenant.clone(), id: arrival.key().to_owned() },
                    what: format!("{} arrived at {}, paused since {from}", arrival.place(), arrival.at),
                });
            }
        }
    }
}

/// From when to when it was certainly paused: from a pause that was answered, to the next request to run.
pub(super) fn windows(changes: &[super::wishes::StateChange]) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    let resumes = || changes.iter().filter(|change| !change.paused);
    let pauses = changes.iter().filter(|change| change.paused && change.certain);
    pauses
        .filter_map(|pause| {
            // One under way at the same time may have come after it.
            let unclear = resumes().any(|run| run.asked < pause.answered && run.answered >= pause.asked);
            let until = resumes().filter(|run| run.asked >= pause.answered).map(|run| run.asked).min();
            (!unclear).then_some((pause.answered, until))
        })
        .collect()
}
