//! One page of a partition of the configuration table.

use super::error::Operation;
use super::item::{Item, Key, PK, SK};
use super::{Page, PageRequest, Tenancy, TenancyError};
use crate::page::PAGE_MAX_BYTES;
use aws_sdk_dynamodb::types::AttributeValue;

/// Most items one call of DynamoDB is asked for where all are wanted.
const READ_ALL_PAGE: i32 = 1_000;

/// What a list is read from.
pub(super) struct Listing<'a> {
    pub(super) operation: Operation,
    pub(super) pk: String,
    /// What the sort keys begin with; empty for all.
    pub(super) prefix: &'a str,
    pub(super) newest_first: bool,
}

impl Tenancy {
    /// Reads one page, decoding each item; those that cannot be decoded are left out. Where to go on is a sort key.
    pub(super) async fn page<T>(
        &self,
        listing: &Listing<'_>,
        request: &PageRequest,
        decode: impl Fn(&Item) -> Result<T, super::DecodeError>,
    ) -> Result<Page<T>, TenancyError> {
        // One more than wanted tells whether there is a next page.
        let limit = i32::try_from(request.limit.max(1)).unwrap_or(i32::MAX - 1) + 1;
        let (items, left) = self.query(listing, request.after.as_deref(), Some(limit)).await?;
        let more = left || items.len() > request.limit;
        let mut page = Page::default();
        let position = |item: &Item| item.get(SK).and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
        for item in items.iter().take(request.limit) {
            if let Some(value) = self.unreadable.skip(decode(item)) {
                page.push(value, position(item), bytes_of(item));
            }
        }
        page.next = items.iter().take(request.limit).next_back().map(position).filter(|_| more);
        Ok(page)
    }

    /// Reads everything there is, decoding each item; those that cannot be decoded are left out.
    pub(super) async fn all<T>(
        &self,
        listing: &Listing<'_>,
        decode: impl Fn(&Item) -> Result<T, super::DecodeError>,
    ) -> Result<Vec<T>, TenancyError> {
        let (items, _) = self.query(listing, None, None).await?;
        Ok(items.iter().filter_map(|item| self.unreadable.skip(decode(item))).collect())
    }

    /// Reads everything, or up to `limit` items or about [`PAGE_MAX_BYTES`], however many calls that takes (one
    /// answers 1 MB at most); and whether it was these bytes that ended it.
    async fn query(
        &self,
        listing: &Listing<'_>,
        after: Option<&str>,
        limit: Option<i32>,
    ) -> Result<(Vec<Item>, bool), TenancyError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut start = after.map(|sk| Key::new(listing.pk.clone(), sk).attributes());
        loop {
            let mut query = self
                .dynamodb
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .scan_index_forward(!listing.newest_first)
                .limit(limit.unwrap_or(READ_ALL_PAGE))
                .set_exclusive_start_key(start)
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":pk", AttributeValue::S(listing.pk.clone()));
            query = if listing.prefix.is_empty() {
                query.key_condition_expression("#pk = :pk")
            } else {
                query
                    .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                    .expression_attribute_names("#sk", SK)
                    .expression_attribute_values(":prefix", AttributeValue::S(listing.prefix.to_owned()))
            };
            let answer = query.send().await.map_err(TenancyError::sdk(listing.operation))?;
            let items = answer.items.unwrap_or_default();
            bytes += items.iter().map(bytes_of).sum::<usize>();
            found.extend(items);
            start = answer.last_evaluated_key;
            if start.is_none() || limit.is_some_and(|limit| found.len() >= limit as usize) {
                return Ok((found, false));
            }
            if limit.is_some() && bytes >= PAGE_MAX_BYTES {
                return Ok((found, true));
            }
        }
    }
}

/// The bytes of an item's texts, which are all that can be long.
fn bytes_of(item: &Item) -> usize {
    item.values().filter_map(|value| value.as_s().ok()).map(String::len).sum()
}
