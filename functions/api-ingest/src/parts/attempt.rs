//! An attempt to call somebody as its owner sees it.

use crate::http::answer;
use serde::Serialize;
use shared::engine::HistoryEntry;
use utoipa::ToSchema;

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

impl HistoryView {
    /// As it is shown.
    pub fn of(entry: HistoryEntry) -> Self {
        let HistoryEntry { at, outcome, http_status, duration_ms, detail } = entry;
        Self { at: answer::time(at), outcome, http_status, duration_ms, detail }
    }
}
