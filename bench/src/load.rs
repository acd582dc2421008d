//! Gives activities through the batch endpoint with several callers at once.

use crate::api::{Api, TenantPath, activity_body};
use anyhow::Result;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use shared::clock::{Clock, SystemClock};

/// The batch endpoint's limit.
const BATCH: usize = 100;
/// Each activity's parameter, as JSON.
pub const PARAMETER_BYTES: usize = 500;

/// What to give.
#[derive(Debug, Clone)]
pub struct Load {
    /// Start of each id; ids of one tenant must differ.
    pub prefix: &'static str,
    /// How many.
    pub count: usize,
    /// When they are due; now, if `None`.
    pub due: Option<DateTime<Utc>>,
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

    /// Every `Idempotency-Key` that has to arrive: id and run 0.
    pub fn keys(&self) -> Vec<String> {
        (0..self.count).map(|index| format!("{}:0", self.id(index))).collect()
    }

    /// Gives them all with `callers` calls in flight.
    pub async fn give(&self, api: &Api, tenant: &TenantPath, callers: usize) -> Result<Given> {
        let date = self.due.map(rules::time::format);
        let date = date.as_deref();
        let accepted: Vec<DateTime<Utc>> = stream::iter((0..self.count).step_by(BATCH))
            .map(|start| async move {
                let end = (start + BATCH).min(self.count);
                let bodies: Vec<_> =
                    (start..end).map(|index| activity_body(&self.id(index), PARAMETER_BYTES, date)).collect();
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
