//! The kinds of work that the [engine](crate::engine) moves: of each the state as it is stored, what is asked of it, and how
//! it is found.

pub mod activity;
pub mod notification;
pub mod recurring;
pub mod reminder;
