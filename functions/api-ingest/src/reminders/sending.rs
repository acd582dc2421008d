//! The two endpoints that send, as they are described. `reminder-sender` serves them.

use crate::http::openapi::schemas::{Id, Name};
use crate::http::openapi::{Delete, Unanswered, Whole};
use rules::names::ActivityId;
use serde::Serialize;
use shared::engine::Settled;
use shared::items::reminder::{Entry, Record};
use utoipa::{IntoParams, ToSchema};

/// Where the processor is run.
pub const PENDING_PATH: &str = "/api/reminder/item/pending/send";
/// Where one reminder is sent.
pub const SEND_PATH: &str = "/api/reminder/item/send";

/// What a run did: `processed` is the sum of the others.
#[derive(Serialize, ToSchema)]
#[schema(as = ReminderRun)]
pub struct RunView {
    /// Reminders that were pending and looked at.
    pub processed: u64,
    /// Messages the Dialog service took.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Reminders of paused solutions, those that were cancelled before they were sent, and those whose send times
    /// had passed and were left out.
    pub skipped: u64,
}

/// Another processor is at work.
#[derive(Serialize, ToSchema)]
#[schema(as = ReminderRunLocked)]
pub struct LockedView {
    /// `true`.
    locked: bool,
}

/// The answer while another processor is at work.
pub const LOCKED: LockedView = LockedView { locked: true };

/// Either of the two.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ReminderRunOrLocked)]
#[allow(dead_code, reason = "describes the answer; each of the two is written by itself")]
pub enum RunOrLocked {
    /// The run was made.
    Run(RunView),
    /// Another one is being made.
    Locked(LockedView),
}

/// An attempt by hand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReminderSent)]
pub struct SentView {
    /// The reminder.
    id: String,
    /// When the attempt was over.
    #[schema(format = DateTime)]
    date: String,
    /// `Sent` or `SendFailed`.
    #[schema(example = "Sent")]
    status: &'static str,
    /// What happened.
    detail: String,
    /// The Dialog service's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// The send time it was about.
    #[schema(format = DateTime)]
    send_time: String,
    /// The next send time; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_send_time: Option<String>,
}

impl SentView {
    /// What came of an attempt, and of its reminder.
    pub fn of(id: &ActivityId, entry: &Entry, settled: &Settled<Record>) -> Self {
        let next = match settled {
            Settled::Applied(record) => record.state.next_send_time(),
            Settled::Stale => None,
        };
        Self {
            id: id.to_string(),
            date: rules::time::format(entry.at),
            status: entry.outcome.as_str(),
            detail: entry.detail.clone(),
            http_status: entry.http_status,
            send_time: rules::time::format(entry.send_time),
            next_send_time: next.map(rules::time::format),
        }
    }
}

/// Which reminder.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
pub struct WhichReminder {
    /// Its company.
    #[param(value_type = Name)]
    agent_id: String,
    /// Its solution.
    #[param(value_type = Name)]
    configuration_id: String,
    /// The reminder.
    #[param(value_type = Id)]
    reminder_id: String,
}

/// Runs the processor: sends every reminder whose send time has come, each once, one at a time for a
/// recipient and recipients in parallel. Answers at once if another one is running. What twenty
/// seconds do not suffice for, the next run does. Needs the admin key, or the processor's secret.
#[utoipa::path(
    post, path = "/api/reminder/item/pending/send", operation_id = "sendPendingReminders", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("processorSecret" = [])), responses((status = 200, body = RunOrLocked), Whole)
)]
#[allow(dead_code, reason = "describes what reminder-sender serves")]
pub fn pending_send() {}

/// Sends one reminder now, ahead of its send time. The attempt counts as the processor's would, and success
/// goes on to the send time after it. A reminder that needs review is tried once more.
#[utoipa::path(
    post, path = "/api/reminder/item/send", operation_id = "sendReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(WhichReminder), responses((status = 200, body = SentView), Delete, Unanswered)
)]
#[allow(dead_code, reason = "describes what reminder-sender serves")]
pub fn send() {}
