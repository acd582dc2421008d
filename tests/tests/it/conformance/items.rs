//! Single items of DynamoDB: conditions, what a write answers, limits.

use super::{Lab, cases, n, refusal, s};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure,
};
use std::collections::HashMap;

cases![
    a_put_if_absent_goes_through_once,
    a_put_goes_through_again_for_the_same_writer,
    an_update_makes_the_item_counts_and_answers_all_of_it,
    a_refused_update_shows_the_item,
    an_update_removes_attributes,
    a_delete_under_a_condition_needs_the_item,
    a_delete_without_condition_may_find_nothing,
    numbers_keep_their_digits,
    a_get_tells_a_missing_item,
    a_batch_get_leaves_out_what_is_not_there,
    a_batch_get_takes_a_hundred_keys_each_once,
    an_item_ends_at_400_kib,
    empty_text_is_no_key,
    a_write_costs_a_unit_for_each_kib,
    a_read_costs_a_unit_for_each_four_kib,
];

const REFUSED: &str = "ConditionalCheckFailedException";
const INVALID: &str = "ValidationException";

async fn a_put_if_absent_goes_through_once(lab: Lab) {
    let put = |value: &str| {
        let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
        let call = call.set_item(Some(lab.key("a", "x"))).item("v", s(value));
        call.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", "PK").send()
    };
    assert_eq!(refusal(put("first").await), "accepted");
    assert_eq!(refusal(put("second").await), REFUSED);
    assert_eq!(get(&lab, "a", "x").await.unwrap()["v"], s("first"));
}

async fn a_put_goes_through_again_for_the_same_writer(lab: Lab) {
    let put = |key: &str| {
        let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
        let call = call.set_item(Some(lab.key("batch", "x"))).item("key", s(key));
        call.condition_expression("attribute_not_exists(PK) OR #key = :key")
            .expression_attribute_names("#key", "key")
            .expression_attribute_values(":key", s(key))
            .send()
    };
    assert_eq!(refusal(put("mine").await), "accepted");
    assert_eq!(refusal(put("mine").await), "accepted");
    assert_eq!(refusal(put("another").await), REFUSED);
}

/// The update by which a lease is taken.
fn take(lab: &Lab, holder: &str, now: i64, until: i64) -> UpdateItemFluentBuilder {
    let call = lab.clients.dynamodb.update_item().table_name(&lab.settings.config_table);
    call.set_key(Some(lab.key("lease", "LEASE")))
        .update_expression("SET #holder = :holder, #until = :until ADD #fence :one")
        .condition_expression("attribute_not_exists(#until) OR #until < :now")
        .expression_attribute_names("#holder", "holder")
        .expression_attribute_names("#until", "until")
        .expression_attribute_names("#fence", "fence")
        .expression_attribute_values(":holder", s(holder))
        .expression_attribute_values(":until", n(until))
        .expression_attribute_values(":now", n(now))
        .expression_attribute_values(":one", n(1))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}

async fn an_update_makes_the_item_counts_and_answers_all_of_it(lab: Lab) {
    let first = take(&lab, "first", 100, 200).send().await.unwrap().attributes.unwrap();
    let mut expect = lab.key("lease", "LEASE");
    for (name, value) in [("holder", s("first")), ("until", n(200)), ("fence", n(1))] {
        expect.insert(name.to_owned(), value);
    }
    assert_eq!(first, expect);
    let second = take(&lab, "second", 201, 300).send().await.unwrap().attributes.unwrap();
    assert_eq!((&second["holder"], &second["fence"]), (&s("second"), &n(2)));
}

async fn a_refused_update_shows_the_item(lab: Lab) {
    take(&lab, "first", 100, 200).send().await.unwrap();
    let refused = take(&lab, "second", 199, 300).send().await.unwrap_err();
    let UpdateItemError::ConditionalCheckFailedException(cause) = refused.into_service_error() else {
        panic!("not refused by its condition");
    };
    let item = cause.item.expect("the item as it is");
    assert_eq!((&item["holder"], &item["fence"]), (&s("first"), &n(1)));
}

async fn an_update_removes_attributes(lab: Lab) {
    take(&lab, "first", 100, 200).send().await.unwrap();
    let release = |fence: i64| {
        let call = lab.clients.dynamodb.update_item().table_name(&lab.settings.config_table);
        call.set_key(Some(lab.key("lease", "LEASE")))
            .update_expression("SET #v0 = :v0 REMOVE #holder, #until")
            .condition_expression("#fence = :fence")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_names("#until", "until")
            .expression_attribute_names("#fence", "fence")
            .expression_attribute_names("#v0", "came_to")
            .expression_attribute_values(":v0", s("here"))
            .expression_attribute_values(":fence", n(fence))
            .send()
    };
    assert_eq!(refusal(release(2).await), REFUSED);
    assert_eq!(refusal(release(1).await), "accepted");
    let mut expect = lab.key("lease", "LEASE");
    expect.extend([("fence".to_owned(), n(1)), ("came_to".to_owned(), s("here"))]);
    assert_eq!(get(&lab, "lease", "LEASE").await, Some(expect));
}

