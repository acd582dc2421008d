//! Recurring activities over HTTP (SPEC §5).

use crate::api::{Api, S};
use chrono::TimeDelta;
use serde_json::{Value, json};

fn rules() -> String {
    format!("{S}/recurring-activities")
}

fn nightly() -> String {
    format!("{}/nightly", rules())
}

fn body(more: Value) -> Value {
    let mut body = json!({"activityType": "play", "parameter": {"SongId": 7}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_rule_is_answered_with_its_defaults_and_as_it_was_written() {
    let api = Api::seeded().await;
    let made = api.put(&nightly(), body(json!({"minute": "30", "hour": 3}))).await.expect(201);
    assert_eq!(made.header("location"), nightly());
    assert_eq!(
        made.json,
        json!({
            "name": "nightly", "activityType": "play", "parameter": {"SongId": 7},
            "second": "0", "minute": "30", "hour": "3", "day": "*", "month": "*", "dayOfWeek": "*", "year": "*",
            "timeZone": "UTC", "catchUp": "all", "catchUpWindowSeconds": 3600, "spreadSeconds": 0,
            "serverState": "running", "nextOccurrence": "2027-01-16T03:30:00.000Z",
            "createdAt": "2027-01-15T08:00:00.000Z", "updatedAt": "2027-01-15T08:00:00.000Z",
        })
    );
    assert_eq!(api.get(&nightly()).await.expect(200).json, made.json);
    assert_eq!(
        api.put(&nightly(), body(json!({"minute": "30", "hour": "3"}))).await.expect(200).json,
        made.json
    );
    let whole = json!({
        "expression": "15 */5 9-17 1,15 JAN-JUN MON-FRI 2027-2030/2", "timeZone": "Europe/Berlin", "retries": 0,
        "startAt": "2027-02-01T00:00:00+01:00", "endAt": "2030-01-01T00:00:00Z", "catchUp": "latest",
        "catchUpWindowSeconds": 60, "spreadSeconds": 30,
    });
    let replaced = api.put(&nightly(), body(whole)).await.expect(200).json;
    for (name, expect) in [
        ("second", "15"),
        ("minute", "*/5"),
        ("hour", "9-17"),
        ("day", "1,15"),
        ("month", "JAN-JUN"),
        ("dayOfWeek", "MON-FRI"),
        ("year", "2027-2030/2"),
        ("timeZone", "Europe/Berlin"),
        ("startAt", "2027-01-31T23:00:00.000Z"),
        ("endAt", "2030-01-01T00:00:00.000Z"),
        ("catchUp", "latest"),
    ] {
        assert_eq!(replaced[name], expect, "{name}");
    }
    assert_eq!((&replaced["retries"], &replaced["spreadSeconds"]), (&json!(0), &json!(30)));
    let listed = api.get(&rules()).await.expect(200).json;
    assert_eq!(listed, json!({"items": [replaced]}));
    let audited = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    let actions: Vec<&Value> =
        audited["items"].as_array().unwrap().iter().take(2).map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["recurringActivity.updated", "recurringActivity.created"]);
    api.delete(S).await.problem(409);
    api.delete(&nightly()).await.expect(204);
    api.get(&nightly()).await.problem(404);
    api.delete(&nightly()).await.problem(404);
    api.delete(S).await.expect(204);
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let api = Api::seeded().await;
    let bad = json!({
        "activityType": "nothing", "parameter": [], "retries": 101, "second": "60", "minute": "a", "hour": true,
        "timeZone": "Mars/Olympus", "startAt": "2027-02-01T00:00:00Z", "endAt": "2027-01-01T00:00:00Z",
        "catchUp": "some", "catchUpWindowSeconds": -1, "spreadSeconds": 86401, "colour": "red",
    });
    let faults = api.put(&nightly(), bad).await.problem(400).faults();
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    let expect = [
        "/parameter",
        "/retries",
        "/hour",
        "/second",
        "/minute",
        "/timeZone",
        "/endAt",
        "/catchUpWindowSeconds",
        "/spreadSeconds",
        "/catchUp",
        "/colour",
        "/activityType",
    ];
    assert_eq!(pointers, expect, "{faults:?}");
    for (more, expect) in [
        (json!({"expression": "* * * *"}), "/expression must have 5 fields"),
        (json!({"expression": "* * 99 * *"}), "/expression day has values from 1 to 31"),
        (json!({"expression": "* * * * *", "hour": "1"}), "/hour cannot go with expression"),
        (json!({"parameter": {}}), "/parameter/SongId"),
        (json!({"expression": "0 0 30 2 *"}), " describes a rule without a future occurrence"),
        (json!({"year": "2026"}), " describes a rule without a future occurrence"),
        (json!({"endAt": "2027-01-15T08:00:00Z", "second": "1"}), " describes a rule without a future"),
    ] {
        let faults = api.put(&nightly(), body(more)).await.problem(400).faults();
        assert!(faults.len() == 1 && faults[0].starts_with(expect), "{faults:?}");
    }
    api.get(&nightly()).await.problem(404);
}

#[tokio::test]
async fn previews_include_their_start() {
    let api = Api::seeded().await;
    let rule = json!({"expression": "0 3 * * *", "timeZone": "America/New_York"});
    api.put(&nightly(), body(rule)).await.expect(201);
    let preview = async |query: &str| {
        let answer = api.get(&format!("{}/occurrences{query}", nightly())).await.expect(200).json;
        let dates = answer["occurrences"].as_array().unwrap().iter();
        dates.map(|one| one["date"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ten = preview("").await;
    assert_eq!((ten.len(), ten[0].as_str()), (10, "2027-01-15T08:00:00.000Z"), "now itself included");
    assert_eq!(preview("?count=100").await.len(), 100);
    // Over a change of the clocks, from a past instant as well as from a future one.
    assert_eq!(
        preview("?from=2027-03-13T08:00:00Z&count=3").await,
        ["2027-03-13T08:00:00.000Z", "2027-03-14T07:00:00.000Z", "2027-03-15T07:00:00.000Z"]
    );
    assert_eq!(preview("?from=2020-01-01T00:00:00Z&count=1").await, ["2020-01-01T08:00:00.000Z"]);
    for bad in ["?count=0", "?count=101", "?count=x", "?from=soon", "?to=2027-01-01T00:00:00Z"] {
        api.get(&format!("{}/occurrences{bad}", nightly())).await.problem(400);
    }
    api.get(&format!("{}/nothing/occurrences", rules())).await.problem(404);
}

/// Whatever part of the spread falls to a rule: nothing of it is after its end, or before its start.
#[tokio::test]
async fn a_spread_stays_between_start_and_end() {
    let api = Api::seeded().await;
    let (start, end) = ("2027-01-16T01:00:00.000Z", "2027-01-16T06:00:00.000Z");
    let (mut shifted, mut refused) = (0, 0);
    for n in 0..12 {
        let path = format!("{}/spread-{n}", rules());
        let spread = |more: Value| {
            let mut rule = body(json!({"minute": "0", "endAt": end, "spreadSeconds": 3600}));
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rule
        };
        let made = api.put(&path, spread(json!({"startAt": start}))).await.expect(201).json;
        let found = api.get(&format!("{path}/occurrences?count=100")).await.expect(200).json;
        let dates: Vec<&str> = found["occurrences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["date"].as_str().unwrap())
            .collect();
        assert!(dates.iter().all(|date| (start..=end).contains(date)), "{dates:?}");
        assert_eq!(made["nextOccurrence"], dates[0]);
        let minute_and_second = &dates[0][14..19];
        assert!(dates.iter().all(|date| &date[14..19] == minute_and_second), "{dates:?}");
        let is_shifted = minute_and_second != "00:00";
        assert_eq!(dates.len(), if is_shifted { 5 } else { 6 });
        shifted += usize::from(is_shifted);
        let late =
            api.get(&format!("{path}/occurrences?from=2027-01-16T05:59:59.999Z")).await.expect(200).json;
        assert!(!is_shifted || minute_and_second == "59:59" || late["occurrences"] == json!([]), "{late}");
        // One occurrence, which the shift puts past the end: none at all.
        let once = spread(json!({"startAt": end}));
        let answer = api.put(&path, once).await;
        refused += usize::from(answer.status == 400);
        assert_eq!(answer.status == 400, is_shifted);
    }
    assert!(shifted > 6 && refused == shifted, "{shifted} {refused}");
}

#[tokio::test]
async fn pausing_is_audited_and_skips_are_told() {
    let api = Api::seeded().await;
    let rule = json!({"expression": "* * * * *", "catchUp": "none"});
    api.put(&nightly(), body(rule)).await.expect(201);
    let state = format!("{}/server-state", nightly());
    assert_eq!(api.get(&state).await.expect(200).json["serverState"], "running");
    let paused = json!({"serverState": "paused", "reason": "night"});
    let paused = api.put(&state, paused).await.expect(200).json;
    let since = "2027-01-15T08:00:00.000Z";
    assert_eq!(paused, json!({"serverState": "paused", "reason": "night", "since": since}));
    let rule = api.get(&nightly()).await.expect(200).json;
    assert_eq!((&rule["serverState"], rule.get("nextOccurrence")), (&json!("paused"), None));
    let entry = &api.get(&format!("{S}/audit-log")).await.expect(200).json["items"][0];
    assert_eq!(entry["action"], "recurringActivity.serverStateChanged");
    assert_eq!((&entry["reason"], &entry["to"]["serverState"]), (&json!("night"), &json!("paused")));

    api.world.clock.advance(TimeDelta::minutes(10));
    api.put(&state, json!({"serverState": "running"})).await.expect(200);
    let skipped = api.get(&format!("{}/skipped", nightly())).await.expect(200).json;
    let [skip] = <[Value; 1]>::try_from(skipped["items"].as_array().unwrap().clone()).unwrap();
    assert_eq!((&skip["count"], &skip["reason"]), (&json!(9), &json!("NO_CATCH_UP")), "{skip}");
    assert_eq!(
        (&skip["from"], &skip["to"]),
        (&json!("2027-01-15T08:00:00.000Z"), &json!("2027-01-15T08:08:00.000Z"))
    );
    assert!(skip["detail"].as_str().unwrap().contains("catchUp is none"));
    api.get(&format!("{}/nothing/skipped", rules())).await.problem(404);
}

#[tokio::test]
async fn lists_follow_cursors() {
    let api = Api::seeded().await;
    for n in 0..7 {
        let path = format!("{}/rule-{n}", rules());
        api.put(&path, body(json!({"minute": n}))).await.expect(201);
    }
    let (mut names, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = api.get(&format!("{}{query}", rules())).await.expect(200).json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, (0..7).map(|n| format!("rule-{n}")).collect::<Vec<_>>());
}
