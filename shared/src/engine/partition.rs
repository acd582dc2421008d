//! What lies in one partition, a page at a time: an item's history, its results, its belongings.

use crate::engine::attributes::{DecodeError, Item, s};
use crate::engine::{StoreError, WorkStore};
use crate::page::Page;
use crate::table::attr;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

/// Which items of a partition, and from where on.
pub(crate) struct Part<'a> {
    /// The partition.
    pub(crate) pk: &'a str,
    /// What their sort keys begin with.
    pub(crate) prefix: &'a str,
    /// Whether the last one comes first.
    pub(crate) newest_first: bool,
    /// The sort key behind which they begin.
    pub(crate) after: Option<&'a str>,
    /// Most items wanted.
    pub(crate) limit: usize,
}

impl WorkStore {
    /// A page of a partition as the last writes left it: one call of DynamoDB, which answers 1 MB at most. Its
    /// positions are sort keys. Items that cannot be decoded are left out.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be read.
    pub(crate) async fn part<T>(
        &self,
        part: &Part<'_>,
        decode: impl Fn(&Item) -> Result<T, DecodeError>,
    ) -> Result<Page<T>, StoreError> {
        let key = |sk: &str| Item::from([(attr::PK.to_owned(), s(part.pk)), (attr::SK.to_owned(), s(sk))]);
        let limit = part.limit.max(1);
        let query = self.query_of(part.pk, part.prefix).scan_index_forward(!part.newest_first);
        // One more than wanted tells whether there is a next page.
        let query = query.limit(i32::try_from(limit).unwrap_or(i32::MAX - 1) + 1);
        let output = query.set_exclusive_start_key(part.after.map(key)).send().await;
        let output = output.map_err(StoreError::from_sdk)?;
        let items = output.items.unwrap_or_default();
        let more = items.len() > limit || output.last_evaluated_key.is_some();
        let mut page = Page::default();
        for item in items.iter().take(limit) {
            if let Some(value) = self.unreadable.skip(decode(item)) {
                page.push(value, sort_key(item), 0);
            }
        }
        page.next = items.iter().take(limit).next_back().map(sort_key).filter(|_| more);
        Ok(page)
    }

    /// A query of the items of `pk` whose sort keys begin with `prefix`; all of them, if it is empty.
    pub(crate) fn query_of(&self, pk: &str, prefix: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.expression_attribute_values(":pk", s(pk));
        if prefix.is_empty() {
            return query.key_condition_expression("PK = :pk");
        }
        query
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .expression_attribute_values(":prefix", s(prefix))
    }

    /// One item, as the last write left it.
    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let output = get.key(attr::PK, s(pk)).key(attr::SK, s(sk)).send().await;
        Ok(output.map_err(StoreError::from_sdk)?.item)
    }

    /// All items of a partition, if one call of DynamoDB answers them.
    pub(crate) async fn whole(&self, pk: &str) -> Result<Option<Vec<Item>>, StoreError> {
        let output = self.query_of(pk, "").send().await.map_err(StoreError::from_sdk)?;
        Ok(output.last_evaluated_key.is_none().then(|| output.items.unwrap_or_default()))
    }
}

/// The sort key of an item.
pub(crate) fn sort_key(item: &Item) -> String {
    match item.get(attr::SK) {
        Some(AttributeValue::S(sk)) => sk.clone(),
        _ => String::new(),
    }
}
