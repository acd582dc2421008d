//! Items read by key in batches: records, and parameters too large for their item.

use crate::engine::attributes::{Attributes, Item};
use crate::engine::{StoreError, WorkStore};
use crate::table::attr;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use chrono::TimeDelta;
use std::collections::HashMap;

/// Most keys of one `BatchGetItem` (a DynamoDB limit).
pub(crate) const GET_BATCH_MAX: usize = 100;
/// Parameters are larger, and a batch answers 16 MiB at most.
pub(crate) const PAYLOAD_BATCH_MAX: usize = 25;
/// How often what a batch left unread is asked for in all.
const TRIES: u32 = 6;
/// The first wait before what was left is asked for again; it doubles.
const WAIT: TimeDelta = TimeDelta::milliseconds(50);

impl WorkStore {
    /// The items of `pks` with the sort key `sk`; those that do not exist are left out.
    pub(crate) async fn items(
        &self,
        pks: &[String],
        sk: &str,
        batch_max: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::with_capacity(pks.len());
        for chunk in pks.chunks(batch_max.min(GET_BATCH_MAX)) {
            let keys = chunk.iter().map(|pk| {
                let attribute =
                    |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
                HashMap::from([attribute(attr::PK, pk), attribute(attr::SK, sk)])
            });
            let mut pending = Some(
                KeysAndAttributes::builder()
                    .set_keys(Some(keys.collect()))
                    .consistent_read(true)
                    .build()
                    .map_err(|error| StoreError::Refused(error.to_string()))?,
            );
            let mut wait = WAIT;
            for attempt in 1..=TRIES {
                let Some(request) = pending.take() else { break };
                let call = self.client.batch_get_item().request_items(&self.table, request);
                let output = call.send().await.map_err(StoreError::from_sdk)?;
                items.extend(output.responses.unwrap_or_default().into_values().flatten());
                pending = output.unprocessed_keys.unwrap_or_default().into_values().next();
                if pending.is_some() && attempt == TRIES {
                    return Err(StoreError::Throttled);
                }
                if pending.is_some() {
                    self.clock.sleep_until(self.clock.now() + wait).await;
                    wait = wait * 2;
                }
            }
        }
        Ok(items)
    }

    /// The items that carry the state of `pks`, in any order; those that are gone are left out.
    pub(crate) async fn state_items(&self, pks: &[String]) -> Result<Vec<Item>, StoreError> {
        self.items(pks, attr::ITEM, GET_BATCH_MAX).await
    }

    /// The parameters of `pks` that are too large for their items; `None` for one that cannot be decoded.
    pub(crate) async fn payloads(
        &self,
        pks: &[String],
    ) -> Result<HashMap<String, Option<String>>, StoreError> {
        let mut parameters = HashMap::new();
        for item in self.items(pks, attr::PAYLOAD, PAYLOAD_BATCH_MAX).await? {
            let read = Attributes::new(&item)?;
            let parameter = self.unreadable.skip(read.text(attr::PARAMETER));
            parameters.insert(read.pk().to_owned(), parameter.map(str::to_owned));
        }
        Ok(parameters)
    }
}
