//! Reading the due index, slice by slice.

use crate::engine::attributes::Item;
use crate::engine::{StoreError, WorkStore};
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::due::Mark;
use rules::names::{ActivityId, Tenant};

/// Ends every range of sort keys: it sorts after all that names and ids may hold.
const AFTER_ALL: &str = "~";

/// A row of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// Its sort key.
    pub sort: String,
    /// When it is due.
    pub due: DateTime<Utc>,
    /// Whether its writer enqueued it.
    pub mark: Mark,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
}

impl WorkStore {
    /// Up to `limit` rows of one partition of the due index, oldest first, after the sort key `after` and due by `until`.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn due_page(
        &self,
        partition: &str,
        after: Option<&str>,
        until: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<DueRow>, StoreError> {
        let after = after.unwrap_or("0");
        let until = until.map_or_else(|| AFTER_ALL.to_owned(), |until| keys::instant(until) + AFTER_ALL);
        if after >= until.as_str() {
            return Ok(Vec::new());
        }
        // A key condition allows BETWEEN, both ends included; the start itself is dropped below.
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(attr::DUE_INDEX)
            .key_condition_expression("#p = :p AND #s BETWEEN :after AND :until")
            .expression_attribute_names("#p", attr::DUE_PARTITION)
            .expression_attribute_names("#s", attr::DUE_SORT)
            .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":after", AttributeValue::S(after.to_owned()))
            .expression_attribute_values(":until", AttributeValue::S(until))
            .limit(i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        let rows = output.items.unwrap_or_default();
        Ok(rows.iter().filter_map(row).filter(|row| row.sort != after).take(limit).collect())
    }
}

fn row(item: &Item) -> Option<DueRow> {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => Some(text.as_str()),
        _ => None,
    };
    let sort = text(attr::DUE_SORT)?;
    let (due, mark) = keys::parse_due_sort(sort)?;
    let (tenant, id) = keys::parse_activity(text(attr::PK)?)?;
    Some(DueRow { sort: sort.to_owned(), due, mark, tenant, id })
}
