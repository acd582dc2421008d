//! Time to live, by Punctual's clock: dynoxide's own sweep reads the machine's.

use dynoxide::actions::{delete_item, describe_table, describe_time_to_live, list_tables, scan};
use dynoxide::{AttributeValue, Database, DynoxideError};
use std::collections::HashMap;

/// Items read at a time: the longest that requests wait for a page.
const PAGE_ITEMS: usize = 100;

type Key = HashMap<String, AttributeValue>;

/// A table with a time to live, and where the walk through it has got to.
pub struct Expiring {
    name: String,
    attribute: String,
    keys: Vec<String>,
    after: Option<Key>,
    done: bool,
}

/// A page that was looked at.
pub struct Page {
    pub deleted: usize,
    pub rest: Expiring,
}

/// The tables that have a time to live.
pub fn tables(database: &Database) -> Result<Vec<Expiring>, DynoxideError> {
    let mut found = Vec::new();
    for name in database.list_tables(list_tables::ListTablesRequest::default())?.table_names {
        let request = describe_time_to_live::DescribeTimeToLiveRequest { table_name: name.clone() };
        let Some(attribute) =
            database.describe_time_to_live(request)?.time_to_live_description.attribute_name
        else {
            continue;
        };
        let request = describe_table::DescribeTableRequest { table_name: name.clone() };
        let keys = database.describe_table(request)?.table.key_schema;
        let keys = keys.into_iter().map(|key| key.attribute_name).collect();
        found.push(Expiring { name, attribute, keys, after: None, done: false });
    }
    Ok(found)
}

/// Deletes what has expired among the next items of `table`; `None` at its end.
pub fn page(
    database: &Database,
    mut table: Expiring,
    now_seconds: i64,
) -> Result<Option<Page>, DynoxideError> {
    if table.done {
        return Ok(None);
    }
    let expired = "#ttl > :never AND #ttl <= :now".to_owned();
    let names = HashMap::from([("#ttl".to_owned(), table.attribute.clone())]);
    let values = HashMap::from([
        (":never".to_owned(), AttributeValue::N("0".to_owned())),
        (":now".to_owned(), AttributeValue::N(now_seconds.to_string())),
    ]);
    let found = database.scan(scan::ScanRequest {
        table_name: table.name.clone(),
        filter_expression: Some(expired.clone()),
        expression_attribute_names: Some(names.clone()),
        expression_attribute_values: Some(values.clone()),
        limit: Some(PAGE_ITEMS),
        exclusive_start_key: table.after.take(),
        ..Default::default()
    })?;
    let mut deleted = 0;
    for item in found.items.into_iter().flatten() {
        let key = item.into_iter().filter(|(name, _)| table.keys.contains(name)).collect();
        database.delete_item(delete_item::DeleteItemRequest {
            table_name: table.name.clone(),
            key,
            condition_expression: Some(expired.clone()),
            expression_attribute_names: Some(names.clone()),
            expression_attribute_values: Some(values.clone()),
            ..Default::default()
        })?;
        deleted += 1;
    }
    table.done = found.last_evaluated_key.is_none();
    table.after = found.last_evaluated_key;
    Ok(Some(Page { deleted, rest: table }))
}
