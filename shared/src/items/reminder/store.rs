//! Reminders as their owners see them.

use super::codec::Record;
use super::definition::Definition;
use super::keys;
use crate::engine::attributes::Item;
use crate::engine::{StoreError, WorkItem, WorkStore};
use crate::table::attr::{ITEM, PAYLOAD, PK, SK};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{Outstanding, State};
use std::collections::HashMap;
use std::sync::Arc;

/// How often what a read left out is asked for in all.
const READ_TRIES: u32 = 6;
/// The first wait before what was left out is asked for again; it doubles.
const READ_WAIT: TimeDelta = TimeDelta::milliseconds(50);

/// A reminder as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reminder {
    /// Where it stands.
    pub record: Record,
    /// What it says, to whom, and when.
    pub definition: Definition,
    /// Which of its send times were not ended when its owner last wrote it.
    pub outstanding: Outstanding,
}

/// The reminders of the work table.
pub struct ReminderStore {
    pub(super) work: Arc<WorkStore>,
}

impl ReminderStore {
    /// Those in the table of `work`.
    pub fn new(work: Arc<WorkStore>) -> Self {
        Self { work }
    }

    /// A reminder at another state, which it comes to at `now`.
    pub(super) fn at(&self, record: &Record, state: State, now: DateTime<Utc>) -> Record {
        record.at(state, self.work.retention(), now)
    }

    /// A reminder, as the last writes left it; none that is gone for readers.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn get(&self, tenant: &Tenant, id: &ActivityId) -> Result<Option<Reminder>, StoreError> {
        let pk = keys::reminder(tenant, id);
        let mut items = self.both(&pk).await?;
        let (state, definition) = (items.remove(ITEM), items.remove(PAYLOAD));
        match (state, definition) {
            (Some(state), Some(definition)) => {
                let record = Record::decode(&state)?;
                if record.is_over(self.work.clock.now()) {
                    return Ok(None);
                }
                let (definition, outstanding) = Definition::decode(&definition)?;
                Ok(Some(Reminder { record, definition, outstanding }))
            }
            // Both are written in one transaction, but this read may fall between the two.
            _ => Ok(None),
        }
    }

    /// The items of state and definition by sort key, read consistently in one call.
    pub(super) async fn both(&self, pk: &str) -> Result<HashMap<String, Item>, StoreError> {
        let key = |sk: &str| {
            HashMap::from([
                (PK.to_owned(), AttributeValue::S(pk.to_owned())),
                (SK.to_owned(), AttributeValue::S(sk.to_owned())),
            ])
        };
        let mut pending = Some(
            KeysAndAttributes::builder()
                .keys(key(ITEM))
                .keys(key(PAYLOAD))
                .consistent_read(true)
                .build()
                .map_err(|error| StoreError::Refused(error.to_string()))?,
        );
        let mut found = HashMap::new();
        let mut wait = READ_WAIT;
        for attempt in 1..=READ_TRIES {
            let Some(request) = pending.take() else { break };
            let call = self.work.client.batch_get_item().request_items(&self.work.table, request);
            let output = call.send().await.map_err(StoreError::from_sdk)?;
            for item in output.responses.unwrap_or_default().into_values().flatten() {
                if let Some(AttributeValue::S(sk)) = item.get(SK) {
                    found.insert(sk.clone(), item);
                }
            }
            pending = output.unprocessed_keys.unwrap_or_default().into_values().next();
            if pending.is_some() {
                if attempt == READ_TRIES {
                    return Err(StoreError::Throttled);
                }
                self.work.clock.sleep_until(self.work.clock.now() + wait).await;
                wait = wait * 2;
            }
        }
        Ok(found)
    }

    /// The state of one reminder, as the last write left it; none that is gone for readers.
    pub(super) async fn record(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Result<Option<Record>, StoreError> {
        self.work.read(&keys::reminder(tenant, id)).await
    }
}
