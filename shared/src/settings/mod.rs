//! Configuration: environment variables, read once at start into typed structs,
//! refused with every fault named (SPEC §10).

mod function;
mod quotas;
mod reader;

pub use crate::outbound::OutboundSettings;
pub use crate::shards::{DEFAULT_DONE_SHARDS, DEFAULT_DUE_SHARDS, DONE_SHARDS_MAX, DUE_SHARDS_MAX};
pub use function::{DEFAULT_RETENTION_DAYS, RETENTION_DAYS_MAX, Settings};
pub use quotas::{QUOTA_MAX, Quotas};
pub use reader::{Lookup, Reader, SECRET_MIN_CHARS, SettingsError, environment, secret_text};
