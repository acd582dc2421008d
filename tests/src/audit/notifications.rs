//! Notifications: kept, ended as their rules allow, one call at a time, with a complete history (SPEC §7).

use super::duplicates::{Told, UNHEARD, unexplained};
use super::evidence::{Arrival, Evidence, Exchange, Finding, Subject};
use super::items::{Entity, Item, Table};
use super::paths::{Path, tenant_path};
use super::sends::{self, Sends};
use std::collections::BTreeMap;

#[derive(Default)]
struct Wished {
    accepted: bool,
    asked: bool,
    deleted: bool,
    /// Re-sends by hand that may have begun a run.
    resends: i64,
}

/// Checks notifications.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    let (wishes, sends) = (wishes(&evidence.exchanges), sends::of(&evidence.exchanges));
    for (subject, wished) in &wishes {
        let item = table.get('N', subject).and_then(|entity| entity.item.as_ref());
        if wished.accepted && item.is_none() && !wished.deleted {
            report(findings, "kept", subject, "a notification was accepted, and is gone".to_owned());
        }
    }
    for (subject, entity) in table.all('N') {
        if !wishes.get(subject).is_some_and(|wished| wished.asked) {
            report(findings, "kept", subject, "a notification that nobody asked for".to_owned());
        }
        let arrivals: Vec<&Arrival> = arrivals(evidence, subject).collect();
        let wished = wishes.get(subject);
        for what in faults(evidence, subject, entity, &arrivals) {
            report(findings, "notification", subject, what);
        }
        let Some(item) = &entity.item else { continue };
        // One that was deleted may have had another life.
        let Some(wished) = wished.filter(|wished| !wished.deleted) else { continue };
        if item.number("r") > wished.resends {
            let what = format!("run {}, and {} re-sends were asked for", item.number("r"), wished.resends);
            report(findings, "notification", subject, what);
        }
        for run in 0..=item.number("r") {
            for what in wrong_run(evidence, &sends, subject, (entity, item), &arrivals, run) {
                report(findings, "notification", subject, what);
            }
        }
    }
}

fn faults(evidence: &Evidence, subject: &Subject, entity: &Entity, arrivals: &[&Arrival]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(item) = &entity.item else { return faults };
    let status = item.text("st");
    let run = item.number("r");
    let (sends, told) = (item.number("se"), entity.beside("H#").count() as i64);
    match status {
        "PENDING" if item.instant("n").is_some_and(|due| due + evidence.tolerance() > evidence.ended) => {}
        "PENDING" => faults.push(format!("PENDING at the end, due at {:?}", item.instant("n"))),
        "PUBLISHED" if !arrivals.iter().any(|one| one.is_taken()) => {
            faults.push("PUBLISHED, and no receiver took it".to_owned());
        }
        _ => {}
    }
    let silent = i64::from(status == "PUBLISHED" || item.has("tk"));
    if told != sends - silent {
        faults.push(format!("{status} after {sends} sends, with {told} entries"));
    }
    let mut keys: BTreeMap<&str, i64> = BTreeMap::new();
    arrivals.iter().for_each(|one| *keys.entry(one.key()).or_default() += 1);
    for key in keys.keys() {
        let known = key.strip_prefix(&format!("{}:", subject.id)).and_then(|run| run.parse::<i64>().ok());
        if known.is_none_or(|of| of > run) {
            faults.push(format!("arrived under the key {key} in run {run}"));
        }
    }
    if arrivals.len() as i64 > sends {
        faults.push(format!("arrived {} times in {sends} sends", arrivals.len()));
    }
    for pair in arrivals.windows(2) {
        if pair[1].at < pair[0].until {
            faults.push(format!("called at {} while the call of {} was under way", pair[1].at, pair[0].at));
        }
    }
    faults
}

/// What is wrong with a run: it ends when its type's sends are used up and not before, and after a send that was taken
/// another follows only where that was not heard of.
fn wrong_run(
    evidence: &Evidence,
    sends: &Sends,
    subject: &Subject,
    (entity, item): (&Entity, &Item),
    arrivals: &[&Arrival],
    run: i64,
) -> Vec<String> {
    let mut faults = Vec::new();
    let (key, prefix) = (format!("{}:{run}", subject.id), format!("H#{run:05}#"));
    let arrivals: Vec<&Arrival> = arrivals.iter().copied().filter(|one| one.key() == key).collect();
    let told: Vec<Told> = entity
        .beside(&prefix)
        .filter_map(|(_, entry)| Some(Told { at: entry.instant("at")?, outcome: entry.text("o").to_owned() }))
        .collect();
    faults.extend(unexplained(&arrivals, &told, &UNHEARD, evidence.tolerance()));
    let kind = item.text("k").trim_start_matches("N:").to_owned();
    let Some(Some(most)) = sends.get(&(subject.tenant.clone(), kind)) else { return faults };
    // A send whose sender was lost counts, whether it arrived or not.
    let (failed, sent) = (told.len() as i64, arrivals.len() as i64);
    let over = run < item.number("r") || item.text("st") == "MAX_RETRIED";
    if over && failed != *most {
        faults.push(format!("given up in run {run} after {failed} sends, and its type has {most}"));
    }
    if failed > *most || sent > *most {
        faults.push(format!(
            "{sent} arrivals and {failed} failures in run {run}, and its type has {most} sends"
        ));
    }
    faults
}

fn arrivals<'a>(evidence: &'a Evidence, subject: &'a Subject) -> impl Iterator<Item = &'a Arrival> {
    let prefix = format!("{}:", subject.id);
    evidence.arrivals.iter().filter(move |one| {
        one.place().starts_with("note") && one.tenant() == subject.tenant && one.key().starts_with(&prefix)
    })
}

fn wishes(exchanges: &[Exchange]) -> BTreeMap<Subject, Wished> {
    let mut wishes: BTreeMap<Subject, Wished> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|one| one.may_be_done()) {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        match (exchange.method.as_str(), rest.as_slice()) {
            ("POST", ["notifications"]) => {
                let Some(id) = exchange.body["id"].as_str() else { continue };
                let wished = wishes.entry(Subject { tenant, id: id.to_owned() }).or_default();
                wished.asked = true;
                wished.accepted |= exchange.is_done();
            }
            ("POST", ["notifications", id, "resend"]) => {
                wishes.entry(Subject { tenant, id: (*id).to_owned() }).or_default().resends += 1;
            }
            ("DELETE", ["notifications", id]) => {
                wishes.entry(Subject { tenant, id: (*id).to_owned() }).or_default().deleted = true;
            }
            _ => {}
        }
    }
    wishes
}

fn report(findings: &mut Vec<Finding>, property: &'static str, subject: &Subject, what: String) {
    findings.push(Finding { property, subject: subject.clone(), what });
}
