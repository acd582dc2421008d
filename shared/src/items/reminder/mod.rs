//! Reminders in the work table: what is to be sent to whom and when (SPEC §6).
//!
//! | item | SK | written |
//! | --- | --- | --- |
//! | state ([`Record`]) | `ITEM` | by every attempt, so it is small |
//! | [`Definition`] | `PAYLOAD` | by its owner |
//! | attempt, or skipped send time ([`Entry`]) | `H#{sequence}` | once |
//!
//! So a reminder with 100 send times and 500 attempts behind it costs an attempt
//! no more than a new one. As with activities, every write is conditional on what
//! the decision was made from, and a reminder stands in exactly one of the
//! indexes `due` and `done` ([`rules::reminder::index`]).
//!
//! An attempt is claimed, made, recorded and settled. Its entry is written before
//! anything follows from it, under a key that the claim fixed: whoever finds the
//! claim abandoned knows from the entry what came of the attempt, if it ended.
//! So the entries say which send times are ended, exactly and whatever was written
//! meanwhile: a list that replaces another is compared with them, and what is
//! outstanding of it is kept with the definition.

pub mod attr;
mod claim;
mod codec;
mod definition;
mod due;
mod history;
pub mod keys;
mod list;
mod put;
mod settle;
mod skip;
mod stats;
mod store;

pub use claim::ManualClaim;
pub use codec::Record;
pub use definition::Definition;
pub use due::DueRow;
pub use history::Entry;
pub use list::Filter;
pub(crate) use list::{over_partitions, phases_of_all};
pub use put::{Cancelled, NewReminder, Put};
pub use stats::Stats;
pub use store::{Reminder, ReminderStore};
