//! What the embedded services have counted: `GET {aws}/local/usage`.

use anyhow::{Context, Result};
use serde::Deserialize;

/// Totals since the services started.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub dynamodb: DynamoDbUsage,
    pub sqs: SqsUsage,
}

/// Capacity units as `ReturnConsumedCapacity` states them, indexes included.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamoDbUsage {
    pub write_units: f64,
    pub read_units: f64,
}

/// Requests, a batch being one.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsUsage {
    pub requests: u64,
}

impl Usage {
    /// Asks the services at `aws`.
    pub async fn read(aws: &str) -> Result<Self> {
        let url = format!("{aws}/local/usage");
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .get(&url)
            .send()
            .await?
            .error_for_status()?;
        serde_json::from_slice(&answer.bytes().await?)
            .with_context(|| format!("unexpected answer of {url}"))
    }
}
