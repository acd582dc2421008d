//! Queries: the sparse indexes, both directions, pages.

use super::{Lab, cases, s};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use shared::table::attr;
use std::collections::HashMap;

cases![
    an_index_has_only_items_with_its_attributes,
    an_item_leaves_one_index_for_the_other,
    an_index_has_keys_and_nothing_else,
    an_index_is_read_between_two_sort_keys,
    an_index_is_read_backward_from_a_sort_key,
    an_index_is_read_page_by_page,
    equal_sort_keys_of_an_index_are_all_there,
    an_index_is_counted_without_its_items,
    a_partition_is_read_by_the_beginning_of_its_sort_keys,
    a_partition_goes_on_after_a_key_that_is_made_up,
    a_page_ends_at_a_mebibyte,
    a_query_costs_a_unit_for_each_eight_kib_read,
];

type Item = HashMap<String, AttributeValue>;

/// Puts an item that stands in the index `due` by `sort`.
async fn put_due(lab: &Lab, pk: &str, sort: &str) {
    let partition = s(&format!("{}#due", lab.prefix));
    put(lab, pk, "ITEM", &[(attr::DUE_PARTITION, partition), (attr::DUE_SORT, s(sort)), ("rest", s("text"))])
        .await;
}

async fn put(lab: &Lab, pk: &str, sk: &str, attributes: &[(&str, AttributeValue)]) {
    let mut item = lab.key(pk, sk);
    item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.work_table);
    call.set_item(Some(item)).send().await.unwrap();
}

/// A query of the case's partition in the index `due`.
fn due(lab: &Lab, condition: &str) -> QueryFluentBuilder {
    let query = lab.clients.dynamodb.query().table_name(&lab.settings.work_table).index_name(attr::DUE_INDEX);
    let query = query.expression_attribute_names("#p", attr::DUE_PARTITION);
    let query = query.expression_attribute_values(":p", s(&format!("{}#due", lab.prefix)));
    if condition.is_empty() {
        return query.key_condition_expression("#p = :p");
    }
    query
        .key_condition_expression(format!("#p = :p AND {condition}"))
        .expression_attribute_names("#s", attr::DUE_SORT)
}

/// A query of one of the case's partitions of the table.
fn partition(lab: &Lab, pk: &str) -> QueryFluentBuilder {
    let query = lab.clients.dynamodb.query().table_name(&lab.settings.work_table).consistent_read(true);
    query.expression_attribute_values(":pk", lab.key(pk, "")["PK"].clone())
}

async fn texts(query: QueryFluentBuilder, name: &str) -> Vec<String> {
    let items = query.send().await.unwrap().items.unwrap_or_default();
    items.iter().map(|item| item[name].as_s().unwrap().clone()).collect()
}

async fn an_index_has_only_items_with_its_attributes(lab: Lab) {
    put_due(&lab, "a", "001").await;
    put(&lab, "b", "ITEM", &[]).await;
    put(&lab, "c", "ITEM", &[(attr::DUE_PARTITION, s(&format!("{}#due", lab.prefix)))]).await;
    assert_eq!(texts(due(&lab, ""), attr::DUE_SORT).await, ["001"]);
}

async fn an_item_leaves_one_index_for_the_other(lab: Lab) {
    put_due(&lab, "a", "001").await;
    let update = lab.clients.dynamodb.update_item().table_name(&lab.settings.work_table);
    let done = format!("{}#done", lab.prefix);
    update
        .set_key(Some(lab.key("a", "ITEM")))
        .update_expression("SET #fp = :fp, #fs = :fs REMOVE #dp, #ds")
        .expression_attribute_names("#fp", attr::DONE_PARTITION)
        .expression_attribute_names("#fs", attr::DONE_SORT)
        .expression_attribute_names("#dp", attr::DUE_PARTITION)
        .expression_attribute_names("#ds", attr::DUE_SORT)
        .expression_attribute_values(":fp", s(&done))
        .expression_attribute_values(":fs", s("002"))
        .send()
        .await
        .unwrap();
    assert!(texts(due(&lab, ""), attr::DUE_SORT).await.is_empty());
    let query =
        lab.clients.dynamodb.query().table_name(&lab.settings.work_table).index_name(attr::DONE_INDEX);
    let query =
        query.key_condition_expression("#p = :p").expression_attribute_names("#p", attr::DONE_PARTITION);
    assert_eq!(texts(query.expression_attribute_values(":p", s(&done)), attr::DONE_SORT).await, ["002"]);
}

async fn an_index_has_keys_and_nothing_else(lab: Lab) {
    put_due(&lab, "a", "001").await;
    let items = due(&lab, "").send().await.unwrap().items.unwrap_or_default();
    let mut names: Vec<&str> = items[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["PK", "SK", attr::DUE_PARTITION, attr::DUE_SORT]);
}

async fn an_index_is_read_between_two_sort_keys(lab: Lab) {
    for sort in ["001", "002q", "003", "003~", "004"] {
        put_due(&lab, sort, sort).await;
    }
    let query = due(&lab, "#s BETWEEN :after AND :until");
    let query = query
        .expression_attribute_values(":after", s("002q"))
        .expression_attribute_values(":until", s("003~"));
    assert_eq!(texts(query.clone(), attr::DUE_SORT).await, ["002q", "003", "003~"]);
    assert_eq!(texts(query.limit(2), attr::DUE_SORT).await, ["002q", "003"]);
}

