//! The limits that AWS checks, so that what works here works there.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>

use super::attributes::{
    DELAY_SECONDS_MAX, MESSAGE_BYTES_MAX, QueueAttributes, VISIBILITY_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use super::wire::{MessageAttribute, Receive, Send, SqsError};
use std::collections::HashSet;

/// Most entries of a batch request, and most messages of one receive.
pub const BATCH_ENTRIES_MAX: usize = 10;
const ATTRIBUTES_MAX: usize = 10;
const BATCH_ID_LENGTH_MAX: usize = 80;
const GROUP_ID_LENGTH_MAX: usize = 128;

/// Checks a batch as a whole: its size and its entries' ids.
pub fn batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), SqsError> {
    match ids.len() {
        0 => return Err(SqsError::empty_batch()),
        1..=BATCH_ENTRIES_MAX => {}
        count => return Err(SqsError::batch_entries(count)),
    }
    let mut seen = HashSet::new();
    for id in ids {
        let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if id.is_empty() || id.len() > BATCH_ID_LENGTH_MAX || !letters {
            return Err(SqsError::batch_id());
        }
        if !seen.insert(id) {
            return Err(SqsError::batch_ids(id));
        }
    }
    Ok(())
}

/// Checks that a batch's messages fit in one request together.
pub fn batch_bytes(entries: &[Send]) -> Result<(), SqsError> {
    let bytes: usize = entries.iter().map(message_bytes).sum();
    if bytes > MESSAGE_BYTES_MAX as usize { Err(SqsError::batch_bytes(MESSAGE_BYTES_MAX)) } else { Ok(()) }
}

/// Checks one message against the queue's limits; gives its delay in seconds.
pub fn send(send: &Send, queue: &QueueAttributes) -> Result<u32, SqsError> {
    let body = send.message_body.as_deref().filter(|body| !body.is_empty());
    let body = body.ok_or_else(|| SqsError::missing("MessageBody"))?;
    if body.chars().any(refused_character) {
        return Err(SqsError::contents());
    }
    if message_bytes(send) > queue.message_bytes_max as usize {
        let limit = queue.message_bytes_max;
        return Err(SqsError::parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )));
    }
    if send.message_attributes.len() > ATTRIBUTES_MAX {
        let count = send.message_attributes.len();
        return Err(SqsError::parameter(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )));
    }
    if let Some((name, _)) = send.message_attributes.iter().find(|(_, value)| !has_value(value)) {
        return Err(SqsError::parameter(format!(
            "The message attribute '{name}' must contain a non-empty value of its type."
        )));
    }
    if send.message_group_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > GROUP_ID_LENGTH_MAX) {
        return Err(SqsError::parameter(
            "Value for parameter MessageGroupId is invalid. Reason: 1 to 128 characters.",
        ));
    }
    range("DelaySeconds", send.delay_seconds, 0, DELAY_SECONDS_MAX)
        .map(|delay| delay.unwrap_or(queue.delay_seconds))
}

/// A receive with the queue's defaults filled in.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveLimits {
    pub max: usize,
    pub visibility_seconds: u32,
    pub wait_seconds: u32,
}

/// Checks a receive.
pub fn receive(receive: &Receive, queue: &QueueAttributes) -> Result<ReceiveLimits, SqsError> {
    let max = range("MaxNumberOfMessages", receive.max_number_of_messages, 1, BATCH_ENTRIES_MAX as u32)?;
    let visibility = visibility(receive.visibility_timeout)?;
    let wait = range("WaitTimeSeconds", receive.wait_time_seconds, 0, WAIT_SECONDS_MAX)?;
    Ok(ReceiveLimits {
        max: max.unwrap_or(1) as usize,
        visibility_seconds: visibility.unwrap_or(queue.visibility_seconds),
        wait_seconds: wait.unwrap_or(queue.wait_seconds),
    })
}

/// Checks a visibility timeout.
pub fn visibility(seconds: Option<i64>) -> Result<Option<u32>, SqsError> {
    range("VisibilityTimeout", seconds, 0, VISIBILITY_SECONDS_MAX)
}

fn range(name: &str, value: Option<i64>, min: u32, max: u32) -> Result<Option<u32>, SqsError> {
    let Some(value) = value else { return Ok(None) };
    match u32::try_from(value) {
        Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => Err(SqsError::parameter(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {min} and {max}, if provided."
        ))),
    }
}

fn has_value(attribute: &MessageAttribute) -> bool {
    let value = match attribute.data_type.split('.').next() {
        Some("String" | "Number") => &attribute.string_value,
        Some("Binary") => &attribute.binary_value,
        _ => return false,
    };
    value.as_ref().is_some_and(|value| !value.is_empty())
}

/// AWS counts the body, and the name, type and value of every attribute.
fn message_bytes(send: &Send) -> usize {
    let attributes = send.message_attributes.iter().chain(&send.message_system_attributes);
    let attributes: usize = attributes
        .map(|(name, attribute)| {
            let text = attribute.string_value.as_ref().map_or(0, String::len);
            let binary = attribute.binary_value.as_ref().map_or(0, |base64| base64.len() / 4 * 3);
            name.len() + attribute.data_type.len() + text + binary
        })
        .sum();
    send.message_body.as_ref().map_or(0, String::len) + attributes
}

fn refused_character(character: char) -> bool {
    !matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}
