//! Deleting an item with all that belongs to it.

use super::batcher::Outcome;
use super::codec::s;
use super::statements::{self, Guard};
use super::{StoreError, WorkStore, attr};
use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem};

/// Most writes of one transaction (a DynamoDB limit).
pub(super) const TRANSACTION_MAX: usize = 100;
/// Most pages of sort keys that are read for one partition.
const PAGES_MAX: usize = 64;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// It is gone, now or before.
    Yes,
    /// It is no longer as it must be to be deleted; it stays.
    Kept,
}

impl WorkStore {
    /// Deletes the item of `pk`, if `guards` hold, and with it everything in its partition.
    ///
    /// One transaction, so that nothing is left without its item. Of a partition too large for that,
    /// history goes first: whoever dies on the way leaves an item that can be deleted again.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written; the same call may be made again.
    pub(super) async fn erase(&self, pk: &str, guards: &[Guard]) -> Result<Erased, StoreError> {
        let mut belongings = self.sort_keys(pk).await?;
        belongings.retain(|sk| sk != attr::ITEM);
        if belongings.is_empty() {
            let delete = statements::delete(&self.table, pk.to_owned(), guards.to_vec());
            return Ok(match self.batcher.run(delete).await? {
                Outcome::Applied(_) | Outcome::Lost(None) => Erased::Yes,
                Outcome::Lost(Some(_)) | Outcome::Duplicate => Erased::Kept,
            });
        }
        while belongings.len() >= TRANSACTION_MAX {
            let part = belongings.drain(..TRANSACTION_MAX - 1).collect::<Vec<_>>();
            let deletes = part.iter().map(|sk| self.delete(pk, sk, &[])).collect();
            self.transact(deletes).await?;
        }
        let mut deletes = vec![self.delete(pk, attr::ITEM, guards)];
        deletes.extend(belongings.iter().map(|sk| self.delete(pk, sk, &[])));
        self.transact(deletes).await
    }

    /// All of `deletes`, or none: then a guard did not hold.
    pub(super) async fn transact(&self, deletes: Vec<TransactWriteItem>) -> Result<Erased, StoreError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(deletes)).send().await;
        let Err(error) = sent else { return Ok(Erased::Yes) };
        let lost = error.as_service_error().and_then(|cause| match cause {
            aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
                canceled,
            ) => Some(
                canceled
                    .cancellation_reasons()
                    .iter()
                    .any(|reason| reason.code() == Some("ConditionalCheckFailed")),
            ),
            _ => None,
        });
        match lost {
            Some(true) => Ok(Erased::Kept),
            Some(false) => Err(StoreError::Throttled),
            None => Err(StoreError::from_sdk(error)),
        }
    }

    pub(super) fn delete(&self, pk: &str, sk: &str, guards: &[Guard]) -> TransactWriteItem {
        let mut delete = Delete::builder().table_name(&self.table).key(attr::PK, s(pk)).key(attr::SK, s(sk));
        let mut conditions = Vec::with_capacity(guards.len());
        for (number, guard) in guards.iter().enumerate() {
            let (name, value) = (format!("#g{number}"), format!(":g{number}"));
            match guard {
                Guard::Equals(attribute, expected) => {
                    conditions.push(format!("{name} = {value}"));
                    delete = delete
                        .expression_attribute_names(name, *attribute)
                        .expression_attribute_values(value, expected.clone());
                }
                Guard::Missing(attribute) => {
                    conditions.push(format!("attribute_not_exists({name})"));
                    delete = delete.expression_attribute_names(name, *attribute);
                }
            }
        }
        if !conditions.is_empty() {
            delete = delete.condition_expression(conditions.join(" AND "));
        }
        let delete = delete.build().unwrap_or_else(|_| unreachable!("table and key are set"));
        TransactWriteItem::builder().delete(delete).build()
    }

    pub(super) async fn sort_keys(&self, pk: &str) -> Result<Vec<String>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .projection_expression("SK")
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
            let sort_key = |mut item: super::codec::Item| match item.remove(attr::SK) {
                Some(AttributeValue::S(sk)) => Some(sk),
                _ => None,
            };
            found.extend(output.items.unwrap_or_default().into_iter().filter_map(sort_key));
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }
}
