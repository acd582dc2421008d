//! What descriptions of endpoints (OpenAPI 3.1) are made with.

mod complete;
mod examples;
mod responses;
pub mod schemas;

pub use complete::complete;
pub use responses::{Change, Delete, Keyed, Open, Read, Unanswered, Whole};
