//! The writes of the protocol as PartiQL statements.
//!
//! Statements, because `BatchExecuteStatement` carries 25 conditional writes in
//! one call, each with its own outcome and at the price of one: a transaction would
//! cost twice and fail as a whole (DESIGN "Time").

use crate::engine::attributes::{n, s};
use crate::engine::guard::Guard;
use crate::engine::item::{WorkItem, encode_claim};
use crate::table::attr;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, ParameterizedStatement, ReturnValuesOnConditionCheckFailure,
};
use chrono::{DateTime, Utc};
use rules::claim::Claim;

/// A statement, and the key of the item it writes: a batch may name an item once.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Partition and sort key of the item.
    pub key: (String, String),
    /// The statement.
    pub request: BatchStatementRequest,
    /// It records a success: what waits to be written waits behind it, since a delivered call that is not recorded
    /// before its lease ends is made again.
    pub is_success: bool,
}

impl Statement {
    /// The same, for what records a success if `is_success`.
    pub fn of_success(self, is_success: bool) -> Self {
        Self { is_success, ..self }
    }

    /// The same for a transaction, in which several are written together or not at all, at twice the price.
    pub fn for_transaction(self) -> ParameterizedStatement {
        ParameterizedStatement::builder()
            .statement(self.request.statement)
            .set_parameters(self.request.parameters)
            .build()
            .unwrap_or_else(|_| unreachable!("the statement is set"))
    }
}

/// Text and parameters of one statement under way.
struct Builder {
    text: String,
    parameters: Vec<AttributeValue>,
}

impl Builder {
    fn new(text: String) -> Self {
        Self { text, parameters: Vec::new() }
    }

    fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.text.push_str(&format!(" SET \"{attribute}\"=?"));
        self.parameters.push(value);
    }

    fn remove(&mut self, attribute: &str) {
        self.text.push_str(&format!(" REMOVE \"{attribute}\""));
    }

    fn key(&mut self, pk: &str) {
        self.key_of(pk, attr::ITEM);
    }

    fn key_of(&mut self, pk: &str, sk: &str) {
        self.text.push_str(&format!(" WHERE \"{}\"=? AND \"{}\"=?", attr::PK, attr::SK));
        self.parameters.extend([s(pk), s(sk)]);
    }

    fn and(&mut self, attribute: &str, operator: &str, value: AttributeValue) {
        self.text.push_str(&format!(" AND \"{attribute}\"{operator}?"));
        self.parameters.push(value);
    }

    fn and_missing(&mut self, attribute: &str) {
        self.text.push_str(&format!(" AND \"{attribute}\" IS MISSING"));
    }

    fn finish(self, pk: String, sk: &str) -> Statement {
        let request = BatchStatementRequest::builder()
            .statement(self.text)
            .set_parameters((!self.parameters.is_empty()).then_some(self.parameters))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap_or_else(|_| unreachable!("the statement is set"));
        Statement { key: (pk, sk.to_owned()), request, is_success: false }
    }
}

/// Puts an item that must not exist yet: the one of `pk` with the sort key `sk`.
pub fn insert(table: &str, pk: String, sk: &str, item: Vec<(&str, AttributeValue)>) -> Statement {
    let names: Vec<String> = item.iter().map(|(name, _)| format!("'{name}':?")).collect();
    let mut builder = Builder::new(format!("INSERT INTO \"{table}\" VALUE {{{}}}", names.join(",")));
    builder.parameters = item.into_iter().map(|(_, value)| value).collect();
    builder.finish(pk, sk)
}

/// Reads an item as the last write left it.
pub fn read(table: &str, pk: String, sk: &str) -> Statement {
    let mut builder = Builder::new(format!("SELECT * FROM \"{table}\""));
    builder.key_of(&pk, sk);
    let mut statement = builder.finish(pk, sk);
    statement.request.consistent_read = Some(true);
    statement.request.return_values_on_condition_check_failure = None;
    statement
}

