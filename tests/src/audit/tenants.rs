//! Nothing of one tenant is seen by another, be it of the same company.

use super::evidence::{Evidence, Exchange, Finding, Subject};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks answers and arrivals for what belongs to others. Every body of ours has its `company/solution` as `owner`.
pub fn check(evidence: &Evidence, findings: &mut Vec<Finding>) {
    for exchange in &evidence.exchanges {
        let place = place(exchange);
        let Some(company) = exchange.company.as_deref().or(place.0) else { continue };
        let mut owners = BTreeSet::new();
        collect(&exchange.answer, &mut owners);
        let foreign: Vec<_> = owners.into_iter().filter(|owner| !is_of(owner, company, place.1)).collect();
        if !foreign.is_empty() {
            findings.push(Finding {
                property: "tenancy",
                subject: Subject { tenant: company.to_owned(), id: exchange.path.clone() },
                what: format!("was answered what belongs to {foreign:?}"),
            });
        }
    }
    for arrival in &evidence.arrivals {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        let mut owners = BTreeSet::new();
        collect(&body, &mut owners);
        let tenant = arrival.tenant();
        let (company, solution) = tenant.split_once('/').unwrap_or_default();
        if owners.iter().any(|owner| !is_of(owner, company, Some(solution))) {
            findings.push(Finding {
                property: "tenancy",
                subject: Subject { tenant, id: arrival.key().to_owned() },
                what: format!("was sent what belongs to {owners:?}"),
            });
        }
    }
}

/// The company and the solution that the path of a request names, as far as it does.
fn place(exchange: &Exchange) -> (Option<&str>, Option<&str>) {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match *parts.as_slice() {
        ["v1", "companies", company, "solutions", solution, ..] => (Some(company), Some(solution)),
        ["v1", "companies", company, ..] => (Some(company), None),
        ["api", "reminder", "configuration", company, solution, ..] => (Some(company), Some(solution)),
        // The processor is everybody's.
        ["api", "reminder", "item", ..] => (None, None),
        ["api", "reminder", company, solution, ..] => (Some(company), Some(solution)),
        _ => (None, None),
    }
}

/// Whether what belongs to `owner`, a company or `company/solution`, may be seen there.
fn is_of(owner: &str, company: &str, solution: Option<&str>) -> bool {
    match owner.split_once('/') {
        Some((of, within)) => of == company && solution.is_none_or(|solution| within == solution),
        None => owner == company,
    }
}

fn collect(value: &Value, owners: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let (Some(company), Some(solution)) = (fields.get("company"), fields.get("solution"))
                && let (Some(company), Some(solution)) = (company.as_str(), solution.as_str())
            {
                owners.insert(format!("{company}/{solution}"));
            }
            for (name, value) in fields {
                if let ("owner" | "company", Value::String(owner)) = (name.as_str(), value) {
                    owners.insert(owner.clone());
                }
                collect(value, owners);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, owners)),
        _ => {}
    }
}
