//! `TransactWriteItems`: all or nothing, and what a cancellation tells.

use super::{Lab, cases, n, refusal};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use std::collections::HashMap;

cases![
    a_transaction_puts_updates_and_deletes,
    a_canceled_transaction_writes_nothing_and_says_why,
    a_transaction_may_span_tables,
    a_transaction_has_a_hundred_writes,
    a_transaction_names_an_item_once,
    a_repeated_transaction_is_one,
    a_transaction_costs_twice,
];

fn put(lab: &Lab, pk: &str, when: Option<&str>) -> TransactWriteItem {
    let put = Put::builder().table_name(&lab.settings.config_table).set_item(Some(lab.key(pk, "x")));
    let put = match when {
        Some(when) => put.condition_expression(when).expression_attribute_names("#guard", "PK"),
        None => put,
    };
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

fn delete(lab: &Lab, pk: &str) -> TransactWriteItem {
    let delete = Delete::builder().table_name(&lab.settings.config_table).set_key(Some(lab.key(pk, "x")));
    let delete =
        delete.condition_expression("attribute_exists(#guard)").expression_attribute_names("#guard", "PK");
    TransactWriteItem::builder().delete(delete.build().unwrap()).build()
}

/// Raises the revision of an item that has `revision`.
fn touch(lab: &Lab, pk: &str, revision: u64) -> TransactWriteItem {
    let update = Update::builder()
        .table_name(&lab.settings.config_table)
        .set_key(Some(lab.key(pk, "x")))
        .update_expression("ADD #revision :one")
        .condition_expression("#guard = :revision")
        .expression_attribute_names("#guard", "revision")
        .expression_attribute_names("#revision", "revision")
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":revision", n(revision));
    TransactWriteItem::builder().update(update.build().unwrap()).build()
}

async fn make(lab: &Lab, pk: &str, revision: u64) {
    let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
    call.set_item(Some(lab.key(pk, "x"))).item("revision", n(revision)).send().await.unwrap();
}

async fn get(lab: &Lab, table: &str, pk: &str) -> Option<HashMap<String, AttributeValue>> {
    let call = lab.clients.dynamodb.get_item().table_name(table).set_key(Some(lab.key(pk, "x")));
    call.consistent_read(true).send().await.unwrap().item
}

/// The reasons for which it was canceled; none if it went through.
async fn commit(lab: &Lab, writes: Vec<TransactWriteItem>) -> Vec<CancellationReason> {
    let sent = lab.clients.dynamodb.transact_write_items().set_transact_items(Some(writes)).send().await;
    match sent.map_err(|error| error.into_service_error()) {
        Ok(_) => Vec::new(),
        Err(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            canceled.cancellation_reasons().to_vec()
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn a_transaction_puts_updates_and_deletes(lab: Lab) {
    make(&lab, "old", 1).await;
    make(&lab, "kept", 4).await;
    let writes = vec![
        put(&lab, "new", Some("attribute_not_exists(#guard)")),
        touch(&lab, "kept", 4),
        delete(&lab, "old"),
    ];
    assert!(commit(&lab, writes).await.is_empty());
    let table = &lab.settings.config_table;
    assert_eq!(get(&lab, table, "new").await, Some(lab.key("new", "x")));
    assert_eq!(get(&lab, table, "kept").await.unwrap()["revision"], n(5));
    assert_eq!(get(&lab, table, "old").await, None);
}

async fn a_canceled_transaction_writes_nothing_and_says_why(lab: Lab) {
    make(&lab, "kept", 4).await;
    let writes = vec![put(&lab, "new", None), touch(&lab, "kept", 3), delete(&lab, "gone")];
    let reasons = commit(&lab, writes).await;
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or_default()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]);
    let table = &lab.settings.config_table;
    assert_eq!(get(&lab, table, "new").await, None);
    assert_eq!(get(&lab, table, "kept").await.unwrap()["revision"], n(4));
}

async fn a_transaction_may_span_tables(lab: Lab) {
    let item = Put::builder().table_name(&lab.settings.work_table).set_item(Some(lab.key("work", "x")));
    let other = TransactWriteItem::builder().put(item.build().unwrap()).build();
    assert!(commit(&lab, vec![put(&lab, "config", None), other]).await.is_empty());
    assert!(get(&lab, &lab.settings.work_table, "work").await.is_some());
    assert!(get(&lab, &lab.settings.config_table, "config").await.is_some());
}

async fn a_transaction_has_a_hundred_writes(lab: Lab) {
    let writes = |count: usize| (0..count).map(|number| put(&lab, &number.to_string(), None)).collect();
    let send = |writes| lab.clients.dynamodb.transact_write_items().set_transact_items(Some(writes)).send();
    assert_eq!(refusal(send(writes(101)).await), "ValidationException");
    assert_eq!(refusal(send(writes(100)).await), "accepted");
}

async fn a_transaction_names_an_item_once(lab: Lab) {
    let twice = vec![put(&lab, "a", None), put(&lab, "a", None)];
    let sent = lab.clients.dynamodb.transact_write_items().set_transact_items(Some(twice)).send().await;
    assert_eq!(refusal(sent), "ValidationException");
}

/// The SDK gives each transaction a token and keeps it when it repeats the call: so a commit whose answer
/// was lost is not taken for another's.
async fn a_repeated_transaction_is_one(lab: Lab) {
    make(&lab, "kept", 1).await;
    let send = || {
        let call = lab.clients.dynamodb.transact_write_items().transact_items(touch(&lab, "kept", 1));
        call.client_request_token(&lab.prefix).send()
    };
    assert_eq!(refusal(send().await), "accepted");
    assert_eq!(refusal(send().await), "accepted");
    assert_eq!(get(&lab, &lab.settings.config_table, "kept").await.unwrap()["revision"], n(2));
}

async fn a_transaction_costs_twice(lab: Lab) {
    let call = lab.clients.dynamodb.transact_write_items();
    let call = call.transact_items(put(&lab, "a", None)).transact_items(put(&lab, "b", None));
    let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
    let consumed = answer.consumed_capacity.unwrap_or_default();
    let units: f64 = consumed.iter().filter_map(|capacity| capacity.capacity_units).sum();
    assert_eq!(units, 4.0);
}
