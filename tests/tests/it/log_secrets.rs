//! Whatever level is asked for, no line of a log holds a secret (SPEC §11): not even what the SDK and the HTTP clients
//! write of their requests and responses.

use crate::api::{ADMIN, Api, S, send};
use crate::echoed_secrets::Logs;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use chrono::TimeDelta;
use http::Request as HttpRequest;
use local::embedded::{remote_clients, router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tests::provider::API_KEY;
use tests::reminders::NOTIFICATION_KEY;
use tests::world::beginning;
use tracing_subscriber::EnvFilter;

type Found = Arc<Mutex<Vec<String>>>;

/// Notes the data keys that KMS answers in plain text.
async fn note_data_keys(State(found): State<Found>, request: Request, next: Next) -> Response {
    let (parts, body) = next.run(request).await.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    found.lock().unwrap().extend(json["Plaintext"].as_str().map(str::to_owned));
    Response::from_parts(parts, bytes.into())
}

#[tokio::test]
async fn a_log_at_its_finest_level_holds_no_secret() {
    let logs = Logs::default();
    let subscriber = shared::telemetry::json(EnvFilter::new("trace"), logs.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Api::new().await;
    let world = &api.world;
    // The services over TCP, as they are on AWS: the HTTP client's own lines are among those that could tell.
    let data_keys = Found::default();
    let services = router(world.embedded.mount().clone())
        .layer(middleware::from_fn_with_state(data_keys.clone(), note_data_keys));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, services).await.unwrap() });
    let process = || async { world.process_with(remote_clients(&endpoint).await) };
    let http = Api::router_on(process().await);
    let call = async |key: &str, method: &str, path: &str, body: Value| -> Value {
        let mut request = HttpRequest::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        let answer = send(http.clone(), request.unwrap()).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        answer.json
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();

    call(ADMIN, "PUT", "/v1/companies/acme", json!({})).await;
    let key = text(&call(ADMIN, "POST", "/v1/companies/acme/api-keys", json!({"label": "l"})).await["key"]);
    let first = text(&call(&key, "PUT", S, json!({})).await["signingSecret"]);
    let rotated = call(&key, "POST", &format!("{S}/signing-secret/rotate"), json!({})).await;
    let uri = format!("{}/songs/{{SongId}}", world.receiver.url());
    let headers = json!({"authorization": "Bearer hush-of-the-type"});
    let play = json!({"verb": "POST", "uriPattern": uri, "headers": headers});
    call(&key, "PUT", &format!("{S}/activity-types/play"), play).await;
    let parameter = json!({"SongId": 1, "note": "hush-of-the-parameter"});
    call(&key, "POST", &format!("{S}/activities"), json!({"activityType": "play", "parameter": parameter}))
        .await;
    let config =
        json!({"provider": "YOM", "baseUrl": world.receiver.url(), "credentials": {"apiKey": API_KEY}});
    call(&key, "PUT", &format!("{S}/dispatch-configs/EMAIL"), config).await;
    let message = json!({
        "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": {"assignment": "a", "targetUsers": []},
    });
    call(&key, "POST", &format!("{S}/activities"), message).await;
    let configuration = json!({
        "notificationKey": NOTIFICATION_KEY, "accountCode": "a", "dialogServiceUri": world.receiver.url(),
    });
    let path = "/api/reminder/configuration/acme/main";
    let made = call(&key, "PUT", path, configuration).await;
    let (primary, secondary) = (text(&made["primaryKey"]), text(&made["secondaryKey"]));
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "11", "notificationTemplateName": "t", "templateParameters": [],
        "sendTimes": [rules::time::format(beginning())],
    });
    call("", "PUT", &format!("/api/reminder/acme/main/r?secret={primary}"), reminder).await;

    // Their caches know nothing of what the API has sealed: each asks for its data keys.
    world.work(&world.worker_on(process().await)).await;
    let until = beginning() + TimeDelta::minutes(1);
    world.sender_on(process().await).run(until).await.unwrap().unwrap();
    let arrived = world.receiver.arrivals();
    assert!(arrived.len() >= 3, "{arrived:?}");

    let data_keys = data_keys.lock().unwrap().clone();
    assert!(data_keys.len() >= 3, "{data_keys:?}");
    let logs = String::from_utf8(logs.0.lock().unwrap().clone()).unwrap();
    assert!(
        logs.contains("\"level\":\"DEBUG\"") && logs.contains("aws_smithy_runtime"),
        "nothing was logged"
    );
    let secrets = [
        key,
        ADMIN.to_owned(),
        first.trim_start_matches("whsec_").to_owned(),
        text(&rotated["signingSecret"]).trim_start_matches("whsec_").to_owned(),
        primary,
        secondary,
        NOTIFICATION_KEY.to_owned(),
        API_KEY.to_owned(),
        "hush-of-the-type".to_owned(),
        "hush-of-the-parameter".to_owned(),
    ];
    for secret in secrets.iter().chain(&data_keys) {
        let line = logs.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret}");
    }
}
