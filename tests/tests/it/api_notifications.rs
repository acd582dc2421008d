//! Notification types and notifications over HTTP (SPEC §7).

use crate::api::{Api, S};
use serde_json::{Value, json};
use shared::clock::Clock;
use tests::Reply;

fn types() -> String {
    format!("{S}/notification-types")
}

fn notifications() -> String {
    format!("{S}/notifications")
}

async fn api() -> Api {
    let api = Api::seeded().await;
    let uri = format!("{}/voicemail", api.world.receiver.url());
    api.put(&format!("{}/voicemail", types()), json!({"uri": uri})).await.expect(201);
    api
}

#[tokio::test]
async fn a_type_is_answered_with_its_defaults_and_as_it_was_written() {
    let api = Api::seeded().await;
    let path = format!("{}/voicemail_new", types());
    let made = api.put(&path, json!({"uri": "https://example.com/n"})).await.expect(201);
    assert_eq!(made.header("location"), path);
    assert_eq!(
        made.json,
        json!({
            "type": "voicemail_new", "uri": "https://example.com/n", "headers": {}, "maxRetries": 3, "rules": {},
            "warnings": [], "createdAt": "2027-01-15T08:00:00.000Z", "updatedAt": "2027-01-15T08:00:00.000Z",
        })
    );
    // The seed's own example, with its own names.
    let seeds = r#"{"uri": "https://example.com/n", "max_retries": 3, "headers": {"X-B": "1", "X-A": "2"}, "rules": {
        "after_one_day": {"retry_after_s": 86400, "retries": 4, "attempt": 4},
        "after_15_mins": {"retry_after_s": 900, "retries": 4, "attempt": 1}}}"#;
    let replaced = api.send_text("PUT", &path, seeds).await.expect(200);
    let rules = r#""rules":{"after_one_day":{"attempt":4,"retries":4,"retryAfterS":86400},"after_15_mins":"#;
    assert!(replaced.text.contains(rules), "the order written is kept: {}", replaced.text);
    let [warning] = <[Value; 1]>::try_from(replaced.json["warnings"].as_array().unwrap().clone()).unwrap();
    assert!(warning.as_str().unwrap().contains("\"after_one_day\""), "{warning}");
    assert_eq!(api.get(&path).await.expect(200).text, replaced.text);
    let listed = api.get(&types()).await.expect(200).json;
    assert_eq!(listed["items"], json!([replaced.json]));
    let audited = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    let entry = &audited["items"][0];
    assert_eq!(
        (&entry["action"], &entry["to"]["maxRetries"]),
        (&json!("notificationType.updated"), &json!(3))
    );
    assert!(!audited.to_string().contains("\"1\""), "values of headers are nobody's business: {audited}");
    api.delete(&path).await.expect(204);
    api.get(&path).await.problem(404);
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let api = api().await;
    let body = json!({
        "uri": "ftp://{host}/", "headers": {"Host": "x"}, "maxRetries": -1, "max_retries": 2, "colour": "red",
        "rules": {"a": {"attempt": "1", "retryAfterS": 1, "retry_after_s": 2}},
    });
    let faults = api.put(&format!("{}/x", types()), body).await.problem(400).faults();
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    assert_eq!(
        pointers,
        ["/uri", "/headers/Host", "/maxRetries", "/rules/a/attempt", "/rules/a/retry_after_s", "/colour"]
    );
    let both = json!({"uri": "https://example.com", "maxRetries": 1, "max_retries": 1});
    let faults = api.put(&format!("{}/x", types()), both).await.problem(400).faults();
    assert_eq!(faults, ["/max_retries is the same as maxRetries; give one of them"]);
    for (body, faults) in [
        (json!({}), vec!["/type is required", "/payload is required"]),
        (json!({"type": "x", "payload": null}), vec!["/payload is required"]),
        (json!({"type": "x", "payload": 1}), vec!["/type names no notification type of this solution"]),
        (
            json!({"type": "voicemail", "payload": 1, "id": "bulk", "date": 1}),
            vec!["/id \"bulk\" is reserved", "/date is no field of this"],
        ),
    ] {
        assert_eq!(api.post(&notifications(), body).await.problem(400).faults(), faults);
    }
}

