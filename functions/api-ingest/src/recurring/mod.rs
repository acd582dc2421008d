//! `S/recurring-activities`: SPEC §5.

mod body;
pub mod routes;
mod view;
