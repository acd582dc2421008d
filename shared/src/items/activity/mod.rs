//! Activities, and what belongs to them: attempts, results, links from their providers (SPEC §3, §4).

pub mod claim;
pub mod codec;

mod apply;
mod batches;
mod bulk;
mod change;
pub(crate) mod create;
mod due;
mod links;
pub(crate) mod list;
mod parameters;
mod periods;
mod read;
mod remove;
mod result_item;
mod results;
mod rolling;
mod settle;
pub(crate) mod stats;

pub use batches::{Batch, Member, Part};
pub use bulk::{BulkAction, BulkReport};
pub use change::Change;
pub use claim::Ref;
pub use codec::{Dispatch, Record};
pub use create::{Created, NewActivity};
pub use due::DueRow;
pub use list::Filter;
pub use read::{ActivityView, Earlier};
pub use remove::{Removal, Removed};
pub use result_item::ActivityResult;
pub use results::{Reported, Target};
pub use rolling::{Finished, LogEntry, PARTS_BEGIN};
pub use settle::Attempt;
pub use stats::{KINDS_COUNTED_MAX, Stats};
