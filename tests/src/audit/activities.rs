//! Every accepted activity ends as its policy allows, or still waits for its time.

use super::evidence::{Evidence, Finding, Subject};
use super::items::{Item, Table};
use super::wishes::{Wished, Wishes};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks how activities ended.
pub fn ends(evidence: &Evidence, table: &Table, wishes: &Wishes, findings: &mut Vec<Finding>) {
    let rolled = rolled(evidence);
    for (subject, wished) in &wishes.activities {
        let found = table.get('A', subject).and_then(|entity| entity.item.as_ref());
        let mut report = |property, what: String| {
            findings.push(Finding { property, subject: subject.clone(), what });
        };
        for told in &wished.told {
            let kind = found.map_or("", |item| item.text("k"));
            let mut allowed = wished.executions.clone();
            if !told.created {
                allowed.extend(wishes.policies.granted(&subject.tenant, kind));
            }
            if !allowed.contains(&told.executions) && (found.is_some() || told.created) {
                let what =
                    format!("answered that it may have {} executions, asked {allowed:?}", told.executions);
                report("terminal", what);
            }
        }
        match (found, wished.accepted) {
            (None, Some(at)) => {
                let gone = rolled.contains(subject) || may_expire(wishes, &subject.tenant);
                if !gone {
                    report("kept", format!("accepted at {at}, and gone"));
                }
            }
            (Some(item), _) => {
                if let Some(what) = wrong_policy(wishes, subject, &wished.executions, item) {
                    report("terminal", what);
                }
                if let Some(what) = wrong_end(evidence, wishes, subject, wished, item) {
                    report("terminal", what);
                }
            }
            (None, None) => {}
        }
    }
    for (subject, entity) in table.all('A') {
        let known = wishes.activities.get(subject);
        let known = known.is_some_and(|wished| wished.accepted.is_some() || wished.maybe_accepted);
        // Occurrences of rules and webhooks of reminders are made by the system itself.
        let own = subject.id.contains('@') || subject.id.starts_with("reminder-webhook");
        if entity.item.is_some() && !known && !own {
            let what = "is in the table, and nobody asked for it".to_owned();
            findings.push(Finding { property: "kept", subject: subject.clone(), what });
        }
        if entity.item.is_some() && own {
            let none = Wished::default();
            let item = entity.item.as_ref().unwrap_or_else(|| unreachable!("it is there"));
            let executions = wishes.policies.of_own(subject);
            if let Some(what) = wrong_policy(wishes, subject, &executions, item) {
                findings.push(Finding { property: "terminal", subject: subject.clone(), what });
            }
            if let Some(what) =
                wrong_end(evidence, wishes, subject, wishes.of_activity(subject).unwrap_or(&none), item)
            {
                findings.push(Finding { property: "terminal", subject: subject.clone(), what });
            }
        }
    }
}

/// Whether it may have other executions than were asked for, or than a rule grants once an attempt has failed.
fn wrong_policy(wishes: &Wishes, subject: &Subject, asked: &BTreeSet<i64>, item: &Item) -> Option<String> {
    let mut allowed = asked.clone();
    if item.number("a") > 0 || item.number("r") > 0 {
        allowed.extend(wishes.policies.granted(&subject.tenant, item.text("k")));
    }
    let most = item.number("m");
    // A dead letter without a result of its own has used up what its rules grant.
    if let (1, "FAILED", false, 0, Some(asked)) =
        (asked.len(), item.text("st"), item.has("rs"), item.number("r"), asked.first())
        && let Some(granted) =
            wishes.policies.fewest_after(&subject.tenant, item.text("k"), *asked, item.number("a"))
        && item.number("a") < granted
    {
        return Some(format!("FAILED after {} executions, and its rules grant {granted}", item.number("a")));
    }
    (!allowed.contains(&most)).then(|| format!("may have {most} executions, asked {allowed:?}"))
}

/// What is wrong with how it stands, if anything is.
fn wrong_end(
    evidence: &Evidence,
    wishes: &Wishes,
    subject: &Subject,
    wished: &Wished,
    item: &Item,
) -> Option<String> {
    let key = format!("{}:{}", subject.id, item.number("r"));
    let (attempts, executions) = (item.number("a"), item.number("m"));
    let mut arrivals =
        evidence.arrivals.iter().filter(|one| one.key() == key && one.tenant() == subject.tenant);
    match item.text("st") {
        "READY" => {
            let waits = item.instant("n").is_some_and(|due| due + evidence.tolerance() > evidence.ended);
            let paused = wishes.states.get(&subject.tenant).and_then(|all| all.last());
            let paused = paused.is_some_and(|last| last.paused || !last.certain);
            (!waits && !paused).then(|| {
                format!(
                    "READY at the end, due at {:?}, attempt {attempts} of {executions}",
                    item.instant("n")
                )
            })
        }
        "DISPATCHED" => {
            let taken = arrivals.any(|arrival| arrival.is_taken());
            let nowhere = item.text("k") == "C:MOCK";
            (!taken && !nowhere).then(|| "DISPATCHED, and no receiver took it".to_owned())
        }
        "FAILED" => {
            let judged = item.has("rs") && wished.results.iter().any(|status| status == "NOT_EXECUTED");
            (attempts < executions && !judged).then(|| {
                format!("FAILED after {attempts} of {executions} attempts without a result that says so")
            })
        }
        "CANCELED" => {
            let asked =
                !wished.cancels.is_empty() || wished.results.iter().any(|status| status == "CANCELED");
            (!asked).then(|| "CANCELED, and nobody asked for it".to_owned())
        }
        "COMPLETED" => {
            let told = wished.results.iter().any(|status| status == "COMPLETED" || status == "TRANSFERRED");
            (!told).then(|| "COMPLETED without a result".to_owned())
        }
        other => Some(format!("has the status {other:?}")),
    }
}

/// What receivers of batches have acknowledged.
pub fn rolled(evidence: &Evidence) -> BTreeSet<Subject> {
    batches(evidence).map(|(subject, _)| subject).collect()
}

/// The activities of batches that were acknowledged.
pub fn batches(evidence: &Evidence) -> impl Iterator<Item = (Subject, Value)> {
    let taken = evidence.arrivals.iter().filter(|one| one.place().starts_with("roll") && one.is_taken());
    taken.flat_map(|arrival| {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        let activities = body["activities"].as_array().cloned().unwrap_or_default();
        activities.into_iter().filter_map(move |activity| {
            let id = activity["id"].as_str()?.to_owned();
            Some((Subject { tenant: arrival.tenant(), id }, activity))
        })
    })
}

/// A period without a URI: finished activities are deleted without being sent.
fn may_expire(wishes: &Wishes, tenant: &str) -> bool {
    wishes.rolling.get(tenant).is_some_and(|body| {
        (body["successUri"].is_null() && !body["successPeriod"].is_null())
            || (body["deadLetterUri"].is_null() && !body["deadLetterPeriod"].is_null())
    })
}
