//! Results: none is lost, none is applied twice, and the first final one stands (SPEC §4).

use super::evidence::{Evidence, Finding, Subject};
use super::items::{Entity, Item, Table};
use super::paths::{Path, tenant_path};
use super::wishes::Wishes;

/// Checks results.
pub fn check(evidence: &Evidence, table: &Table, wishes: &Wishes, findings: &mut Vec<Finding>) {
    for exchange in evidence.exchanges.iter().filter(|one| one.is_done()) {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        if rest != ["activity-results"] {
            continue;
        }
        let (id, body) = (exchange.body["id"].as_str().unwrap_or_default(), &exchange.body);
        let known = |entity: &Entity| entity.beside.contains_key(&format!("R#{id}"));
        let named = body["activityId"].as_str();
        let provided = body["providerActivityId"].as_str();
        let with = table.all('A').find(|(subject, entity)| {
            subject.tenant == tenant
                && (named == Some(subject.id.as_str())
                    || entity.item.as_ref().is_some_and(|item| provided == Some(item.text("pi"))))
        });
        // An activity that was rolled away takes its results along.
        let Some((subject, entity)) = with else { continue };
        let mut report = |what: String| {
            findings.push(Finding { property: "results", subject: subject.clone(), what });
        };
        if !known(entity) {
            report(format!("the result {id} was taken, and is not with its activity"));
        }
    }
    for (subject, entity) in table.all('A') {
        if let Some(item) = &entity.item
            && let Some(what) = wrong_status(subject, entity, item, wishes)
        {
            findings.push(Finding { property: "results", subject: subject.clone(), what });
        }
    }
}

/// An activity with a final result ends as that says, unless it was retried by hand after it.
fn wrong_status(subject: &Subject, entity: &Entity, item: &Item, wishes: &Wishes) -> Option<String> {
    let status = item.text("st");
    let ends: Vec<&str> = entity
        .beside("R#")
        .filter(|(_, result)| !result.has("sa"))
        .filter_map(|(_, result)| match result.text("st") {
            "COMPLETED" | "TRANSFERRED" => Some("COMPLETED"),
            "NOT_EXECUTED" => Some("FAILED"),
            "CANCELED" => Some("CANCELED"),
            _ => None,
        })
        .collect();
    let retried = wishes.of_activity(subject).is_some_and(|wished| wished.retries > 0);
    (!ends.is_empty() && !ends.contains(&status) && !retried && status != "CANCELED")
        .then(|| format!("is {status}, and its results say {ends:?}"))
}
