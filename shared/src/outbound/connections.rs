//! Connections to receivers: how many there are, and which of them a call may use.
//!
//! Each receiver has pools of its own, so that those of one can be closed to make room for another's. A call goes through
//! the first pool with fewer than [`POOL_CALLS_MAX`] calls under way: over HTTP/2 a pool is one connection, whose receiver
//! takes so many calls at a time, and what is beyond would wait there for its turn, seen by nobody.

use super::guard::Guard;
use super::request::CallBody;
use super::{HEADERS_MAX, HEADERS_MAX_BYTES, IDLE_CONNECTION_AGE_MAX, IDLE_CONNECTIONS_MAX};
use crate::clock::SharedClock;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

/// Calls that share a pool. RFC 9113 asks receivers to take no fewer than 100 at a time over one HTTP/2 connection.
const POOL_CALLS_MAX: usize = 100;
/// Receivers known beyond which those without a connection and without a call are forgotten.
const RECEIVERS_MAX: usize = 1_024;
/// File descriptors that are left to what is no connection to a receiver: up to 192 unused connections to AWS and those in
/// use, files, and in local mode what listens.
const DESCRIPTORS_RESERVED: usize = 384;
/// File descriptors of a process in Lambda, and elsewhere where the limit cannot be read.
const DESCRIPTORS_OF_LAMBDA: usize = 1_024;
/// How long a call that waits for room waits before it looks for further connections to close.
const CLOSING: Duration = Duration::from_millis(50);

tokio::task_local! {
    /// Whether the call of this task opened a connection for itself.
    pub(super) static OPENED: Cell<bool>;
}

type BoxError = Box<dyn Error + Send + Sync>;
pub(super) type HttpClient = Client<Connector, CallBody>;

/// Most connections to receivers of a process with this limit of file descriptors, as `/proc/self/limits` shows it.
pub(super) fn connections_max(limits: Option<&str>) -> usize {
    let line = limits.and_then(|limits| limits.lines().find_map(|line| line.strip_prefix("Max open files")));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let descriptors = match soft {
        Some("unlimited") => Semaphore::MAX_PERMITS,
        soft => soft.and_then(|soft| soft.parse().ok()).unwrap_or(DESCRIPTORS_OF_LAMBDA),
    };
    descriptors.saturating_sub(DESCRIPTORS_RESERVED).clamp(1, Semaphore::MAX_PERMITS)
}

/// The receivers of an [`super::Outbound`], and all connections to them.
pub(super) struct Receivers {
    room: Arc<Semaphore>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    receivers: HashMap<String, Receiver>,
    /// Numbers given to uses and pools, in order.
    numbers: u64,
}

#[derive(Default)]
struct Receiver {
    pools: Vec<Pool>,
    /// The number of its last use.
    used: u64,
    /// Its open connections.
    open: Arc<AtomicUsize>,
}

struct Pool {
    number: u64,
    client: HttpClient,
    /// Calls under way.
    calls: usize,
}

impl Receiver {
    fn calls(&self) -> usize {
        self.pools.iter().map(|pool| pool.calls).sum()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Receivers {
    /// None so far, with room for so many connections.
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(connections_max)), known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool for a call to `origin`; `build` makes one where there is none with room.
    pub(super) fn enter(self: &Arc<Self>, origin: String, build: impl FnOnce() -> HttpClient) -> InPool {
        let mut known = self.known();
        known.numbers += 1;
        let number = known.numbers;
        if known.receivers.len() >= RECEIVERS_MAX && !known.receivers.contains_key(&origin) {
            known.receivers.retain(|_, receiver| receiver.calls() + receiver.open() > 0);
        }
        let receiver = known.receivers.entry(origin.clone()).or_default();
        receiver.used = number;
        let index = receiver.pools.iter().position(|pool| pool.calls < POOL_CALLS_MAX);
        let index = index.unwrap_or_else(|| {
            receiver.pools.push(Pool { number, client: build(), calls: 0 });
            receiver.pools.len() - 1
        });
        let pool = &mut receiver.pools[index];
        pool.calls += 1;
        InPool { client: pool.client.clone(), number: pool.number, origin, receivers: Arc::clone(self) }
    }

    /// Room for a connection to `origin`. Where there is none, unused connections are closed, those first whose receiver
    /// was not called for longest.
    async fn room(&self, origin: &str) -> Room {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
                break permit;
            }
            self.close_unused();
            // They are closed by tasks of their own.
            let freed = tokio::time::timeout(CLOSING, Arc::clone(&self.room).acquire_owned());
            if let Ok(Ok(permit)) = freed.await {
                break permit;
            }
        };
        let open = self.known().receivers.get(origin).map(|receiver| Arc::clone(&receiver.open));
        let open = open.unwrap_or_default();
        open.fetch_add(1, Ordering::Relaxed);
        Room { open, _permit: permit }
    }

    /// Forgets one receiver with unused connections, which ends them. Its calls go on, on theirs.
    fn close_unused(&self) {
        let mut known = self.known();
        let unused = known.receivers.iter().filter(|(_, receiver)| receiver.open() > receiver.calls());
        if let Some(origin) =
            unused.min_by_key(|(_, receiver)| receiver.used).map(|(origin, _)| origin.clone())
        {
            known.receivers.remove(&origin);
        }
    }
}

