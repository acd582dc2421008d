//! Nothing of a deleted solution is seen by whoever makes one of its name again (SPEC §3).

use super::evidence::{Evidence, Exchange, Finding, Subject};
use chrono::DateTime;
use serde_json::Value;

/// The `company/solution` of a request's path.
fn tenant(exchange: &Exchange) -> Option<String> {
    let path = exchange.path.split('?').next()?;
    match *path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["v1", "companies", company, "solutions", solution, ..] => Some(format!("{company}/{solution}")),
        _ => None,
    }
}

/// Whether a request asks for the deletion of a whole solution.
fn is_deletion(exchange: &Exchange) -> bool {
    exchange.method == "DELETE" && exchange.path.split('/').count() == 6
}

/// The evidence about solutions that nobody asked to delete: what was accepted in the moment of a deletion may end with
/// it, so the other properties are not looked for where that was asked for.
pub fn lasting(evidence: &Evidence) -> Evidence {
    let deletions = evidence.exchanges.iter().filter(|one| is_deletion(one));
    let deleted: Vec<String> = deletions.filter_map(tenant).collect();
    let is_lasting = |tenant: &str| !deleted.iter().any(|deleted| deleted == tenant);
    let of_item = |item: &Value| {
        let pk = item["PK"]["S"].as_str().unwrap_or_default();
        let tenant = pk.split('#').nth(1).unwrap_or_default();
        is_lasting(tenant.split('~').next().unwrap_or_default())
    };
    Evidence {
        exchanges: evidence
            .exchanges
            .iter()
            .filter(|one| tenant(one).is_none_or(|tenant| is_lasting(&tenant)))
            .cloned()
            .collect(),
        arrivals: evidence.arrivals.iter().filter(|one| is_lasting(&one.tenant())).cloned().collect(),
        work: evidence.work.iter().filter(|item| of_item(item)).cloned().collect(),
        hanging_company: evidence.hanging_company.clone(),
        ..*evidence
    }
}

/// Checks what is answered after a deletion for what was there before it.
pub fn check(evidence: &Evidence, findings: &mut Vec<Finding>) {
    for deletion in evidence.exchanges.iter().filter(|one| is_deletion(one) && one.is_done()) {
        let Some(of) = tenant(deletion) else { continue };
        let same = |one: &&Exchange| tenant(one).as_ref() == Some(&of);
        let of_before: Vec<&str> = evidence
            .exchanges
            .iter()
            .filter(same)
            .filter(|one| one.method == "POST" && one.path.ends_with("/activities") && one.is_done())
            .filter(|one| one.answered < deletion.asked)
            .filter_map(|one| one.body["id"].as_str())
            .collect();
        let after = evidence.exchanges.iter().filter(same).filter(|one| one.method == "GET");
        // A process may have the solution in its cache until then, and nobody can have made its name anew.
        let over = deletion.answered + evidence.tolerance();
        for look in after.filter(|one| one.is_done() && one.asked > over) {
            for item in look.answer["items"].as_array().into_iter().flatten() {
                let is_old_activity = item["id"].as_str().is_some_and(|id| of_before.contains(&id));
                let at = item["at"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
                let is_old_entry = at.is_some_and(|at| at + evidence.tolerance() < deletion.asked);
                if is_old_activity || is_old_entry {
                    findings.push(Finding {
                        property: "deleted",
                        subject: Subject { tenant: of.clone(), id: look.path.clone() },
                        what: format!("deleted by {}, shown at {}: {item}", deletion.answered, look.answered),
                    });
                }
            }
        }
    }
}
