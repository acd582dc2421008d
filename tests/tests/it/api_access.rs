//! SPEC §1: who may do what; keys are shown once and stop at once.

use crate::api::{ADMIN, Api, S, send};
use axum::body::Body;
use http::Request;
use serde_json::json;

fn get_as(key: &str, path: &str) -> Request<Body> {
    Request::builder().uri(path).header("x-api-key", key).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_company_key_opens_everything_below_its_own_company() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    let activities = format!("{S}/activities");
    let as_company = |method, path, body| api.call_as(&key, method, path, body);
    as_company("GET", "/v1/companies/acme", None).await.expect(200);
    as_company("GET", "/v1/companies/acme/audit-log", None).await.expect(200);
    as_company("GET", "/v1/companies/acme/api-keys", None).await.expect(200);
    as_company("POST", "/v1/companies/acme/api-keys", Some(json!({"label": "second"}))).await.expect(201);
    as_company("PUT", "/v1/companies/acme/solutions/other", Some(json!({}))).await.expect(201);
    as_company("DELETE", "/v1/companies/acme/solutions/other", None).await.expect(204);
    let activity = json!({"activityType": "play", "parameter": {"SongId": 1}});
    as_company("POST", &activities, Some(activity)).await.expect(201);
    // It may not give its company more than the admin gave it.
    as_company("PUT", "/v1/companies/acme", Some(json!({"qosLevel": 100}))).await.problem(403);
    as_company("DELETE", "/v1/companies/acme", None).await.problem(403);
    as_company("GET", "/v1/companies", None).await.problem(403);
}

#[tokio::test]
async fn the_key_goes_in_either_header() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    for key in [ADMIN, &key] {
        for (name, value) in [
            ("authorization", format!("Bearer {key}")),
            ("authorization", format!("bearer {key}")),
            ("Authorization", format!("BEARER {key}")),
            ("X-Api-Key", key.to_owned()),
        ] {
            let request = Request::builder().uri(S).header(name, value).body(Body::empty()).unwrap();
            api.send(request).await.expect(200);
        }
        let both = Request::builder()
            .uri(S)
            .header("x-api-key", key)
            .header("authorization", format!("Bearer {key}"));
        api.send(both.body(Body::empty()).unwrap()).await.expect(200);
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_as_a_hash() {
    let api = Api::seeded().await;
    let made = api.post("/v1/companies/acme/api-keys", json!({"label": "CI"})).await.expect(201);
    let (id, key) = (made.json["id"].as_str().unwrap(), made.json["key"].as_str().unwrap());
    let secret = key.rsplit('~').next().unwrap();
    assert_eq!(made.header("location"), format!("/v1/companies/acme/api-keys/{id}"));
    let listed = api.get("/v1/companies/acme/api-keys").await.expect(200);
    assert_eq!(listed.json["items"][0]["label"], "CI");
    assert_eq!(listed.json["items"][0]["id"], id);
    let audit = api.get("/v1/companies/acme/audit-log").await.expect(200);
    let table =
        api.world.embedded.clients().dynamodb.scan().table_name(api.config_table()).send().await.unwrap();
    let stored = format!("{:?}", table.items());
    assert!(stored.contains("secretHash"));
    for text in [&listed.text, &audit.text, &stored] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn keys_are_made_idempotently() {
    let api = Api::seeded().await;
    let path = "/v1/companies/acme/api-keys";
    let body = json!({"label": "CI", "id": "ci"});
    api.post(path, body.clone()).await.expect(201);
    let again = api.post(path, body).await.expect(200);
    assert!(again.json.get("key").is_none(), "{}", again.text);
    api.post(path, json!({"label": "another", "id": "ci"})).await.problem(409);
    let header = Request::builder().method("POST").uri(path).header("x-api-key", ADMIN);
    let header = header.header("idempotency-key", "ci").header("content-type", "application/json");
    api.send(header.body(json!({"label": "CI"}).to_string().into()).unwrap()).await.expect(200);
    for (body, expect) in [
        (json!({}), "/label is required"),
        (json!({"label": ""}), "/label must have 1 to 128 characters"),
        (json!({"label": "x".repeat(129)}), "/label must have 1 to 128 characters"),
        (json!({"label": 1}), "/label must be a string"),
        (json!({"label": "x", "id": "a/b"}), "/id must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}"),
    ] {
        assert_eq!(api.post(path, body).await.problem(400).faults(), [expect]);
    }
}

#[tokio::test]
async fn a_deleted_key_stops_here_at_once_and_elsewhere_within_seconds() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    let id = api.get("/v1/companies/acme/api-keys").await.json["items"][0]["id"].as_str().unwrap().to_owned();
    let elsewhere = api.other_process();
    send(elsewhere.clone(), get_as(&key, S)).await.expect(200);
    api.call_as(&key, "GET", S, None).await.expect(200);
    api.delete(&format!("/v1/companies/acme/api-keys/{id}")).await.expect(204);
    api.call_as(&key, "GET", S, None).await.problem(401);
    api.delete(&format!("/v1/companies/acme/api-keys/{id}")).await.problem(404);
    api.world.clock.advance(shared::tenancy::CACHE_TTL);
    send(elsewhere, get_as(&key, S)).await.problem(401);
}

#[tokio::test]
async fn a_company_made_again_is_not_opened_by_its_old_keys() {
    let api = Api::new().await;
    api.put("/v1/companies/acme", json!({})).await.expect(201);
    let mut keys = Vec::new();
    for _ in 0..95 {
        keys.push(api.key("acme").await);
    }
    api.delete("/v1/companies/acme").await.expect(204);
    api.put("/v1/companies/acme", json!({})).await.expect(201);
    for key in keys {
        api.call_as(&key, "GET", "/v1/companies/acme", None).await.problem(401);
    }
    assert_eq!(api.get("/v1/companies/acme/api-keys").await.expect(200).json, json!({"items": []}));
}
