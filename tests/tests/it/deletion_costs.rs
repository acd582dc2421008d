//! That what is created sees to it that its parents are not deleted meanwhile costs nothing while nobody deletes them: no
//! call of a service, and no unit.

use crate::api::{Api, S};
use crate::deletion_races::{CONFIGURATION, ask, notification, pair, reminder, staged, warm};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::steps::{Steps, Stop};

/// What is created in a process that has its parents in its cache: what is asked for, with the units that are written in the
/// work table and in the configuration table.
#[tokio::test]
async fn nothing_while_nobody_deletes() {
    let activity = |id: &str| {
        let parameter = json!({"SongId": 1});
        json!({"id": id, "activityType": "play", "date": "2031-01-31T09:30:00Z", "parameter": parameter})
    };
    let many: Vec<Value> = (0..25).map(|number| activity(&format!("b{number}"))).collect();
    let of_solution = |path: &str| format!("{S}/{path}");
    let rule = json!({"activityType": "play", "parameter": {"SongId": 1}, "expression": "0 0 1 1 *"});
    for (method, path, body, expected) in [
        ("POST", of_solution("activities"), activity("a"), "BatchExecuteStatement: 3 and 0"),
        (
            "POST",
            of_solution("activities/batch"),
            json!({"activities": many}),
            "BatchExecuteStatement: 75 and 0",
        ),
        // What the rule's quota takes is its own: the first of a company makes its count.
        (
            "PUT",
            of_solution("recurring-activities/r"),
            rule,
            "GetItem UpdateItem Query Query PutItem UpdateItem TransactWriteItems: 4 and 4",
        ),
        (
            "PUT",
            "/api/reminder/acme/main/r".to_owned(),
            reminder(),
            "GetItem GetItem TransactWriteItems: 6 and 0",
        ),
        // Published as well, in a slot of its company, which its receiver refuses.
        (
            "POST",
            of_solution("notifications"),
            notification(),
            "UpdateItem BatchExecuteStatement Decrypt BatchExecuteStatement BatchExecuteStatement Query: 7 and 0",
        ),
    ] {
        let api = staged(&pair(CONFIGURATION, "GET", CONFIGURATION, Value::Null)).await;
        let (steps, clients) = Steps::of(api.world.embedded.clients(), Stop::NEVER);
        let ctx = api.world.process_with(clients);
        warm(&ctx).await;
        // As old as a cache has it.
        api.world.clock.advance(TimeDelta::milliseconds(2_900));
        let before = steps.asked().len();
        api.world.embedded.mount().reset_usage();
        let answer = ask(Api::router_on(ctx), method, &path, &body).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        let asked = steps.asked().split_off(before);
        let operations: Vec<&str> =
            asked.iter().filter_map(|asked| asked.target.rsplit('.').next()).collect();
        let tables = api.world.embedded.mount().usage().dynamodb.tables;
        let units = |table: &str| tables.get(table).map_or(0.0, |usage| usage.write_units);
        let (work, config) = (units("punctual-WorkTable"), units("punctual-ConfigTable"));
        assert_eq!(format!("{}: {work} and {config}", operations.join(" ")), expected, "{path}");
        let keys = ["S#main", "A:play", "N:news", "acme/main"].map(|sk| format!("\"SK\":{{\"S\":\"{sk}\"}}"));
        let of_parents = asked.iter().find(|asked| {
            let body = asked.body.to_string();
            keys.iter().any(|key| body.contains(key))
        });
        assert!(of_parents.is_none(), "{path}: {of_parents:?}");
    }
}
