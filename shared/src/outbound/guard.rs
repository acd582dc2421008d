//! Looks names up for the client, and hands it no address that is refused.
//!
//! The client connects to the very addresses that were judged here, so an
//! answer that changes between check and connection (DNS rebinding) gains nothing.

use super::own_listeners::{OwnPort, REASON};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use hyper_util::client::legacy::connect::dns::Name;
use ipnet::IpNet;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Looks a name up. Tests give one whose answers they choose.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Lookups that are remembered before those that ended are cleared out.
const LOOKUPS_MAX: usize = 1024;

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameRefused {
    /// The host has an address that is refused. Which one is not said: the private half of a
    /// split-horizon DNS is nothing to be read through Punctual.
    #[error("host {host} is refused: {reason}")]
    Address { host: String, reason: &'static str },
    /// The lookup failed or gave no address.
    #[error("host {0} could not be resolved")]
    Unresolved(String),
}

type Looked = Result<Arc<[IpAddr]>, NameRefused>;
type Looking = Shared<BoxFuture<'static, Looked>>;

/// The client's resolver. Clones share their lookups.
#[derive(Clone)]
pub(super) struct Guard {
    allowed: Arc<[IpNet]>,
    lookup: Lookup,
    /// The port of all its calls, where Punctual itself listens on it.
    own_port: Option<OwnPort>,
    /// Calls to one host that start together share one lookup: a thousand due in the same second are not
    /// a thousand queries (Lambda's resolver takes 1,024 packets a second). Nothing is kept once it is answered.
    under_way: Arc<Mutex<HashMap<String, WeakShared<BoxFuture<'static, Looked>>>>>,
}

impl Guard {
    pub(super) fn new(allowed: Arc<[IpNet]>, lookup: Lookup, own_port: Option<OwnPort>) -> Self {
        Self { allowed, lookup, own_port, under_way: Arc::default() }
    }

    fn looking(&self, host: &str) -> Looking {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.get(host).and_then(WeakShared::upgrade);
        if let Some(looking) = joined.filter(|looking| looking.peek().is_none()) {
            return looking;
        }
        if under_way.len() >= LOOKUPS_MAX {
            under_way.retain(|_, looking| looking.upgrade().is_some());
        }
        let found = (self.lookup)(host.to_owned());
        let (host_name, allowed, own_port) = (host.to_owned(), self.allowed.clone(), self.own_port.clone());
        let looking = async move {
            let addresses = judge(host_name.clone(), found.await, &allowed)?;
            match own_port {
                Some(port) if port.is_reached_by(&addresses).await => {
                    Err(NameRefused::Address { host: port.of(&host_name), reason: REASON })
                }
                _ => Ok(addresses),
            }
        };
        let looking = looking.boxed().shared();
        if let Some(weak) = looking.downgrade() {
            under_way.insert(host.to_owned(), weak);
        }
        looking
    }
}

/// A host is refused if any of its addresses is: which one would be tried is not ours to choose.
fn judge(host: String, found: io::Result<Vec<IpAddr>>, allowed: &[IpNet]) -> Looked {
    let addresses = found.unwrap_or_default();
    if addresses.is_empty() {
        return Err(NameRefused::Unresolved(host));
    }
    match addresses.iter().find_map(|ip| rules::address::refused(*ip, allowed)) {
        Some(reason) => Err(NameRefused::Address { host, reason }),
        None => Ok(addresses.into()),
    }
}

impl tower::Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NameRefused;
    type Future = BoxFuture<'static, Result<Self::Response, NameRefused>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NameRefused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking = self.looking(name.as_str());
        Box::pin(async move {
            let addresses = looking.await?;
            // Port 0 stands for the URL's port.
            let with_port: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(with_port.into_iter())
        })
    }
}

/// The operating system's lookup.
pub fn system_lookup(host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}
