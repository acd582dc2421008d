//! Rolling: each activity under one key, after its period, with its whole log (SPEC §8).

use super::evidence::{Evidence, Finding, Subject};
use super::wishes::Wishes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Checks what arrived in batches.
pub fn check(evidence: &Evidence, wishes: &Wishes, findings: &mut Vec<Finding>) {
    // An activity that was retried by hand finishes again, and is another one then.
    let mut keys: BTreeMap<(Subject, u64, String), BTreeSet<&str>> = BTreeMap::new();
    for arrival in evidence.arrivals.iter().filter(|one| one.place().starts_with("roll")) {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        for activity in body["activities"].as_array().into_iter().flatten() {
            let id = activity["id"].as_str().unwrap_or_default().to_owned();
            let subject = Subject { tenant: arrival.tenant(), id };
            for what in faults(evidence, wishes, &subject, activity, arrival.at, &body["kind"]) {
                findings.push(Finding { property: "rolling", subject: subject.clone(), what });
            }
            let run = activity["run"].as_u64().unwrap_or_default();
            let end = format!("{} {}", activity["executedAt"], activity["status"]);
            if arrival.is_taken() {
                keys.entry((subject, run, end)).or_default().insert(arrival.key());
            }
        }
    }
    for ((subject, run, _), keys) in keys.into_iter().filter(|(_, keys)| keys.len() > 1) {
        let what = format!("run {run} was acknowledged under the keys {keys:?}");
        findings.push(Finding { property: "rolling", subject, what });
    }
}

fn faults(
    evidence: &Evidence,
    wishes: &Wishes,
    subject: &Subject,
    activity: &Value,
    at: DateTime<Utc>,
    kind: &Value,
) -> Vec<String> {
    let mut faults = Vec::new();
    let status = activity["status"].as_str().unwrap_or_default();
    let expected = match status {
        "DISPATCHED" | "COMPLETED" => "success",
        "FAILED" => "deadLetter",
        _ => "",
    };
    if kind != expected {
        faults.push(format!("{status} was rolled as {kind}"));
    }
    let period = match expected {
        "success" => "successPeriod",
        _ => "deadLetterPeriod",
    };
    let days =
        wishes.rolling.get(&subject.tenant).and_then(|body| body[period].to_string().parse::<f64>().ok());
    let days = days.unwrap_or_default();
    let executed = activity["executedAt"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let from = executed.map(|at| at.to_utc() + TimeDelta::milliseconds((days * 86_400_000.0) as i64));
    if from.is_none_or(|from| at + evidence.tolerance() < from) {
        faults.push(format!("rolled at {at}, kept until {from:?}"));
    }
    let told = activity["logDetails"].as_array().map_or(0, Vec::len) as i64;
    let run_attempts = activity["attempts"].as_i64().unwrap_or_default();
    let results = activity["results"].as_array().map_or(0, Vec::len);
    if told < run_attempts && results == 0 {
        faults.push(format!("rolled with {told} log details after {run_attempts} attempts"));
    }
    faults
}
