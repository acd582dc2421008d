//! Isolation: while one company's receivers hang, the activities of others are called when they are due.

use super::evidence::{Evidence, Finding};
use super::items::Table;
use super::wishes::Wishes;
use chrono::TimeDelta;

/// How late a first call may be that has nobody's calls to wait for: a message's way, and what the services take.
const LATE_MAX: TimeDelta = TimeDelta::seconds(10);

/// Checks the first calls of other companies' activities.
pub fn check(evidence: &Evidence, table: &Table, wishes: &Wishes, findings: &mut Vec<Finding>) {
    let Some(hanging) = &evidence.hanging_company else { return };
    let of_others =
        wishes.activities.iter().filter(|(subject, _)| !subject.tenant.starts_with(&format!("{hanging}/")));
    for (subject, wished) in of_others {
        let Some(accepted) = wished.accepted else { continue };
        let key = format!("{}:0", subject.id);
        let mut of_it =
            evidence.arrivals.iter().filter(|one| one.tenant() == subject.tenant && one.key() == key);
        // A call that found no connection arrived nowhere, and is told.
        let told = table.get('A', subject).and_then(|entity| {
            entity.beside("H#").find(|(attempt, _)| *attempt == "00000#00001")?.1.instant("at")
        });
        let called = of_it.next().map(|one| one.at).into_iter().chain(told).min();
        if called.is_none_or(|at| at > accepted + LATE_MAX + evidence.tolerance()) {
            let what = format!("was accepted at {accepted} to be called at once, and called at {called:?}");
            findings.push(Finding { property: "isolation", subject: subject.clone(), what });
        }
    }
}