#[tokio::test]
async fn published_at_once_201_or_saved_202_and_the_same_again_200() {
    let api = api().await;
    let body = json!({"type": "voicemail", "payload": {"box": 7, "text": "x".repeat(5_000)}, "id": "a"});
    let made = api.post(&notifications(), body.clone()).await.expect(201);
    assert_eq!(made.header("location"), format!("{}/a", notifications()));
    assert_eq!((&made.json["status"], &made.json["attempts"]), (&json!("PUBLISHED"), &json!(1)));
    assert_eq!((&made.json["type"], &made.json["payload"]), (&json!("voicemail"), &body["payload"]));
    assert_eq!(made.json["history"][0]["outcome"], "SUCCESS");
    assert_eq!(api.post(&notifications(), body).await.expect(200).json, made.json);
    api.post(&notifications(), json!({"type": "voicemail", "payload": 1, "id": "a"})).await.problem(409);

    api.world.receiver.reply([Reply::status(500)]);
    let saved = api.post(&notifications(), json!({"type": "voicemail", "payload": [1]})).await.expect(202);
    let saved = saved.json;
    assert_eq!((&saved["status"], &saved["attempts"]), (&json!("PENDING"), &json!(1)));
    assert_eq!(saved["lastAttemptAt"], "2027-01-15T08:00:00.000Z");
    assert_eq!(saved["nextAttemptAt"], "2027-01-15T08:10:00.000Z");
    assert_eq!(saved["history"][0]["httpStatus"], 500);
    let path = format!("{}/{}", notifications(), saved["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.expect(200).json, saved);

    api.world.receiver.reply([Reply::status(500)]);
    let again = api.post(&format!("{path}/resend"), json!({})).await.expect(202).json;
    assert_eq!((&again["status"], &again["attempts"]), (&json!("PENDING"), &json!(2)));
    let sent = api.post(&format!("{path}/resend"), json!({})).await.expect(200).json;
    assert_eq!((&sent["status"], &sent["attempts"]), (&json!("PUBLISHED"), &json!(3)));
    let refused = api.post(&format!("{path}/resend"), json!({})).await.problem(409);
    assert_eq!(refused.json["detail"], "the notification is PUBLISHED");
    let bodies: Vec<_> = api.world.receiver.arrivals()[1..].iter().map(|one| one.body.clone()).collect();
    assert_eq!(bodies, [&b"[1]"[..]; 3]);
    api.delete(&path).await.expect(204);
    api.get(&path).await.problem(404);
    api.delete(&path).await.problem(404);
    api.post(&format!("{path}/resend"), json!({})).await.problem(404);
}

#[tokio::test]
async fn an_address_that_is_refused_is_a_failed_attempt() {
    let api = Api::seeded().await;
    api.put(&format!("{}/inside", types()), json!({"uri": "http://169.254.169.254/"})).await.expect(201);
    let saved = api.post(&notifications(), json!({"type": "inside", "payload": 1})).await.expect(202).json;
    assert_eq!(
        (&saved["status"], &saved["history"][0]["outcome"]),
        (&json!("PENDING"), &json!("ADDRESS_REFUSED"))
    );
}

#[tokio::test]
async fn lists_and_counts_by_type_and_status() {
    let api = api().await;
    let uri = format!("{}/fax", api.world.receiver.url());
    api.put(&format!("{}/fax", types()), json!({"uri": uri})).await.expect(201);
    api.world.receiver.reply([Reply::status(500), Reply::status(500)]);
    for (kind, id) in
        [("voicemail", "v1"), ("fax", "f1"), ("voicemail", "v2"), ("voicemail", "v3"), ("fax", "f2")]
    {
        api.post(&notifications(), json!({"type": kind, "payload": {}, "id": id})).await;
        api.world.clock.advance(chrono::TimeDelta::seconds(1));
    }
    let ids = async |query: &str| {
        let listed = api.get(&format!("{}{query}", notifications())).await.expect(200).json;
        let ids: Vec<String> =
            listed["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect();
        ids.join(" ").replace('"', "")
    };
    assert_eq!(ids("").await, "v1 f1 f2 v3 v2", "pending, next first; then the others, newest first");
    assert_eq!(ids("?status=PENDING").await, "v1 f1");
    assert_eq!(ids("?status=PUBLISHED&type=voicemail").await, "v3 v2");
    assert_eq!(ids("?type=nothing").await, "");
    api.get(&format!("{}?status=READY&x=1", notifications())).await.problem(400);
    let first = api.get(&format!("{}?limit=2", notifications())).await.expect(200).json;
    let cursor = first["nextCursor"].as_str().unwrap();
    assert_eq!(ids(&format!("?limit=100&cursor={cursor}")).await, "f2 v3 v2");
    api.get(&format!("{}?status=PENDING&cursor={cursor}", notifications())).await.problem(400);
    let stats = api.get(&format!("{S}/stats")).await.expect(200).json;
    assert_eq!(
        stats["notifications"],
        json!([
            {"type": "fax", "byStatus": {"PENDING": 1, "PUBLISHED": 1, "MAX_RETRIED": 0}},
            {"type": "voicemail", "byStatus": {"PENDING": 1, "PUBLISHED": 2, "MAX_RETRIED": 0}},
        ])
    );
}

#[tokio::test]
async fn what_is_pending_keeps_its_type_and_solution_and_a_pause_holds_it() {
    let api = api().await;
    api.put(&format!("{S}/server-state"), json!({"serverState": "paused"})).await.expect(200);
    let held = json!({"type": "voicemail", "payload": {}, "id": "held"});
    let held = api.post(&notifications(), held).await.expect(202).json;
    assert_eq!((&held["status"], &held["attempts"]), (&json!("PENDING"), &json!(0)));
    assert_eq!(held["nextAttemptAt"], rules::time::format(api.world.clock.now()));
    let path = format!("{}/held", notifications());
    let refused = api.post(&format!("{path}/resend"), json!({})).await.problem(409);
    assert_eq!(refused.json["detail"], "the solution is paused");
    api.delete(&format!("{}/voicemail", types())).await.problem(409);
    api.delete(S).await.problem(409);
    assert!(api.world.receiver.arrivals().is_empty());
    api.put(&format!("{S}/server-state"), json!({"serverState": "running"})).await.expect(200);
    assert_eq!(api.get(&path).await.expect(200).json["status"], "PUBLISHED");
    api.delete(&format!("{}/voicemail", types())).await.expect(204);
    assert_eq!(api.get(&path).await.expect(200).json["status"], "PUBLISHED", "what is over stays");
    api.delete(S).await.expect(204);
}
