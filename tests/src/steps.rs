//! Service calls one by one: before or after any of them a process can be stopped.
//!
//! [`Steps`] sits at the HTTP seam of the real SDK clients. It counts their
//! calls, and at the one that is told it stops the process: the call never
//! returns, whether or not it took effect. A test that then drops the process
//! has killed it there; one that goes on has frozen and woken it.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use shared::context::Clients;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, Semaphore};

/// Where a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// At which of its service calls, from 0.
    pub call: usize,
    /// After the call took effect, or before it was made.
    pub after: bool,
}

impl Stop {
    /// Never.
    pub const NEVER: Stop = Stop { call: usize::MAX, after: false };

    /// Every stop within the first `calls` calls.
    pub fn all(calls: usize) -> impl Iterator<Item = Stop> {
        (0..calls).flat_map(|call| [false, true].map(|after| Stop { call, after }))
    }
}

/// The service calls of one process.
pub struct Steps {
    inner: SharedHttpClient,
    stop: Mutex<Stop>,
    calls: AtomicUsize,
    stopped: Notify,
    go_on: Semaphore,
    asked: Mutex<Vec<Asked>>,
}

/// A service call, as it was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Service and operation, such as `AmazonSQS.SendMessageBatch`.
    pub target: String,
    /// The request.
    pub body: serde_json::Value,
}

impl Steps {
    /// A process on `clients` that stops at `stop`, and its clients.
    pub fn of(clients: &Clients, stop: Stop) -> (Arc<Self>, Clients) {
        let inner = clients.dynamodb.config().http_client().expect("embedded clients have one");
        let steps = Arc::new(Self {
            inner,
            stop: Mutex::new(stop),
            calls: AtomicUsize::new(0),
            stopped: Notify::new(),
            go_on: Semaphore::new(0),
            asked: Mutex::default(),
        });
        let connector = steps.clone();
        let http_client =
            http_client_fn(move |_, _| SharedHttpConnector::new(Stepped { steps: connector.clone() }));
        macro_rules! through {
            ($sdk:ident, $client:expr) => {
                // A process that stands still does so for as long as the test wants, not for as long as a call may take by the wall.
                $sdk::Client::from_conf(
                    $client
                        .config()
                        .to_builder()
                        .http_client(http_client.clone())
                        .timeout_config($sdk::config::timeout::TimeoutConfig::disabled())
                        .build(),
                )
            };
        }
        let clients = Clients {
            dynamodb: through!(aws_sdk_dynamodb, clients.dynamodb),
            sqs: through!(aws_sdk_sqs, clients.sqs),
            kms: through!(aws_sdk_kms, clients.kms),
        };
        (steps, clients)
    }

    /// Resolves once the process has stopped.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Lets the process go on.
    pub fn go_on(&self) {
        self.go_on.add_permits(1);
    }

    /// Lets the process go on, to another stop.
    pub fn go_on_to(&self, stop: Stop) {
        *self.stop.lock().unwrap() = stop;
        self.go_on();
    }

    /// What it asked for, in order, before anything came of it.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The bodies of the messages it sent, in order.
    pub fn sent(&self) -> Vec<String> {
        let asked = self.asked().into_iter().filter(|asked| asked.target == "AmazonSQS.SendMessageBatch");
        let entries = asked.flat_map(|asked| asked.body["Entries"].as_array().unwrap().clone());
        entries.map(|entry| entry["MessageBody"].as_str().unwrap().to_owned()).collect()
    }

    fn note(&self, request: &HttpRequest) {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
        self.asked.lock().unwrap().push(Asked { target, body });
    }

    /// How many calls were begun.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn stop_at(&self, here: Stop) {
        if *self.stop.lock().unwrap() != here {
            return;
        }
        self.stopped.notify_one();
        if let Ok(permit) = self.go_on.acquire().await {
            permit.forget();
        }
    }
}

struct Stepped {
    steps: Arc<Steps>,
}

impl fmt::Debug for Stepped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stepped")
    }
}

impl HttpConnector for Stepped {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        use aws_smithy_runtime_api::client::http::HttpClient;
        let steps = self.steps.clone();
        steps.note(&request);
        HttpConnectorFuture::new(async move {
            let call = steps.calls.fetch_add(1, Ordering::SeqCst);
            steps.stop_at(Stop { call, after: false }).await;
            let settings = HttpConnectorSettings::builder().build();
            let components: RuntimeComponents =
                RuntimeComponentsBuilder::for_tests().build().expect("none are needed in process");
            let answer = steps.inner.http_connector(&settings, &components).call(request).await;
            steps.stop_at(Stop { call, after: true }).await;
            answer
        })
    }
}
