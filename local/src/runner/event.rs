//! The events that start functions, as AWS sends them.

use crate::embedded::{ACCOUNT, REGION};
use crate::template::{QueueTrigger, Schedule};
use aws_lambda_events::encodings::Base64Data;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage, SqsMessageAttribute};
use aws_sdk_sqs::types::Message;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The event of an invocation with these messages.
pub fn sqs_event(trigger: &QueueTrigger, messages: &[Message]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = messages.iter().map(|message| record(trigger, message)).collect();
    event
}

fn record(trigger: &QueueTrigger, message: &Message) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = message.message_id.clone();
    record.receipt_handle = message.receipt_handle.clone();
    record.body = message.body.clone();
    record.md5_of_body = message.md5_of_body.clone();
    record.md5_of_message_attributes = message.md5_of_message_attributes.clone();
    let attributes = message.attributes.iter().flatten();
    record.attributes = attributes.map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
    let attributes = message.message_attributes.iter().flatten();
    record.message_attributes = attributes
        .map(|(name, value)| {
            let mut attribute = SqsMessageAttribute::default();
            attribute.data_type = Some(value.data_type.clone());
            attribute.string_value = value.string_value.clone();
            attribute.binary_value = value.binary_value.as_ref().and_then(|bytes| base64(bytes.as_ref()));
            (name.clone(), attribute)
        })
        .collect();
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(trigger.arn.clone());
    record.aws_region = Some(REGION.to_owned());
    record
}

/// The type keeps its field to itself, and reads it from its wire form.
fn base64(bytes: &[u8]) -> Option<Base64Data> {
    serde_json::from_value(Value::String(STANDARD.encode(bytes))).ok()
}

/// The event of a schedule's tick, unless the template gives one of its own.
pub fn schedule_event(schedule: &Schedule, id: Uuid, at: DateTime<Utc>) -> Value {
    schedule.input.clone().unwrap_or_else(|| {
        json!({
            "version": "0",
            "id": id,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "region": REGION,
            "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{}", schedule.name)],
            "detail": {},
        })
    })
}
