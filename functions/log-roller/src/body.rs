//! The body of a batch (SPEC §8).

use rules::names::{Kind, Tenant};
use rules::rolling::{BATCH_BYTES_MAX, LogKind};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::work::{ActivityResult, ActivityView, HistoryEntry};

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
    parameter: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_activity_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_config_id: Option<&'a str>,
    log_details: Vec<LogDetail<'a>>,
    /// How many of the oldest attempts and results are left out, for one that alone is larger than a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<usize>,
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

/// An activity with its log. One that is larger than a batch by itself loses its oldest details.
///
/// # Errors
/// None that can be.
pub fn activity(tenant: &Tenant, view: &ActivityView) -> Result<Box<RawValue>, serde_json::Error> {
    let room = BATCH_BYTES_MAX.saturating_sub(frame_bytes(tenant));
    let details = view.history.len() + view.results.len();
    let mut omitted = 0;
    loop {
        let text = serde_json::to_string(&shown(view, omitted))?;
        if text.len() <= room || omitted >= details {
            return RawValue::from_string(text);
        }
        // By halves, so that very many are left out in few steps.
        omitted += ((details - omitted) / 2).max(1);
    }
}

fn shown(view: &ActivityView, omitted: usize) -> Activity<'_> {
    let (record, state) = (&view.record, &view.record.state);
    let (activity_type, channel) = match &record.kind {
        Kind::Type(name) => (Some(name.as_str()), None),
        Kind::Channel(channel) => (None, Some(channel.as_str())),
    };
    let attempts_left_out = omitted.min(view.history.len());
    let results_left_out = omitted - attempts_left_out;
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
        parameter: RawValue::from_string(view.parameter.clone()).ok(),
        provider_activity_id: record.dispatch.as_ref().map(|dispatch| dispatch.provider_activity_id.as_str()),
        dispatch_config_id: record.dispatch.as_ref().map(|dispatch| dispatch.dispatch_config_id.as_str()),
        log_details: view.history[attempts_left_out..].iter().map(log_detail).collect(),
        omitted: (omitted > 0).then_some(omitted),
        results: view.results[results_left_out..].iter().map(result_detail).collect(),
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
    use chrono::DateTime;
    use rules::activity::{Status, accepted};
    use serde_json::Value;
    use shared::work::{Earlier, Record};

    fn with_attempts(count: usize, detail_bytes: usize) -> ActivityView {
        let at = DateTime::UNIX_EPOCH;
        let record = Record {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() },
            kind: "A:call".parse().unwrap(),
            id: "a".parse().unwrap(),
            state: rules::activity::State {
                status: Status::Failed,
                executed_at: Some(at),
                ..accepted(at, 3, at)
            },
            created_at: at,
            parameter: None,
            uri: None,
            body_hash: String::new(),
            shard: 0,
            object: None,
            type_changed_at: None,
            success: None,
            dispatch: None,
        };
        let entry = |number: usize| HistoryEntry {
            at,
            outcome: "FAILURE".to_owned(),
            http_status: Some(500),
            duration_ms: number as u32,
            detail: Some("x".repeat(detail_bytes)),
        };
        let history = (0..count).map(entry).collect();
        ActivityView {
            record,
            parameter: "{}".to_owned(),
            history,
            results: Vec::new(),
            earlier: Earlier::default(),
        }
    }

    #[test]
    fn one_larger_than_a_batch_loses_its_oldest_details_and_says_so() {
        for (attempts, whole) in [(0, true), (900, true), (2_000, false), (10_000, false)] {
            let view = with_attempts(attempts, 1_024);
            let text = activity(&view.record.tenant, &view).unwrap();
            let body = batch(&view.record.tenant, LogKind::DeadLetter, &[text]).unwrap();
            assert!(body.len() <= BATCH_BYTES_MAX, "{attempts}: {}", body.len());
            let body: Value = serde_json::from_slice(&body).unwrap();
            let one = &body["activities"][0];
            let kept = one["logDetails"].as_array().unwrap();
            let omitted = one["omitted"].as_u64().unwrap_or_default() as usize;
            assert_eq!((kept.len() + omitted, omitted == 0), (attempts, whole));
            assert!(whole || kept.len() > 400, "no more than it must: {}", kept.len());
            if let Some(last) = kept.last() {
                assert_eq!(last["durationMs"], attempts - 1, "the latest are kept");
            }
        }
    }

    #[test]
    fn the_frame_is_no_larger_than_it_is_taken_for() {
        let name = "x".repeat(64);
        let tenant = Tenant { company: name.parse().unwrap(), solution: name.parse().unwrap() };
        let body = batch(&tenant, LogKind::DeadLetter, &[]).unwrap();
        assert!(body.len() <= frame_bytes(&tenant), "{}", body.len());
    }
}
