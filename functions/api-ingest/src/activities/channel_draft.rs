//! What a body says of a channel's activity (SPEC §4).

use crate::json;
use crate::object::Object;
use rules::names::Channel;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::dispatch::{ActivityType, ChannelActivity, Commerce};
use utoipa::ToSchema;

/// Most characters of a reason.
const REASON_MAX_CHARS: usize = 1_024;
/// Most users that one activity is for.
const TARGET_USERS_MAX: usize = 1_000;
const TYPE: &str = "type";
const REASON: &str = "reason";
const COMMERCE: &str = "commerce";
const ASSIGNMENT: &str = "assignment";
const TARGET_USERS: &str = "targetUsers";
const OPERATOR: &str = "operator";

/// Whom an activity is about.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct CommerceBody {
    /// The assignment: an id or an object.
    #[schema(value_type = serde_json::Value)]
    assignment: (),
    /// The users: ids or objects.
    #[schema(value_type = Vec<serde_json::Value>, max_items = 1000)]
    target_users: (),
}

/// A channel's activity, as far as it can be read.
pub struct ChannelDraft {
    /// The channel; `None` for one that is none.
    pub channel: Option<Channel>,
    /// The activity as it is stored.
    pub activity: Option<ChannelActivity>,
}

impl ChannelDraft {
    /// Reads what a body with a `channel` has beside `id` and `date`.
    pub fn read(body: &mut Object<'_, '_>) -> Self {
        let channel = body.parsed::<Channel>("channel");
        let activity_type = body.parsed::<ActivityType>(TYPE);
        let activity_type = body.require(TYPE, activity_type);
        let reason = body.short_text(REASON, REASON_MAX_CHARS);
        let reason = body.require(REASON, reason);
        let commerce = body.object(COMMERCE).and_then(commerce);
        let commerce = body.require(COMMERCE, commerce);
        let task = object(body, "task");
        let operator = object(body, OPERATOR);
        if activity_type == Some(ActivityType::Task) && !body.has(OPERATOR) {
            body.faults().add(body.at(OPERATOR), "is required for TASK");
        }
        let attributes = object(body, "attributes");
        let activity = activity_type.zip(reason).zip(commerce).map(|((activity_type, reason), commerce)| {
            ChannelActivity { activity_type, reason, commerce, task, operator, attributes }
        });
        Self { channel, activity }
    }
}

fn commerce(mut object: Object<'_, '_>) -> Option<Commerce> {
    let assignment = object.raw(ASSIGNMENT);
    let assignment = object.require(ASSIGNMENT, assignment);
    let assignment = assignment.and_then(|raw| reference(&object, &object.at(ASSIGNMENT), raw));
    let users = object.list(TARGET_USERS);
    let users = object.require(TARGET_USERS, users);
    if users.as_ref().is_some_and(|users| users.len() > TARGET_USERS_MAX) {
        object.faults().add(object.at(TARGET_USERS), format!("has at most {TARGET_USERS_MAX} users"));
    }
    let users = users.map(|users| {
        let user = |(index, raw)| reference(&object, &format!("{}/{index}", object.at(TARGET_USERS)), raw);
        users.into_iter().take(TARGET_USERS_MAX).enumerate().filter_map(user).collect()
    });
    object.finish();
    Some(Commerce { assignment: assignment?, target_users: users? })
}

/// Something named by an id, or described by an object.
fn reference(object: &Object<'_, '_>, pointer: &str, raw: &str) -> Option<Box<RawValue>> {
    match object.faults().check(pointer, json::strict(raw))? {
        Value::Object(_) | Value::Number(_) => compact(raw),
        Value::String(text) if !text.is_empty() => compact(raw),
        _ => {
            object.faults().add(pointer, "must be an id or an object");
            None
        }
    }
}

/// An object of the creator's own.
fn object(body: &mut Object<'_, '_>, name: &str) -> Option<Box<RawValue>> {
    let raw = body.raw(name)?;
    match body.faults().check(&body.at(name), json::strict(raw))? {
        Value::Object(_) => compact(raw),
        _ => {
            body.faults().add(body.at(name), "must be an object");
            None
        }
    }
}

fn compact(raw: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json::compact(raw)).ok()
}
