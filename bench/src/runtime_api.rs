//! A stand-in for the runtime API, by which Lambda hands a function its invocations, on loopback.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use shared::clock::{Clock, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// Lambda's own limit is what template.yaml gives a function; this is long enough for each.
const INVOCATION_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Shared {
    /// What the function is asked next. A lock, since one that was killed may still wait here.
    events: Mutex<mpsc::UnboundedReceiver<Bytes>>,
    answers: mpsc::UnboundedSender<std::result::Result<Bytes, String>>,
    number: AtomicU64,
}

/// The stand-in for one function process after the other; it ends with the value.
#[derive(Debug)]
pub struct RuntimeApi {
    /// Host and port, as `AWS_LAMBDA_RUNTIME_API` has them.
    pub address: String,
    events: mpsc::UnboundedSender<Bytes>,
    answers: mpsc::UnboundedReceiver<std::result::Result<Bytes, String>>,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let (events, waiting) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let shared = Shared { events: Mutex::new(waiting), answers: answered, number: AtomicU64::new(0) };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::new(shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("bench: the runtime API stopped: {error}");
            }
        });
        Ok(Self { address, events, answers, server })
    }

    /// Gives the function `event` as soon as it asks, and waits for what it answers.
    pub async fn invoke(&mut self, event: Bytes) -> Result<Bytes> {
        self.events.send(event)?;
        match tokio::time::timeout(INVOCATION_LIMIT, self.answers.recv()).await {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(error))) => bail!("the invocation failed: {error}"),
            Ok(None) => bail!("the runtime API has stopped"),
            Err(_) => bail!("no answer in {INVOCATION_LIMIT:?}"),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let number = shared.number.fetch_add(1, Ordering::Relaxed);
    let deadline = SystemClock.now().timestamp_millis() + INVOCATION_LIMIT.as_millis() as i64;
    let headers = [
        ("lambda-runtime-aws-request-id", format!("00000000-0000-0000-0000-{number:012}")),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    // Nobody waits any more only when the bench is ending.
    let _ = shared.answers.send(Ok(body));
    StatusCode::ACCEPTED
}

async fn error(State(shared): State<Arc<Shared>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    let _ = shared.answers.send(Err(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}

#[cfg(test)]
mod tests {
    use super::RuntimeApi;
    use axum::body::Bytes;

    #[tokio::test]
    async fn a_function_gets_its_event_and_its_answer_arrives() {
        let mut api = RuntimeApi::start().await.expect("starts");
        let base = format!("http://{}/2018-06-01/runtime/invocation", api.address);
        let function = tokio::spawn(async move {
            let http = reqwest::Client::new();
            for end in ["response", "error"] {
                let event = http.get(format!("{base}/next")).send().await.expect("an event");
                let id = event.headers()["lambda-runtime-aws-request-id"].to_str().expect("text").to_owned();
                let body = event.text().await.expect("a body");
                http.post(format!("{base}/{id}/{end}")).body(body + "!").send().await.expect("taken");
            }
        });
        assert_eq!(api.invoke(Bytes::from_static(b"one")).await.expect("answered"), "one!");
        let failed = api.invoke(Bytes::from_static(b"two")).await.expect_err("an error");
        assert!(failed.to_string().contains("two!"), "{failed}");
        function.await.expect("no panic");
    }
}
