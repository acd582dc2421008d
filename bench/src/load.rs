//! Gives activities through the batch endpoint with several callers at once.

use crate::api::{Api, TenantPath, activity_body};
use anyhow::Result;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use shared::clock::{Clock, SystemClock};
use std::time::Duration;

/// The batch endpoint's limit.
pub const BATCH: usize = 100;
/// Each activity's parameter, as JSON.
pub const PARAMETER_BYTES: usize = 500;

/// What to give.
#[derive(Debug, Clone)]
pub struct Load {
    /// Start of each id; ids of one tenant must differ.
    pub prefix: &'static str,
    /// How many.
    pub count: usize,
    /// When the first is due; all are due now, if `None`.
    pub due: Option<DateTime<Utc>>,
    /// How much later than the one before each is due.
    pub step_ms: u32,
}

/// When it was given.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// The first answer, which is the first promise.
    pub first_accepted: DateTime<Utc>,
    /// The last answer.
    pub last_accepted: DateTime<Utc>,
}

impl Load {
    /// The id of the activity at `index`.
    pub fn id(&self, index: usize) -> String {
        format!("{}-{index:06}", self.prefix)
    }

    /// When the activity at `index` is due.
    pub fn due(&self, index: usize) -> Option<DateTime<Utc>> {
        let offset = Duration::from_millis(index as u64 * u64::from(self.step_ms));
        self.due.map(|due| due + offset)
    }

    /// Every `Idempotency-Key` that has to arrive: id and run 0.
    pub fn keys(&self) -> Vec<String> {
        (0..self.count).map(|index| self.key(index)).collect()
    }

    /// The `Idempotency-Key` of the activity at `index`.
    pub fn key(&self, index: usize) -> String {
        format!("{}:0", self.id(index))
    }

    fn body(&self, index: usize) -> Value {
        let date = self.due(index).map(rules::time::format);
        activity_body(&self.id(index), PARAMETER_BYTES, date.as_deref())
    }

    /// Gives them all with `callers` calls in flight.
    pub async fn give(&self, api: &Api, tenant: &TenantPath, callers: usize) -> Result<Given> {
        let accepted: Vec<DateTime<Utc>> = stream::iter((0..self.count).step_by(BATCH))
            .map(|start| async move {
                let end = (start + BATCH).min(self.count);
                let bodies: Vec<_> = (start..end).map(|index| self.body(index)).collect();
                api.create_batch(tenant, &bodies).await?;
                anyhow::Ok(SystemClock.now())
            })
            .buffer_unordered(callers.max(1))
            .try_collect()
            .await?;
        let now = SystemClock.now();
        Ok(Given {
            first_accepted: accepted.iter().min().copied().unwrap_or(now),
            last_accepted: accepted.iter().max().copied().unwrap_or(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use chrono::DateTime;

    #[test]
    fn each_has_its_id_key_and_instant() {
        let due = DateTime::from_timestamp(1_000, 0).expect("in range");
        let load = Load { prefix: "x", count: 3, due: Some(due), step_ms: 400 };
        let offsets = [0, 1, 2].map(|index| (load.due(index).expect("due") - due).num_milliseconds());
        assert_eq!(offsets, [0, 400, 800]);
        assert_eq!(load.keys(), ["x-000000:0", "x-000001:0", "x-000002:0"]);
    }
}
