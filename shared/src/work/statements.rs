//! The writes of the protocol as PartiQL statements.
//!
//! Statements, because `BatchExecuteStatement` carries 25 conditional writes in
//! one call, each judged alone and at the price of one: a transaction would
//! cost twice and fail as a whole (DESIGN "Time").

use super::attr;
use super::codec::{Dispatch, Record, Success, n, s, t};
use super::kept::Kept;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, ParameterizedStatement, ReturnValuesOnConditionCheckFailure,
};
use chrono::{DateTime, Utc};
use rules::activity::{Claim, Index, State, Status, index};
use rules::verdict::Verdict;

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
pub(crate) struct Builder {
    pub(crate) text: String,
    parameters: Vec<AttributeValue>,
}

impl Builder {
    pub(crate) fn new(text: String) -> Self {
        Self { text, parameters: Vec::new() }
    }

    pub(crate) fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.text.push_str(&format!(" SET \"{attribute}\"=?"));
        self.parameters.push(value);
    }

    pub(crate) fn remove(&mut self, attribute: &str) {
        self.text.push_str(&format!(" REMOVE \"{attribute}\""));
    }

    /// Writes until when an item is kept, where that changes.
    pub(crate) fn keep(&mut self, before: Option<Kept>, after: Option<Kept>) {
        if before == after {
            return;
        }
        let (before, after) = (before.map(Kept::attribute), after.map(Kept::attribute));
        if let Some((name, _)) = before
            && after.as_ref().is_none_or(|(other, _)| *other != name)
        {
            self.remove(name);
        }
        if let Some((name, value)) = after {
            self.set(name, value);
        }
    }

    pub(crate) fn key(&mut self, pk: &str) {
        self.key_of(pk, attr::ITEM);
    }

    fn key_of(&mut self, pk: &str, sk: &str) {
        self.text.push_str(&format!(" WHERE \"{}\"=? AND \"{}\"=?", attr::PK, attr::SK));
        self.parameters.extend([s(pk), s(sk)]);
    }

    pub(crate) fn and(&mut self, attribute: &str, operator: &str, value: AttributeValue) {
        self.text.push_str(&format!(" AND \"{attribute}\"{operator}?"));
        self.parameters.push(value);
    }

    pub(crate) fn and_missing(&mut self, attribute: &str) {
        self.text.push_str(&format!(" AND \"{attribute}\" IS MISSING"));
    }

    pub(crate) fn finish(self, pk: String, sk: &str) -> Statement {
        let request = BatchStatementRequest::builder()
            .statement(self.text)
            .set_parameters((!self.parameters.is_empty()).then_some(self.parameters))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap_or_else(|_| unreachable!("the statement is set"));
        Statement { key: (pk, sk.to_owned()), request, is_success: false }
    }
}

/// Puts an item that must not exist yet: one of the activity `pk`, with the sort key `sk`.
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

/// Claims an activity (SPEC §9.2): raises its attempts, sets token and lease, returns the item.
///
/// It touches no indexed attribute, so it costs one write unit. Its condition
/// is [`rules::activity::claimable`]; `due_by` is now and the lead.
pub fn claim(table: &str, pk: String, claim: &Claim, due_by: DateTime<Utc>) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\" SET {0}={0}+1", attr::ATTEMPTS));
    builder.set(attr::TOKEN, s(&claim.token));
    builder.set(attr::LEASE, t(claim.lease_until));
    builder.key(&pk);
    builder.and(attr::STATUS, "=", s(Status::Ready.as_str()));
    builder.and(attr::DUE, "<=", t(due_by));
    builder.and_missing(attr::TOKEN);
    builder.text.push_str(" RETURNING ALL NEW *");
    builder.finish(pk, attr::ITEM)
}

/// Writes the step from `record` to `to`: only what changes, and only if nobody else has changed it.
///
/// A claimed one is guarded by its token, a free one by everything a decision is made of.
/// `success` is the successful attempt after the step, `dispatch` what it came to at the provider, and `kept` until when
/// the activity is kept if the step ends it.
#[allow(clippy::too_many_arguments)]
pub fn step(
    table: &str,
    record: &Record,
    to: &State,
    success: Option<Success>,
    dispatch: Option<&Dispatch>,
    kept: Option<Kept>,
    now: DateTime<Utc>,
) -> Statement {
    let from = &record.state;
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    for (attribute, before, after) in [
        (attr::STATUS, s(from.status.as_str()), s(to.status.as_str())),
        (attr::DATE, t(from.date), t(to.date)),
        (attr::DUE, t(from.due), t(to.due)),
        (attr::ATTEMPTS, n(from.attempts), n(to.attempts)),
        (attr::MAX_ATTEMPTS, n(from.max_attempts), n(to.max_attempts)),
        (attr::RUN, n(from.run), n(to.run)),
    ] {
        if before != after {
            builder.set(attribute, after);
        }
    }
    for (attribute, value) in record.index_attributes(to, now) {
        builder.set(attribute, s(value));
    }
    match (to.executed_at, from.executed_at) {
        (Some(at), _) => builder.set(attr::EXECUTED, t(at)),
        (None, Some(_)) => builder.remove(attr::EXECUTED),
        (None, None) => {}
    }
    match (&from.verdict, &to.verdict) {
        (before, Some(after)) if before.as_ref() != Some(after) => {
            builder.set(attr::VERDICT, s(after.to_string()));
        }
        (Some(_), None) => builder.remove(attr::VERDICT),
        _ => {}
    }
    if let Some(dispatch) = dispatch {
        builder.set(attr::PROVIDER_ACTIVITY, s(&dispatch.provider_activity_id));
        builder.set(attr::DISPATCH_CONFIG, s(&dispatch.dispatch_config_id));
    }
    if let Some(success) = success {
        builder.set(attr::SUCCESS_MILLIS, n(success.duration_ms));
        if let Some(status) = success.http_status {
            builder.set(attr::SUCCESS_STATUS, n(status));
        }
    } else if let Some(before) = record.success {
        // A new run: the entry has been moved to the history (see `WorkStore::retry`).
        builder.remove(attr::SUCCESS_MILLIS);
        if before.http_status.is_some() {
            builder.remove(attr::SUCCESS_STATUS);
        }
    }
    match (index(from), index(to)) {
        (Index::Due(_), Index::Done) => {
            [attr::DUE_PARTITION, attr::DUE_SORT].map(|name| builder.remove(name))
        }
        (Index::Done, Index::Due(_)) => {
            [attr::DONE_PARTITION, attr::DONE_SORT].map(|name| builder.remove(name))
        }
        (Index::Due(_), Index::Due(_)) | (Index::Done, Index::Done) => [(), ()],
    };
    builder.keep(record.kept, kept);
    if from.claim.is_some() {
        builder.remove(attr::TOKEN);
        builder.remove(attr::LEASE);
    }
    let pk = record.pk();
    builder.key(&pk);
    guard(&mut builder, from);
    if kept.is_some_and(|kept| kept.by_ttl) {
        // A result that came meanwhile would be left behind.
        builder.and_missing(attr::COMPANIONS);
    }
    builder.finish(pk, attr::ITEM).of_success(success.is_some())
}

