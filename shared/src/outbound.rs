//! Calls to receivers: the one way out of Punctual, guarded (SPEC §3, §11).
//!
//! The calls of a process share their connections. They follow no redirects, ask no proxy, keep no
//! cookies, take no compressed answers (no 64 KiB become gigabytes), and connect only to addresses that [`rules::address`] allows. What listens for Punctual itself
//! ([`Listener`]) is reached by none of them, whatever is allowed.

mod answer;
#[cfg(test)]
mod broken_tests;
mod connections;
#[cfg(test)]
mod connections_tests;
mod exchange;
mod failure;
mod guard;
#[cfg(test)]
mod guard_tests;
mod own_listeners;
#[cfg(test)]
mod own_listeners_tests;
mod request;
#[cfg(test)]
mod reuse_tests;
mod secrets;
#[cfg(test)]
mod secrets_tests;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

pub use answer::{Answer, BodyEnd};
pub use failure::SendError;
pub use guard::{Lookup, system_lookup};
pub use own_listeners::{ENDPOINT_VARIABLES, Listener};
pub use request::Began;
pub use secrets::Secrets;
pub use settings::OutboundSettings;

use crate::clock::{SharedClock, SystemClock};
use bytes::Bytes;
use connections::{Connector, Receivers, connections_max};
use exchange::Exchange;
use futures::future::BoxFuture;
use guard::Guard;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use own_listeners::{GuardedPorts, OwnPort};
use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use url::Url;

/// Most bytes of an answer that are read; a longer one is cut, not failed (SPEC §11).
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// How long a body is read of which only an excerpt is kept. The head has decided by then; a body that never ends, such as a
/// stream of events, holds nobody for longer.
pub const EXCERPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Most headers of a response. Node.js and browsers take as many as fit into their limits of bytes; 100 are too few.
const HEADERS_MAX: usize = 1_000;
/// Most bytes of a response's headers over HTTP/2. Over HTTP/1.1 it is 400 KiB, which cannot be set here.
const HEADERS_MAX_BYTES: u32 = 256 * 1024;
/// Unused connections kept to one receiver, by those of its calls that share a pool.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long a connection stays open unused: less than the 5 s after which common servers (Node.js) hang
/// up, since a call that meets the hang-up half-way is a failed attempt of the caller's.
const IDLE_CONNECTION_AGE_MAX: Duration = Duration::from_secs(4);
/// How long a call may wait for a lookup, a connection, or its turn on a shared one before its time limit begins to
/// count; no longer than the limit itself.
pub const START_TIMEOUT: Duration = Duration::from_secs(5);
/// What receivers see as `User-Agent`, unless the call brings its own.
pub const USER_AGENT: &str = concat!("Punctual/", env!("CARGO_PKG_VERSION"));

/// The client for all calls to receivers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Outbound {
    way: Way,
    allowed: Arc<[IpNet]>,
    guarded_ports: GuardedPorts,
}

/// The longest that a call with this time limit takes.
pub fn longest(timeout: Duration) -> Duration {
    timeout + start_timeout(timeout)
}

fn start_timeout(timeout: Duration) -> Duration {
    START_TIMEOUT.min(timeout)
}

/// How a call that was found good is made.
#[derive(Clone)]
enum Way {
    Network(Arc<Exchange>),
    Carried(Carrier),
}

/// Makes a call in place of the network, its time limit included: the simulation's receivers, which are in the
/// same process and know no other time than its own.
pub type Carrier = Arc<dyn Fn(OutboundRequest) -> BoxFuture<'static, OutboundResult> + Send + Sync>;

