//! Reading what of a tenant's reminders is due.

use crate::engine::StoreError;
use crate::engine::attributes::Item;
use crate::items::reminder::{ReminderStore, keys};
use crate::table::attr::{DUE_INDEX, DUE_PARTITION, DUE_SORT, PK};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};

/// A row of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// Its sort key.
    pub sort: String,
    /// When it is due.
    pub due: DateTime<Utc>,
    /// Whom it is for (see [`keys::recipient`]).
    pub recipient: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
}

impl ReminderStore {
    /// Up to `limit` rows of one partition of the due index, in order, after the sort key `after`:
    /// those that are due, and what follows them.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn due_page(
        &self,
        tenant: &Tenant,
        shard: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DueRow>, StoreError> {
        let output = self
            .work
            .client
            .query()
            .table_name(&self.work.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#p = :p AND #s > :after")
            .expression_attribute_names("#p", DUE_PARTITION)
            .expression_attribute_names("#s", DUE_SORT)
            .expression_attribute_values(":p", AttributeValue::S(keys::due_partition(tenant, shard)))
            .expression_attribute_values(":after", AttributeValue::S(after.unwrap_or("0").to_owned()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(output.items.unwrap_or_default().iter().filter_map(row).collect())
    }
}

fn row(item: &Item) -> Option<DueRow> {
    let text = |name: &str| Some(item.get(name)?.as_s().ok()?.as_str());
    let sort = text(DUE_SORT)?;
    let (due, recipient) = keys::parse_due_sort(sort)?;
    let (tenant, id) = keys::parse_reminder(text(PK)?)?;
    Some(DueRow { sort: sort.to_owned(), due, recipient: recipient.to_owned(), tenant, id })
}
