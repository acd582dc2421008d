//! `S/dispatch-configs`: by which provider a channel's activities go out (SPEC §4).

mod body;
pub mod routes;
