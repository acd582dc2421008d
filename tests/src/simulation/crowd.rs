//! Seeds in which one tenant's receiver fails, a crowd of its notifications and activities waits, and nothing else goes
//! wrong: there the auditor knows how late the others' may be.

use super::dice::Dice;
use super::faults::Faults;
use super::plan::{Plan, RECEIVERS, Script, TENANTS, admin, base, owner};
use super::process::{RETRY_AFTER_FUDGE_S, Role};
use crate::audit::Resending;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::publisher::CALL_TIMEOUT;

/// One in so many seeds is one of these.
const EVERY: u64 = 10;
/// And which of them.
const REMAINDER: u64 = 7;
/// `max_doc_read` in these seeds: so small that a crowd of few takes several cycles.
pub const PAGE: u32 = 3;
/// Minutes until everything is calm.
const MINUTES: i64 = 12;

/// The tenant whose receiver fails, if the seed is one of these.
pub fn of(seed: u64) -> Option<(&'static str, &'static str)> {
    (seed % EVERY == REMAINDER).then(|| TENANTS[(seed / EVERY) as usize % TENANTS.len()])
}

/// What the auditor has to know.
pub fn resending() -> Resending {
    Resending {
        tick_s: Role::Resender.rate().num_seconds(),
        page: i64::from(PAGE),
        call_s: i64::try_from(CALL_TIMEOUT.as_secs()).unwrap_or(i64::MAX),
        first_wait_s: i64::from(RETRY_AFTER_FUDGE_S),
    }
}

/// Milliseconds by which a clock is wrong here at most. AWS's are within a few; a slot that is taken for calls that end
/// soon is leased for little more than these last, and held twice where clocks differ by more than the rest.
const SKEW_MS_MAX: i64 = 100;

/// `faults` with clocks that are nearly right, if the seed is one of these.
pub fn with_clocks(seed: u64, faults: Faults) -> Faults {
    let skew_ms = if of(seed).is_some() { faults.skew_ms.min(SKEW_MS_MAX) } else { faults.skew_ms };
    Faults { skew_ms, ..faults }
}

/// Only receivers fail, and clocks differ.
pub fn faults(faults: &Faults) -> Faults {
    Faults { receiver: 400, ..faults.calm() }
}

/// A crowd of one tenant, and some notifications of each of the others at the same time.
pub fn plan(dice: &mut Dice, began: DateTime<Utc>, crowd: (&'static str, &'static str)) -> Plan {
    let mut setup = Vec::new();
    for company in ["acme", "beta"] {
        setup.push(admin("PUT", format!("/v1/companies/{company}"), json!({"qosLevel": dice.between(1, 4)})));
        let label = json!({"label": "simulated"});
        setup.push(admin("POST", format!("/v1/companies/{company}/api-keys"), label));
    }
    let mut script =
        Script { dice, began, seconds: MINUTES * 60, ids: Vec::new(), ops: Vec::new(), roles: Vec::new() };
    for tenant in TENANTS {
        let (company, solution) = tenant;
        setup.push(admin("PUT", base(tenant), json!({"qosLevel": script.dice.between(1, 4)})));
        let kind = json!({
            "uri": format!("{RECEIVERS}/{company}/{solution}/note"),
            "maxRetries": 4,
            "rules": {"first": {"attempt": 1, "retryAfterS": script.dice.between(0, 60), "retries": 4}},
        });
        setup.push(admin("PUT", format!("{}/notification-types/note", base(tenant)), kind));
        let (count, until) =
            if tenant == crowd { (script.dice.between(18, 30), 40) } else { (script.dice.between(2, 4), 60) };
        for number in 0..count {
            let second = script.dice.between(0, until);
            let id = format!("n{number}");
            let body = json!({"type": "note", "id": id, "payload": {"id": id, "owner": owner(tenant)}});
            script.add(second, tenant, "POST", "/notifications", body);
        }
        let call = json!({
            "verb": "POST",
            "uriPattern": format!("{RECEIVERS}/{company}/{solution}/call/{{id}}"),
            "retries": 2,
            // Others' receivers hang as well, now and then: their own calls are not to explain a wait.
            "timeoutSeconds": if tenant == crowd { 120 } else { 2 },
        });
        setup.push(admin("PUT", format!("{}/activity-types/call", base(tenant)), call));
        let count = if tenant == crowd { 14 } else { 3 };
        for number in 0..count {
            let second = script.dice.between(0, 60);
            let id = format!("a{number}");
            let parameter = json!({"id": id, "owner": owner(tenant)});
            let body = json!({"activityType": "call", "id": id, "parameter": parameter});
            script.add(second, tenant, "POST", "/activities", body);
        }
        // Somebody looks at it all now and then.
        script.add(MINUTES * 50, tenant, "GET", "/notifications?limit=100", Value::Null);
    }
    let mut ops = script.ops;
    ops.sort_by_key(|(at, _)| *at);
    Plan { roles: vec![Role::Sweep, Role::Resender], setup, ops, calm: began + TimeDelta::minutes(MINUTES) }
}
