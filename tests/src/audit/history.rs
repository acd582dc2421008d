//! History is complete and in order: every attempt has its entry, in the order in which they were made.

use super::evidence::{Evidence, Finding, Subject};
use super::executions;
use super::items::{Entity, Item, Table};

/// Checks the histories of all activities.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    for (subject, entity) in table.all('A') {
        let Some(item) = &entity.item else { continue };
        for what in faults(evidence, subject, entity, item) {
            findings.push(Finding { property: "history", subject: subject.clone(), what });
        }
    }
}

fn faults(evidence: &Evidence, subject: &Subject, entity: &Entity, item: &Item) -> Vec<String> {
    let mut faults = Vec::new();
    let entries: Vec<(i64, i64, &Item)> = entity
        .beside("H#")
        .filter_map(|(rest, entry)| {
            let (run, attempt) = rest.split_once('#')?;
            Some((run.parse().ok()?, attempt.parse().ok()?, entry))
        })
        .collect();
    for pair in entries.windows(2) {
        let (before, after) = (pair[0].2.instant("at"), pair[1].2.instant("at"));
        // Different processes wrote them, by clocks of their own.
        if after.zip(before).is_some_and(|(after, before)| after + evidence.tolerance() < before) {
            faults.push(format!("attempt {} of run {} is told before its predecessor", pair[1].1, pair[1].0));
        }
    }
    let run = item.number("r");
    for past in 0..run {
        let attempts: Vec<i64> =
            entries.iter().filter(|entry| entry.0 == past).map(|entry| entry.1).collect();
        if attempts.is_empty() || attempts != (1..=attempts.len() as i64).collect::<Vec<_>>() {
            faults.push(format!("run {past} has the entries {attempts:?}"));
        }
    }
    let told: Vec<i64> = entries.iter().filter(|entry| entry.0 == run).map(|entry| entry.1).collect();
    let attempts = item.number("a");
    // A success stands on the item; an attempt under way has no entry yet.
    let silent = i64::from(item.has("hm") || item.has("tk"));
    let ended_by_result = item.has("rs");
    let expected = attempts - silent;
    let complete = told == (1..=expected).collect::<Vec<_>>();
    let cut_short = ended_by_result && told.len() as i64 <= attempts;
    if !complete && !cut_short {
        faults.push(format!("{attempts} attempts in run {run}, and the entries {told:?}"));
    }
    let key = format!("{}:{run}", subject.id);
    let arrivals: Vec<_> = evidence
        .arrivals
        .iter()
        .filter(|arrival| arrival.key() == key && executions::subject(arrival).as_ref() == Some(subject))
        .collect();
    for (_, attempt, entry) in entries.iter().filter(|entry| entry.0 == run) {
        let status = entry.number("hs");
        if status != 0 && !arrivals.iter().any(|arrival| arrival.status.map(i64::from) == Some(status)) {
            faults.push(format!("attempt {attempt} is told with the status {status}, which nobody answered"));
        }
    }
    faults
}
