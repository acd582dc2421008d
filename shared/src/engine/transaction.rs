//! Several writes that are made together or not at all.

use crate::engine::attributes::s;
use crate::engine::guard::Guard;
use crate::engine::item::Encoded;
use crate::engine::statements::Statement;
use crate::engine::{StoreError, WorkStore};
use crate::table::attr;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::execute_transaction::ExecuteTransactionError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use std::collections::HashMap;

/// Most writes of one transaction (a DynamoDB limit).
pub(crate) const TRANSACTION_MAX: usize = 100;

/// A transaction that was not made, since another write was faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canceled {
    /// Of each write, whether its condition did not hold or the item that it makes is there already; of none, if another
    /// transaction was at one of the items.
    refused: Vec<bool>,
}

impl Canceled {
    /// Whether a condition did not hold.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.contains(&true)
    }

    /// Whether the condition of the write at `index` did not hold.
    pub(crate) fn is_refused_at(&self, index: usize) -> bool {
        self.refused.get(index) == Some(&true)
    }

    fn of(exception: &TransactionCanceledException) -> Option<Self> {
        let codes =
            || exception.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default());
        let refused: Vec<bool> =
            codes().map(|code| matches!(code, "ConditionalCheckFailed" | "DuplicateItem")).collect();
        let is_lost = refused.contains(&true) || codes().any(|code| code == "TransactionConflict");
        is_lost.then_some(Self { refused })
    }
}

/// The exception of a canceled transaction, by either operation.
trait MaybeCanceled {
    fn canceled(&self) -> Option<&TransactionCanceledException>;
}

impl MaybeCanceled for TransactWriteItemsError {
    fn canceled(&self) -> Option<&TransactionCanceledException> {
        match self {
            Self::TransactionCanceledException(canceled) => Some(canceled),
            _ => None,
        }
    }
}

impl MaybeCanceled for ExecuteTransactionError {
    fn canceled(&self) -> Option<&TransactionCanceledException> {
        match self {
            Self::TransactionCanceledException(canceled) => Some(canceled),
            _ => None,
        }
    }
}

fn outcome<T, E, R>(sent: Result<T, SdkError<E, R>>) -> Result<Result<(), Canceled>, StoreError>
where
    E: MaybeCanceled + aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let Err(error) = sent else { return Ok(Ok(())) };
    match error.as_service_error().and_then(MaybeCanceled::canceled) {
        Some(canceled) => {
            Canceled::of(canceled).map_or(Err(StoreError::Throttled), |canceled| Ok(Err(canceled)))
        }
        None => Err(StoreError::from_sdk(error)),
    }
}

impl WorkStore {
    /// All of `writes`, or none.
    pub(crate) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Result<(), Canceled>, StoreError> {
        outcome(self.client.transact_write_items().set_transact_items(Some(writes)).send().await)
    }

    /// All of `statements`, or none.
    pub(crate) async fn execute(
        &self,
        statements: impl IntoIterator<Item = Statement>,
    ) -> Result<Result<(), Canceled>, StoreError> {
        let statements = statements.into_iter().map(Statement::for_transaction).collect();
        outcome(self.client.execute_transaction().set_transact_statements(Some(statements)).send().await)
    }

    /// The write of an item that must not exist.
    pub(crate) fn put_new(&self, item: Encoded) -> TransactWriteItem {
        self.put(item, &[Guard::Missing(attr::PK)])
    }

    /// The write of an item over one that is as `guards` say.
    pub(crate) fn put(&self, item: Encoded, guards: &[Guard]) -> TransactWriteItem {
        let item: HashMap<_, _> = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if !guards.is_empty() {
            let Condition { expression, names, values } = Condition::of(guards);
            put = put
                .condition_expression(expression)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values);
        }
        let put = put.build().unwrap_or_else(|_| unreachable!("table and item are set"));
        TransactWriteItem::builder().put(put).build()
    }

    /// The deletion of the item `sk` of `pk`, if it is as `guards` say.
    pub(crate) fn delete(&self, pk: &str, sk: &str, guards: &[Guard]) -> TransactWriteItem {
        let mut delete = Delete::builder().table_name(&self.table).key(attr::PK, s(pk)).key(attr::SK, s(sk));
        if !guards.is_empty() {
            let Condition { expression, names, values } = Condition::of(guards);
            delete = delete
                .condition_expression(expression)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values);
        }
        let delete = delete.build().unwrap_or_else(|_| unreachable!("table and key are set"));
        TransactWriteItem::builder().delete(delete).build()
    }

    /// That the item of `pk` is as `guards`, of which there is one at least, say; writes nothing.
    pub(crate) fn check(&self, pk: &str, guards: &[Guard]) -> TransactWriteItem {
        let Condition { expression, names, values } = Condition::of(guards);
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key(attr::PK, s(pk))
            .key(attr::SK, s(attr::ITEM))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        let check = check.build().unwrap_or_else(|_| unreachable!("table, key and condition are set"));
        TransactWriteItem::builder().condition_check(check).build()
    }
}

/// Guards as a condition of DynamoDB.
struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    fn of(guards: &[Guard]) -> Self {
        let (mut terms, mut names, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        for (number, guard) in guards.iter().enumerate() {
            let (name, value) = (format!("#g{number}"), format!(":g{number}"));
            let (attribute, expected) = match guard {
                Guard::Equals(attribute, expected) => {
                    terms.push(format!("{name} = {value}"));
                    (attribute, Some(expected))
                }
                Guard::AtMost(attribute, expected) => {
                    terms.push(format!("{name} <= {value}"));
                    (attribute, Some(expected))
                }
                Guard::Missing(attribute) => {
                    terms.push(format!("attribute_not_exists({name})"));
                    (attribute, None)
                }
            };
            values.extend(expected.map(|expected| (value, expected.clone())));
            names.insert(name, (*attribute).to_owned());
        }
        let values = (!values.is_empty()).then_some(values);
        Self { expression: terms.join(" AND "), names, values }
    }
}
