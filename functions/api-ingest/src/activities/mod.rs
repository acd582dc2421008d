//! `S/activities`: SPEC §3, §4.

pub mod act;
pub mod bulk;
pub mod create;
pub mod find;
pub mod stats;

mod channel_draft;
pub mod draft;
pub mod view;
