//! Dispatch providers, dispatch configs, and activities of channels, as the API has them (SPEC §4).

use crate::api::{Api, S};
use http::Request;
use serde_json::{Value, json};
use tests::provider::API_KEY;

fn path(channel: &str) -> String {
    format!("{S}/dispatch-configs/{channel}")
}

fn yom(api: &Api) -> Value {
    json!({"provider": "YOM", "baseUrl": api.world.receiver.url(), "credentials": {"apiKey": API_KEY}})
}

#[tokio::test]
async fn providers_say_what_they_need_to_whoever_has_a_key() {
    let api = Api::seeded().await;
    let bare = Request::get("/v1/dispatch-providers").body(axum::body::Body::empty()).unwrap();
    api.send(bare).await.problem(401);
    let key = api.key("acme").await;
    let providers = api.call_as(&key, "GET", "/v1/dispatch-providers", None).await.expect(200).json;
    let yom = providers.as_array().unwrap().iter().find(|provider| provider["code"] == "YOM").unwrap();
    assert_eq!((&yom["name"], &yom["protocolType"]), (&json!("YOM"), &json!("REST")));
    let channels: Vec<_> = yom["channels"].as_array().unwrap().iter().map(|one| &one["channel"]).collect();
    assert_eq!(channels, ["SALESMAN", "CALLCENTER", "WHATSAPP", "EMAIL", "SMS", "PUSH"]);
    let credential = json!([{"key": "apiKey", "label": "API key", "type": "string", "required": true}]);
    assert_eq!(yom["channels"][3]["credentialSchema"], credential);
    assert_eq!(yom["channels"][3]["settingsSchema"][0]["type"], "number");
}

