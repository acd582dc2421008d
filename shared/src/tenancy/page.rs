//! One page of a partition.

use super::item::{Item, Key, PK, SK};
use super::{Tenancy, TenancyError};
use aws_sdk_dynamodb::types::AttributeValue;

/// Most items one call of DynamoDB is asked for where all are wanted.
const READ_ALL_PAGE: i32 = 1_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The sort key of the last item of the page before; `None` for the first page.
    pub after: Option<String>,
    /// Most items wanted, at least 1.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What [`PageRequest::after`] takes for the next page; `None` on the last one.
    pub next: Option<String>,
}

/// What a list is read from.
pub(super) struct Listing<'a> {
    pub(super) operation: &'static str,
    pub(super) pk: String,
    /// What the sort keys begin with; empty for all.
    pub(super) prefix: &'a str,
    pub(super) newest_first: bool,
}

impl Tenancy {
    /// Reads one page, decoding each item.
    pub(super) async fn page<T>(
        &self,
        listing: &Listing<'_>,
        request: &PageRequest,
        decode: impl Fn(&Item) -> Result<T, super::DecodeError>,
    ) -> Result<Page<T>, TenancyError> {
        // One more than wanted tells whether there is a next page.
        let limit = i32::try_from(request.limit.max(1)).unwrap_or(i32::MAX - 1) + 1;
        let mut items = self.query(listing, request.after.as_deref(), Some(limit)).await?;
        let more = items.len() > request.limit;
        items.truncate(request.limit);
        let next = items.last().filter(|_| more).and_then(|item| Some(item.get(SK)?.as_s().ok()?.clone()));
        Ok(Page { items: items.iter().map(decode).collect::<Result<_, _>>()?, next })
    }

    /// Reads everything there is, decoding each item.
    pub(super) async fn all<T>(
        &self,
        listing: &Listing<'_>,
        decode: impl Fn(&Item) -> Result<T, super::DecodeError>,
    ) -> Result<Vec<T>, TenancyError> {
        let items = self.query(listing, None, None).await?;
        Ok(items.iter().map(decode).collect::<Result<_, _>>()?)
    }

    /// Reads up to `limit` items, however many calls that takes (one answers 1 MB at most).
    async fn query(
        &self,
        listing: &Listing<'_>,
        after: Option<&str>,
        limit: Option<i32>,
    ) -> Result<Vec<Item>, TenancyError> {
        let mut found = Vec::new();
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
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || limit.is_some_and(|limit| found.len() >= limit as usize) {
                return Ok(found);
            }
        }
    }
}
