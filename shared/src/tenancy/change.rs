//! Changes: one transaction of the item, under a condition on its revision, and its audit entry.

use super::error::Operation;
use super::item::{DELETING, DecodeError, Item, Key, PK, REVISION, Reader, Writer};
use super::{AuditEntry, AuditScope, Tenancy, TenancyError};
use crate::tenancy::item::{CREATED_AT, UPDATED_AT};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use chrono::{DateTime, Utc};
use rules::names::Tenant;
use rules::parent::Stored;
use std::collections::HashMap;

/// How often a change that another one overtook is decided anew.
pub(super) const TRIES_MAX: usize = 8;
/// Why DynamoDB cancels a transaction that lost against another change.
const LOST: [&str; 2] = ["ConditionalCheckFailed", "TransactionConflict"];

/// When an item was made and changed, and how often.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meta {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// Counts its changes, from 1; 0 before it is stored.
    pub(super) revision: u64,
    /// Whether somebody is deleting it ([`rules::parent`]). A change removes the mark.
    pub(super) deleting: bool,
    /// When the read that found it began: of this process alone, and not compared.
    pub(super) read_at: DateTime<Utc>,
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        let stored = |meta: &Self| (meta.created_at, meta.updated_at, meta.revision, meta.deleting);
        stored(self) == stored(other)
    }
}

impl Meta {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { created_at: now, updated_at: now, revision: 1, ..Self::default() }
    }

    pub(super) fn changed(self, now: DateTime<Utc>) -> Self {
        Self { updated_at: now, revision: self.revision + 1, deleting: false, ..self }
    }

    /// As it is once it is marked for its deletion.
    pub(super) fn marked(self) -> Self {
        Self { revision: self.revision + 1, deleting: true, ..self }
    }

    /// As [`rules::parent`] decides on it.
    pub(super) fn stored(self) -> Stored {
        Stored { created_at: self.created_at, revision: self.revision, is_marked: self.deleting }
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer
            .number(REVISION, self.revision)
            .time(CREATED_AT, self.created_at)
            .time(UPDATED_AT, self.updated_at)
            .optional_number(DELETING, self.deleting.then_some(1))
    }

    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            created_at: reader.time(CREATED_AT)?,
            updated_at: reader.time(UPDATED_AT)?,
            revision: reader.number(REVISION)?,
            deleting: reader.has(DELETING),
            read_at: DateTime::default(),
        })
    }
}

/// What a `PUT` did.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed<T> {
    /// There was none; now there is this.
    Created(T),
    /// There was another; now there is this.
    Replaced(T),
    /// It was like this already: nothing was written, nothing audited.
    Unchanged(T),
}

impl<T> Changed<T> {
    /// What there is now.
    pub fn into_inner(self) -> T {
        match self {
            Changed::Created(value) | Changed::Replaced(value) | Changed::Unchanged(value) => value,
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What is to be changed, or what it belongs to, does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The table could not be read or written.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl From<DecodeError> for ChangeError {
    fn from(error: DecodeError) -> Self {
        Self::Tenancy(error.into())
    }
}

impl ChangeError {
    /// Others changed the same thing each time it was tried.
    pub(super) fn contended() -> Self {
        Self::Conflict("it is being changed by others at the same time; try again".to_owned())
    }
}

/// Whether a transaction went through. A lost condition is a normal answer, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    Applied,
    Lost,
}

/// What an item must be for a write to it to go through.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// It does not exist.
    Absent,
    /// It exists, in whatever revision.
    Exists,
    /// It has this revision.
    Revision(u64),
    /// It is the one that was read, and nobody has changed it. One that was deleted and made again counts its
    /// changes from the start, so the revision alone does not tell them apart.
    Unchanged(Meta),
}

impl When {
    /// That an item is as it was read. Of one that cannot be decoded, as far as that is known: what could not be read of
    /// `read` is as in [`Meta::default`].
    pub(super) fn unchanged(read: Meta) -> Self {
        match (read.revision, read.created_at) {
            (0, _) => When::Exists,
            (revision, at) if at == DateTime::UNIX_EPOCH => When::Revision(revision),
            _ => When::Unchanged(read),
        }
    }

    fn expression(self) -> &'static str {
        match self {
            When::Absent => "attribute_not_exists(#guard)",
            When::Exists => "attribute_exists(#guard)",
            When::Revision(_) => "#guard = :revision",
            When::Unchanged(_) => "#guard = :revision AND #created = :created",
        }
    }

