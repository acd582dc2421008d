//! SQS's JSON protocol: requests, answers and errors.

use crate::embedded::answer::Answer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An error as SQS reports it: its own name, and the name that the older
/// query protocol had for it (some SDKs still match on that one).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqsError {
    code: &'static str,
    query_code: &'static str,
    message: String,
}

impl SqsError {
    fn new(code: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Self { code, query_code, message: message.into() }
    }

    pub fn no_queue() -> Self {
        let text = "The specified queue does not exist.";
        Self::new("com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", text)
    }

    pub fn queue_exists() -> Self {
        let text = "A queue already exists with the same name and a different value for an attribute.";
        Self::new("com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists", text)
    }

    pub fn no_fifo() -> Self {
        Self::unsupported("The embedded SQS has standard queues only.")
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(
            "com.amazonaws.sqs#UnsupportedOperation",
            "AWS.SimpleQueueService.UnsupportedOperation",
            message,
        )
    }

    pub fn attribute_name(name: &str) -> Self {
        let text = format!("Unknown Attribute {name}.");
        Self::new("com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName", text)
    }

    pub fn attribute_value(name: &str) -> Self {
        let text = format!("Invalid value for the parameter {name}.");
        Self::new("com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue", text)
    }

    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new("com.amazonaws.sqs#InvalidParameterValueException", "InvalidParameterValue", message)
    }

    pub fn missing(name: &str) -> Self {
        let text = format!("The request must contain the parameter {name}.");
        Self::new("com.amazonaws.sqs#MissingRequiredParameterException", "MissingParameter", text)
    }

    pub fn receipt_handle() -> Self {
        let text = "The input receipt handle is invalid.";
        Self::new("com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", text)
    }

    pub fn not_in_flight() -> Self {
        let text = "The message is not in flight.";
        Self::new("com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", text)
    }

    pub fn contents() -> Self {
        let text = "Invalid characters found: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.";
        Self::new("com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents", text)
    }

    pub fn empty_batch() -> Self {
        let text = "There should be at least one entry in the request.";
        Self::new("com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", text)
    }

    pub fn batch_entries(count: usize) -> Self {
        let text = format!("Maximum number of entries per request are 10. You have sent {count}.");
        let query = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest";
        Self::new("com.amazonaws.sqs#TooManyEntriesInBatchRequest", query, text)
    }

    pub fn batch_ids(id: &str) -> Self {
        let text = format!("Id {id} repeated.");
        let query = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct";
        Self::new("com.amazonaws.sqs#BatchEntryIdsNotDistinct", query, text)
    }

    pub fn batch_id() -> Self {
        let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.";
        let query = "AWS.SimpleQueueService.InvalidBatchEntryId";
        Self::new("com.amazonaws.sqs#InvalidBatchEntryId", query, text)
    }

    pub fn batch_bytes(limit: u32) -> Self {
        let text = format!("Batch requests cannot be longer than {limit} bytes.");
        let query = "AWS.SimpleQueueService.BatchRequestTooLong";
        Self::new("com.amazonaws.sqs#BatchRequestTooLong", query, text)
    }

    /// The whole request's answer.
    pub fn answer(&self) -> Answer {
        let body = serde_json::json!({ "__type": self.code, "message": self.message });
        Answer::error(400, body.to_string()).with_query_error(format!("{};Sender", self.query_code))
    }

    /// One entry's answer in a batch.
    pub fn entry(&self, id: String) -> BatchFailure {
        BatchFailure { id, code: self.query_code, message: self.message.clone(), sender_fault: true }
    }
}

/// A message attribute. A binary value stays in the base64 it came in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    pub data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

/// `SendMessage`, and one entry of `SendMessageBatch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Send {
    #[serde(default)]
    pub id: String,
    pub queue_url: Option<String>,
    pub message_body: Option<String>,
    pub delay_seconds: Option<i64>,
    #[serde(default)]
    pub message_attributes: BTreeMap<String, MessageAttribute>,
    #[serde(default)]
    pub message_system_attributes: BTreeMap<String, MessageAttribute>,
    pub message_group_id: Option<String>,
    pub message_deduplication_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sent {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    pub message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub body_md5: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub attributes_md5: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receive {
    pub queue_url: Option<String>,
    pub max_number_of_messages: Option<i64>,
    pub visibility_timeout: Option<i64>,
    pub wait_time_seconds: Option<i64>,
    #[serde(default)]
    pub attribute_names: Vec<String>,
    #[serde(default)]
    pub message_system_attribute_names: Vec<String>,
    #[serde(default)]
    pub message_attribute_names: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceivedMessage {
    pub message_id: String,
    pub receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    pub body_md5: String,
    pub body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub attributes_md5: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub message_attributes: BTreeMap<String, MessageAttribute>,
}

/// `DeleteMessage` and `ChangeMessageVisibility`, and one entry of their batches.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Handled {
    #[serde(default)]
    pub id: String,
    pub queue_url: Option<String>,
    pub receipt_handle: Option<String>,
    pub visibility_timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Batch<Entry> {
    pub queue_url: Option<String>,
    #[serde(default = "Vec::new")]
    pub entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchAnswer<Entry> {
    pub successful: Vec<Entry>,
    pub failed: Vec<BatchFailure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchFailure {
    id: String,
    code: &'static str,
    message: String,
    sender_fault: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchSuccess {
    pub id: String,
}

/// Any request that concerns a queue as a whole; each operation reads its part.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueRequest {
    pub queue_url: Option<String>,
    pub queue_name: Option<String>,
    pub queue_name_prefix: Option<String>,
    pub attributes: Option<BTreeMap<String, String>>,
    pub attribute_names: Option<Vec<String>>,
    #[serde(alias = "tags")]
    pub tags: Option<BTreeMap<String, String>>,
    pub tag_keys: Option<Vec<String>>,
    pub source_arn: Option<String>,
    pub destination_arn: Option<String>,
}
