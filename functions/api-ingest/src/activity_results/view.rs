//! A result as it is shown.

use crate::http::answer;
use rules::activity::Status;
use rules::names::ActivityId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::items::activity::{ActivityResult, Target};
use utoipa::ToSchema;

/// A result.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActivityResult)]
pub struct ResultView {
    /// Its id.
    id: String,
    /// `LINKED` to an activity, or `STANDALONE` until its activity is known.
    #[schema(example = "LINKED")]
    link_status: &'static str,
    /// The activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_id: Option<String>,
    /// How the activity stands now; in the answer to a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "COMPLETED")]
    activity_status: Option<&'static str>,
    /// The provider's id that it was reported under.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_activity_id: Option<String>,
    /// What was reported.
    #[schema(example = "COMPLETED")]
    status: &'static str,
    /// When it happened.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When it was reported.
    #[schema(format = DateTime)]
    received_at: String,
    /// Whether it was to replace a final result.
    hard_override: bool,
    /// What came of it.
    #[serde(flatten)]
    details: Details,
}

/// What is kept of a result beside what decides.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// What came of it, in the provider's terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// Something for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whatever else there is to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub payload: Option<Box<RawValue>>,
    /// The provider's own status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_status: Option<String>,
}

impl ResultView {
    /// A result of the activity, or of one that is not known.
    pub fn of(result: ActivityResult, activity: Option<&ActivityId>) -> Self {
        Self {
            id: result.id.to_string(),
            link_status: if result.standalone { "STANDALONE" } else { "LINKED" },
            activity_id: activity.map(ToString::to_string),
            activity_status: None,
            provider_activity_id: result.provider_activity_id,
            status: result.status.as_str(),
            occurred_at: answer::time(result.occurred_at),
            received_at: answer::time(result.received_at),
            hard_override: result.hard_override,
            details: serde_json::from_str(&result.details).unwrap_or_default(),
        }
    }

    pub fn reported(result: ActivityResult, target: &Target, linked: Option<&(ActivityId, Status)>) -> Self {
        let given = match target {
            Target::Activity(id) => Some(id),
            Target::Provider(_) => None,
        };
        let result = ActivityResult { standalone: linked.is_none(), ..result };
        Self {
            activity_status: linked.map(|(_, status)| status.as_str()),
            ..Self::of(result, linked.map(|(id, _)| id).or(given))
        }
    }
}
