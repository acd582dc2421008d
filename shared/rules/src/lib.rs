//! The pure half of Punctual: every decision, no I/O.
//!
//! This crate has no async, no AWS types and no clock: time and chance are
//! arguments, so the compiler keeps decisions pure and a test can drive any
//! instant. What a decision asks for is performed by the crate `shared` and
//! the functions.

pub mod activity;
pub mod address;
pub mod backoff;
pub mod claim;
pub mod cron;
pub mod due;
pub mod excerpt;
pub mod field;
pub mod names;
pub mod notification;
pub mod number;
pub mod parent;
pub mod qos;
pub mod recipient;
pub mod recurring;
pub mod reminder;
pub mod retry;
pub mod retry_after;
pub mod rolling;
pub mod shown;
pub mod slots;
pub mod time;
pub mod uri;
pub mod verdict;
pub mod zoned;
