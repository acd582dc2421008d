//! `S/notifications`: SPEC §7.

mod body;
pub mod routes;
mod view;
