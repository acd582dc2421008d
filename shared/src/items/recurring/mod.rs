//! Recurring rules in the work table: a rule stands in `due` at its next occurrence, so that only rules with
//! something due are read (SPEC §5).

mod changes;
mod codec;
mod find;

pub(crate) use changes::rule_body_hash;
pub use changes::{RULE_BODY_HASH, inline_parameter};
pub use codec::{RULE_SHARDS, Rule, RuleSpec, SkipRecord};
pub use find::RuleView;
