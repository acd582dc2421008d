//! Executions: never too many, never two at once, each under its key, none before its time or after its end.

use super::activities::batches;
use super::duplicates::{Told, UNHEARD, unexplained};
use super::evidence::{Arrival, Evidence, Finding, Subject};
use super::items::{Item, Table};
use super::wishes::Wishes;
use chrono::DateTime;
use serde_json::Value;
use std::collections::BTreeMap;

/// Checks what arrived of activities.
pub fn check(evidence: &Evidence, table: &Table, wishes: &Wishes, findings: &mut Vec<Finding>) {
    let mut runs: BTreeMap<(Subject, String), Vec<&Arrival>> = BTreeMap::new();
    for arrival in &evidence.arrivals {
        let Some(subject) = subject(arrival) else { continue };
        runs.entry((subject, arrival.key().to_owned())).or_default().push(arrival);
    }
    let mut rolled: BTreeMap<Subject, Vec<Value>> = BTreeMap::new();
    batches(evidence).for_each(|(subject, activity)| rolled.entry(subject).or_default().push(activity));
    for ((subject, key), arrivals) in &runs {
        let mut report = |property, what: String| {
            findings.push(Finding { property, subject: subject.clone(), what });
        };
        let Some(run) = key.strip_prefix(&format!("{}:", subject.id)).and_then(|run| run.parse::<u64>().ok())
        else {
            report("same-key", format!("arrived under the key {key}"));
            continue;
        };
        let wished = wishes.of_activity(subject);
        let runs_most = wished.map_or(0, |wished| wished.retries) as u64;
        if run > runs_most {
            report(
                "same-key",
                format!("arrived under the key {key}, but at most {runs_most} retries were asked for"),
            );
        }
        if let Some(most) = executions_most((table, wishes, &rolled), subject, run)
            && arrivals.len() as i64 > most
        {
            report(
                "executions",
                format!("{} executions of run {run}, which may have {most}", arrivals.len()),
            );
        }
        for pair in arrivals.windows(2) {
            if pair[1].at < pair[0].until {
                report(
                    "one-claim",
                    format!("called at {} while the call of {} was under way", pair[1].at, pair[0].at),
                );
            }
        }
        for arrival in arrivals {
            if let Some(item) = &arrival.item
                && !is_held(&Item::of(item), arrival)
            {
                report("one-claim", format!("called at {} without a claim: {item}", arrival.at));
            }
        }
        if let Some(told) = told(table, rolled.get(subject), subject, run)
            && let Some(what) = unexplained(arrivals, &told, &UNHEARD, evidence.tolerance())
        {
            report("duplicate", what);
        }
        let Some(wished) = wishes.activities.get(subject) else { continue };
        let first = arrivals.first().map(|arrival| arrival.at);
        let earliest =
            wished.dates.iter().copied().min_by_key(|date| date.map(|date| date.timestamp_millis()));
        if let (Some(first), Some(Some(date))) = (first, earliest)
            && first + evidence.tolerance() < date
        {
            report("punctual", format!("called at {first}, due at {date}"));
        }
        let canceled =
            wished.cancels.iter().filter(|cancel| cancel.certain).map(|cancel| cancel.answered).min();
        if let (Some(canceled), Some(late)) = (canceled, arrivals.iter().find(|one| Some(one.at) > canceled))
        {
            report("canceled", format!("called at {} though canceled by {canceled}", late.at));
        }
    }
}

/// Whether the item is claimed, with a lease that still runs.
fn is_held(item: &Item, arrival: &Arrival) -> bool {
    item.has("tk") && item.instant("lu").is_some_and(|until| arrival.at <= until)
}

/// The activity that an arrival is of, by what it says of itself.
pub fn subject(arrival: &Arrival) -> Option<Subject> {
    let place = arrival.place();
    if !["call/", "yom/", "hook"].iter().any(|known| place.starts_with(known)) {
        return None;
    }
    let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
    let of_channel = body["activity"]["id"].as_str();
    let id =
        of_channel.or(body["id"].as_str()).unwrap_or_else(|| place.rsplit('/').next().unwrap_or_default());
    // An occurrence tells its rule's name, and a webhook its reminder's id: the rest of their ids is in the key alone.
    let named = arrival.key().rsplit_once(':').map_or("", |(named, _)| named);
    let own = named.starts_with(&format!("{id}@")) || named.starts_with(&format!("reminder-webhook:{id}:"));
    let id = if own { named } else { id };
    Some(Subject { tenant: arrival.tenant(), id: id.to_owned() })
}

/// The executions that a run may have: what was asked for, or what a rule of its type made of it.
fn executions_most(
    (table, wishes, rolled): (&Table, &Wishes, &BTreeMap<Subject, Vec<Value>>),
    subject: &Subject,
    run: u64,
) -> Option<i64> {
    let asked = match wishes.activities.get(subject) {
        Some(wished) if !wished.executions.is_empty() => wished.executions.clone(),
        _ => wishes.policies.of_own(subject),
    };
    let item = table.get('A', subject).and_then(|entity| entity.item.as_ref());
    let last = item.filter(|item| item.number("r") as u64 == run).map(|item| item.number("m"));
    // What was rolled away has told how many it had.
    let last =
        last.or_else(|| rolled.get(subject)?.iter().filter_map(|one| one["maxAttempts"].as_i64()).max());
    // Of a run that is past, what a rule had granted is not on the item any more.
    let last = last.or_else(|| wishes.policies.granted_most(&subject.tenant));
    asked.into_iter().chain(last).max().filter(|most| *most > 0)
}

/// What history tells of a run: the entries in the table, and, of what was rolled away, the log that went along, which
/// does not say of which run. `None` if it is gone with its log.
fn told(table: &Table, rolled: Option<&Vec<Value>>, subject: &Subject, run: u64) -> Option<Vec<Told>> {
    let entity = table.get('A', subject);
    if entity.is_none() && rolled.is_none() {
        return None;
    }
    let prefix = format!("H#{run:05}#");
    let entries = entity.into_iter().flat_map(|entity| entity.beside(&prefix));
    let entries = entries.filter_map(|(_, entry)| {
        Some(Told { at: entry.instant("at")?, outcome: entry.text("o").to_owned() })
    });
    let batches = rolled.into_iter().flatten();
    let logs = batches.flat_map(|activity| activity["logDetails"].as_array().into_iter().flatten());
    let logs = logs.filter_map(|detail| {
        let at = DateTime::parse_from_rfc3339(detail["at"].as_str()?).ok()?.to_utc();
        Some(Told { at, outcome: detail["outcome"].as_str()?.to_owned() })
    });
    Some(entries.chain(logs).collect())
}
