//! Nobody who has no business there reaches local mode's own listeners: no tenant, and no page in a browser.

use crate::system::{Functions, Services, Settings};
use crate::system_tests::{SOLUTION, World, settings};
use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Names and addresses of this machine.
const HOSTS: [&str; 7] =
    ["127.0.0.1", "127.0.0.2", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433"];
const REFUSED: &str = "is refused: it is a listener of Punctual itself";

/// Settings that allow every address.
fn open() -> Settings {
    Settings { allowed_cidrs: "0.0.0.0/0,::/0".to_owned(), ..settings(None) }
}

/// What a forged item would need to open another company.
fn forged_key() -> Value {
    let text = |text: &str| json!({ "S": text });
    json!({
        "TableName": "punctual-ConfigTable",
        "Item": { "PK": text("KEY#forged"), "SK": text("KEY"), "company": text("other") },
    })
}

impl World {
    /// The one attempt of an activity, as its history has it.
    async fn detail(&self, id: &str) -> String {
        let (_, activity) = self.call(Method::GET, &format!("{SOLUTION}/activities/{id}"), Value::Null).await;
        activity["history"][0]["detail"].as_str().unwrap_or_else(|| panic!("{activity}")).to_owned()
    }

    async fn items_written(&self) -> u64 {
        self.services.mount().usage().dynamodb.requests.get("PutItem").copied().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_activity_writes_the_tables_or_moves_the_clock() {
    let world = World::start(&open()).await;
    world.prepare().await;
    world.services.mount().reset_usage();
    let (aws, api) = (world.services.address.port(), world.functions.address.port());
    let mut ids = Vec::new();
    for (n, host) in HOSTS.iter().enumerate() {
        for (name, uri, headers, parameter) in [
            (
                "forge",
                format!("http://{host}:{aws}/"),
                json!({ "x-amz-target": "DynamoDB_20120810.PutItem", "user-agent": "curl/8" }),
                forged_key(),
            ),
            (
                "clock",
                format!("http://{host}:{api}/local/clock"),
                json!({}),
                json!({ "advanceSeconds": 864_000_000 }),
            ),
        ] {
            let body = json!({ "verb": "POST", "uriPattern": uri, "headers": headers, "retries": 1 });
            let path = format!("{SOLUTION}/activity-types/{name}{n}");
            let (status, answer) = world.call(Method::PUT, &path, body).await;
            assert_eq!(status, 201, "{answer}");
            let id = format!("{name}-{n}");
            let body = json!({ "activityType": format!("{name}{n}"), "id": id, "parameter": parameter });
            let (status, answer) = world.call(Method::POST, &format!("{SOLUTION}/activities"), body).await;
            assert_eq!(status, 201, "{answer}");
            ids.push(id);
        }
    }
    world.advance(3_600).await;
    for id in ids {
        let detail = world.detail(&id).await;
        assert!(detail.ends_with(REFUSED), "{id}: {detail}");
    }
    assert_eq!(world.items_written().await, 0);
    assert!(world.services.clock_offset() < chrono::TimeDelta::days(1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_notifications_nor_reminders_nor_their_webhooks_reach_a_listener() {
    let world = World::start(&open()).await;
    world.prepare().await;
    let (aws, api) = (world.services.address, format!("localhost:{}", world.functions.address.port()));

    let kind =
        json!({ "uri": format!("http://{aws}/"), "headers": { "x-amz-target": "AmazonSQS.ListQueues" } });
    let path = format!("{SOLUTION}/notification-types/n");
    assert_eq!(world.call(Method::PUT, &path, kind).await.0, 201);
    let body = json!({ "type": "n", "id": "n1", "payload": {} });
    let (status, notification) = world.call(Method::POST, &format!("{SOLUTION}/notifications"), body).await;
    assert_eq!(status, 202, "{notification}");
    let path = format!("{SOLUTION}/notifications/n1");
    let (_, notification) = world.call(Method::GET, &path, Value::Null).await;
    assert!(notification["history"][0]["detail"].as_str().unwrap().ends_with(REFUSED), "{notification}");

    let configuration = json!({
        "notificationKey": "k", "accountCode": "a", "dialogServiceUri": format!("http://{api}/local"),
        "webhookUrl": format!("http://{aws}/hook"),
    });
    let path = "/api/reminder/configuration/acme/clinic";
    let (status, answer) = world.call(Method::PUT, path, configuration).await;
    assert_eq!(status, 201, "{answer}");
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "1", "notificationTemplateName": "visit",
        "sendTimes": ["2020-01-01T00:00:00Z"],
    });
    assert_eq!(world.call(Method::PUT, "/api/reminder/acme/clinic/r", reminder).await.0, 201);
    world.advance(60).await;
    let (_, history) = world.call(Method::GET, "/api/reminder/acme/clinic/r/history", Value::Null).await;
    assert!(history["items"][0]["detail"].as_str().unwrap().ends_with(REFUSED), "{history}");
    let path = "/v1/companies/acme/solutions/clinic/activities";
    let (_, webhooks) = world.call(Method::GET, path, Value::Null).await;
    let id = webhooks["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{webhooks}"));
    let (_, webhook) = world.call(Method::GET, &format!("{path}/{id}"), Value::Null).await;
    assert!(webhook["history"][0]["detail"].as_str().unwrap().ends_with(REFUSED), "{webhook}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_in_a_process_of_their_own_know_the_services_by_their_endpoint() {
    let settings = open();
    let services = Services::start(&settings).await.unwrap();
    let endpoint_url = format!("http://localhost:{}", services.address.port());
    let functions = Functions::start_remote(&settings, &endpoint_url).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |method: Method, path: &str, body: Value| -> Value {
        let request = http.request(method, format!("http://{}{path}", functions.address));
        let request =
            request.bearer_auth(&settings.keys.admin_key).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    call(Method::PUT, "/v1/companies/acme", json!({})).await;
    call(Method::PUT, SOLUTION, json!({})).await;
    for (n, host) in HOSTS.iter().enumerate() {
        let uri = format!("http://{host}:{}/", services.address.port());
        let body = json!({ "uri": uri, "headers": { "x-amz-target": "AmazonSQS.ListQueues" } });
        call(Method::PUT, &format!("{SOLUTION}/notification-types/n{n}"), body).await;
        let body = json!({ "type": format!("n{n}"), "id": format!("n{n}"), "payload": {} });
        let made = call(Method::POST, &format!("{SOLUTION}/notifications"), body).await;
        assert_eq!(made["status"], "PENDING", "{made}");
        let kept = call(Method::GET, &format!("{SOLUTION}/notifications/n{n}"), Value::Null).await;
        assert!(kept["history"][0]["detail"].as_str().unwrap().ends_with(REFUSED), "{kept}");
    }
    functions.stop().await;
    services.stop().await;
}

/// Sends a request as it is written; gives the status, the media type and the body.
async fn raw(address: SocketAddr, head: &str, body: &str) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let media_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (status, media_type.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_in_a_browser_reach_neither_the_clock_nor_the_tables() {
    let world = World::start(&settings(None)).await;
    let (api, aws) = (world.functions.address, world.services.address);
    let forged = forged_key().to_string();
    let day = r#"{"advanceSeconds": 86400}"#.to_owned();
    let target = "x-amz-target: DynamoDB_20120810.PutItem";
    for (address, path, extra, body) in [
        (api, "POST /local/clock", "content-type: application/json", &day),
        (aws, "POST /", target, &forged),
        (aws, "POST /local/usage/reset", "content-type: text/plain", &forged),
    ] {
        let is_local = path.contains("/local/");
        for foreign in [
            // DNS rebinding: the page's own name leads here.
            "host: evil.example".to_owned(),
            format!("host: evil.example:{}", address.port()),
            // A form or a fetch of a page from elsewhere.
            format!("host: {address}\r\norigin: https://evil.example"),
            format!("host: {address}\r\norigin: null"),
            format!("host: {address}\r\nsec-fetch-site: cross-site"),
            format!("host: {address}\r\nsec-fetch-site: same-site"),
            // A call of Punctual's that found another way here.
            format!("host: {address}\r\nwebhook-signature: v1,x"),
        ] {
            let head = format!("{path} HTTP/1.1\r\n{foreign}\r\n{extra}");
            let (status, media_type, problem) = raw(address, &head, body).await;
            assert_eq!(status, StatusCode::FORBIDDEN.as_u16(), "{head}");
            if is_local {
                assert_eq!(
                    (media_type.as_str(), &problem["status"]),
                    ("application/problem+json", &json!(403))
                );
            } else {
                assert_eq!(media_type, "application/x-amz-json-1.0");
                assert_eq!(problem["__type"], "AccessDeniedException");
            }
        }
    }
    assert!(world.services.clock_offset().is_zero());
    world.services.mount().reset_usage();
    // What programs on this machine send is answered, by whichever of its names.
    for host in [api.to_string(), "localhost".to_owned(), format!("localhost:{}", api.port())] {
        let head = format!("POST /local/clock HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json");
        assert_eq!(raw(api, &head, r#"{"advanceSeconds": 1}"#).await.0, 200, "{host}");
        let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\n{target}");
        assert_eq!(raw(aws, &head, &forged).await.0, 200, "{host}");
    }
    assert_eq!(world.items_written().await, 3);
    // The API itself needs a key, whatever its host is.
    let head = "GET /health HTTP/1.1\r\nhost: api.example";
    assert_eq!(raw(api, head, "").await.0, 200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_the_user_allows_is_answered() {
    let mut settings = settings(None);
    settings.allowed_hosts = vec!["services".to_owned()];
    let services = Services::start(&settings).await.unwrap();
    for (host, expect) in [("services:4566", 200), ("other:4566", 403)] {
        let head = format!("GET /local/usage HTTP/1.1\r\nhost: {host}");
        assert_eq!(raw(services.address, &head, "").await.0, expect, "{host}");
    }
    services.stop().await;
}

/// What Lambda could not send is not sent here either, and the API's own limits come first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_has_the_limits_of_api_gateway() {
    let world = World::start(&settings(None)).await;
    let api = world.functions.address;
    for (path, size, expect) in [
        // 256 KiB a body (SPEC §2), told by the API; then what an event takes, told by AWS.
        ("/v1/companies/acme", 300 * 1024, json!({ "status": 413 })),
        ("/v1/companies/acme", 7 * 1024 * 1024, json!({ "message": "Request Entity Too Large" })),
        // What another function serves has the same gateway.
        (
            "/api/reminder/item/pending/send",
            7 * 1024 * 1024,
            json!({ "message": "Request Entity Too Large" }),
        ),
    ] {
        let method = if path.starts_with("/v1") { Method::PUT } else { Method::POST };
        let request = world.http.request(method, format!("http://{api}{path}")).bearer_auth(&world.key);
        let request = request.header("content-type", "application/json").body("x".repeat(size));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 413, "{path} {size}");
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        for (name, value) in expect.as_object().unwrap() {
            assert_eq!(answer[name], *value, "{path} {size}");
        }
    }
    let head = format!("GET /health HTTP/1.1\r\nhost: {api}\r\nx: {}", "x".repeat(10_240));
    assert_eq!(raw(api, &head, "").await.0, 431);
    // The test clock is no function: it takes as long as it takes.
    let head = format!("GET /local/clock HTTP/1.1\r\nhost: {api}\r\nx: {}", "x".repeat(10_240));
    assert_eq!(raw(api, &head, "").await.0, 200);
    world.stop().await;
}
