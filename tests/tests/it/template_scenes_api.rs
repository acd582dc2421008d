//! The API's scenes: every operation of its description, in the states that make a difference.

use crate::template_scenes::Stage;
use chrono::TimeDelta;
use delivery_worker::Worker;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::telemetry::Metrics;
use tests::Reply;
use tests::provider::API_KEY;

const C: &str = "/v1/companies/acme";
const S: &str = "/v1/companies/acme/solutions/main";
const CLINIC: &str = "/api/reminder/configuration/acme/clinic";

/// Everything.
pub async fn play(stage: &Stage) {
    Box::pin(tenancy(stage)).await;
    Box::pin(activities(stage)).await;
    Box::pin(changes(stage)).await;
    Box::pin(channels(stage)).await;
    Box::pin(recurring(stage)).await;
    Box::pin(notifications(stage)).await;
    Box::pin(reminders(stage)).await;
    Box::pin(service(stage)).await;
    Box::pin(departure(stage)).await;
}

/// A worker that nobody watches, so that activities come to their ends.
async fn work(stage: &Stage) {
    let worker = Worker::new(stage.world.process(), stage.http.clone(), Metrics::off());
    stage.world.work(&worker).await;
}

async fn tenancy(stage: &Stage) {
    let url = stage.flaky.url();
    stage.call("PUT", C, Some(json!({"qosLevel": 2})), 201).await;
    stage.call("PUT", C, Some(json!({"qosLevel": 3})), 200).await;
    stage.call("GET", C, None, 200).await;
    stage.call("GET", "/v1/companies", None, 200).await;
    stage.call("PUT", S, Some(json!({"successUri": format!("{url}/rolled"), "successPeriod": 1})), 201).await;
    stage.call("PUT", S, Some(json!({"qosLevel": 2})), 200).await;
    let made = stage.call("POST", &format!("{C}/api-keys"), Some(json!({"label": "ci"})), 201).await;
    let (key, id) = (made.json["key"].as_str().unwrap(), made.json["id"].as_str().unwrap());
    stage.call_as(key, "GET", S, None, 200).await;
    stage.call_as("pk~unknown~x~y", "GET", S, None, 401).await;
    stage.call("GET", &format!("{C}/api-keys"), None, 200).await;
    stage.call("DELETE", &format!("{C}/api-keys/{id}"), None, 204).await;
    stage.call("GET", &format!("{C}/solutions"), None, 200).await;
    stage.call("POST", &format!("{S}/signing-secret/rotate"), Some(json!({})), 200).await;
    let play = json!({"verb": "POST", "uriPattern": format!("{url}/songs/{{SongId}}"), "objectIdRef": ["SongId", "Other"]});
    stage.call("PUT", &format!("{S}/activity-types/play"), Some(play), 201).await;
    let plain =
        json!({"verb": "POST", "uriPattern": format!("{url}/plain"), "retries": 1, "timeoutSeconds": 1});
    stage.call("PUT", &format!("{S}/activity-types/plain"), Some(plain), 201).await;
    stage.call("GET", &format!("{S}/activity-types/play"), None, 200).await;
    stage.call("GET", &format!("{S}/activity-types"), None, 200).await;
    stage.call("GET", &format!("{C}/audit-log"), None, 200).await;
    stage.call("GET", &format!("{S}/audit-log"), None, 200).await;
}

fn song(id: &str, date: Option<&str>, text: &str) -> Value {
    let mut body =
        json!({"id": id, "activityType": "play", "parameter": {"SongId": 1, "Other": 2, "text": text}});
    if let Some(date) = date {
        body["date"] = json!(date);
    }
    body
}

