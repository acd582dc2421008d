//! A queue's attributes: AWS's names, ranges and defaults.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>

use super::wire::SqsError;
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest delay of a message or a queue, in seconds.
pub const DELAY_SECONDS_MAX: u32 = 900;
/// Longest visibility timeout: 12 hours.
pub const VISIBILITY_SECONDS_MAX: u32 = 43_200;
/// Longest wait of a long poll, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 20;
/// Largest message, and largest sum of a batch: 1 MiB (256 KiB until August 2025).
pub const MESSAGE_BYTES_MAX: u32 = 1_048_576;
const MESSAGE_BYTES_MIN: u32 = 1_024;
const RETENTION_SECONDS_MIN: u32 = 60;
const RETENTION_SECONDS_MAX: u32 = 1_209_600;
const MAX_RECEIVES_MAX: u32 = 1_000;

/// What a queue does with messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAttributes {
    pub visibility_seconds: u32,
    pub delay_seconds: u32,
    pub wait_seconds: u32,
    pub retention_seconds: u32,
    pub message_bytes_max: u32,
    pub redrive: Option<Redrive>,
    /// Attributes that are kept and reported, and change nothing here (policies, encryption).
    inert: BTreeMap<String, String>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    pub target_arn: String,
    pub max_receives: u32,
    text: String,
}

impl Default for QueueAttributes {
    fn default() -> Self {
        Self {
            visibility_seconds: 30,
            delay_seconds: 0,
            wait_seconds: 0,
            retention_seconds: 345_600,
            message_bytes_max: MESSAGE_BYTES_MAX,
            redrive: None,
            inert: BTreeMap::new(),
        }
    }
}

impl QueueAttributes {
    /// These attributes with `changes` made.
    ///
    /// # Errors
    /// An unknown name or a value out of AWS's range.
    pub fn with(&self, changes: &BTreeMap<String, String>) -> Result<Self, SqsError> {
        let mut changed = self.clone();
        for (name, value) in changes {
            match name.as_str() {
                "VisibilityTimeout" => {
                    changed.visibility_seconds = number(name, value, 0, VISIBILITY_SECONDS_MAX)?
                }
                "DelaySeconds" => changed.delay_seconds = number(name, value, 0, DELAY_SECONDS_MAX)?,
                "ReceiveMessageWaitTimeSeconds" => {
                    changed.wait_seconds = number(name, value, 0, WAIT_SECONDS_MAX)?
                }
                "MessageRetentionPeriod" => {
                    changed.retention_seconds =
                        number(name, value, RETENTION_SECONDS_MIN, RETENTION_SECONDS_MAX)?;
                }
                "MaximumMessageSize" => {
                    changed.message_bytes_max = number(name, value, MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX)?;
                }
                "RedrivePolicy" => changed.redrive = redrive(value)?,
                "FifoQueue" if value != "false" => return Err(SqsError::no_fifo()),
                "FifoQueue" => {}
                "Policy"
                | "RedriveAllowPolicy"
                | "KmsMasterKeyId"
                | "KmsDataKeyReusePeriodSeconds"
                | "SqsManagedSseEnabled" => {
                    changed.inert.insert(name.clone(), value.clone());
                }
                _ => return Err(SqsError::attribute_name(name)),
            }
        }
        Ok(changed)
    }

    /// The attributes under AWS's names.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let mut all = self.inert.clone();
        let numbers = [
            ("VisibilityTimeout", self.visibility_seconds),
            ("DelaySeconds", self.delay_seconds),
            ("ReceiveMessageWaitTimeSeconds", self.wait_seconds),
            ("MessageRetentionPeriod", self.retention_seconds),
            ("MaximumMessageSize", self.message_bytes_max),
        ];
        all.extend(numbers.map(|(name, value)| (name.to_owned(), value.to_string())));
        if let Some(redrive) = &self.redrive {
            all.insert("RedrivePolicy".to_owned(), redrive.text.clone());
        }
        all
    }
}

fn number(name: &str, value: &str, min: u32, max: u32) -> Result<u32, SqsError> {
    value
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| SqsError::attribute_value(name))
}

/// An empty policy takes the redrive away. AWS accepts the count as a number or as text.
fn redrive(text: &str) -> Result<Option<Redrive>, SqsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = || SqsError::attribute_value("RedrivePolicy");
    let policy: Value = serde_json::from_str(text).map_err(|_| refused())?;
    let target = policy["deadLetterTargetArn"].as_str().ok_or_else(refused)?;
    let count = &policy["maxReceiveCount"];
    let max_receives = count
        .as_u64()
        .or_else(|| count.as_str()?.parse().ok())
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=MAX_RECEIVES_MAX).contains(count))
        .ok_or_else(refused)?;
    Ok(Some(Redrive { target_arn: target.to_owned(), max_receives, text: text.to_owned() }))
}
