//! Calls to receivers: the one way out of Punctual, guarded (SPEC §3, §11).
//!
//! One client for all calls. It follows no redirects, asks no proxy, keeps no
//! cookies, and connects only to addresses that [`rules::address`] allows.

mod failure;
mod guard;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

pub use failure::SendError;
pub use guard::{Lookup, system_lookup};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use guard::Guard;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use ipnet::IpNet;
use reqwest::{Response, redirect};
use rules::retry_after::RetryAfter;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Most bytes of an answer that are read; a longer one is cut, not failed (SPEC §11).
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Unused connections kept to one host. Each is a file descriptor, and Lambda gives 1,024.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long a connection stays open unused: less than the 5 s after which common servers (Node.js) hang
/// up, since a call that meets the hang-up half-way is a failed attempt of the caller's.
const IDLE_CONNECTION_AGE_MAX: Duration = Duration::from_secs(4);
/// What receivers see as `User-Agent`, unless the call brings its own.
pub const USER_AGENT: &str = concat!("Punctual/", env!("CARGO_PKG_VERSION"));

/// The client for all calls to receivers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Outbound {
    way: Way,
    allowed: Arc<[IpNet]>,
}

/// How a call that was found good is made.
#[derive(Clone)]
enum Way {
    Network(reqwest::Client),
    Carried(Carrier),
}

/// Makes a call in place of the network, its time limit included: the simulation's receivers, which are in the
/// same process and know no other time than its own.
pub type Carrier = Arc<dyn Fn(OutboundRequest) -> BoxFuture<'static, OutboundResult> + Send + Sync>;

/// No client could be made.
#[derive(Debug, thiserror::Error)]
#[error("no client for outbound calls: {0}")]
pub struct OutboundError(#[from] reqwest::Error);

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
    /// For the whole call: looking up the name, connecting, sending and reading the answer.
    pub timeout: Duration,
}

/// What a receiver answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// `Retry-After`, if there is a well-formed one.
    pub retry_after: Option<RetryAfter>,
    /// `Content-Type`, if it is text.
    pub content_type: Option<String>,
    /// The first [`ANSWER_MAX_BYTES`] of the body.
    pub body: Bytes,
}

/// An answer, or why there is none.
pub type OutboundResult = Result<Answer, SendError>;

impl Answer {
    /// Whether the status is 2xx, which alone is success (SPEC §3).
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The part of the body that is kept in the history.
    pub fn excerpt(&self) -> Option<String> {
        rules::excerpt::excerpt(self.content_type.as_deref(), &self.body)
    }
}

impl Outbound {
    /// A client that reaches public addresses and those of `allowed`.
    ///
    /// # Errors
    /// [`OutboundError`] if TLS has no root certificates to trust.
    pub fn new(allowed: Vec<IpNet>) -> Result<Self, OutboundError> {
        Self::with_lookup(allowed, Arc::new(system_lookup))
    }

    /// As [`Outbound::new`], with another way to look up names than the system's.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_lookup(allowed: Vec<IpNet>, lookup: Lookup) -> Result<Self, OutboundError> {
        let allowed: Arc<[IpNet]> = allowed.into();
        let client = client(&allowed, lookup).build()?;
        Ok(Self { way: Way::Network(client), allowed })
    }

    /// As [`Outbound::new`], with calls that go to `carrier`. Nothing is looked up.
    pub fn carried(allowed: Vec<IpNet>, carrier: Carrier) -> Self {
        Self { way: Way::Carried(carrier), allowed: allowed.into() }
    }

    /// Makes one call and reads the answer. Dropping the future ends the call.
    ///
    /// # Errors
    /// [`SendError`], whose text is meant for the history.
    pub async fn send(&self, request: OutboundRequest) -> OutboundResult {
        let url = self.checked(&request.url)?;
        let timeout = request.timeout;
        match &self.way {
            Way::Network(client) => tokio::time::timeout(timeout, call(client, url, request))
                .await
                .unwrap_or(Err(SendError::Timeout(timeout))),
            Way::Carried(carrier) => carrier(request).await,
        }
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

async fn call(client: &reqwest::Client, url: Url, request: OutboundRequest) -> OutboundResult {
    let mut call = reqwest::Request::new(request.method, url);
    for (name, value) in request.headers {
        call.headers_mut().append(name, value);
    }
    *call.body_mut() = request.body.map(Into::into);
    let mut response = client.execute(call).await.map_err(failure::of)?;
    let body = first_bytes(&mut response).await.map_err(failure::of)?;
    let retry_after = match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            text(response.headers(), &RETRY_AFTER).and_then(|value| value.parse().ok())
        }
        _ => None,
    };
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after,
        content_type: text(response.headers(), &CONTENT_TYPE).map(str::to_owned),
        body,
    })
}

/// The client as every call needs it; tests add a root certificate.
fn client(allowed: &Arc<[IpNet]>, lookup: Lookup) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .dns_resolver(Arc::new(Guard::new(allowed.clone(), lookup)))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        // The history shows what was received, and no 64 KiB become gigabytes.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_CONNECTION_AGE_MAX)
        .user_agent(USER_AGENT)
}

async fn first_bytes(response: &mut Response) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while body.len() < ANSWER_MAX_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        let room = ANSWER_MAX_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(body.freeze())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
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
            .finish()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}
