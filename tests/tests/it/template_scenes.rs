//! Each function's whole life, short, with all that it asks of the services and tells of itself.
//!
//! One world, in which every function runs as a process of its own. The API is called on every operation of its
//! description, the others meet success, failure, loss and pause.

use crate::api::{Answer, send};
use crate::{template_scenes_api, template_scenes_functions, template_scenes_shares};
use api_ingest::{ApiContext, router};
use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::Value;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::telemetry::Metrics;
use shared::tenancy::SecretHash;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tests::steps::{Asked, Steps, Stop};
use tests::world::http;
use tests::{Receiver, World};
use tokio::sync::OnceCell;

/// The API's admin key here.
pub const ADMIN: &str = "admin-key-of-the-scenes";
/// More service calls than any function makes in one go here.
pub const CALLS_MAX: usize = 200;

/// The world, and what each function did in it.
pub struct Stage {
    pub world: World,
    /// Takes the calls of what is to fail, so that the others' receiver is left with no replies.
    pub flaky: Receiver,
    pub api: Router,
    /// One for all: loading the root certificates takes longer than most scenes.
    pub http: Outbound,
    processes: Mutex<Vec<(&'static str, Arc<Steps>)>>,
    told: Arc<Mutex<Vec<(&'static str, Value)>>>,
    /// Operations of the API that succeeded, as `GET /path/{template}`.
    pub called: Mutex<Vec<(String, String)>>,
}

/// What was seen of all functions.
pub struct Seen {
    /// What each asked of the services.
    pub asked: BTreeMap<&'static str, Vec<Asked>>,
    /// The documents of metrics, each with the function that wrote it.
    pub told: Vec<(&'static str, Value)>,
}

/// All scenes, played once for all tests.
pub async fn everything() -> &'static Seen {
    static SEEN: OnceCell<Seen> = OnceCell::const_new();
    let play = async || {
        let stage = Stage::new().await;
        // Boxed, since together their futures are larger than a test's stack.
        Box::pin(template_scenes_api::play(&stage)).await;
        Box::pin(template_scenes_functions::play(&stage)).await;
        Box::pin(template_scenes_shares::play(&stage)).await;
        let told = stage.told.lock().unwrap().clone();
        Seen { asked: stage.asked(), told }
    };
    SEEN.get_or_init(play).await
}

impl Stage {
    /// Begins with nothing.
    pub async fn new() -> Self {
        let world = World::new().await;
        let mut stage = Self {
            world,
            flaky: Receiver::start().await,
            api: Router::new(),
            http: http(),
            processes: Mutex::default(),
            told: Arc::default(),
            called: Mutex::default(),
        };
        let context = ApiContext::new(stage.process("api-ingest"), SecretHash::of(ADMIN));
        let context = context.with_dialog_service(None).with_notifications(stage.http.clone(), 3, 600);
        stage.api = router(context.with_metrics(stage.metrics("api-ingest")));
        stage
    }

    /// A process of a function; what it asks for is recorded.
    pub fn process(&self, function: &'static str) -> Context {
        self.stopping(function, Stop::NEVER).0
    }

    /// The same, stopped on its way.
    pub fn stopping(&self, function: &'static str, stop: Stop) -> (Context, Arc<Steps>) {
        let (steps, clients) = Steps::of(self.world.embedded.clients(), stop);
        self.processes.lock().unwrap().push((function, steps.clone()));
        (self.world.process_with(clients), steps)
    }

    /// A function's metrics; what they tell is recorded.
    pub fn metrics(&self, function: &'static str) -> Metrics {
        let told = self.told.clone();
        let sink =
            move |line: &str| told.lock().unwrap().push((function, serde_json::from_str(line).unwrap()));
        Metrics::to(function, Arc::new(sink))
    }

    /// What each function asked for.
    fn asked(&self) -> BTreeMap<&'static str, Vec<Asked>> {
        let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (function, steps) in self.processes.lock().unwrap().iter() {
            asked.entry(*function).or_default().extend(steps.asked());
        }
        asked
    }

    /// A request by the admin; the answer must have the status.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, status: u16) -> Answer {
        self.call_as(ADMIN, method, path, body, status).await
    }

    /// A request with a key.
    pub async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = send(self.api.clone(), request.body(body).unwrap()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status < 400 {
            let path = path.split('?').next().unwrap_or_default();
            self.called.lock().unwrap().push((method.to_owned(), path.to_owned()));
        }
        answer
    }
}
