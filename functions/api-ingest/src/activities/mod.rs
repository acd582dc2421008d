//! `S/activities`: SPEC §3.

pub mod act;
pub mod bulk;
pub mod create;
pub mod find;
pub mod stats;

mod draft;
mod view;
