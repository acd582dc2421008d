//! The API's real router on a World, called without a network.

use api_ingest::{ApiContext, ApiSettings, router};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use shared::context::Context;
use shared::settings::Settings;
use tests::World;
use tower::ServiceExt;

/// The admin key of every test.
pub const ADMIN: &str = "admin-key-of-the-tests";
/// Most bytes of an answer that a test reads.
const ANSWER_MAX_BYTES: usize = 16 << 20;
/// The solution that [`Api::seeded`] makes.
pub const S: &str = "/v1/companies/acme/solutions/main";

/// The API and the world behind it.
pub struct Api {
    pub world: World,
    router: Router,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The text as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    /// A header's text; empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The faults as `pointer detail`.
    pub fn faults(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
        errors.iter().map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "detail"))).collect()
    }

    /// The answer, after it was seen to be a problem of this status and to look like one.
    #[track_caller]
    pub fn problem(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["status"], status);
        for name in ["type", "title", "detail"] {
            assert!(self.json[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {}", self.text);
        }
        assert_eq!(self.json.get("errors").is_some(), status == 400, "{}", self.text);
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        assert_eq!(self.headers.contains_key("retry-after"), status == 429);
        self
    }

    /// The answer, after it was seen to have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Api {
    /// An empty one.
    pub async fn new() -> Self {
        Self::with_settings(&|_| None).await
    }

    /// The same, with what `lookup` sets of the common settings.
    pub async fn with_settings(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut world = World::new().await;
        let variables = world.embedded.settings("api-ingest");
        let settings = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
        world.set_settings(Settings::read(&settings).unwrap());
        let own = |name: &str| (name == "PUNCTUAL_ADMIN_KEY").then(|| ADMIN.to_owned());
        // As the template routes them: what sends is the sender's, all else the API's.
        let sender = world.sender_with(world.ctx.clone(), &own).routes();
        let router = sender.fallback_service(Self::router_on(world.ctx.clone()));
        Self { world, router }
    }

    /// One with the company `acme`, its solution `main` and the type `play`.
    pub async fn seeded() -> Self {
        let api = Self::new().await;
        api.put("/v1/companies/acme", json!({})).await.expect(201);
        api.put(S, json!({})).await.expect(201);
        let uri = format!("{}/songs/{{SongId}}", api.world.receiver.url());
        let play = json!({"verb": "POST", "uriPattern": uri, "objectIdRef": "SongId"});
        api.put(&format!("{S}/activity-types/play"), play).await.expect(201);
        api
    }

    /// The router on a context.
    pub fn router_on(context: Context) -> Router {
        router_with(context, ADMIN)
    }

    /// Another process of the API, with caches of its own.
    pub fn other_process(&self) -> Router {
        Self::router_on(self.world.process())
    }

    /// The name of the configuration table.
    pub fn config_table(&self) -> String {
        self.world.embedded.settings("api-ingest")["PUNCTUAL_CONFIG_TABLE"].clone()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// A call by the admin.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(ADMIN, method, path, body).await
    }

    /// A call with a key.
    pub async fn call_as(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    /// A JSON text of one's own, by the admin.
    pub async fn send_text(&self, method: &str, path: &str, text: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
        self.send(request.header("content-type", "application/json").body(text.into()).unwrap()).await
    }

    /// Any request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    /// Makes a key of a company.
    pub async fn key(&self, company: &str) -> String {
        let made = self.post(&format!("/v1/companies/{company}/api-keys"), json!({"label": "test"})).await;
        made.expect(201).json["key"].as_str().unwrap().to_owned()
    }

    /// Accepts an activity of the type `play` about a song, due at once; its id.
    pub async fn activity(&self, song: &str, more: Value) -> String {
        let mut body = json!({"activityType": "play", "parameter": {"SongId": song}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.post(&format!("{S}/activities"), body).await.expect(201);
        made.json["id"].as_str().unwrap().to_owned()
    }
}

/// The router on a context, with an admin key of one's own.
pub fn router_with(context: Context, admin_key: &str) -> Router {
    let lookup = |name: &str| (name == "PUNCTUAL_ADMIN_KEY").then(|| admin_key.to_owned());
    let settings = ApiSettings::read(&lookup).unwrap();
    let api = ApiContext::new(context, settings.admin_key).with_shares(settings.shares);
    router(api.with_notifications(tests::world::http(), settings.max_retries, settings.retry_after_fudge_s))
}

/// A request to a router.
pub async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, ANSWER_MAX_BYTES).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json = serde_json::from_str(&text).unwrap_or_default();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text, json }
}