async fn an_index_is_read_backward_from_a_sort_key(lab: Lab) {
    for sort in ["001", "002", "003", "004"] {
        put_due(&lab, sort, sort).await;
    }
    let backward = |condition| due(&lab, condition).scan_index_forward(false).limit(2);
    assert_eq!(texts(backward(""), attr::DUE_SORT).await, ["004", "003"]);
    let rest = backward("#s < :s").expression_attribute_values(":s", s("003"));
    assert_eq!(texts(rest, attr::DUE_SORT).await, ["002", "001"]);
    let forward = due(&lab, "#s > :s").limit(2).expression_attribute_values(":s", s("002"));
    assert_eq!(texts(forward, attr::DUE_SORT).await, ["003", "004"]);
}

/// Every page of a query, as `limit` cuts them.
async fn pages(query: QueryFluentBuilder, name: &str) -> Vec<Vec<String>> {
    let (mut pages, mut start) = (Vec::new(), None::<Item>);
    loop {
        let output = query.clone().set_exclusive_start_key(start.take()).send().await.unwrap();
        let items = output.items.unwrap_or_default();
        pages.push(items.iter().map(|item| item[name].as_s().unwrap().clone()).collect());
        start = output.last_evaluated_key;
        if start.is_none() {
            return pages;
        }
    }
}

async fn an_index_is_read_page_by_page(lab: Lab) {
    for sort in ["001", "002", "003", "004", "005"] {
        put_due(&lab, sort, sort).await;
    }
    let forward = pages(due(&lab, "").limit(2), attr::DUE_SORT).await;
    assert_eq!(forward, [vec!["001", "002"], vec!["003", "004"], vec!["005"]]);
    let backward = pages(due(&lab, "").limit(2).scan_index_forward(false), attr::DUE_SORT).await;
    assert_eq!(backward, [vec!["005", "004"], vec!["003", "002"], vec!["001"]]);
}

async fn equal_sort_keys_of_an_index_are_all_there(lab: Lab) {
    for pk in ["a", "b", "c"] {
        put_due(&lab, pk, "001").await;
    }
    let mut found: Vec<String> = pages(due(&lab, "").limit(1), attr::PK).await.concat();
    found.sort_unstable();
    let expect = ["a", "b", "c"].map(|pk| lab.key(pk, "")["PK"].as_s().unwrap().clone());
    assert_eq!(found, expect);
}

async fn an_index_is_counted_without_its_items(lab: Lab) {
    for sort in ["001", "002", "003"] {
        put_due(&lab, sort, sort).await;
    }
    let query = due(&lab, "#s < :s").expression_attribute_values(":s", s("003")).select(Select::Count);
    let output = query.send().await.unwrap();
    assert_eq!((output.count, output.items.unwrap_or_default().len()), (2, 0));
}

async fn a_partition_is_read_by_the_beginning_of_its_sort_keys(lab: Lab) {
    for sk in ["ITEM", "H#0#1", "H#0#2", "R#1"] {
        put(&lab, "a", sk, &[]).await;
    }
    let query = || partition(&lab, "a");
    let history = query().key_condition_expression("PK = :pk AND begins_with(SK, :prefix)");
    let history = history.expression_attribute_values(":prefix", s("H#"));
    assert_eq!(texts(history, attr::SK).await, ["H#0#1", "H#0#2"]);
    let all = query().key_condition_expression("PK = :pk").projection_expression("SK");
    assert_eq!(texts(all, attr::SK).await, ["H#0#1", "H#0#2", "ITEM", "R#1"]);
}

async fn a_partition_goes_on_after_a_key_that_is_made_up(lab: Lab) {
    for sk in ["H#1", "H#3", "H#5"] {
        put(&lab, "a", sk, &[]).await;
    }
    // A cursor names a key; its item may have gone meanwhile.
    for (after, expect) in [("H#1", &["H#3", "H#5"][..]), ("H#2", &["H#3", "H#5"]), ("H#5", &[])] {
        let query = partition(&lab, "a").key_condition_expression("PK = :pk");
        let query = query.set_exclusive_start_key(Some(lab.key("a", after)));
        assert_eq!(texts(query, attr::SK).await, expect, "after {after}");
    }
}

async fn a_page_ends_at_a_mebibyte(lab: Lab) {
    for number in 0..5 {
        put(&lab, "a", &number.to_string(), &[("v", s(&"x".repeat(300 * 1024)))]).await;
    }
    let found = pages(partition(&lab, "a").key_condition_expression("PK = :pk"), attr::SK).await;
    assert_eq!(found.concat(), ["0", "1", "2", "3", "4"]);
    assert!(found.len() > 1, "1.5 MB came in one page");
}

async fn a_query_costs_a_unit_for_each_eight_kib_read(lab: Lab) {
    put_due(&lab, "a", "001").await;
    let answer = due(&lab, "").return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
    assert_eq!(answer.consumed_capacity.unwrap().capacity_units, Some(0.5));
}