#[tokio::test]
async fn a_config_is_made_replaced_read_listed_and_deleted() {
    let api = Api::seeded().await;
    api.get(&path("EMAIL")).await.problem(404);
    let made = api.put(&path("EMAIL"), yom(&api)).await.expect(201);
    assert_eq!(made.header("location"), path("EMAIL"));
    assert_eq!(made.json["credentialKeys"], json!(["apiKey"]));
    assert_eq!((&made.json["isActive"], &made.json["settings"]), (&json!(true), &json!({})));
    // The same again changes nothing; a new key or another setting does, and the id stays.
    assert_eq!(api.put(&path("EMAIL"), yom(&api)).await.expect(200).json, made.json);
    let mut changed = yom(&api);
    changed["credentials"]["apiKey"] = json!("another-key-of-the-provider");
    api.put(&path("EMAIL"), changed.clone()).await.expect(200);
    changed["isActive"] = json!(false);
    changed["settings"] = json!({"timeoutSeconds": 5});
    let replaced = api.put(&path("EMAIL"), changed).await.expect(200).json;
    assert_eq!((&replaced["id"], &replaced["isActive"]), (&made.json["id"], &json!(false)));
    assert_eq!(api.get(&path("EMAIL")).await.expect(200).json, replaced);
    api.put(&path("SMS"), json!({"provider": "MOCK"})).await.expect(201);
    let first = api.get(&format!("{S}/dispatch-configs?limit=1")).await.expect(200).json;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = api.get(&format!("{S}/dispatch-configs?limit=1&cursor={cursor}")).await.expect(200).json;
    assert_eq!([&first["items"][0]["channel"], &second["items"][0]["channel"]], ["EMAIL", "SMS"]);

    // What waits keeps its config; of what is finished nothing does.
    let body = json!({"id": "a", "channel": "SMS", "type": "MESSAGE", "reason": "r", "date": "2030-01-01T00:00:00Z",
        "commerce": {"assignment": "x", "targetUsers": []}});
    api.post(&format!("{S}/activities"), body).await.expect(201);
    api.delete(&path("SMS")).await.problem(409);
    api.delete(S).await.problem(409);
    api.delete(&format!("{S}/activities/a")).await.expect(200);
    api.delete(&path("SMS")).await.expect(204);
    api.delete(&path("SMS")).await.problem(404);
    let audit = api.get(&format!("{S}/audit-log")).await.expect(200);
    let actions: Vec<_> = audit.json["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    let expect = ["deleted", "created", "updated", "updated", "created"];
    assert_eq!(actions[..5], expect.map(|what| json!(format!("dispatchConfig.{what}"))).each_ref()[..]);
    assert_eq!(audit.json["items"][3]["to"]["credentialsChanged"], true, "the key alone");
    // Made anew it is another one. With its solution it goes.
    api.delete(&path("EMAIL")).await.expect(204);
    assert_ne!(api.put(&path("EMAIL"), yom(&api)).await.expect(201).json["id"], made.json["id"]);
    api.delete(S).await.expect(204);
    api.put(S, json!({})).await.expect(201);
    api.get(&path("EMAIL")).await.problem(404);
}

#[tokio::test]
async fn every_fault_of_a_config_is_named_at_once() {
    let api = Api::seeded().await;
    for (channel, body, expect) in [
        (
            "FAX",
            json!({"provider": "YOM", "baseUrl": "ftp://x", "credentials": {"apiKey": 7, "token": "t"}, "settings": [], "x": 1}),
            vec![
                "path:channel must match SALESMAN, CALLCENTER, WHATSAPP, EMAIL, SMS or PUSH",
                "/baseUrl must be an absolute http or https URL, such as https://api.example.com/items/1",
                "/credentials/apiKey must be a string",
                "/credentials/token is no field of this",
                "/settings must be an object",
                "/x is no field of this",
            ],
        ),
        (
            "EMAIL",
            json!({"provider": "MOCK", "settings": {"failureRate": "often", "timeoutSeconds": 3}, "isActive": 1}),
            vec![
                "/isActive must be true or false",
                "/settings/failureRate must be a number from 0 to 1",
                "/settings/timeoutSeconds is no field of this",
            ],
        ),
        (
            "EMAIL",
            json!({"provider": "YOM", "baseUrl": "https://x.example", "credentials": 7, "settings": {}}),
            vec!["/credentials must be an object"],
        ),
    ] {
        assert_eq!(api.put(&path(channel), body).await.problem(400).faults(), expect);
    }
    for channel in ["EMAIL", "FAX"] {
        let faults = api.put(&path(channel), json!({"provider": "NONE"})).await.problem(400).faults();
        assert!(faults.iter().any(|fault| fault.starts_with("/provider names no dispatch provider")));
    }
    assert_eq!(api.get(&format!("{S}/dispatch-configs")).await.expect(200).json["items"], json!([]));
}

#[tokio::test]
async fn every_fault_of_a_channels_activity_is_named_at_once() {
    let api = Api::seeded().await;
    let cases = [
        (
            json!({"channel": "EMAIL"}),
            vec!["/type is required", "/reason is required", "/commerce is required"],
        ),
        (
            json!({"channel": "FAX", "type": "CALL", "reason": "", "commerce": [], "date": "soon", "id": "a/b"}),
            vec![
                "/id must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}",
                "/date must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
                "/channel must match SALESMAN, CALLCENTER, WHATSAPP, EMAIL, SMS or PUSH",
                "/type must be TASK or MESSAGE",
                "/reason must have 1 to 1024 characters",
                "/commerce must be an object",
            ],
        ),
        (
            json!({"channel": "EMAIL", "type": "TASK", "reason": "r", "commerce": {"assignment": true, "targetUsers": ["u", null], "x": 1},
                "task": 1, "attributes": "x", "parameter": {}, "retries": 9, "uri": "https://x.example"}),
            vec![
                "/commerce/assignment must be an id or an object",
                "/commerce/targetUsers/1 must be an id or an object",
                "/commerce/x is no field of this",
                "/task must be an object",
                "/operator is required for TASK",
                "/attributes must be an object",
                "/parameter is no field of this",
                "/retries is no field of this",
                "/uri is no field of this",
            ],
        ),
        (
            json!({"channel": "SMS", "activityType": "play", "type": "MESSAGE", "reason": "r", "commerce": {}}),
            vec![
                "/channel cannot go with activityType: an activity has one of them",
                "/commerce/assignment is required",
                "/commerce/targetUsers is required",
            ],
        ),
    ];
    let bodies: Vec<Value> = cases.iter().map(|(body, _)| body.clone()).collect();
    for (body, expect) in &cases {
        let answer = api.post(&format!("{S}/activities"), body.clone()).await.problem(400);
        assert_eq!(answer.faults(), *expect, "{body}");
    }
    // In a batch each is judged alone, types and channels together.
    let good = json!({"channel": "PUSH", "type": "TASK", "reason": "r", "commerce": {"assignment": 1, "targetUsers": [{"id": 2}]},
        "operator": {}, "id": "good"});
    let play = json!({"activityType": "play", "parameter": {"SongId": 1}});
    let batch = [&bodies[..], &[good.clone(), play, good]].concat();
    let answer = api.post(&format!("{S}/activities/batch"), json!({"activities": batch})).await.expect(200);
    let results = answer.json["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [400, 400, 400, 400, 201, 201, 200]);
    assert_eq!(results[2]["problem"]["errors"].as_array().unwrap().len(), 9);
    // What a channel has in place of a URI is its provider's to say.
    let bulk = json!({"filter": {}, "action": "setUri", "uri": "https://x.example/{SongId}"});
    let changed = api.post(&format!("{S}/activities/bulk"), bulk).await.expect(200).json;
    assert_eq!((&changed["matched"], &changed["changed"]), (&json!(2), &json!(1)));
}