    fn names(self) -> HashMap<String, String> {
        let names = match self {
            When::Absent | When::Exists => vec![("#guard", PK)],
            When::Revision(_) => vec![("#guard", REVISION)],
            When::Unchanged(_) => vec![("#guard", REVISION), ("#created", CREATED_AT)],
        };
        names.into_iter().map(|(name, attribute)| (name.to_owned(), attribute.to_owned())).collect()
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let number = |name: &str, number: String| (name.to_owned(), AttributeValue::N(number));
        match self {
            When::Absent | When::Exists => None,
            When::Revision(revision) => Some([number(":revision", revision.to_string())].into()),
            When::Unchanged(meta) => Some(HashMap::from([
                number(":revision", meta.revision.to_string()),
                number(":created", meta.created_at.timestamp_millis().to_string()),
            ])),
        }
    }
}

// The builders below fail only without a table, a key, an item or an update expression: each is given.
impl Tenancy {
    pub(super) fn put(&self, item: Item, when: Option<When>) -> TransactWriteItem {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some(when) = when {
            put = put
                .condition_expression(when.expression())
                .set_expression_attribute_names(Some(when.names()))
                .set_expression_attribute_values(when.values());
        }
        let put = put.build().expect("table and item are given");
        TransactWriteItem::builder().put(put).build()
    }

    pub(super) fn delete(&self, key: &Key, when: Option<When>) -> TransactWriteItem {
        let mut delete = Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
        if let Some(when) = when {
            delete = delete
                .condition_expression(when.expression())
                .set_expression_attribute_names(Some(when.names()))
                .set_expression_attribute_values(when.values());
        }
        let delete = delete.build().expect("table and key are given");
        TransactWriteItem::builder().delete(delete).build()
    }

    /// Deletes an item whose attribute `name` is at `time` still.
    pub(super) fn delete_unchanged(
        &self,
        key: &Key,
        name: &'static str,
        time: DateTime<Utc>,
    ) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression("#name = :time")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":time", AttributeValue::N(time.timestamp_millis().to_string()));
        let delete = delete.build().expect("table and key are given");
        TransactWriteItem::builder().delete(delete).build()
    }

    /// Holds only while an item is as `when` says; writes nothing.
    pub(super) fn check(&self, key: &Key, when: When) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression(when.expression())
            .set_expression_attribute_names(Some(when.names()))
            .set_expression_attribute_values(when.values());
        let check = check.build().expect("table, key and condition are given");
        TransactWriteItem::builder().condition_check(check).build()
    }

    /// Raises an item's revision, and removes the mark of its deletion: what was decided from the old one is
    /// decided anew. Whatever is made below an item does this to it, so that the item is not deleted meanwhile.
    pub(super) fn touch(&self, key: &Key, when: When) -> TransactWriteItem {
        self.raise(key, when, ("ADD #revision :number REMOVE #deleting", 1))
    }

    /// Gives an item the next revision, and marks it as being deleted.
    pub(super) fn mark(&self, key: &Key, when: When, revision: u64) -> TransactWriteItem {
        self.raise(key, when, ("SET #revision = :number, #deleting = :number", revision))
    }

    fn raise(&self, key: &Key, when: When, (expression, number): (&str, u64)) -> TransactWriteItem {
        let mut values = when.values().unwrap_or_default();
        values.insert(":number".to_owned(), AttributeValue::N(number.to_string()));
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .update_expression(expression)
            .condition_expression(when.expression())
            .set_expression_attribute_names(Some(when.names()))
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_names("#deleting", DELETING)
            .set_expression_attribute_values(Some(values));
        let update = update.build().expect("table, key and update are given");
        TransactWriteItem::builder().update(update).build()
    }

    /// All of `writes`, or none.
    pub(super) async fn commit(
        &self,
        operation: impl Into<Operation>,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Commit, TenancyError> {
        let sent = self.dynamodb.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(error) = sent else { return Ok(Commit::Applied) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled))
                if canceled
                    .cancellation_reasons()
                    .iter()
                    .any(|reason| reason.code().is_some_and(|code| LOST.contains(&code))) =>
            {
                Ok(Commit::Lost)
            }
            _ => Err(TenancyError::sdk(operation)(error)),
        }
    }

    /// All of `writes`, which are below a solution and may be another table's, with the audit entry that
    /// tells of them; `false` if one of them lost.
    pub(crate) async fn commit_below(
        &self,
        operation: impl Into<Operation>,
        tenant: &Tenant,
        entry: &AuditEntry,
        mut writes: Vec<TransactWriteItem>,
    ) -> Result<bool, TenancyError> {
        writes.push(self.audit(&AuditScope::Solution(tenant.clone()), entry));
        Ok(self.commit(operation, writes).await? == Commit::Applied)
    }

    /// One consistent read past every cache.
    pub(super) async fn read(
        &self,
        operation: impl Into<Operation>,
        key: &Key,
    ) -> Result<Option<Item>, TenancyError> {
        let answer = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(TenancyError::sdk(operation))?;
        Ok(answer.item)
    }
}
