//! Reminders and their attempts as their owners see them.

use crate::http::answer;
use crate::http::openapi::schemas::ReminderStatus;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::items::reminder::{Entry, Reminder};
use utoipa::ToSchema;

/// A reminder.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reminder)]
pub struct ReminderView {
    /// Its id.
    id: String,
    /// Its company.
    agent_id: String,
    /// Its solution.
    configuration_id: String,
    /// The recipient's country code.
    country_code: String,
    /// The recipient's phone number.
    phone_number: String,
    /// The recipient's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_name: Option<String>,
    /// The template of the message.
    notification_template_name: String,
    /// What fills the template.
    #[schema(value_type = Vec<serde_json::Value>)]
    template_parameters: Option<Box<RawValue>>,
    /// When it is sent, in order.
    send_times: Vec<String>,
    /// The zone in which send times without an offset were read.
    timezone: String,
    /// Which send times that have passed are sent: `all`, `latest` or `none`.
    catch_up: &'static str,
    /// `active`, `completed` or `cancelled`.
    #[schema(value_type = ReminderStatus)]
    status: &'static str,
    /// The next send time; absent when nothing will be sent any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_send_time: Option<String>,
    /// When a message was last sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_send_time: Option<String>,
    /// Attempts that failed at the next send time.
    last_attempts: u32,
    /// When it was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    completed_date: Option<String>,
    /// Whether somebody has to look: it is active, but its last send time was given up.
    needs_review: bool,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// When its owner last wrote it.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl ReminderView {
    /// All of it.
    pub fn of(reminder: Reminder) -> Self {
        let Reminder { record, definition, .. } = reminder;
        let state = &record.state;
        Self {
            id: record.id.to_string(),
            agent_id: record.tenant.company.to_string(),
            configuration_id: record.tenant.solution.name().to_string(),
            country_code: definition.country_code,
            phone_number: definition.phone_number,
            recipient_name: definition.recipient_name,
            notification_template_name: definition.template,
            template_parameters: RawValue::from_string(definition.parameters).ok(),
            send_times: definition.send_times.into_iter().map(answer::time).collect(),
            timezone: definition.timezone,
            catch_up: definition.catch_up.as_str(),
            status: state.status.as_str(),
            next_send_time: state.next_send_time().map(answer::time),
            last_send_time: state.last_sent_at.map(answer::time),
            last_attempts: state.failed_attempts(),
            completed_date: state.completed_at.map(answer::time),
            needs_review: state.needs_review(),
            created_at: answer::time(record.created_at),
            updated_at: answer::time(record.updated_at),
        }
    }
}

/// One attempt, or one send time that was skipped.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReminderAttempt)]
pub struct EntryView {
    /// When it was over, or decided.
    #[schema(format = DateTime)]
    date: String,
    /// `Sent`, `SendFailed` (answered, and not with 2xx), `SendError` (not answered) or `Skipped` (not attempted: the
    /// send time had passed, and `catchUp` leaves it out).
    #[schema(example = "Sent")]
    status: &'static str,
    /// What happened.
    detail: String,
    /// The Dialog service's answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// Milliseconds from the call to the end of the answer.
    duration_ms: u32,
    /// The send time it was about.
    #[schema(format = DateTime)]
    send_time: String,
    /// Which attempt at that send time, from 1; 0 if it was skipped.
    attempt: u32,
}

impl EntryView {
    /// All of it.
    pub fn of(entry: Entry) -> Self {
        Self {
            date: answer::time(entry.at),
            status: entry.outcome.as_str(),
            detail: entry.detail,
            http_status: entry.http_status,
            duration_ms: entry.duration_ms,
            send_time: answer::time(entry.send_time),
            attempt: entry.attempt,
        }
    }
}
