//! The demo's receiver: takes the calls on loopback, checks their signatures,
//! and fails where the story wants it to. Below `/shop/yom` it is a provider.

use crate::server::Server;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;
use shared::clock::{Clock, SystemClock};
use standardwebhooks::Webhook;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What reminders call below their Dialog service's URI.
const DIALOG_PATH: &str = "/api/autotrigger";
/// What the demo's Dialog service wants to be shown.
pub const NOTIFICATION_KEY: &str = "notification-key-of-the-demo";

/// A call that has arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub at: DateTime<Utc>,
    /// The activity, from `Idempotency-Key` (its id, a colon, its run).
    pub activity: String,
    /// 1 for the first call of a run, 2 for the first retry.
    pub attempt: u32,
    pub request: String,
    /// What the receiver answered.
    pub status: u16,
    /// By what it shows that it comes from Punctual.
    pub by: Proof,
    /// Whether that is right.
    pub proven: bool,
}

/// What shows where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Standard Webhooks.
    Signature,
    /// The key that a Dialog service wants.
    NotificationKey,
}

/// The key by which the stand-in provider knows its caller.
pub const PROVIDER_KEY: &str = "the-providers-key";

/// What the stand-in provider calls an activity.
pub fn provider_activity_id(activity: &str) -> String {
    format!("yom-{activity}")
}

/// The receiver.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Shared>,
    server: Server,
}

struct Shared {
    arrivals: mpsc::UnboundedSender<Arrival>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Signing secrets, by the first segment of the path.
    secrets: HashMap<String, String>,
    /// Calls so far, by idempotency key.
    calls: HashMap<String, u32>,
    repaired: bool,
}

impl Receiver {
    /// Listens on a free port; every call is told on the channel.
    pub async fn start() -> anyhow::Result<(Self, mpsc::UnboundedReceiver<Arrival>)> {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let state = Arc::new(Shared { arrivals: sender, inner: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&state));
        Ok((Self { address, state, server: Server::start(listener, routes) }, arrivals))
    }

    /// The secret by which calls below `/{solution}/` are signed.
    pub fn trust(&self, solution: &str, secret: &str) {
        self.state.lock().secrets.insert(solution.to_owned(), secret.to_owned());
    }

    /// From now on what was broken works.
    pub fn repair(&self) {
        self.state.lock().repaired = true;
    }

    /// Takes no more calls.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(state): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = SystemClock.now();
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let mut segments = uri.path().trim_start_matches('/').split('/');
    let (solution, kind) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let mut inner = state.lock();
    let calls = inner.calls.entry(key.to_owned()).or_default();
    *calls += 1;
    let attempt = *calls;
    let status = match kind {
        "unsteady" | "alert" if attempt == 1 => StatusCode::SERVICE_UNAVAILABLE,
        "broken" if !inner.repaired => StatusCode::INTERNAL_SERVER_ERROR,
        "yom" if headers.get("x-api-key").is_none_or(|key| key != PROVIDER_KEY) => StatusCode::UNAUTHORIZED,
        _ => StatusCode::OK,
    };
    let secret = inner.secrets.get(solution).cloned();
    drop(inner);
    let activity = key.rsplit_once(':').map_or(key, |(id, _)| id);
    // What reminders call is a Dialog service, which knows its callers by their keys.
    let (by, proven) = if uri.path().ends_with(DIALOG_PATH) {
        let key = headers.get(AUTHORIZATION).and_then(|key| key.to_str().ok());
        (Proof::NotificationKey, key == Some(NOTIFICATION_KEY))
    } else {
        let verifier = secret.and_then(|secret| Webhook::new(&secret).ok());
        (Proof::Signature, verifier.is_some_and(|verifier| verifier.verify(&body, &headers).is_ok()))
    };
    let arrival = Arrival {
        at,
        activity: activity.to_owned(),
        attempt,
        request: format!("{method} {}", uri.path()),
        status: status.as_u16(),
        by,
        proven,
    };
    // Nobody listens any more when the demo is over.
    let _ = state.arrivals.send(arrival);
    match kind {
        "yom" if status.is_success() => {
            Json(json!({ "providerActivityId": provider_activity_id(activity) })).into_response()
        }
        _ => status.into_response(),
    }
}
