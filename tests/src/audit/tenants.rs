//! Nothing of one tenant is seen by another.

use super::evidence::{Evidence, Finding, Subject};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks answers and arrivals for what belongs to others. Every body of ours has its company as `owner`.
pub fn check(evidence: &Evidence, findings: &mut Vec<Finding>) {
    for exchange in &evidence.exchanges {
        let Some(company) = exchange.company.as_deref() else { continue };
        let mut owners = BTreeSet::new();
        collect(&exchange.answer, &mut owners);
        let foreign: Vec<_> = owners.into_iter().filter(|owner| owner != company).collect();
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
        let company = tenant.split('/').next().unwrap_or_default();
        if owners.iter().any(|owner| owner != company) {
            findings.push(Finding {
                property: "tenancy",
                subject: Subject { tenant, id: arrival.key().to_owned() },
                what: format!("was sent what belongs to {owners:?}"),
            });
        }
    }
}

fn collect(value: &Value, owners: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
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
