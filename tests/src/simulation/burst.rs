//! Seeds in which many activities are due in one second and the table is new: writes are throttled, calls of services fail
//! now and then, refused statements do not show their items, and no process dies or stands still. There nothing
//! explains a lost attempt, so that none may be recorded, and nothing taken may be called again.

use super::dice::Dice;
use super::faults::Faults;
use super::plan::{Op, Plan, RECEIVERS, TENANTS, admin, base, owner};
use super::process::Role;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// One in so many seeds is one of these.
const EVERY: u64 = 10;
/// And which of them.
const REMAINDER: u64 = 3;
/// Activities, as many as a lease leaves time to settle.
const COUNT: (i64, i64) = (24, 36);
/// Write units a second of one partition, and so settles: all of them take 12 s and more, and at most 18 s.
const PARTITION_RATE: u32 = 2;
/// The type's `timeoutSeconds`. With the time to settle, a lease of 30 s.
const TIMEOUT_SECONDS: u32 = 10;
/// Minutes until everything is calm.
const MINUTES: i64 = 6;

/// Whether the seed is one of these.
pub fn is(seed: u64) -> bool {
    seed % EVERY == REMAINDER
}

/// Throttled, with answers that are lost; receivers answer well.
pub fn faults(faults: &Faults) -> Faults {
    Faults { fail: 120, bare: 1_000, partition_rate: PARTITION_RATE, ..faults.calm() }
}

/// Activities of one tenant, accepted before anything goes wrong.
pub fn plan(dice: &mut Dice, now: DateTime<Utc>) -> Plan {
    let tenant = TENANTS[0];
    let (company, solution) = tenant;
    let due = now + TimeDelta::seconds(60);
    let activities: Vec<_> = (0..dice.between(COUNT.0, COUNT.1))
        .map(|number| {
            let id = format!("b{number}");
            let parameter = json!({"id": id, "owner": owner(tenant)});
            json!({"activityType": "call", "id": id, "date": due.to_rfc3339(), "parameter": parameter})
        })
        .collect();
    let create = Op {
        company: Some(company),
        method: "POST",
        path: format!("{}/activities/batch", base(tenant)),
        body: json!({"activities": activities}),
        repeats: 3,
    };
    let of_type = json!({
        "verb": "POST",
        "uriPattern": format!("{RECEIVERS}/{company}/{solution}/call/{{id}}"),
        "timeoutSeconds": TIMEOUT_SECONDS,
    });
    let setup = vec![
        admin("PUT", format!("/v1/companies/{company}"), json!({})),
        admin("POST", format!("/v1/companies/{company}/api-keys"), json!({"label": "simulated"})),
        admin("PUT", base(tenant), json!({})),
        admin("PUT", format!("{}/activity-types/call", base(tenant)), of_type),
        create,
    ];
    Plan { roles: vec![Role::Sweep], setup, ops: Vec::new(), calm: now + TimeDelta::minutes(MINUTES) }
}
