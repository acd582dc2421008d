//! An activity type as its owner sees it.

use crate::http::answer;
use crate::http::openapi::schemas::FieldPathOrMany;
use crate::parts::call_headers::in_order;
use crate::parts::reschedule_rules::RescheduleRule;
use rules::field::FieldPath;
use rules::retry::RescheduleRules;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::tenancy::ActivityType;
use utoipa::ToSchema;

/// An activity type.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityTypeView {
    /// Its name.
    activity_type: String,
    /// How it is called.
    #[schema(example = "POST")]
    verb: &'static str,
    /// What is called.
    uri_pattern: String,
    /// What parameter is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    parameter_expected: Option<Box<RawValue>>,
    /// Executions in all.
    retries: u32,
    /// The field of the parameter that names the object, or a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FieldPathOrMany>)]
    object_id_ref: Option<OneOrMany>,
    /// Headers of every call, as they were given: no place for secrets. A receiver knows a call for ours by
    /// its signature, `webhook-signature`.
    #[serde(serialize_with = "in_order")]
    #[schema(value_type = HashMap<String, String>)]
    headers: Vec<(String, String)>,
    /// The whole call's time limit.
    timeout_seconds: u32,
    /// Waits between executions.
    #[schema(value_type = HashMap<String, RescheduleRule>)]
    reschedule_rules: RescheduleRules,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// As it is most often written: one path alone is no list.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany {
    One(FieldPath),
    Many(Vec<FieldPath>),
}

impl ActivityTypeView {
    pub fn of(found: ActivityType) -> Self {
        let mut paths = found.object_id_ref;
        let object_id_ref = match paths.len() {
            0 => None,
            1 => paths.pop().map(OneOrMany::One),
            _ => Some(OneOrMany::Many(paths)),
        };
        Self {
            activity_type: found.name.to_string(),
            verb: found.verb.as_str(),
            uri_pattern: found.uri_pattern.to_string(),
            parameter_expected: found.parameter_expected.and_then(|text| RawValue::from_string(text).ok()),
            retries: found.retries,
            object_id_ref,
            headers: found.headers,
            timeout_seconds: found.timeout_seconds,
            reschedule_rules: found.reschedule_rules,
            created_at: answer::time(found.meta.created_at),
            updated_at: answer::time(found.meta.updated_at),
        }
    }
}