/// A call's place in a pool.
pub(super) struct InPool {
    pub(super) client: HttpClient,
    number: u64,
    origin: String,
    receivers: Arc<Receivers>,
}

impl Drop for InPool {
    fn drop(&mut self) {
        let mut known = self.receivers.known();
        let pools = known.receivers.get_mut(&self.origin).map(|receiver| &mut receiver.pools);
        // It may have been forgotten meanwhile.
        if let Some(pool) = pools.into_iter().flatten().find(|pool| pool.number == self.number) {
            pool.calls -= 1;
        }
    }
}

/// What a connection takes of what there is for all.
struct Room {
    open: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens connections, each to an address that [`Guard`] allows, where there is room.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<Guard>>,
    /// The receivers hold pools, and the pools this.
    receivers: Weak<Receivers>,
}

impl Connector {
    pub(super) fn new(guard: Guard, tls: ClientConfig, receivers: &Arc<Receivers>) -> Self {
        let mut http = HttpConnector::new_with_resolver(guard);
        http.enforce_http(false);
        http.set_nodelay(true);
        let probe = Some(Duration::from_secs(15));
        http.set_keepalive(probe);
        http.set_keepalive_interval(probe);
        http.set_keepalive_retries(Some(3));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let https = https.enable_all_versions().wrap_connector(http);
        Self { https, receivers: Arc::downgrade(receivers) }
    }

    /// A client whose pool keeps so many connections that are not used.
    pub(super) fn client(&self, idle_max: usize, clock: &SharedClock) -> HttpClient {
        Builder::new(TokioExecutor::new())
            .pool_timer(WallTimer::new(clock.clone()))
            .pool_idle_timeout(IDLE_CONNECTION_AGE_MAX)
            .pool_max_idle_per_host(idle_max.min(IDLE_CONNECTIONS_MAX))
            // What browsers and other clients take from sloppy servers.
            .http1_max_headers(HEADERS_MAX)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http2_max_header_list_size(HEADERS_MAX_BYTES)
            .build(self.clone())
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Socket;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Socket, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { https, receivers } = self.clone();
        async move {
            let receivers = receivers.upgrade().ok_or("the client is gone")?;
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let room =
                receivers.room(&format!("{}://{authority}", uri.scheme_str().unwrap_or_default())).await;
            drop(receivers);
            let stream = https.oneshot(uri).await?;
            // One that was opened by a call which then got another connection is finished by a task of the client's own,
            // and waits in the pool for a later call.
            let _ = OPENED.try_with(|opened| opened.set(true));
            Ok(Socket { stream, _room: room })
        }
        .boxed()
    }
}

/// A connection, counted as long as it is open.
pub(super) struct Socket {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    _room: Room,
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}

/// The time by which pools tell how long a connection was not used: the wall clock's.
///
/// Lambda freezes the process between invocations, and the monotonic clock (`CLOCK_MONOTONIC`) stands still in it: by that,
/// a connection that was last used before ten minutes of frost is fresh, though its other end has long forgotten it.
/// The wall clock has gone on when the process goes on.
#[derive(Clone)]
struct WallTimer {
    clock: SharedClock,
    began: (Instant, DateTime<Utc>),
}

impl WallTimer {
    fn new(clock: SharedClock) -> Self {
        let began = (Instant::now(), clock.now());
        Self { clock, began }
    }
}

impl Timer for WallTimer {
    fn now(&self) -> Instant {
        // A clock that was set back makes connections no older.
        let passed = (self.clock.now() - self.began.1).to_std().unwrap_or_default();
        self.began.0.checked_add(passed).unwrap_or(self.began.0)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_what_the_process_may_open_less_a_reserve() {
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax open files  {soft}  4096  files\n")
        };
        for (given, expect) in [
            (Some(limits("1024")), 640),
            (Some(limits("1048576")), 1_048_192),
            (Some(limits("256")), 1),
            (Some(limits("unlimited")), Semaphore::MAX_PERMITS - DESCRIPTORS_RESERVED),
            (Some("nonsense".to_owned()), 640),
            (None, 640),
        ] {
            assert_eq!(connections_max(given.as_deref()), expect, "{given:?}");
        }
    }
}
