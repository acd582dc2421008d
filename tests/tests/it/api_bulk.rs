//! Bulk operations and counts (SPEC §3).

use crate::api::{Api, S};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::Reply;

fn bulk() -> String {
    format!("{S}/activities/bulk")
}

async fn status(api: &Api, id: &str) -> Value {
    api.get(&format!("{S}/activities/{id}")).await.expect(200).json["status"].clone()
}

#[tokio::test]
async fn faults_of_a_bulk_operation() {
    let api = Api::seeded().await;
    for (body, expect) in [
        (json!({}), vec!["/filter is required", "/action is required"]),
        (
            json!({"filter": {}, "action": "delete"}),
            vec!["/action must be setUri, reschedule, cancel or retry"],
        ),
        (json!({"filter": {}, "action": "setUri"}), vec!["/uri is required for setUri"]),
        (
            json!({"filter": {}, "action": "setUri", "uri": "nowhere"}),
            vec!["/uri must be an absolute http or https URL, such as https://api.example.com/items/1"],
        ),
        (json!({"filter": {}, "action": "reschedule"}), vec!["/date is required for reschedule"]),
        (
            json!({"filter": {}, "action": "cancel", "date": "2030-01-01T00:00:00Z"}),
            vec!["/date is for reschedule alone"],
        ),
        (
            json!({"filter": {"status": "DONE", "activityType": "a b", "objectId": [7], "from": "x", "kind": 1}, "action": "retry"}),
            vec![
                "/filter/status must be READY, DISPATCHED, FAILED, CANCELED or COMPLETED",
                "/filter/activityType must match [A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
                "/filter/objectId must be a string, a number or a boolean",
                "/filter/from must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
                "/filter/kind is no field of this",
            ],
        ),
        (
            json!({"filter": {"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, "action": "retry"}),
            vec!["/filter/to must not be before from"],
        ),
        (
            json!({"filter": {}, "action": "cancel", "cursor": "x"}),
            vec!["/cursor must be a nextCursor that this list gave for the same query"],
        ),
    ] {
        assert_eq!(api.post(&bulk(), body).await.problem(400).faults(), expect);
    }
}

#[tokio::test]
async fn it_covers_all_matches_of_its_filter_and_no_others() {
    let api = Api::seeded().await;
    let one = |song: &str| json!({"activityType": "play", "parameter": {"SongId": song}, "date": "2027-01-15T12:00:00Z"});
    let mut batch: Vec<Value> = (0..60).map(|_| one("mine")).collect();
    batch.extend((0..40).map(|_| one("yours")));
    for _ in 0..3 {
        api.post(&format!("{S}/activities/batch"), json!({"activities": batch})).await.expect(200);
    }
    let filter = json!({"objectId": "mine", "status": "READY"});
    let uri = format!("{}/elsewhere", api.world.receiver.url());
    let set =
        api.post(&bulk(), json!({"filter": filter, "action": "setUri", "uri": uri})).await.expect(200).json;
    assert_eq!(set, json!({"matched": 180, "changed": 180}));
    let date = "2027-01-15T11:00:00Z";
    let moved = json!({"filter": filter, "action": "reschedule", "date": date});
    assert_eq!(api.post(&bulk(), moved).await.expect(200).json, json!({"matched": 180, "changed": 180}));
    let listed = api.get(&format!("{S}/activities?objectId=mine&limit=100")).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 100);
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["uri"] == uri.as_str()));
    let cancel = json!({"filter": {"objectId": "yours"}, "action": "cancel"});
    assert_eq!(
        api.post(&bulk(), cancel.clone()).await.expect(200).json,
        json!({"matched": 120, "changed": 120})
    );
    assert_eq!(api.post(&bulk(), cancel).await.expect(200).json, json!({"matched": 120, "changed": 0}));
    let dates = json!({"filter": {"from": date, "to": date, "activityType": "play"}, "action": "cancel"});
    assert_eq!(api.post(&bulk(), dates).await.expect(200).json["changed"], 180);
}

#[tokio::test]
async fn dead_letters_are_retried_together() {
    let api = Api::seeded().await;
    api.world.receiver.reply([Reply::status(500), Reply::status(500)]);
    let ids =
        [api.activity("1", json!({"retries": 1})).await, api.activity("2", json!({"retries": 1})).await];
    api.world.work(&api.world.worker()).await;
    assert_eq!(status(&api, &ids[0]).await, "FAILED");
    let retry = json!({"filter": {"status": "FAILED"}, "action": "retry"});
    assert_eq!(api.post(&bulk(), retry).await.expect(200).json, json!({"matched": 2, "changed": 2}));
    api.world.work(&api.world.worker()).await;
    for id in &ids {
        assert_eq!(status(&api, id).await, "DISPATCHED");
    }
}

#[tokio::test]
async fn counts_by_status_and_kind_and_what_is_overdue() {
    let api = Api::seeded().await;
    let stats = format!("{S}/stats");
    let none = api.get(&stats).await.expect(200).json;
    assert_eq!((&none["overdue"], &none["oldestOverdueSeconds"]), (&json!(0), &json!(0.0)));
    let cancel = api.activity("1", json!({"date": "2030-01-01T00:00:00Z"})).await;
    api.delete(&format!("{S}/activities/{cancel}")).await.expect(200);
    api.activity("2", json!({"date": "2030-01-01T00:00:00Z"})).await;
    api.activity("3", json!({"date": "2027-01-15T08:00:10Z"})).await;
    api.world.clock.advance(TimeDelta::seconds(40));
    assert_eq!(
        api.get(&stats).await.expect(200).json,
        json!({
            "byStatus": {"READY": 2, "DISPATCHED": 0, "FAILED": 0, "CANCELED": 1, "COMPLETED": 0},
            "byKind": [{"activityType": "play", "ready": 2}],
            "overdue": 1, "oldestOverdueSeconds": 30.0, "truncated": false, "notifications": [],
        })
    );
}