async fn a_delete_under_a_condition_needs_the_item(lab: Lab) {
    put(&lab, "a", "x", &[("key", s("mine"))]).await;
    let delete = |key: &str| {
        let call = lab.clients.dynamodb.delete_item().table_name(&lab.settings.config_table);
        let call = call.set_key(Some(lab.key("a", "x"))).condition_expression("#key = :key");
        call.expression_attribute_names("#key", "key").expression_attribute_values(":key", s(key)).send()
    };
    assert_eq!(refusal(delete("another").await), REFUSED);
    assert_eq!(refusal(delete("mine").await), "accepted");
    assert_eq!(get(&lab, "a", "x").await, None);
    assert_eq!(refusal(delete("mine").await), REFUSED);
}

async fn a_delete_without_condition_may_find_nothing(lab: Lab) {
    let delete = lab.clients.dynamodb.delete_item().table_name(&lab.settings.config_table);
    assert_eq!(refusal(delete.set_key(Some(lab.key("a", "x"))).send().await), "accepted");
}

async fn numbers_keep_their_digits(lab: Lab) {
    let digits = "12345678901234567890123456789012345678";
    put(&lab, "a", "x", &[("long", n(digits)), ("whole", n("1800000000000")), ("minus", n("-5"))]).await;
    let item = get(&lab, "a", "x").await.unwrap();
    assert_eq!([&item["long"], &item["whole"], &item["minus"]], [&n(digits), &n("1800000000000"), &n("-5")]);
}

async fn a_get_tells_a_missing_item(lab: Lab) {
    put(&lab, "a", "x", &[]).await;
    assert_eq!(get(&lab, "a", "y").await, None);
    assert_eq!(get(&lab, "a", "x").await, Some(lab.key("a", "x")));
}

async fn a_batch_get_leaves_out_what_is_not_there(lab: Lab) {
    for sk in ["x", "z"] {
        put(&lab, "a", sk, &[("v", s(sk))]).await;
    }
    let keys = ["x", "y", "z"].map(|sk| lab.key("a", sk)).to_vec();
    let answer = batch_get(&lab, keys).await.unwrap();
    let mut found: Vec<_> = answer.iter().map(|item| item["v"].as_s().unwrap().as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["x", "z"]);
}

async fn a_batch_get_takes_a_hundred_keys_each_once(lab: Lab) {
    let keys = |count: usize| (0..count).map(|number| lab.key("a", &number.to_string())).collect();
    assert_eq!(batch_get(&lab, keys(100)).await, Ok(Vec::new()));
    assert_eq!(batch_get(&lab, keys(101)).await, Err(INVALID.to_owned()));
    assert_eq!(batch_get(&lab, [keys(1), keys(1)].concat()).await, Err(INVALID.to_owned()));
}

async fn an_item_ends_at_400_kib(lab: Lab) {
    // The names and values of the key and of the text's name count too.
    let key: usize =
        lab.key("a", "x").iter().map(|(name, value)| name.len() + value.as_s().unwrap().len()).sum();
    let most = 400 * 1024 - key - "v".len();
    let put = |length: usize| {
        let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
        call.set_item(Some(lab.key("a", "x"))).item("v", s(&"x".repeat(length))).send()
    };
    assert_eq!(refusal(put(most).await), "accepted");
    assert_eq!(refusal(put(most + 1).await), INVALID);
}

async fn empty_text_is_no_key(lab: Lab) {
    put(&lab, "a", "x", &[("v", s(""))]).await;
    assert_eq!(get(&lab, "a", "x").await.unwrap()["v"], s(""));
    let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
    assert_eq!(refusal(call.set_item(Some(lab.key("a", ""))).send().await), INVALID);
}

async fn a_write_costs_a_unit_for_each_kib(lab: Lab) {
    for (length, units) in [(0, 1.0), (900, 1.0), (1024, 2.0), (4 * 1024, 5.0)] {
        let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
        let call = call.set_item(Some(lab.key(&length.to_string(), "x"))).item("v", s(&"x".repeat(length)));
        let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
        assert_eq!(answer.consumed_capacity.unwrap().capacity_units, Some(units), "{length} bytes");
    }
}

async fn a_read_costs_a_unit_for_each_four_kib(lab: Lab) {
    put(&lab, "a", "x", &[("v", s(&"x".repeat(5 * 1024)))]).await;
    for (consistent, units) in [(true, 2.0), (false, 1.0)] {
        let call = lab.clients.dynamodb.get_item().table_name(&lab.settings.config_table);
        let call = call.set_key(Some(lab.key("a", "x"))).consistent_read(consistent);
        let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
        assert_eq!(answer.consumed_capacity.unwrap().capacity_units, Some(units), "consistent: {consistent}");
    }
}

type Item = HashMap<String, AttributeValue>;

async fn put(lab: &Lab, pk: &str, sk: &str, attributes: &[(&str, AttributeValue)]) {
    let mut item = lab.key(pk, sk);
    item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let call = lab.clients.dynamodb.put_item().table_name(&lab.settings.config_table);
    call.set_item(Some(item)).send().await.unwrap();
}

async fn get(lab: &Lab, pk: &str, sk: &str) -> Option<Item> {
    let call = lab.clients.dynamodb.get_item().table_name(&lab.settings.config_table);
    call.set_key(Some(lab.key(pk, sk))).consistent_read(true).send().await.unwrap().item
}

async fn batch_get(lab: &Lab, keys: Vec<Item>) -> Result<Vec<Item>, String> {
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().unwrap();
    let call = lab.clients.dynamodb.batch_get_item().request_items(&lab.settings.config_table, keys);
    match call.send().await {
        Ok(answer) => Ok(answer.responses.unwrap_or_default().into_values().flatten().collect()),
        refused => Err(refusal(refused)),
    }
}
