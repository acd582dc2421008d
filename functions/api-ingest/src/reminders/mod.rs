//! `/api/reminder`: SPEC §6, with the paths of the seed.
//!
//! The seed's *agentId* is a company's name and its *configurationId* a solution's.
//! The two endpoints that send are served by `reminder-sender`; they are described here.

pub mod sending;

mod body;
pub(crate) mod routes;
mod view;
