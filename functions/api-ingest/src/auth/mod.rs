//! Who calls, and what that opens (SPEC §1). Each extractor is decided before the body is read.

pub mod keys;
pub mod reminders;

pub use keys::{Caller, In, InCompany, InSolution, KeyInCompany, PathName, has_key};
