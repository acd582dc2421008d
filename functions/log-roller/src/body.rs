//! The body of a batch (SPEC §8).

use rules::names::{Kind, Tenant};
use rules::rolling::{BATCH_BYTES_MAX, LogKind};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::engine::HistoryEntry;
use shared::items::activity::{ActivityResult, ActivityView, LogEntry};

/// Rough bytes of what stands around the activities, names apart.
const FRAME_BYTES: usize = 128;

#[derive(Serialize)]
struct Frame<'a> {
    company: &'a str,
    solution: &'a str,
    kind: &'static str,
    activities: &'a [Box<RawValue>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Activity<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    date: String,
    status: &'static str,
    attempts: u32,
    max_attempts: u32,
    run: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_at: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_activity_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_config_id: Option<&'a str>,
    log_details: Vec<LogDetail<'a>>,
    /// Of one that alone is larger than a batch: which part of it this is, from 1, and whether it is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_last_part: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<ResultDetail<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogDetail<'a> {
    at: String,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    duration_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultDetail<'a> {
    id: &'a str,
    status: &'static str,
    occurred_at: String,
    received_at: String,
    details: Option<Box<RawValue>>,
}

/// The body with these activities, each as [`activity`] wrote it.
///
/// # Errors
/// None that can be: everything is text by now.
pub fn batch(
    tenant: &Tenant,
    kind: LogKind,
    activities: &[Box<RawValue>],
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Frame {
        company: tenant.company.as_str(),
        solution: tenant.solution.name().as_str(),
        kind: kind.as_str(),
        activities,
    })
}

/// Bytes of a body without activities, at most.
pub fn frame_bytes(tenant: &Tenant) -> usize {
    FRAME_BYTES + tenant.company.as_str().len() + tenant.solution.name().as_str().len()
}

/// Bytes that an activity may have in a body.
pub fn room(tenant: &Tenant) -> usize {
    BATCH_BYTES_MAX.saturating_sub(frame_bytes(tenant))
}

/// An activity with its log, or, for `(number, is_last)`, with a part of it.
///
/// # Errors
/// None that can be.
pub fn activity(view: &ActivityView, part: Option<(u32, bool)>) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(serde_json::to_string(&shown(view, part))?)
}

/// Bytes of an attempt or a result in a body, with its separator.
///
/// # Errors
/// None that can be.
pub fn entry_bytes(entry: &LogEntry) -> Result<usize, serde_json::Error> {
    let text = match entry {
        LogEntry::Attempt(entry) => serde_json::to_string(&log_detail(entry)),
        LogEntry::Result(result) => serde_json::to_string(&result_detail(result)),
    };
    Ok(text?.len() + 1)
}

fn shown(view: &ActivityView, part: Option<(u32, bool)>) -> Activity<'_> {
    let (record, state) = (&view.record, &view.record.state);
    let (activity_type, channel) = match &record.kind {
        Kind::Type(name) => (Some(name.as_str()), None),
        Kind::Channel(channel) => (None, Some(channel.as_str())),
    };
    Activity {
        id: record.id.as_str(),
        activity_type,
        channel,
        date: rules::time::format(state.date),
        status: state.status.as_str(),
        attempts: state.attempts,
        max_attempts: state.max_attempts,
        run: state.run,
        executed_at: state.executed_at.map(rules::time::format),
        created_at: rules::time::format(record.created_at),
        uri: record.uri.as_deref(),
        // The first part has it.
        parameter: match part {
            Some((2.., _)) => None,
            _ => RawValue::from_string(view.parameter.clone()).ok(),
        },
        provider_activity_id: record.dispatch.as_ref().map(|dispatch| dispatch.provider_activity_id.as_str()),
        dispatch_config_id: record.dispatch.as_ref().map(|dispatch| dispatch.dispatch_config_id.as_str()),
        log_details: view.history.iter().map(log_detail).collect(),
        part: part.map(|(number, _)| number),
        is_last_part: part.map(|(_, is_last)| is_last),
        results: view.results.iter().map(result_detail).collect(),
    }
}

fn log_detail(entry: &HistoryEntry) -> LogDetail<'_> {
    LogDetail {
        at: rules::time::format(entry.at),
        outcome: &entry.outcome,
        http_status: entry.http_status,
        duration_ms: entry.duration_ms,
        detail: entry.detail.as_deref(),
    }
}

fn result_detail(result: &ActivityResult) -> ResultDetail<'_> {
    ResultDetail {
        id: result.id.as_str(),
        status: result.status.as_str(),
        occurred_at: rules::time::format(result.occurred_at),
        received_at: rules::time::format(result.received_at),
        details: RawValue::from_string(result.details.clone()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_no_larger_than_it_is_taken_for() {
        let name = "x".repeat(64);
        let tenant = Tenant { company: name.parse().unwrap(), solution: name.parse().unwrap() };
        let body = batch(&tenant, LogKind::DeadLetter, &[]).unwrap();
        assert!(body.len() <= frame_bytes(&tenant), "{}", body.len());
    }
}
