//! Where calls to receivers may go.

use super::Listener;
use ipnet::IpNet;

/// Where the calls of a function may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundSettings {
    /// `PUNCTUAL_ALLOWED_CIDRS`: private addresses that calls may reach.
    pub allowed_cidrs: Vec<IpNet>,
    /// What listens for Punctual itself, which no call reaches: the services that [`ENDPOINT_VARIABLES`] name, and what
    /// local mode adds of its own.
    pub own_listeners: Vec<Listener>,
}

impl From<Vec<IpNet>> for OutboundSettings {
    fn from(allowed_cidrs: Vec<IpNet>) -> Self {
        Self { allowed_cidrs, own_listeners: Vec::new() }
    }
}
