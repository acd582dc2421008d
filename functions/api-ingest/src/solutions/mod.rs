//! `/v1/companies/{company}/solutions`: SPEC §3.

mod body;
pub mod routes;
mod view;
