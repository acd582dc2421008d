//! A receiver on loopback that answers as it is told and remembers what arrived.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrival {
    /// The header by which attempts of one call are known.
    pub fn idempotency_key(&self) -> &str {
        self.headers["idempotency-key"].to_str().unwrap()
    }
}

/// How to answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status, with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Never.
    Hang,
}

impl Reply {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Reply::Status(status, Vec::new(), String::new())
    }
}

#[derive(Default)]
struct Inner {
    arrivals: Mutex<Vec<Arrival>>,
    replies: Mutex<VecDeque<Reply>>,
    came: Notify,
    /// Requests whose body has this text wait until [`Receiver::let_go`].
    held: Mutex<Option<String>>,
    let_go: Notify,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Inner {
    async fn hold(&self, body: &str) {
        let let_go = self.let_go.notified();
        let held = self.held.lock().unwrap().as_ref().is_some_and(|text| body.contains(text));
        if held {
            let_go.await;
        }
    }
}

/// The receiver. It answers 200 unless told otherwise.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        let app = Router::new().fallback(answer).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { inner, address }
    }

    /// Its address as a URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next replies; after them it answers 200 again.
    pub fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.inner.replies.lock().unwrap().extend(replies);
    }

    /// Holds what arrives from now on with this text in its body.
    pub fn hold_bodies_with(&self, text: &str) {
        *self.inner.held.lock().unwrap() = Some(text.to_owned());
    }

    /// Answers what it holds, and holds nothing any more.
    pub fn let_go(&self) {
        *self.inner.held.lock().unwrap() = None;
        self.inner.let_go.notify_waiters();
    }

    /// Resolves once so many requests have arrived.
    pub async fn came(&self, count: usize) {
        loop {
            let came = self.inner.came.notified();
            if self.inner.arrivals.lock().unwrap().len() >= count {
                return;
            }
            came.await;
        }
    }

    /// The most requests that were unanswered at a time.
    pub fn most_at_once(&self) -> usize {
        self.inner.most_at_once.load(Ordering::SeqCst)
    }

    /// What has arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap().clone()
    }

    /// The idempotency keys of what has arrived, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.arrivals().iter().map(|arrival| arrival.idempotency_key().to_owned()).collect();
        keys.sort();
        keys
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = String::from_utf8_lossy(&body).into_owned();
    inner.arrivals.lock().unwrap().push(Arrival { method, uri, headers, body });
    inner.came.notify_waiters();
    let at_once = inner.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    inner.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    inner.hold(&text).await;
    inner.at_once.fetch_sub(1, Ordering::SeqCst);
    let reply = inner.replies.lock().unwrap().pop_front();
    match reply {
        None => Response::new(Body::empty()),
        Some(Reply::Status(status, headers, body)) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        Some(Reply::Hang) => std::future::pending().await,
    }
}
