//! The writes of the protocol as PartiQL statements.
//!
//! Statements, because `BatchExecuteStatement` carries 25 conditional writes in
//! one call, each judged alone and at the price of one: a transaction would
//! cost twice and fail as a whole (DESIGN "Time").

use super::attr;
use super::codec::{Record, Success, n, s, t};
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnValuesOnConditionCheckFailure};
use chrono::{DateTime, Utc};
use rules::activity::{Claim, Index, State, Status, index};

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

    fn key(&mut self, pk: String) {
        self.text.push_str(&format!(" WHERE \"{}\"=? AND \"{}\"='{}'", attr::PK, attr::SK, attr::ITEM));
        self.parameters.push(s(pk));
    }

    fn and(&mut self, attribute: &str, operator: &str, value: AttributeValue) {
        self.text.push_str(&format!(" AND \"{attribute}\"{operator}?"));
        self.parameters.push(value);
    }

    fn and_missing(&mut self, attribute: &str) {
        self.text.push_str(&format!(" AND \"{attribute}\" IS MISSING"));
    }

    fn finish(self) -> BatchStatementRequest {
        BatchStatementRequest::builder()
            .statement(self.text)
            .set_parameters((!self.parameters.is_empty()).then_some(self.parameters))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap_or_else(|_| unreachable!("the statement is set"))
    }
}

/// Puts an item that must not exist yet.
pub fn insert(table: &str, item: Vec<(&str, AttributeValue)>) -> BatchStatementRequest {
    let names: Vec<String> = item.iter().map(|(name, _)| format!("'{name}':?")).collect();
    let mut builder = Builder::new(format!("INSERT INTO \"{table}\" VALUE {{{}}}", names.join(",")));
    builder.parameters = item.into_iter().map(|(_, value)| value).collect();
    builder.finish()
}

/// Claims an activity (SPEC §9.2): raises its attempts, sets token and lease, returns the item.
///
/// It touches no indexed attribute, so it costs one write unit. Its condition
/// is [`rules::activity::claimable`]; `due_by` is now and the lead.
pub fn claim(table: &str, pk: String, claim: &Claim, due_by: DateTime<Utc>) -> BatchStatementRequest {
    let mut builder = Builder::new(format!("UPDATE \"{table}\" SET \"{0}\"={0}+1", attr::ATTEMPTS));
    builder.set(attr::TOKEN, s(&claim.token));
    builder.set(attr::LEASE, t(claim.lease_until));
    builder.key(pk);
    builder.and(attr::STATUS, "=", s(Status::Ready.as_str()));
    builder.and(attr::DUE, "<=", t(due_by));
    builder.and_missing(attr::TOKEN);
    builder.text.push_str(" RETURNING ALL NEW *");
    builder.finish()
}

/// Writes the step from `record` to `to`: only what changes, and only if nobody else has changed it.
///
/// A claimed one is guarded by its token, a free one by everything a decision is made of.
pub fn step(
    table: &str,
    record: &Record,
    to: &State,
    success: Option<Success>,
    now: DateTime<Utc>,
) -> BatchStatementRequest {
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
    if from.claim.is_some() {
        builder.remove(attr::TOKEN);
        builder.remove(attr::LEASE);
    }
    builder.key(record.pk());
    guard(&mut builder, from);
    builder.finish()
}

/// Gives a free activity another URI pattern.
pub fn set_uri(table: &str, record: &Record, uri: &str) -> BatchStatementRequest {
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    builder.set(attr::URI, s(uri));
    builder.key(record.pk());
    guard(&mut builder, &record.state);
    builder.finish()
}

fn guard(builder: &mut Builder, from: &State) {
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
