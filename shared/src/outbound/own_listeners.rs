//! What listens for Punctual itself, and trusts whoever reaches it: local mode's API and AWS port, the services of
//! `AWS_ENDPOINT_URL`, Lambda's runtime API. No outbound call reaches it, whatever addresses are allowed.

use super::exchange::Exchange;
use super::{Lookup, SendError};
use futures::future::join_all;
use rules::address::reaches;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use url::{Host, Url};

/// Why a call to a listener of Punctual itself is refused.
pub(super) const REASON: &str = "it is a listener of Punctual itself";
/// The variables that point a process at services which trust it.
pub const ENDPOINT_VARIABLES: [&str; 5] = [
    // Lambda's runtime API, and that of cargo-lambda.
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_KMS",
];

/// A listener that no outbound call reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A socket of this process, by the address it is bound to.
    Bound(SocketAddr),
    /// A service of another process, by its host and port.
    Endpoint(Host, u16),
}

impl FromStr for Listener {
    type Err = String;

    /// Reads an endpoint: a URL, or a host and a port.
    fn from_str(text: &str) -> Result<Self, String> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|error| format!("is no address of a service: {error}"))?;
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self::Endpoint(host.to_owned(), port)),
            _ => Err("is no address of a service: it has no host or no port".to_owned()),
        }
    }
}

impl Listener {
    fn port(&self) -> u16 {
        match self {
            Self::Bound(address) => address.port(),
            Self::Endpoint(_, port) => *port,
        }
    }

    /// The addresses at which it listens. What another process of this machine listens on is not known: all of the
    /// machine's addresses.
    async fn addresses(&self, lookup: &Lookup) -> Vec<SocketAddr> {
        let (found, port) = match self {
            Self::Bound(address) => return vec![*address],
            Self::Endpoint(Host::Ipv4(ip), port) => (vec![IpAddr::from(*ip)], *port),
            Self::Endpoint(Host::Ipv6(ip), port) => (vec![IpAddr::from(*ip)], *port),
            // One that cannot be looked up now is refused by its name alone.
            Self::Endpoint(Host::Domain(name), port) => {
                (lookup(name.clone()).await.unwrap_or_default(), *port)
            }
        };
        let listens = |ip: IpAddr| if is_own(ip) { Ipv4Addr::UNSPECIFIED.into() } else { ip };
        found.into_iter().map(|ip| SocketAddr::new(listens(ip), port)).collect()
    }

    fn is_named(&self, host: &str) -> bool {
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        matches!(self, Self::Endpoint(Host::Domain(name), _) if plain(name) == plain(host))
    }
}

/// Whether an address is this machine's: a socket can be bound to those alone. Asked anew each time, since
/// machines move between networks.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

/// The listeners, and how their names are looked up.
pub(super) struct OwnListeners {
    listeners: Vec<Listener>,
    lookup: Lookup,
}

impl OwnListeners {
    /// Whether one of them listens at `target`.
    pub(super) async fn listen_at(&self, target: SocketAddr) -> bool {
        let at_port = self.listeners.iter().filter(|listener| listener.port() == target.port());
        let addresses = join_all(at_port.map(|listener| listener.addresses(&self.lookup))).await;
        addresses.into_iter().flatten().any(|listener| reaches(target, listener, is_own))
    }
}

/// The listeners, and what makes calls to the ports that they listen on.
///
/// A resolver is not told to which port a name is connected. So each of those ports has a resolver of
/// its own, which knows it: what was judged is what is connected to, and DNS rebinding gains nothing.
#[derive(Clone)]
pub(super) struct GuardedPorts {
    own: Arc<OwnListeners>,
    /// Made when first needed: most processes never call a port that they also listen on.
    exchanges: Arc<HashMap<u16, OnceLock<Exchange>>>,
    make: Arc<dyn Fn(OwnPort) -> Exchange + Send + Sync>,
}

impl GuardedPorts {
    /// `make` makes what calls a port that one of `listeners` listens on.
    pub(super) fn new(
        listeners: Vec<Listener>,
        lookup: Lookup,
        make: impl Fn(OwnPort) -> Exchange + Send + Sync + 'static,
    ) -> Self {
        let exchanges = listeners.iter().map(|listener| (listener.port(), OnceLock::new())).collect();
        let own = Arc::new(OwnListeners { listeners, lookup });
        Self { own, exchanges: Arc::new(exchanges), make: Arc::new(make) }
    }

    /// What makes a call to `url`: `usual`, or else that of a guarded port.
    ///
    /// # Errors
    /// [`SendError::Refused`]: the URL's host is an address or the name of a listener.
    pub(super) async fn exchange_for<'a>(
        &'a self,
        url: &Url,
        usual: &'a Exchange,
    ) -> Result<&'a Exchange, SendError> {
        let guarded = url.port_or_known_default().and_then(|port| Some((port, self.exchanges.get(&port)?)));
        let Some((port, exchange)) = guarded else { return Ok(usual) };
        let refused = |host: String| Err(SendError::Refused(format!("{host} is refused: {REASON}")));
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => Some(SocketAddr::new(ip.into(), port)),
            Some(Host::Ipv6(ip)) => Some(SocketAddr::new(ip.into(), port)),
            Some(Host::Domain(name)) if self.own.listeners.iter().any(|one| one.is_named(name)) => {
                return refused(format!("host {name}:{port}"));
            }
            _ => None,
        };
        if let Some(address) = address
            && self.own.listen_at(address).await
        {
            return refused(format!("address {address}"));
        }
        Ok(exchange.get_or_init(|| (self.make)(OwnPort { own: Arc::clone(&self.own), port })))
    }
}

/// A port on which Punctual itself listens.
#[derive(Clone)]
pub(super) struct OwnPort {
    own: Arc<OwnListeners>,
    port: u16,
}

impl OwnPort {
    /// How names are looked up.
    pub(super) fn lookup(&self) -> Lookup {
        Arc::clone(&self.own.lookup)
    }

    /// Whether a listener is reached by one of `addresses` at this port.
    pub(super) async fn is_reached_by(&self, addresses: &[IpAddr]) -> bool {
        let targets = addresses.iter().map(|ip| self.own.listen_at(SocketAddr::new(*ip, self.port)));
        join_all(targets).await.contains(&true)
    }

    /// A host at this port, as it is named in errors.
    pub(super) fn of(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }
}