/// Claims an item: raises `counters`, writes the claim and `sets`, and returns the item, if nobody has claimed it and
/// `guards` hold.
pub(crate) fn claim(
    table: &str,
    pk: String,
    (counters, claim): (&[&str], &Claim),
    sets: &[(&'static str, AttributeValue)],
    guards: &[Guard],
) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    for counter in counters {
        builder.text.push_str(&format!(" SET {counter}={counter}+1"));
    }
    encode_claim(Some(claim)).chain(sets.iter().cloned()).for_each(|(name, value)| builder.set(name, value));
    builder.key(&pk);
    builder.guards(guards);
    builder.guards(&[Guard::Missing(attr::TOKEN)]);
    builder.text.push_str(" RETURNING ALL NEW *");
    builder.finish(pk, attr::ITEM)
}

/// Writes the step from `from` to `to`: only what changes, and only if nothing that it was decided from has changed.
pub fn step<T: WorkItem>(table: &str, from: &T, to: &T, now: DateTime<Utc>) -> Statement {
    let (before, after) = (from.changing(now), to.changing(now));
    difference(table, from.pk(), &before, &after, &from.guards(to)).of_success(to.is_success())
}

/// Sets one attribute of an item that exists.
pub fn set(table: &str, pk: String, sk: &str, attribute: &str, value: AttributeValue) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attribute, value);
    builder.key_of(&pk, sk);
    builder.finish(pk, sk)
}

/// Links activities to what their provider calls them, where they were linked `before`. What lay there until it
/// `expires` lies there as long as the link does.
pub fn link(
    table: &str,
    pk: String,
    before: Option<&str>,
    after: &str,
    expires: Option<(&str, AttributeValue)>,
) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attr::LINKED, s(after));
    match expires {
        Some((name, value)) => builder.set(name, value),
        None => builder.remove(attr::EXPIRES),
    }
    builder.key(&pk);
    match before {
        Some(before) => builder.and(attr::LINKED, "=", s(before)),
        None => builder.and_missing(attr::LINKED),
    }
    builder.finish(pk, attr::ITEM)
}

/// Takes from a result that it is standalone, and with it that it expires: it goes with its activity.
pub fn link_result(table: &str, pk: String, sk: &str) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.remove(attr::RESULT_STANDALONE);
    builder.remove(attr::EXPIRES);
    builder.key_of(&pk, sk);
    builder.and(attr::RESULT_STANDALONE, "=", n(1));
    builder.finish(pk, sk)
}

impl Builder {
    fn guards(&mut self, guards: &[Guard]) {
        for guard in guards {
            match guard {
                Guard::Equals(attribute, value) => self.and(attribute, "=", value.clone()),
                Guard::AtMost(attribute, value) => self.and(attribute, "<=", value.clone()),
                Guard::Missing(attribute) => self.and_missing(attribute),
            }
        }
    }
}

/// Writes what differs between two encodings of the item `pk`, if `guards` hold. Where nothing differs, the first attribute is
/// written as it is, so that the guards are checked all the same.
pub fn difference(
    table: &str,
    pk: String,
    before: &[(&'static str, AttributeValue)],
    after: &[(&'static str, AttributeValue)],
    guards: &[Guard],
) -> Statement {
    let has = |side: &[(&str, AttributeValue)], name: &str| side.iter().any(|(other, _)| *other == name);
    let mut set: Vec<_> = after.iter().filter(|attribute| !before.contains(attribute)).collect();
    let removed: Vec<_> = before.iter().filter(|(name, _)| !has(after, name)).collect();
    if set.iter().any(|(name, _)| *name == attr::DONE_PARTITION) {
        // Where an item that is over stands in the index is not read: what moves to another partition is placed anew.
        set.retain(|(name, _)| *name != attr::DONE_SORT);
        set.extend(after.iter().filter(|(name, _)| *name == attr::DONE_SORT));
    }
    if set.is_empty() && removed.is_empty() {
        set.extend(after.first());
    }
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    set.into_iter().for_each(|(name, value)| builder.set(name, value.clone()));
    removed.into_iter().for_each(|(name, _)| builder.remove(name));
    builder.key(&pk);
    builder.guards(guards);
    builder.finish(pk, attr::ITEM)
}

/// Deletes the item of `pk`, if `guards` hold.
pub fn delete(table: &str, pk: String, guards: &[Guard]) -> Statement {
    let mut builder = Builder::new(format!("DELETE FROM \"{table}\""));
    builder.key(&pk);
    builder.guards(guards);
    builder.finish(pk, attr::ITEM)
}
