//! `S/activity-results`: what providers report of activities (SPEC §4).

mod body;
pub mod routes;
mod view;

pub use view::ResultView;
