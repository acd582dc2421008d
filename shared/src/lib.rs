//! What the functions have in common: DynamoDB, SQS, KMS, HTTP, telemetry, configuration.
//!
//! Decisions are in the crate `rules`; this crate performs what they ask for.

pub mod body_hash;
pub mod clients;
pub mod clock;
pub mod context;
pub mod crypto;
pub mod dispatch;
pub mod engine;
pub mod entropy;
pub mod expiry;
pub mod items;
pub mod lease;
pub mod outbound;
pub mod page;
pub mod publisher;
pub mod queue;
pub mod recurring;

pub mod removal;
pub mod secret_hash;
pub mod settings;
pub mod shards;
pub mod signed_call;
pub mod signing;
pub mod slots;
pub mod sweep;
pub mod table;
pub mod telemetry;
pub mod tenancy;
pub mod turns;
pub mod unreadable;
