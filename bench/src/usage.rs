//! What the embedded services have counted: `GET {aws}/local/usage`.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Totals since the services started.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Usage {
    pub dynamodb: DynamoDbUsage,
    pub sqs: RequestUsage,
    pub kms: RequestUsage,
}

/// Capacity units as `ReturnConsumedCapacity` states them, indexes included.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamoDbUsage {
    pub write_units: f64,
    pub read_units: f64,
}

/// Requests by operation, a batch being one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RequestUsage {
    pub requests: BTreeMap<String, u64>,
}

impl Usage {
    /// Asks the services at `aws`.
    pub async fn read(aws: &str) -> Result<Self> {
        let url = format!("{aws}/local/usage");
        let answer =
            reqwest::Client::builder().no_proxy().build()?.get(&url).send().await?.error_for_status()?;
        serde_json::from_slice(&answer.bytes().await?).with_context(|| format!("unexpected answer of {url}"))
    }
    /// Requests of SQS, of every operation.
    pub fn sqs_requests(&self) -> u64 {
        self.sqs.requests.values().sum()
    }

    /// Requests of KMS, of every operation.
    pub fn kms_requests(&self) -> u64 {
        self.kms.requests.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn the_services_report_is_read() {
        let text = r#"{
            "dynamodb": { "readUnits": 0.5, "writeUnits": 12.0, "failedConditions": 0, "requests": {}, "tables": {} },
            "sqs": { "requests": { "SendMessageBatch": 2, "ReceiveMessage": 3 } },
            "kms": { "requests": { "Decrypt": 4 } },
            "cpuSeconds": 1.5
        }"#;
        let usage: Usage = serde_json::from_str(text).expect("a report");
        assert_eq!((usage.dynamodb.read_units, usage.dynamodb.write_units), (0.5, 12.0));
        assert_eq!((usage.sqs_requests(), usage.kms_requests()), (5, 4));
    }
}