/// No client could be made.
#[derive(Debug, thiserror::Error)]
#[error("no client for outbound calls: {0}")]
pub struct OutboundError(#[from] rustls::Error);

/// One call. Its `Debug` shows neither values of headers nor the body nor the path.
pub struct OutboundRequest {
    /// The verb.
    pub method: Method,
    /// Absolute http(s) URL, placeholders filled.
    pub url: String,
    /// Headers in the order given; a name may come twice.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// For sending and reading the answer, from the first byte that goes out. Looking up the name and connecting have
    /// [`START_TIMEOUT`] before it begins to count; what they take beyond is taken from it.
    pub timeout: Duration,
    /// For the body of the answer, beginning with its head; what is left of `timeout` holds as well. Where only an excerpt
    /// is wanted, [`EXCERPT_TIMEOUT`].
    pub body_timeout: Duration,
    /// What may not be kept of an answer that repeats it, beside what the headers and the URL show to be secret.
    pub secrets: Secrets,
    /// Shows when the first byte went out.
    pub began: Began,
}

/// An answer, or why there is none.
pub type OutboundResult = Result<Answer, SendError>;

impl Outbound {
    /// A client that reaches public addresses and those that `settings` allow, but no listener of Punctual itself.
    ///
    /// # Errors
    /// [`OutboundError`] if TLS has no root certificates to trust.
    pub fn new(settings: impl Into<OutboundSettings>) -> Result<Self, OutboundError> {
        Self::with_lookup(settings, Arc::new(system_lookup))
    }

    /// As [`Outbound::new`], with another way to look up names than the system's.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_lookup(settings: impl Into<OutboundSettings>, lookup: Lookup) -> Result<Self, OutboundError> {
        let limits = std::fs::read_to_string("/proc/self/limits").ok();
        let connections_max = connections_max(limits.as_deref());
        let parts = Parts { lookup, clock: Arc::new(SystemClock), connections_max, tls: system_tls()? };
        Ok(Self::with_parts(settings, parts))
    }

    fn with_parts(settings: impl Into<OutboundSettings>, parts: Parts) -> Self {
        let OutboundSettings { allowed_cidrs, own_listeners } = settings.into();
        let Parts { lookup, clock, connections_max, tls } = parts;
        let allowed: Arc<[IpNet]> = allowed_cidrs.into();
        let guard = Guard::new(allowed.clone(), lookup.clone(), None);
        let receivers = Receivers::new(connections_max);
        let connector = Connector::new(guard, tls.clone(), &receivers);
        let usual = Exchange::new(receivers.clone(), connector, clock.clone());
        let by_guard = allowed.clone();
        let guarded = move |port: OwnPort| {
            let guard = Guard::new(by_guard.clone(), port.lookup(), Some(port));
            Exchange::new(receivers.clone(), Connector::new(guard, tls.clone(), &receivers), clock.clone())
        };
        let guarded_ports = GuardedPorts::new(own_listeners, lookup, guarded);
        Self { way: Way::Network(Arc::new(usual)), allowed, guarded_ports }
    }

    /// As [`Outbound::new`], with calls that go to `carrier`. Nothing is looked up.
    pub fn carried(allowed: Vec<IpNet>, carrier: Carrier) -> Self {
        let none = |_| unreachable!("there is no port of its own");
        let guarded_ports = GuardedPorts::new(Vec::new(), Arc::new(system_lookup), none);
        Self { way: Way::Carried(carrier), allowed: allowed.into(), guarded_ports }
    }

    /// Makes one call and reads the answer. Dropping the future ends the call.
    ///
    /// # Errors
    /// [`SendError`], whose text is meant for the history.
    pub async fn send(&self, mut request: OutboundRequest) -> OutboundResult {
        let url = self.checked(&request.url)?;
        let timeout = request.timeout;
        let mut secrets = std::mem::take(&mut request.secrets);
        secrets.add_request(&mut request.headers, &url);
        let answer = match &self.way {
            Way::Network(usual) => {
                let chosen = tokio::time::timeout(timeout, self.guarded_ports.exchange_for(&url, usual));
                let exchange = chosen.await.unwrap_or(Err(SendError::Timeout(timeout)))?;
                exchange.call(url, request).await
            }
            Way::Carried(carrier) => carrier(request).await,
        };
        answer.map(|answer| answer.redacted_by(secrets))
    }

    /// Judges what no lookup will judge: scheme, credentials, and hosts that are addresses in any notation
    /// (`2130706433`, `0x7f.1` and `[::ffff:7f00:1]` are all 127.0.0.1 once parsed).
    fn checked(&self, text: &str) -> Result<Url, SendError> {
        let url = Url::parse(text).map_err(|error| SendError::BadUrl(format!("not a valid URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::BadUrl("only http and https are called".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SendError::BadUrl("user names and passwords in URLs are refused".to_owned()));
        }
        let ip = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.into(),
            Some(url::Host::Ipv6(ip)) => ip.into(),
            Some(url::Host::Domain(_)) => return Ok(url),
            None => return Err(SendError::BadUrl("no host".to_owned())),
        };
        match rules::address::refused(ip, &self.allowed) {
            Some(reason) => Err(SendError::Refused(format!("address {ip} is refused: {reason}"))),
            None => Ok(url),
        }
    }
}

/// What an [`Outbound`] is made of beside its settings.
struct Parts {
    lookup: Lookup,
    clock: SharedClock,
    connections_max: usize,
    tls: ClientConfig,
}

/// TLS that trusts what the operating system trusts: read once in a process, since there are hundreds of certificates and
/// local mode has several functions.
fn system_tls() -> Result<ClientConfig, rustls::Error> {
    static READ: OnceLock<ClientConfig> = OnceLock::new();
    match READ.get() {
        Some(known) => Ok(known.clone()),
        None => tls(Vec::new()).map(|read| READ.get_or_init(|| read).clone()),
    }
}

/// TLS as all calls speak it: trusting what the operating system trusts, and `roots`.
fn tls(roots: Vec<rustls::pki_types::CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, provider.clone())?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Url::parse(&self.url).map(|url| url.origin().ascii_serialization());
        f.debug_struct("OutboundRequest")
            .field("method", &self.method)
            .field("origin", &origin.unwrap_or_default())
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("timeout", &self.timeout)
            .field("body_timeout", &self.body_timeout)
            .field("secrets", &self.secrets)
            .finish()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}