async fn activities(stage: &Stage) {
    let later = Some("2030-01-01T00:00:00Z");
    let path = format!("{S}/activities");
    for (id, text) in [("small", ""), ("large", &*"x".repeat(5_000))] {
        stage.call("POST", &path, Some(song(id, None, text)), 201).await;
        stage.call("POST", &path, Some(song(id, None, text)), 200).await;
        stage.call("GET", &format!("{path}/{id}"), None, 200).await;
    }
    let plain = |id: &str| json!({"id": id, "activityType": "plain", "parameter": {}});
    stage.call("POST", &path, Some(plain("dead")), 201).await;
    let batch =
        json!({"activities": [song("b1", later, ""), song("b2", later, &"y".repeat(2_000)), plain("b3")]});
    stage.call("POST", &format!("{path}/batch"), Some(batch), 200).await;
    stage.flaky.reply((0..9).map(|_| Reply::status(500)));
    work(stage).await;
    for query in
        ["", "?status=READY", "?status=FAILED", "?objectId=1", "?activityType=play&from=2020-01-01T00:00:00Z"]
    {
        stage.call("GET", &format!("{path}{query}"), None, 200).await;
    }
    stage.call("GET", &format!("{path}/dead"), None, 200).await;
    stage.call("GET", &format!("{path}/dead/history"), None, 200).await;
    stage.call("GET", &format!("{path}/dead/results"), None, 200).await;
    stage.call("POST", &format!("{path}/dead/retry"), Some(json!({})), 200).await;
    stage
        .call("POST", &format!("{path}/b1/reschedule"), Some(json!({"date": "2030-01-02T00:00:00Z"})), 200)
        .await;
    stage.call("POST", &format!("{path}/b1/dispatch"), Some(json!({})), 200).await;
    stage.call("DELETE", &format!("{path}/b2"), None, 200).await;
    stage.call("GET", &format!("{S}/stats"), None, 200).await;
}

async fn changes(stage: &Stage) {
    let bulk = format!("{S}/activities/bulk");
    stage.world.clock.advance(TimeDelta::minutes(3));
    stage.flaky.reply((0..20).map(|_| Reply::status(500)));
    work(stage).await;
    let later = "2030-01-01T00:00:00Z";
    stage.call("POST", &format!("{S}/activities"), Some(song("moved", Some(later), "")), 201).await;
    let all = json!({});
    for body in [
        json!({"filter": {"status": "FAILED"}, "action": "retry"}),
        json!({"filter": {"objectId": "1"}, "action": "setUri", "uri": "http://127.0.0.1:1/elsewhere"}),
        json!({"filter": all, "action": "reschedule", "date": later}),
        json!({"filter": {"activityType": "play"}, "action": "cancel"}),
    ] {
        stage.call("POST", &bulk, Some(body), 200).await;
    }
    let state = format!("{S}/server-state");
    stage.call("POST", &format!("{S}/activities"), Some(song("held", None, "")), 201).await;
    stage.call("PUT", &state, Some(json!({"serverState": "paused", "reason": "night"})), 200).await;
    stage.call("GET", &state, None, 200).await;
    stage.world.clock.advance(TimeDelta::minutes(2));
    stage.call("PUT", &state, Some(json!({"serverState": "running"})), 200).await;
}

async fn channels(stage: &Stage) {
    let config = format!("{S}/dispatch-configs/EMAIL");
    let url = stage.world.receiver.url();
    let yom = |url: &str| json!({"provider": "YOM", "baseUrl": url, "credentials": {"apiKey": API_KEY}, "settings": {}});
    stage.call("PUT", &config, Some(yom(&url)), 201).await;
    stage.call("PUT", &config, Some(yom(&format!("{url}/yom"))), 200).await;
    stage.call("GET", &config, None, 200).await;
    stage.call("GET", &format!("{S}/dispatch-configs"), None, 200).await;
    let results = format!("{S}/activity-results");
    let report = |by: &str, id: &str, status: &str| json!({by: id, "occurredAt": "2027-01-15T08:00:00Z", "status": status});
    stage.call("POST", &results, Some(report("providerActivityId", "p-1", "PENDING")), 201).await;
    stage.call("POST", &results, Some(report("activityId", "m1", "PENDING")), 201).await;
    for id in ["m1", "m2"] {
        let commerce = json!({"assignment": "x", "targetUsers": []});
        let message =
            json!({"id": id, "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": commerce});
        stage.call("POST", &format!("{S}/activities"), Some(message), 201).await;
    }
    stage.world.receiver.reply(["p-1", "p-2"].map(Reply::taken));
    work(stage).await;
    stage.call("POST", &results, Some(report("activityId", "m2", "PENDING")), 201).await;
    stage.call("POST", &results, Some(report("activityId", "m2", "COMPLETED")), 201).await;
    stage.call("GET", &format!("{S}/activities/m2"), None, 200).await;
    stage.call("GET", &format!("{S}/activities?channel=EMAIL"), None, 200).await;
    stage.call("DELETE", &config, None, 204).await;
}

