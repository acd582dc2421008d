//! The protocol that moves work of every kind, on DynamoDB (SPEC §9).
//!
//! Claim, then send, then settle: every write is conditional on what the
//! decision was made from, so a lost condition is a normal outcome. A kind of work
//! ([`crate::items`]) brings its state, its decisions and its codec.

pub mod attributes;
pub mod batcher;
pub mod claim;
pub mod item;
pub mod patience;
pub mod statements;

pub(crate) mod attempt;
pub(crate) mod erase;
mod error;
pub(crate) mod fetch;
pub(crate) mod guard;
pub(crate) mod kept;
mod merge;
pub(crate) mod over;
pub(crate) mod partition;
pub(crate) mod scan;
pub(crate) mod step;
mod store;
pub(crate) mod transaction;

pub use attempt::{CRASHED, HistoryEntry, SUCCESS, Success};
pub use claim::Claimed;
pub use erase::Erased;
pub use error::StoreError;
pub use guard::Guard;
pub use item::WorkItem;
pub use kept::Kept;
pub use over::Swept;
pub use step::{Settled, Step};
pub use store::WorkStore;
