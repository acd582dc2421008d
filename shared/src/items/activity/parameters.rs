//! Activities read by key, with their parameters.

use crate::engine::WorkItem;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::items::activity::{ActivityView, Earlier};
use std::collections::HashMap;

impl WorkStore {
    /// The records of `pks`, in that order; those that are gone or cannot be read are left out.
    pub(crate) async fn records(&self, pks: &[String]) -> Result<Vec<Record>, StoreError> {
        let mut found = HashMap::new();
        for item in self.state_items(pks).await? {
            if let Some(record) = self.unreadable.skip(Record::decode(&item)) {
                found.insert(record.pk(), record);
            }
        }
        Ok(pks.iter().filter_map(|pk| found.remove(pk)).collect())
    }

    /// Adds to each record its parameter, read where it is too large for the item. Those whose parameter cannot be decoded
    /// are left out.
    ///
    /// # Errors
    /// [`StoreError`] when the parameters cannot be read.
    pub async fn with_parameters(&self, records: Vec<Record>) -> Result<Vec<ActivityView>, StoreError> {
        let large: Vec<String> =
            records.iter().filter(|record| record.parameter.is_none()).map(Record::pk).collect();
        let mut parameters = self.payloads(&large).await?;
        let view = |mut record: Record| {
            let parameter = match record.parameter.take() {
                Some(parameter) => parameter,
                None => parameters.remove(&record.pk()).unwrap_or_else(|| Some("{}".to_owned()))?,
            };
            Some(ActivityView {
                record,
                parameter,
                history: Vec::new(),
                results: Vec::new(),
                earlier: Earlier::default(),
            })
        };
        Ok(records.into_iter().filter_map(view).collect())
    }
}
