//! A solution that is deleted and made again, several times, while everything goes wrong.

use super::dice::Dice;
use super::plan::{Op, RECEIVERS, admin, base, owner};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

const COMPANY: &str = "gamma";
const TENANT: (&str, &str) = (COMPANY, "again");

/// What sets its company up.
pub fn setup() -> Vec<Op> {
    let company = format!("/v1/companies/{COMPANY}");
    let key = admin("POST", format!("{company}/api-keys"), json!({"label": "simulated"}));
    vec![admin("PUT", company, json!({})), key]
}

/// Some incarnations, each with activities whose ids no other has, looked at by everybody.
pub fn ops(dice: &mut Dice, began: DateTime<Utc>) -> Vec<(DateTime<Utc>, Op)> {
    let (mut ops, mut second) = (Vec::new(), 1);
    let mut add = |second: i64, method, path: String, body: Value| {
        let op = Op { company: Some(COMPANY), method, path, body, repeats: 5 };
        ops.push((began + TimeDelta::seconds(second), op));
    };
    for incarnation in 0..dice.between(2, 4) {
        add(second, "PUT", base(TENANT), json!({}));
        let kind = json!({
            "verb": "POST", "uriPattern": format!("{RECEIVERS}/{}/call/{{id}}", owner(TENANT)), "retries": 2,
            "rescheduleRules": {"soon": {"retryAfterS": 5}},
        });
        second += 8;
        add(second, "PUT", format!("{}/activity-types/call", base(TENANT)), kind);
        second += 5;
        for number in 0..dice.between(1, 3) {
            let id = format!("g{incarnation}-{number}");
            let body =
                json!({"activityType": "call", "id": id, "parameter": {"id": id, "owner": owner(TENANT)}});
            add(second + dice.between(0, 3), "POST", format!("{}/activities", base(TENANT)), body);
        }
        second += dice.between(20, 90);
        // Refused while something waits.
        for wait in [0, 40, 90] {
            add(second + wait, "DELETE", base(TENANT), Value::Null);
        }
        second += 95;
        for (after, path) in
            [(0, "/activities?limit=100"), (1, "/audit-log?limit=100"), (12, "/activities?limit=100")]
        {
            add(second + after, "GET", format!("{}{path}", base(TENANT)), Value::Null);
        }
    }
    // The last incarnation, and what is to be seen in it.
    add(second + 15, "PUT", base(TENANT), json!({}));
    for (after, path) in [(20, "/activities?limit=100"), (21, "/audit-log?limit=100")] {
        add(second + after, "GET", format!("{}{path}", base(TENANT)), Value::Null);
    }
    ops
}
