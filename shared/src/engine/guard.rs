//! Conditions under which an item is written.

use super::attributes::s;
use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use rules::claim::Claim;

/// What an item must be for a write to it to go through.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    /// The attribute has this value.
    Equals(&'static str, AttributeValue),
    /// The attribute is a number of at most this.
    AtMost(&'static str, AttributeValue),
    /// The item has no such attribute.
    Missing(&'static str),
}

/// That the item is held by `claim`, or by nobody.
pub(crate) fn held_by(claim: Option<&Claim>) -> Guard {
    match claim {
        Some(claim) => Guard::Equals(attr::TOKEN, s(&claim.token)),
        None => Guard::Missing(attr::TOKEN),
    }
}
