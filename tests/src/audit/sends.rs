//! How often a notification may be sent, worked out from what its type was put as (SPEC §7).

use super::evidence::Exchange;
use super::paths::{Path, tenant_path};
use serde_json::Value;
use std::collections::BTreeMap;

/// `maxRetries` of a type that does not say.
const MAX_RETRIES_DEFAULT: i64 = 3;
/// No type allows more.
const SENDS_MAX: i64 = 1_001;

/// The sends of a run of which every one fails, by `company/solution` and type; `None` where that cannot be known.
pub type Sends = BTreeMap<(String, String), Option<i64>>;

/// Reads the types.
pub fn of(exchanges: &[Exchange]) -> Sends {
    let mut bodies: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|one| one.method == "PUT" && one.may_be_done()) {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        if let ["notification-types", name] = rest.as_slice() {
            bodies.entry((tenant, (*name).to_owned())).or_default().push(&exchange.body);
        }
    }
    // Of one that was changed each send may have been judged by another of its policies.
    let known = |bodies: Vec<&Value>| match bodies.as_slice() {
        [first, rest @ ..] if rest.iter().all(|body| body == first) => sends(first),
        _ => None,
    };
    bodies.into_iter().map(|(of, bodies)| (of, known(bodies))).collect()
}

/// The first send is followed by another whatever the rules; from then on one follows while `retries` is more than the
/// attempts made. A rule that matches sets `retries`, and it stays.
fn sends(body: &Value) -> Option<i64> {
    let number = |of: &Value, camel: &str, snake: &str| of[camel].as_i64().or_else(|| of[snake].as_i64());
    let most = number(body, "maxRetries", "max_retries").unwrap_or(MAX_RETRIES_DEFAULT);
    let rules: Vec<&Value> = body["rules"].as_object().into_iter().flatten().map(|(_, rule)| rule).collect();
    let mut retries = most;
    for attempts in 1..SENDS_MAX {
        let matching = rules.iter().filter(|rule| rule["attempt"].as_i64().is_none_or(|at| at == attempts));
        let mut granted = matching.map(|rule| rule["retries"].as_i64().unwrap_or(most));
        if let Some(first) = granted.next() {
            // The first one written decides, and an object that was read has lost that order.
            if granted.any(|other| other != first) {
                return None;
            }
            retries = first;
        }
        if retries - attempts < 1 {
            return Some(attempts + 1);
        }
    }
    None
}
