//! What was accepted below a parent is not left without it: of a deletion and a creation below what it deletes, one is refused
//! (SPEC §3).

use super::evidence::{Arrival, Evidence, Exchange, Finding, Subject};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A parent, by the path at which it is put and deleted.
type Parent = String;

/// What was accepted below parents.
struct Child {
    subject: Subject,
    parents: Vec<Parent>,
    /// When its acceptance was answered.
    accepted: DateTime<Utc>,
    /// When it is due last; `None` if that is at once.
    due: Option<DateTime<Utc>>,
}

/// Checks deletions of parents against what was accepted below them, and waited.
pub fn check(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let children: Vec<Child> = evidence.exchanges.iter().flat_map(accepted).collect();
    for deletion in evidence.exchanges.iter().filter(|one| one.method == "DELETE" && one.is_done()) {
        for child in children.iter().filter(|child| child.parents.contains(&deletion.path)) {
            if waits_at(evidence, child, deletion.answered) && !is_after(evidence, deletion, child) {
                findings.push(Finding {
                    property: "orphan",
                    subject: child.subject.clone(),
                    what: format!(
                        "accepted at {}, and what it is below was deleted between {} and {}: {}",
                        child.accepted, deletion.asked, deletion.answered, deletion.path
                    ),
                });
            }
        }
    }
}

/// Whether a child was still to be called at an instant, and nobody had asked for anything else of it.
fn waits_at(evidence: &Evidence, Child { subject, due, .. }: &Child, at: DateTime<Utc>) -> bool {
    let Subject { tenant, id } = subject;
    let (company, solution) = tenant.split_once('/').unwrap_or_default();
    let changes_it = |one: &Exchange| {
        let names_it = one.method == "DELETE" && one.path.ends_with(&format!("/{id}"))
            || one.path.contains(&format!("/{id}/"));
        let names_all = one.path.contains("/bulk") || one.path.ends_with("/erase");
        (names_it || names_all) && one.path.contains(company) && one.path.contains(solution)
    };
    if evidence.exchanges.iter().any(changes_it) {
        return false;
    }
    let key = format!("{id}:");
    let is_called_after =
        |one: &Arrival| one.key().starts_with(&key) && one.tenant() == *tenant && one.at > at;
    due.map_or_else(|| evidence.arrivals.iter().any(is_called_after), |due| due > at)
}

/// Whether a child may have been created below a parent that was made after the deletion.
fn is_after(evidence: &Evidence, deletion: &Exchange, child: &Child) -> bool {
    // 200 says that it was there: made before the deletion, unless this was asked after it (an earlier try of its own made it).
    let may_have_made = |one: &Exchange| one.status != Some(200) || one.asked >= deletion.answered;
    let made = |one: &&Exchange| one.method == "PUT" && one.may_be_done() && may_have_made(one);
    let mut puts = evidence.exchanges.iter().filter(made).filter(|one| is_put_of(one, &deletion.path));
    puts.any(|put| put.answered >= deletion.asked && put.asked <= child.accepted)
}

/// A reminder's configuration is put with its solution.
fn is_put_of(put: &Exchange, parent: &str) -> bool {
    let configured =
        put.path.strip_prefix("/api/reminder/configuration/").and_then(|rest| rest.split_once('/'));
    let of_solution = configured.is_some_and(|(company, name)| parent == solution(company, name));
    put.path == parent || of_solution
}

fn solution(company: &str, name: &str) -> Parent {
    format!("/v1/companies/{company}/solutions/{name}")
}

/// What an exchange shows to have been accepted.
fn accepted(exchange: &Exchange) -> Vec<Child> {
    let Exchange { method, path, body, answer, .. } = exchange;
    if !exchange.is_done() {
        return Vec::new();
    }
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let instant = |value: &Value| {
        DateTime::parse_from_rfc3339(value.as_str().unwrap_or_default()).ok().map(|at| at.to_utc())
    };
    let child = |company: &str, name: &str, id: &Value, parent: Option<Parent>, due| {
        let parents = [solution(company, name)].into_iter().chain(parent).collect();
        let subject = Subject { tenant: format!("{company}/{name}"), id: id.as_str()?.to_owned() };
        Some(Child { subject, parents, accepted: exchange.answered, due })
    };
    let of_type = |company: &str, name: &str, kind: &str, of: &Value| {
        of.as_str().map(|of| format!("{}/{kind}/{of}", solution(company, name)))
    };
    let activity = |company: &str, name: &str, body: &Value| {
        let parent = of_type(company, name, "activity-types", &body["activityType"]);
        child(company, name, &body["id"], parent, instant(&body["date"]))
    };
    match (method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "companies", company, "solutions", name, "activities"]) => {
            activity(company, name, body).into_iter().collect()
        }
        ("POST", ["v1", "companies", company, "solutions", name, "activities", "batch"]) => {
            // A batch is answered with 200 whatever becomes of each.
            let of_batch = |list: &Value| list.as_array().cloned().unwrap_or_default();
            let results = of_batch(&answer["results"]);
            let asked = of_batch(&body["activities"]);
            let made = asked.iter().zip(&results).filter(|(_, result)| {
                result["status"].as_u64().is_some_and(|status| (200..300).contains(&status))
            });
            made.filter_map(|(body, _)| activity(company, name, body)).collect()
        }
        ("POST", ["v1", "companies", company, "solutions", name, "notifications"]) => {
            let parent = of_type(company, name, "notification-types", &body["type"]);
            child(company, name, &body["id"], parent, None).into_iter().collect()
        }
        ("PUT", ["v1", "companies", company, "solutions", name, "recurring-activities", rule]) => {
            let parent = of_type(company, name, "activity-types", &body["activityType"]);
            child(company, name, &Value::from(*rule), parent, instant(&body["endAt"])).into_iter().collect()
        }
        ("PUT", ["api", "reminder", company, name, id]) if *company != "configuration" => {
            let due = body["sendTimes"].as_array().into_iter().flatten().filter_map(instant).max();
            let parent = format!("/api/reminder/configuration/{company}/{name}");
            child(company, name, &Value::from(*id), Some(parent), due).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
