//! The connections to AWS.
//!
//! Lambda freezes the process between invocations, and AWS and what lies in between drop connections meanwhile. What is
//! sent on such a connection is lost without an error. The pool's own limit for unused connections does not see it: it goes
//! by the monotonic clock (`CLOCK_MONOTONIC`), which stands still in a frozen process, so that a connection that was
//! last used ten minutes ago is fresh to it. The wall clock has gone on when the process goes on, in Lambda as in a laptop
//! that slept. So the pool is replaced as a whole where the wall clock shows that it was not used for as long as its
//! limit; and where a call was given up of which nothing came, and nothing came of any other since that one began.

use crate::clock::SharedClock;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a connection stays open unused, in seconds.
const IDLE_SECONDS_MAX: u32 = 20;
/// Unused connections kept to one service. With three services, this is within what is left of Lambda's 1,024 file
/// descriptors beside the connections to receivers.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// See [`super::http_client`].
pub(super) fn http_client(clock: SharedClock) -> SharedHttpClient {
    let now = clock.now();
    let pool = Mutex::new(Pool { number: 0, connections: connections(), used: now, answers: 0 });
    let pools = Arc::new(Pools { clock, pool });
    http_client_fn(move |settings, components| {
        let (connections, call) = Pools::begin(&pools);
        let inner = connections.http_connector(settings, components);
        SharedHttpConnector::new(Watched { inner, call })
    })
}

/// A new pool, without connections.
///
/// The trusted certificates are read at the first call, and once for all pools. An SDK client that has the `HttpClient`
/// itself also parses them when it is built, to tell at once if there are none: once more for each client, at every cold start.
fn connections() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(std::time::Duration::from_secs(IDLE_SECONDS_MAX.into()))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build_https()
}

/// The present pool.
struct Pools {
    clock: SharedClock,
    pool: Mutex<Pool>,
}

struct Pool {
    number: u64,
    connections: SharedHttpClient,
    /// When a call last began or was answered.
    used: DateTime<Utc>,
    /// Calls that were answered.
    answers: u64,
}

impl Pool {
    fn replace(&mut self) {
        *self = Self { number: self.number + 1, connections: connections(), used: self.used, answers: 0 };
    }
}

impl Pools {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins: the connections for it, and what is remembered of it.
    fn begin(pools: &Arc<Self>) -> (SharedHttpClient, CallInPool) {
        let mut pool = pools.pool();
        pools.touch(&mut pool);
        let call = CallInPool { pools: Arc::clone(pools), number: pool.number, answers: pool.answers };
        (pool.connections.clone(), call)
    }

    /// Notes that the pool is used, and replaces it if it was not for too long.
    fn touch(&self, pool: &mut Pool) {
        let now = self.clock.now();
        if now - pool.used > TimeDelta::seconds(IDLE_SECONDS_MAX.into()) {
            pool.replace();
        }
        pool.used = now;
    }
}

/// A call, and the state in which it found its pool.
#[derive(Clone)]
struct CallInPool {
    pools: Arc<Pools>,
    number: u64,
    answers: u64,
}

impl CallInPool {
    fn ended(self, answered: bool) {
        let mut pool = self.pools.pool();
        self.pools.touch(&mut pool);
        if answered && pool.number == self.number {
            pool.answers += 1;
        }
    }
}

/// Ends a call of which nothing came: its time was over.
struct Unanswered(Option<CallInPool>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        let Some(call) = self.0.take() else { return };
        let mut pool = call.pools.pool();
        if (pool.number, pool.answers) == (call.number, call.answers) {
            tracing::debug!("no response from AWS in time; connections replaced");
            pool.replace();
        }
    }
}

/// A connector whose calls are watched.
struct Watched {
    inner: SharedHttpConnector,
    call: CallInPool,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut unanswered = Unanswered(Some(self.call.clone()));
        let sent = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let response = sent.await;
            if let Some(call) = unanswered.0.take() {
                call.ended(response.is_ok());
            }
            response
        })
    }
}
