use crate::clock::OFFSET_MAX;
use crate::keys::Keys;
use crate::system::{Functions, Services, Settings};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

pub(super) const SOLUTION: &str = "/v1/companies/acme/solutions/shop";

pub(super) fn settings(data_dir: Option<&Path>) -> Settings {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        api: any,
        aws: any,
        data_dir: data_dir.map(Path::to_owned),
        keys: Keys::find(|_| None, None).unwrap(),
        allowed_cidrs: crate::template::LOCAL_ALLOWED_CIDRS.to_owned(),
        allowed_hosts: Vec::new(),
        clock_offset: None,
    }
}

/// A system, and a receiver that fails below `/bad`.
pub(super) struct World {
    pub services: Services,
    pub functions: Functions,
    pub key: String,
    pub http: reqwest::Client,
    receiver: SocketAddr,
    calls: Arc<Mutex<Vec<String>>>,
}

async fn receive(State(calls): State<Arc<Mutex<Vec<String>>>>, uri: Uri) -> StatusCode {
    calls.lock().unwrap().push(uri.path().to_owned());
    if uri.path().starts_with("/bad") { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
}

impl World {
    pub async fn start(settings: &Settings) -> Self {
        let services = Services::start(settings).await.unwrap();
        let functions = Functions::start(settings, &services).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = listener.local_addr().unwrap();
        let calls = Arc::default();
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&calls));
        tokio::spawn(axum::serve(listener, routes).into_future());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { services, functions, key: settings.keys.admin_key.clone(), http, receiver, calls }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("http://{}{path}", self.functions.address));
        let request = request.bearer_auth(&self.key).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn prepare(&self) {
        self.call(Method::PUT, "/v1/companies/acme", json!({})).await;
        self.call(Method::PUT, SOLUTION, json!({})).await;
        for kind in ["good", "bad"] {
            let uri = format!("http://{}/{kind}/{{n}}", self.receiver);
            let body = json!({ "verb": "POST", "uriPattern": uri });
            let (status, answer) =
                self.call(Method::PUT, &format!("{SOLUTION}/activity-types/{kind}"), body).await;
            assert_eq!(status, 201, "{answer}");
        }
    }

    async fn schedule(&self, kind: &str, id: &str, seconds: i64) {
        let (_, clock) = self.call(Method::GET, "/local/clock", Value::Null).await;
        let now = rules::time::parse(clock["now"].as_str().unwrap()).unwrap();
        let date = rules::time::format(now + chrono::TimeDelta::seconds(seconds));
        let body = json!({ "activityType": kind, "id": id, "date": date, "parameter": { "n": id } });
        let (status, answer) = self.call(Method::POST, &format!("{SOLUTION}/activities"), body).await;
        assert_eq!(status, 201, "{answer}");
    }

    pub async fn advance(&self, seconds: i64) -> (u64, u64) {
        let (status, answer) =
            self.call(Method::POST, "/local/clock", json!({ "advanceSeconds": seconds })).await;
        assert_eq!(status, 200, "{answer}");
        (answer["delivered"].as_u64().unwrap(), answer["failed"].as_u64().unwrap())
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub async fn stop(self) {
        self.functions.stop().await;
        self.services.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_months_schedule_is_seen_at_once_and_retries_come_at_their_times() {
    let world = World::start(&settings(None)).await;
    world.prepare().await;
    world.schedule("good", "month", 30 * 86_400).await;
    world.schedule("good", "week", 7 * 86_400).await;
    world.schedule("bad", "hour", 3_600).await;
    assert_eq!(world.advance(3_500).await, (0, 0));
    // Three executions, 30 s apart, at 3,600, 3,630 and 3,660 s.
    assert_eq!(world.advance(140).await, (0, 2));
    assert_eq!(world.advance(60).await, (0, 1));
    assert_eq!(world.advance(31 * 86_400).await, (2, 0));
    assert_eq!(world.calls(), ["/bad/hour", "/bad/hour", "/bad/hour", "/good/week", "/good/month"]);
    let (_, failed) = world.call(Method::GET, &format!("{SOLUTION}/activities/hour"), Value::Null).await;
    assert_eq!(failed["status"], "FAILED");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_months_reminders_are_sent_and_told_of_at_once() {
    let settings = settings(None);
    let world = World::start(&settings).await;
    let base = format!("http://{}", world.receiver);
    let configuration = json!({
        "notificationKey": "k", "accountCode": "a", "dialogServiceUri": base, "webhookUrl": format!("{base}/hook"),
    });
    let path = "/api/reminder/configuration/acme/clinic";
    assert_eq!(world.call(Method::PUT, path, configuration).await.0, 201);
    let (_, clock) = world.call(Method::GET, "/local/clock", Value::Null).await;
    let now = rules::time::parse(clock["now"].as_str().unwrap()).unwrap();
    let times: Vec<String> =
        [1, 30].map(|days| rules::time::format(now + chrono::TimeDelta::days(days))).to_vec();
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "1", "notificationTemplateName": "visit", "sendTimes": times,
    });
    let path = "/api/reminder/acme/clinic/r";
    assert_eq!(world.call(Method::PUT, path, reminder).await.0, 201);
    assert_eq!(world.advance(3_600).await, (0, 0));
    // Each message and its webhook, at the first minute after the send time.
    assert_eq!(world.advance(86_400).await, (2, 0));
    assert_eq!(world.advance(31 * 86_400).await, (2, 0));
    assert_eq!(world.calls(), ["/api/autotrigger", "/hook", "/api/autotrigger", "/hook"]);
    assert_eq!(world.call(Method::GET, path, Value::Null).await.1["status"], "completed");
    // The two endpoints are the sender's, opened by its own secret.
    let pending = format!("/api/reminder/item/pending/send?secret={}", settings.keys.processor_secret);
    let url = format!("http://{}{pending}", world.functions.address);
    let answer = world.http.post(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"processed":0,"sent":0,"failed":0,"skipped":0}"#);
    let by_hand = "/api/reminder/item/send?agentId=acme&configurationId=clinic&reminderId=r";
    assert_eq!(world.call(Method::POST, by_hand, Value::Null).await.0, 409);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_clock_input_is_refused_and_other_paths_are_the_apis() {
    let world = World::start(&settings(None)).await;
    let (status, problem) = world.call(Method::POST, "/local/clock", json!({ "advanceSeconds": -5 })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/advanceSeconds")));
    assert_eq!(world.call(Method::GET, "/health", Value::Null).await.0, 200);
    assert_eq!(world.call(Method::GET, "/local/other", Value::Null).await.0, 404);
    world.stop().await;
}

/// A web page can make a browser send the simplest requests to this machine. None of them moves time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_a_caller_that_says_json_moves_the_clock_and_all_errors_are_problems() {
    let world = World::start(&settings(None)).await;
    let url = format!("http://{}/local/clock", world.functions.address);
    let day = r#"{"advanceSeconds": 86400}"#;
    let large = format!(r#"{{"advanceSeconds": {}1}}"#, " ".repeat(3 << 20));
    for (method, media_type, body, status) in [
        (Method::POST, None, day, 415),
        (Method::POST, Some("text/plain"), day, 415),
        (Method::POST, Some("application/x-www-form-urlencoded"), day, 415),
        (Method::POST, Some("multipart/form-data; boundary=x"), day, 415),
        (Method::POST, None, "", 400),
        (Method::POST, Some("application/json"), "{", 400),
        (Method::POST, Some("application/json"), r#"{"advanceSeconds": 1e300}"#, 400),
        (Method::POST, Some("application/json"), r#"{"advanceSeconds": 1, "advanceSeconds": 1}"#, 400),
        (Method::POST, Some("application/json"), &large, 413),
        (Method::PUT, Some("application/json"), day, 405),
        (Method::DELETE, None, "", 405),
        (Method::PATCH, Some("text/plain"), day, 405),
    ] {
        let request = world.http.request(method.clone(), &url).body(body.to_owned());
        let request = match media_type {
            Some(media_type) => request.header("content-type", media_type),
            None => request,
        };
        let response = request.send().await.unwrap();
        let what = format!("{method} {media_type:?}");
        assert_eq!(response.status().as_u16(), status, "{what}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
        if status == 405 {
            assert_eq!(response.headers()["allow"], "GET,HEAD,POST", "{what}");
        }
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["status"], status, "{what}");
    }
    let preflight = world.http.request(Method::OPTIONS, &url).send().await.unwrap();
    assert!(preflight.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    assert!(world.services.clock_offset().is_zero());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_not_moved_out_of_its_range() {
    let settings = Settings { clock_offset: Some(OFFSET_MAX), ..settings(None) };
    let world = World::start(&settings).await;
    let (status, problem) = world.call(Method::POST, "/local/clock", json!({ "advanceSeconds": 1 })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/advanceSeconds")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("31622400000 seconds"), "{problem}");
    assert_eq!(world.advance(0).await, (0, 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_state_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(Some(dir.path()));
    let world = World::start(&settings).await;
    world.prepare().await;
    world.advance(86_400).await;
    world.schedule("good", "soon", 600).await;
    let second = Services::start(&settings).await.err().unwrap();
    assert!(second.to_string().contains("another process is using the data directory"), "{second}");
    let receiver = Arc::clone(&world.calls);
    world.stop().await;

    let world = World::start(&settings).await;
    assert!(world.services.clock_offset() > chrono::TimeDelta::hours(23));
    // The message was in memory; the requeue at the start has sent it again.
    assert_eq!(world.advance(600).await, (1, 0));
    assert_eq!(*receiver.lock().unwrap(), ["/good/soon"]);
    world.stop().await;
}

/// The directory may have been made by somebody else, for everybody.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_for_its_owner_alone() {
    use std::fs::{File, Permissions, metadata, read_dir, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    const SECRET: [&str; 6] =
        ["punctual.db", "punctual.db-wal", "punctual.db-shm", "kms.json", "admin-key", "processor-secret"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::create_dir(&path).unwrap();
    set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    std::fs::write(path.join("unrelated"), "").unwrap();
    set_permissions(path.join("unrelated"), Permissions::from_mode(0o644)).unwrap();
    let modes = || {
        let mut modes: Vec<(String, u32)> = Vec::new();
        for entry in read_dir(&path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            modes.push((name.clone(), metadata(path.join(&name)).unwrap().permissions().mode() & 0o777));
        }
        modes
    };
    for _ in 0..2 {
        let keys = Keys::find(|_| None, Some(&path)).unwrap();
        let world = World::start(&Settings { keys, ..settings(Some(&path)) }).await;
        let (status, _) = world.call(Method::PUT, "/v1/companies/acme", json!({})).await;
        assert!(status < 300, "{status}");
        let modes = modes();
        for secret in SECRET {
            assert!(modes.contains(&(secret.to_owned(), 0o600)), "{secret}: {modes:?}");
        }
        assert!(
            modes.contains(&("unrelated".to_owned(), 0o644)),
            "what is not ours is left alone: {modes:?}"
        );
        world.stop().await;
        // As an older version that was killed left them.
        for name in SECRET {
            let file = File::options().create(true).append(true).open(path.join(name)).unwrap();
            file.set_permissions(Permissions::from_mode(0o644)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_functions_run_alone_on_services_elsewhere() {
    let settings = settings(None);
    let services = Services::start(&settings).await.unwrap();
    let endpoint_url = format!("http://{}", services.address);
    let functions = Functions::start_remote(&settings, &endpoint_url).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let companies = format!("http://{}/v1/companies", functions.address);
    let response = http.get(companies).bearer_auth(&settings.keys.admin_key).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    // Only the one process that has the services can move their time.
    let clock = http.get(format!("http://{}/local/clock", functions.address)).send().await.unwrap();
    assert_eq!(clock.status().as_u16(), 404);
    functions.stop().await;
    services.stop().await;
}
