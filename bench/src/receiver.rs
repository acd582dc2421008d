//! The called side: an HTTP server on loopback that notes when each call came.
//!
//! The first path segment names a lane, so that one receiver can tell several
//! tenants apart. A call's identity is its `Idempotency-Key`.

use anyhow::{Context, Result, bail};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::clock::{Clock, SystemClock};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The lane on which no call is ever answered.
pub const HANGS: &str = "hangs";
/// The phone number of a recipient whose messages take [`SLOW_ANSWER`].
pub const SLOW: &str = "00000000000";
/// How long the Dialog service takes for a message to a slow recipient.
const SLOW_ANSWER: TimeDelta = TimeDelta::seconds(2);
/// How long it takes for one to any other.
const MESSAGE_ANSWER: TimeDelta = TimeDelta::milliseconds(10);
/// Bodies are read to this size; those of the bench are far smaller.
const BODY_LIMIT: usize = 1 << 20;
/// A wait for arrivals wakes this often even if none comes.
const WAKE_EVERY: Duration = Duration::from_millis(500);
/// How often a wait asks whether the processes are alive.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(1);
/// How many of the missing a message names.
const MISSING_NAMED: usize = 5;

/// What came on one lane.
#[derive(Debug, Default)]
struct Lane {
    first: HashMap<String, DateTime<Utc>>,
    in_order: Vec<DateTime<Utc>>,
    calls: u64,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<BTreeMap<String, Lane>>,
    changed: watch::Sender<()>,
    answer_after: TimeDelta,
}

