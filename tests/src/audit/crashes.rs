//! An attempt is recorded as lost only if its process was: where none died or stood still, throttling and answers that
//! are lost explain no `CRASHED`.

use super::evidence::{Evidence, Finding, Subject};
use super::items::{Entity, Table};

/// Checks the histories of a world without disturbances.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    if !evidence.undisturbed {
        return;
    }
    for kind in ['A', 'N', 'R'] {
        for (subject, entity) in table.all(kind) {
            check_one(subject, entity, findings);
        }
    }
}

fn check_one(subject: &Subject, entity: &Entity, findings: &mut Vec<Finding>) {
    for (attempt, entry) in entity.beside("H#") {
        // Reminders say it in words.
        if entry.text("o") == "CRASHED" || entry.text("dt").starts_with("the sender was lost") {
            let what = format!("attempt {attempt} is told as lost, and no process died or stood still");
            findings.push(Finding { property: "crash", subject: subject.clone(), what });
        }
    }
}
