//! Reminders: every send time is brought to its end, one message at a time for a recipient, and each attempt is
//! told (SPEC §6).

use super::activities::rolled;
use super::evidence::{Arrival, Evidence, Exchange, Finding, Subject};
use super::items::{Entity, Table};
use chrono::DateTime;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Failures after which the next send time follows.
const FAILURES_MAX: usize = 5;

/// Checks reminders.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    let accepted = accepted(&evidence.exchanges);
    let hooked = hooked(&evidence.exchanges);
    let rolled = rolled(evidence);
    let mut report = |subject: &Subject, what: String| {
        findings.push(Finding { property: "reminder", subject: subject.clone(), what });
    };
    for subject in &accepted {
        if table.get('R', subject).is_none_or(|entity| entity.item.is_none()) {
            report(subject, "was accepted, and is gone".to_owned());
        }
    }
    for (subject, entity) in table.all('R') {
        if entity.item.is_none() {
            continue;
        }
        let arrivals: Vec<&Arrival> = dialogs(evidence, subject).collect();
        faults(evidence, entity, &arrivals).into_iter().for_each(|what| report(subject, what));
        if !hooked.contains(&subject.tenant) {
            continue;
        }
        for (sequence, _) in entity.beside("H#") {
            let number = sequence.trim_start_matches('0');
            let id = format!("reminder-webhook:{}:{number}", subject.id);
            let hook = Subject { tenant: subject.tenant.clone(), id };
            if table.get('A', &hook).is_none_or(|entity| entity.item.is_none()) && !rolled.contains(&hook) {
                report(subject, format!("no webhook tells of attempt {number}"));
            }
        }
    }
    one_at_a_time(evidence, findings);
}

fn faults(evidence: &Evidence, entity: &Entity, arrivals: &[&Arrival]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(item) = &entity.item else { return faults };
    if item.has("dp") && item.instant("n").is_none_or(|next| next + evidence.tolerance() < evidence.ended) {
        faults.push(format!("still pending at the end, for {:?}", item.instant("n")));
    }
    let mut times: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for (_, entry) in entity.beside("H#") {
        times.entry(entry.number("t")).or_default().push(entry.text("o"));
    }
    let definition = entity.beside.get("PAYLOAD").map_or("", |payload| payload.text("d"));
    let definition: Value = serde_json::from_str(definition).unwrap_or_default();
    let asked = definition["sendTimes"].as_array().into_iter().flatten().filter_map(Value::as_i64);
    let asked: BTreeSet<i64> = asked.collect();
    for time in
        asked.iter().filter(|time| !times.contains_key(time) && item.text("fp").contains("#completed"))
    {
        faults.push(format!("completed, and the send time {time} was never tried"));
    }
    for (time, outcomes) in &times {
        if outcomes.len() > FAILURES_MAX {
            faults.push(format!("{} attempts at the send time {time}", outcomes.len()));
        }
        if let Some(sent) = outcomes.iter().position(|outcome| *outcome == "Sent")
            && sent + 1 < outcomes.len()
        {
            faults.push(format!("attempts at the send time {time} after it was sent"));
        }
        // Its owner may have put it anew, without send times that it had.
        if !asked.contains(time) {
            continue;
        }
        let ended = outcomes.contains(&"Sent") || outcomes.len() == FAILURES_MAX;
        if !ended && item.text("fp").contains("#completed") {
            faults.push(format!("completed, and the send time {time} was tried {outcomes:?}"));
        }
    }
    let mut keys: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    arrivals.iter().for_each(|one| keys.entry(one.key()).or_default().push(one));
    for (key, arrivals) in keys {
        let time = key.split_once(':').map_or("", |(_, time)| time);
        let Some(time) = DateTime::parse_from_rfc3339(time).ok().map(|time| time.to_utc()) else {
            faults.push(format!("arrived under the key {key}"));
            continue;
        };
        let told = times.get(&time.timestamp_millis()).map_or(&[][..], Vec::as_slice);
        if arrivals.len() > told.len().max(FAILURES_MAX) {
            faults.push(format!("arrived {} times for {time}", arrivals.len()));
        }
        if arrivals.first().is_some_and(|first| first.at + evidence.tolerance() < time) {
            faults.push(format!("arrived before its send time {time}"));
        }
        let taken = arrivals.iter().position(|one| one.is_taken());
        let unheard = told.contains(&"SendError");
        if taken.is_some_and(|taken| taken + 1 < arrivals.len()) && !unheard {
            faults.push(format!("arrived again for {time} after it was taken"));
        }
    }
    faults
}

/// A recipient gets one message at a time.
fn one_at_a_time(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut recipients: BTreeMap<(String, String), Vec<&Arrival>> = BTreeMap::new();
    for arrival in evidence.arrivals.iter().filter(|one| one.place().starts_with("dialog")) {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        let phone = body["phoneNumber"].as_str().unwrap_or_default().to_owned();
        recipients.entry((arrival.tenant(), phone)).or_default().push(arrival);
    }
    for ((tenant, id), arrivals) in recipients {
        for pair in arrivals.windows(2) {
            if pair[1].at < pair[0].until {
                let what = format!("a message at {} while that of {} was under way", pair[1].at, pair[0].at);
                let subject = Subject { tenant: tenant.clone(), id: id.clone() };
                findings.push(Finding { property: "reminder", subject, what });
            }
        }
    }
}

fn dialogs<'a>(evidence: &'a Evidence, subject: &'a Subject) -> impl Iterator<Item = &'a Arrival> {
    let prefix = format!("{}:", subject.id);
    evidence.arrivals.iter().filter(move |one| {
        one.place().starts_with("dialog") && one.tenant() == subject.tenant && one.key().starts_with(&prefix)
    })
}

fn accepted(exchanges: &[Exchange]) -> BTreeSet<Subject> {
    let of = |exchange: &Exchange| {
        let parts: Vec<&str> = exchange.path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["api", "reminder", company, solution, id] if *company != "configuration" => {
                Some(Subject { tenant: format!("{company}/{solution}"), id: (*id).to_owned() })
            }
            _ => None,
        }
    };
    exchanges.iter().filter(|one| one.method == "PUT" && one.is_done()).filter_map(of).collect()
}

/// Tenants with a webhook.
fn hooked(exchanges: &[Exchange]) -> BTreeSet<String> {
    let mut hooked = BTreeSet::new();
    for exchange in exchanges.iter().filter(|one| one.method == "PUT" && one.is_done()) {
        let Some(tenant) = exchange.path.strip_prefix("/api/reminder/configuration/") else { continue };
        // The last one stands.
        if exchange.body["webhookUrl"].is_null() {
            hooked.remove(tenant);
        } else {
            hooked.insert(tenant.to_owned());
        }
    }
    hooked
}
