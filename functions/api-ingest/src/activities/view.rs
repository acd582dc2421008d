//! An activity as its owner sees it.

use crate::answer;
use rules::names::Kind;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::work::{ActivityView as Activity, HistoryEntry};
use utoipa::ToSchema;

/// An activity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Activity)]
pub struct ActivityView {
    /// Its id.
    id: String,
    /// Its company.
    company: String,
    /// Its solution.
    solution: String,
    /// The type that makes its call.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_type: Option<String>,
    /// The channel through which it is dispatched.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// When it is due; a date in the past is due at once.
    #[schema(format = DateTime)]
    date: String,
    /// `READY`, `DISPATCHED`, `FAILED` (a dead letter), `CANCELED` or `COMPLETED`.
    #[schema(example = "READY")]
    status: &'static str,
    /// Executions begun in this run.
    attempts: u32,
    /// Executions in all.
    max_attempts: u32,
    /// 0, and one more for each retry by hand.
    run: u32,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// When the execution that ended it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    executed_at: Option<String>,
    /// The caller's own URI pattern, in place of the type's.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// Fills the URI pattern and is sent by `POST` and `PUT`.
    #[schema(value_type = Object)]
    parameter: Option<Box<RawValue>>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its attempts, oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<HistoryView>>,
}

/// One attempt.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub struct HistoryView {
    /// When it was over.
    #[schema(format = DateTime)]
    at: String,
    /// What came of it.
    #[schema(example = "SUCCESS")]
    outcome: String,
    /// The receiver's answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// Milliseconds from the send to the end of the answer.
    duration_ms: u32,
    /// What happened, or the beginning of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl ActivityView {
    /// With its history.
    pub fn whole(activity: Activity) -> Self {
        let mut activity = activity;
        let history = std::mem::take(&mut activity.history).into_iter().map(HistoryView::of).collect();
        Self { history: Some(history), ..Self::brief(activity) }
    }

    /// Without its history.
    pub fn brief(activity: Activity) -> Self {
        let next_attempt_at = activity.next_attempt_at().map(answer::time);
        let Activity { record, parameter, .. } = activity;
        let (activity_type, channel) = match &record.kind {
            Kind::Type(name) => (Some(name.to_string()), None),
            Kind::Channel(channel) => (None, Some(channel.to_string())),
        };
        Self {
            id: record.id.to_string(),
            company: record.tenant.company.to_string(),
            solution: record.tenant.solution.to_string(),
            activity_type,
            channel,
            date: answer::time(record.state.date),
            status: record.state.status.as_str(),
            attempts: record.state.attempts,
            max_attempts: record.state.max_attempts,
            run: record.state.run,
            next_attempt_at,
            executed_at: record.state.executed_at.map(answer::time),
            uri: record.uri,
            parameter: RawValue::from_string(parameter).ok(),
            created_at: answer::time(record.created_at),
            history: None,
        }
    }
}

impl HistoryView {
    fn of(entry: HistoryEntry) -> Self {
        let HistoryEntry { at, outcome, http_status, duration_ms, detail } = entry;
        Self { at: answer::time(at), outcome, http_status, duration_ms, detail }
    }
}