/// Notes that results lie beside an activity, which therefore does not go by its time to live.
pub fn note_companions(table: &str, record: &Record) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attr::COMPANIONS, n(1));
    builder.keep(record.kept, record.kept.map(|kept| Kept { by_ttl: false, ..kept }));
    let pk = record.pk();
    builder.key(&pk);
    guard(&mut builder, &record.state);
    builder.finish(pk, attr::ITEM)
}

/// Takes from a finished activity until when it is kept.
pub fn keep(table: &str, record: &Record, kept: Kept) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.keep(Some(kept), None);
    let pk = record.pk();
    builder.key(&pk);
    guard(&mut builder, &record.state);
    builder.finish(pk, attr::ITEM)
}

/// Sets one attribute of an item that exists.
pub fn set(table: &str, pk: String, sk: &str, attribute: &str, value: AttributeValue) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attribute, value);
    builder.key_of(&pk, sk);
    builder.finish(pk, sk)
}

/// Gives a free activity another URI pattern.
pub fn set_uri(table: &str, record: &Record, uri: &str) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attr::URI, s(uri));
    let pk = record.pk();
    builder.key(&pk);
    guard(&mut builder, &record.state);
    builder.finish(pk, attr::ITEM)
}

/// Notes a result beside a claim, which goes on.
pub fn note(table: &str, record: &Record, verdict: &Verdict) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attr::VERDICT, s(verdict.to_string()));
    let pk = record.pk();
    builder.key(&pk);
    guard(&mut builder, &record.state);
    builder.finish(pk, attr::ITEM)
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

/// What an item must be for a write to it to go through.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    /// The attribute has this value.
    Equals(&'static str, AttributeValue),
    /// The item has no such attribute.
    Missing(&'static str),
}

impl Builder {
    fn guards(&mut self, guards: Vec<Guard>) {
        for guard in guards {
            match guard {
                Guard::Equals(attribute, value) => self.and(attribute, "=", value),
                Guard::Missing(attribute) => self.and_missing(attribute),
            }
        }
    }
}

/// Writes what differs between two encodings of the item `pk`, if `guards` hold. Something must differ.
pub fn difference(
    table: &str,
    pk: String,
    before: &[(&'static str, AttributeValue)],
    after: &[(&'static str, AttributeValue)],
    guards: Vec<Guard>,
) -> Statement {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    for (name, value) in after.iter().filter(|attribute| !before.contains(attribute)) {
        builder.set(name, value.clone());
    }
    for (name, _) in before.iter().filter(|(name, _)| !after.iter().any(|(other, _)| other == name)) {
        builder.remove(name);
    }
    builder.key(&pk);
    builder.guards(guards);
    builder.finish(pk, attr::ITEM)
}

/// Deletes the item of `pk`, if `guards` hold.
pub fn delete(table: &str, pk: String, guards: Vec<Guard>) -> Statement {
    let mut builder = Builder::new(format!("DELETE FROM \"{table}\""));
    builder.key(&pk);
    builder.guards(guards);
    builder.finish(pk, attr::ITEM)
}

fn guard(builder: &mut Builder, from: &State) {
    match &from.verdict {
        Some(verdict) => builder.and(attr::VERDICT, "=", s(verdict.to_string())),
        None => builder.and_missing(attr::VERDICT),
    }
    if let Some(claim) = &from.claim {
        builder.and(attr::TOKEN, "=", s(&claim.token));
        return;
    }
    builder.and_missing(attr::TOKEN);
    builder.and(attr::STATUS, "=", s(from.status.as_str()));
    builder.and(attr::ATTEMPTS, "=", n(from.attempts));
    builder.and(attr::RUN, "=", n(from.run));
    builder.and(attr::DUE, "=", t(from.due));
}
