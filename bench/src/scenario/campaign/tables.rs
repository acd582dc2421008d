//! The work table as the auditor reads it.

use crate::baseline::work_table;
use crate::here::clients;
use crate::system::Addresses;
use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};

/// Every item, in DynamoDB's JSON.
pub async fn work(addresses: &Addresses) -> Result<Vec<Value>> {
    let client = clients(&addresses.aws).dynamodb;
    let table = work_table(&client).await?;
    let mut pages = client.scan().set_table_name(table.table_name).into_paginator().send();
    let mut items = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.context("cannot scan the work table")?;
        for item in page.items.unwrap_or_default() {
            let attributes = item.into_iter().filter_map(|(name, value)| Some((name, typed(&value)?)));
            items.push(Value::Object(attributes.collect::<Map<_, _>>()));
        }
    }
    Ok(items)
}

/// Texts and numbers, which is all that the auditor reads.
fn typed(value: &AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::S(text) => Some(json!({ "S": text })),
        AttributeValue::N(number) => Some(json!({ "N": number })),
        _ => None,
    }
}
