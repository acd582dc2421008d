//! Recurring rules in the work table: a rule stands in `due` at its next occurrence, so that only rules with
//! something due are read (SPEC §5).

mod changes;
mod codec;
mod find;

pub use crate::items::activity::codec::RULE_BODY_HASH;
pub(crate) use crate::items::activity::codec::rule_body_hash;
pub use changes::inline_parameter;
pub use codec::{RULE_SHARDS, Rule, RuleSpec, SkipRecord};
pub use find::RuleView;
