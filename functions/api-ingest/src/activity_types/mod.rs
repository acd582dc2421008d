//! `S/activity-types`: SPEC §3.

mod body;
pub mod routes;
mod view;