/// The server; it ends with the value.
#[derive(Debug)]
pub struct Receiver {
    /// Base URL, to which a lane's name is added.
    pub url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts on a free port. Calls are noted when their head has come, and answered `answer_after` that.
    pub async fn start(answer_after: TimeDelta) -> Result<Self> {
        let shared =
            Arc::new(Shared { lanes: Mutex::default(), changed: watch::Sender::new(()), answer_after });
        let routes = Router::new()
            .route("/{lane}", axum::routing::any(receive))
            .route("/{lane}/activities", axum::routing::post(take))
            .route("/{lane}/api/autotrigger", axum::routing::post(message))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("bench: the receiver stopped: {error}");
            }
        });
        Ok(Self { url, shared, server })
    }

    /// How many different calls came on `lane`.
    pub fn count(&self, lane: &str) -> usize {
        self.lanes().get(lane).map_or(0, |lane| lane.first.len())
    }

    /// How many calls on `lane` had a key seen before.
    pub fn duplicates(&self, lane: &str) -> u64 {
        self.lanes().get(lane).map_or(0, |lane| lane.calls - lane.first.len() as u64)
    }

    /// When the call with `key` first came.
    pub fn arrival(&self, lane: &str, key: &str) -> Option<DateTime<Utc>> {
        self.lanes().get(lane)?.first.get(key).copied()
    }

    /// First arrivals on `lane`, in the order they came.
    pub fn arrivals(&self, lane: &str) -> Vec<DateTime<Utc>> {
        self.lanes().get(lane).map(|lane| lane.in_order.clone()).unwrap_or_default()
    }

    /// Waits until each of `keys` has come. `alive` is asked now and then, so that the end of a process ends the wait.
    ///
    /// # Errors
    /// When nothing new came for `patience` (the message names some of the missing), or `alive` fails.
    pub async fn wait_for(
        &self,
        lane: &str,
        keys: &[String],
        patience: TimeDelta,
        alive: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut come = 0;
        let complete = |lane: &Lane| {
            come += keys[come..].iter().take_while(|key| lane.first.contains_key(*key)).count();
            come == keys.len()
        };
        if self.wait_until(lane, complete, patience, alive).await? {
            return Ok(());
        }
        let missing: Vec<&str> =
            keys.iter().map(String::as_str).filter(|key| self.arrival(lane, key).is_none()).collect();
        let named = missing.iter().take(MISSING_NAMED).copied().collect::<Vec<_>>().join(", ");
        bail!(
            "{} of {} on lane {lane} never arrived, and nothing has come for {} s: {named} ...",
            missing.len(),
            keys.len(),
            patience.num_seconds()
        )
    }

    /// Waits until `count` different calls have come on `lane`; `false` when nothing new came for `patience`.
    pub async fn wait_count(
        &self,
        lane: &str,
        count: usize,
        patience: TimeDelta,
        alive: impl FnMut() -> Result<()>,
    ) -> Result<bool> {
        self.wait_until(lane, |lane| lane.first.len() >= count, patience, alive).await
    }

    async fn wait_until(
        &self,
        lane: &str,
        mut complete: impl FnMut(&Lane) -> bool,
        patience: TimeDelta,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<bool> {
        let mut changed = self.shared.changed.subscribe();
        let mut seen = 0;
        let mut last_news = SystemClock.now();
        let mut last_look = last_news;
        loop {
            let count = {
                let mut lanes = self.lanes();
                let lane = lanes.entry(lane.to_owned()).or_default();
                if complete(lane) {
                    return Ok(true);
                }
                lane.first.len()
            };
            let now = SystemClock.now();
            if count > seen {
                seen = count;
                last_news = now;
            } else if now - last_news > patience {
                return Ok(false);
            }
            if now - last_look > LOOK_EVERY {
                last_look = now;
                alive()?;
            }
            // A timeout is the other way on: the checks above are due then too.
            let _ = tokio::time::timeout(WAKE_EVERY, changed.changed()).await;
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<String, Lane>> {
        lock(&self.shared)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, BTreeMap<String, Lane>> {
    shared.lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A provider that calls an activity what its key is.
async fn take(state: State<Arc<Shared>>, lane: Path<String>, request: Request) -> Response {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    let id = key.unwrap_or_default().to_owned();
    let status = receive(state, lane, request).await;
    if status.is_success() {
        Json(json!({ "providerActivityId": id })).into_response()
    } else {
        status.into_response()
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(lane): Path<String>,
    request: Request,
) -> StatusCode {
    let at = SystemClock.now();
    let (head, body) = request.into_parts();
    // The body is read so that the connection can be used again.
    if axum::body::to_bytes(body, BODY_LIMIT).await.is_err() {
        return StatusCode::BAD_REQUEST;
    }
    let Some(key) = head.headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let hangs = lane == HANGS;
    note(&shared, lane, key, at);
    if hangs {
        std::future::pending::<()>().await;
    }
    if shared.answer_after > TimeDelta::zero() {
        SystemClock.sleep_until(at + shared.answer_after).await;
    }
    StatusCode::NO_CONTENT
}

/// A Dialog service: like [`receive`], but for one recipient it takes its time.
async fn message(
    State(shared): State<Arc<Shared>>,
    Path(lane): Path<String>,
    request: Request,
) -> StatusCode {
    let at = SystemClock.now();
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else { return StatusCode::BAD_REQUEST };
    let Some(key) = head.headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let hangs = lane == HANGS;
    note(&shared, lane, key, at);
    if hangs {
        std::future::pending::<()>().await;
    }
    let slow = String::from_utf8_lossy(&body).contains(SLOW);
    SystemClock.sleep_until(at + if slow { SLOW_ANSWER } else { MESSAGE_ANSWER }).await;
    StatusCode::NO_CONTENT
}

fn note(shared: &Shared, lane: String, key: &str, at: DateTime<Utc>) {
    {
        let mut lanes = lock(shared);
        let lane = lanes.entry(lane).or_default();
        lane.calls += 1;
        if !lane.first.contains_key(key) {
            lane.first.insert(key.to_owned(), at);
            lane.in_order.push(at);
        }
    }
    shared.changed.send_replace(());
}

#[cfg(test)]
mod tests {
    use super::Receiver;
    use chrono::TimeDelta;

    async fn call(receiver: &Receiver, lane: &str, key: &str) {
        let request =
            reqwest::Client::new().post(format!("{}/{lane}", receiver.url)).header("idempotency-key", key);
        let answer = request.body("{}").send().await.expect("answered");
        assert_eq!(answer.status(), 204);
    }

    #[tokio::test]
    async fn lanes_are_apart_and_duplicates_are_counted() {
        let receiver = Receiver::start(TimeDelta::zero()).await.expect("starts");
        call(&receiver, "a", "x:0").await;
        call(&receiver, "a", "x:0").await;
        call(&receiver, "b", "y:0").await;
        let keys = ["x:0".to_owned()];
        receiver.wait_for("a", &keys, TimeDelta::zero(), || Ok(())).await.expect("came");
        assert_eq!((receiver.count("a"), receiver.duplicates("a")), (1, 1));
        assert_eq!((receiver.count("b"), receiver.duplicates("b")), (1, 0));
        assert_eq!((receiver.count("c"), receiver.duplicates("c")), (0, 0));
        assert_eq!(receiver.arrivals("a").first().copied(), receiver.arrival("a", "x:0"));
        assert_eq!(receiver.arrival("a", "y:0"), None);
    }

    #[tokio::test]
    async fn what_never_comes_is_named() {
        let receiver = Receiver::start(TimeDelta::zero()).await.expect("starts");
        call(&receiver, "a", "x:0").await;
        let keys = ["x:0".to_owned(), "z:0".to_owned()];
        let error = receiver.wait_for("a", &keys, TimeDelta::zero(), || Ok(())).await.expect_err("missing");
        assert!(error.to_string().starts_with("1 of 2 on lane a never arrived"), "{error}");
        assert!(error.to_string().contains("z:0"), "{error}");
    }
}