async fn recurring(stage: &Stage) {
    let rules = format!("{S}/recurring-activities");
    let rule = |more: Value, text: &str| {
        let mut rule = json!({"activityType": "play", "parameter": {"SongId": 1, "Other": 2, "text": text}});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    for (name, text) in [("often", ""), ("long", &*"z".repeat(5_000))] {
        let path = format!("{rules}/{name}");
        stage
            .call("PUT", &path, Some(rule(json!({"expression": "* * * * *", "catchUp": "none"}), text)), 201)
            .await;
        stage
            .call(
                "PUT",
                &path,
                Some(rule(json!({"expression": "*/2 * * * *", "catchUp": "none"}), text)),
                200,
            )
            .await;
        stage.call("GET", &path, None, 200).await;
        stage.call("GET", &format!("{path}/occurrences"), None, 200).await;
        let state = format!("{path}/server-state");
        stage.call("PUT", &state, Some(json!({"serverState": "paused"})), 200).await;
        stage.call("GET", &state, None, 200).await;
        stage.world.clock.advance(TimeDelta::minutes(10));
        stage.call("PUT", &state, Some(json!({"serverState": "running"})), 200).await;
        stage.call("GET", &format!("{path}/skipped"), None, 200).await;
    }
    stage.call("GET", &rules, None, 200).await;
    for name in ["often", "long"] {
        stage.call("DELETE", &format!("{rules}/{name}"), None, 204).await;
    }
}

async fn notifications(stage: &Stage) {
    let types = format!("{S}/notification-types/box");
    let path = format!("{S}/notifications");
    let uri = format!("{}/box", stage.world.receiver.url());
    stage.call("PUT", &types, Some(json!({"uri": uri, "rules": {"a": {"retryAfterS": 60}}})), 201).await;
    stage.call("GET", &types, None, 200).await;
    stage.call("GET", &format!("{S}/notification-types"), None, 200).await;
    work(stage).await;
    let body = |id: &str, text: &str| json!({"id": id, "type": "box", "payload": {"text": text}});
    stage.call("POST", &path, Some(body("n1", "")), 201).await;
    stage.call("POST", &path, Some(body("n1", "")), 200).await;
    for (id, text) in [("n2", ""), ("n3", &*"t".repeat(5_000)), ("n4", "")] {
        stage.world.receiver.reply([Reply::status(500)]);
        stage.call("POST", &path, Some(body(id, text)), 202).await;
    }
    let once = format!("{S}/notification-types/once");
    stage.call("PUT", &once, Some(json!({"uri": uri, "maxRetries": 0})), 201).await;
    stage.world.receiver.reply([Reply::status(500)]);
    stage.call("POST", &path, Some(json!({"id": "n5", "type": "once", "payload": {}})), 202).await;
    stage.call("GET", &format!("{path}/n3"), None, 200).await;
    stage.call("GET", &format!("{path}/n3/history"), None, 200).await;
    stage.call("GET", &path, None, 200).await;
    stage.call("GET", &format!("{path}?status=PENDING&type=box"), None, 200).await;
    stage.call("POST", &format!("{path}/n3/resend"), Some(json!({})), 200).await;
    // What waits when its solution goes to running is sent at once.
    stage.call("PUT", &format!("{S}/server-state"), Some(json!({"serverState": "paused"})), 200).await;
    stage.world.clock.advance(TimeDelta::minutes(15));
    // n2, n4, and n5, which has had its one re-send with that.
    stage.world.receiver.reply((0..3).map(|_| Reply::status(500)));
    stage.call("PUT", &format!("{S}/server-state"), Some(json!({"serverState": "running"})), 200).await;
    for id in ["n1", "n2", "n3", "n4", "n5"] {
        stage.call("DELETE", &format!("{path}/{id}"), None, 204).await;
    }
    stage.call("DELETE", &types, None, 204).await;
}

async fn reminders(stage: &Stage) {
    let url = stage.world.receiver.url();
    let configuration =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url, "webhookUrl": url});
    let made = stage.call("PUT", CLINIC, Some(configuration.clone()), 201).await;
    let primary = made.json["primaryKey"].as_str().unwrap();
    let mut other = configuration.clone();
    other["accountCode"] = json!("b");
    stage.call("PUT", CLINIC, Some(other), 200).await;
    stage.call("GET", CLINIC, None, 200).await;
    stage.call("POST", &format!("{CLINIC}/refresh-keys?keyType=secondary"), None, 200).await;
    let path = "/api/reminder/acme/clinic";
    let reminder = |phone: &str| {
        json!({
            "countryCode": "55", "phoneNumber": phone, "notificationTemplateName": "visit",
            "templateParameters": [], "sendTimes": [rules::time::format(stage.world.clock.now()), "2030-01-31T09:30:00Z"],
        })
    };
    stage.call("PUT", &format!("{path}/r1"), Some(reminder("1")), 201).await;
    stage.call("PUT", &format!("{path}/r1"), Some(reminder("2")), 200).await;
    stage.call_as("", "PUT", &format!("{path}/r2?secret={primary}"), Some(reminder("3")), 201).await;
    stage.world.process_pending().await.unwrap();
    stage.call("GET", &format!("{path}/r1"), None, 200).await;
    stage.call("GET", &format!("{path}/r1/history"), None, 200).await;
    for query in ["", "?status=active", "?status=completed", "?phoneNumber=2"] {
        stage.call("GET", &format!("{path}{query}"), None, 200).await;
    }
    stage.call("GET", &format!("{CLINIC}/statistics"), None, 200).await;
    let state = format!("{CLINIC}/server-state");
    stage.call("PUT", &state, Some(json!({"serverState": "paused"})), 200).await;
    stage.call("GET", &state, None, 200).await;
    stage.call("PUT", &state, Some(json!({"serverState": "running"})), 200).await;
    stage.call("GET", &format!("{CLINIC}/audit-log"), None, 200).await;
    for id in ["r1", "r2"] {
        stage.call("DELETE", &format!("{path}/{id}"), None, 200).await;
    }
    let erase = format!("{C}/solutions/clinic/erase");
    let recipient = json!({"countryCode": "55", "phoneNumber": "3"});
    stage.call("POST", &erase, Some(recipient), 200).await;
    stage.call("DELETE", CLINIC, None, 204).await;
}

async fn service(stage: &Stage) {
    for path in ["/health", "/openapi.json", "/v1/dispatch-providers"] {
        stage.call("GET", path, None, 200).await;
    }
    stage.call("GET", "/docs", None, 303).await;
}

async fn departure(stage: &Stage) {
    stage.call("POST", &format!("{S}/erase"), Some(json!({"objectId": "1"})), 200).await;
    let bulk = json!({"filter": {}, "action": "cancel"});
    for solution in ["main", "clinic"] {
        let solution = format!("{C}/solutions/{solution}");
        stage.call("POST", &format!("{solution}/activities/bulk"), Some(bulk.clone()), 200).await;
        work(stage).await;
        stage.call("GET", &solution, None, 200).await;
    }
    stage.call("DELETE", &format!("{S}/activity-types/play"), None, 204).await;
    stage.call("DELETE", S, None, 204).await;
    stage.call("DELETE", &format!("{C}/solutions/clinic"), None, 204).await;
    stage.call("DELETE", C, None, 204).await;
}
