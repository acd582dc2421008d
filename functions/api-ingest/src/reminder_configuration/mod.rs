//! `/api/reminder/configuration`: how a solution's reminders are sent (SPEC §6).

mod body;
pub mod operate;
pub mod routes;
mod view;

pub use routes::{existing, refuse_while_waiting};
