//! What a body says of a channel's activity (SPEC §4).

use crate::http::{Described, Object, body, json, json_object, json_of, list_up_to, nested, parsed, text};
use rules::names::Channel;
use serde_json::Value;
use shared::dispatch::{ActivityType, ChannelActivity, Commerce};

/// Most characters of a reason.
const REASON_MAX_CHARS: usize = 1_024;
/// Most users that one activity is for.
const TARGET_USERS_MAX: usize = 1_000;
const OPERATOR: &str = "operator";

/// A channel's activity, as far as it can be read.
pub struct ChannelDraft {
    /// The channel; `None` for one that is none.
    pub channel: Option<Channel>,
    /// The activity as it is stored.
    pub activity: Option<ChannelActivity>,
}

impl ChannelDraft {
    /// Reads what a body with a `channel` has beside `id` and `date`.
    pub fn read(f: &mut Object<'_>) -> Self {
        let channel = f.optional(
            "channel",
            parsed::<Channel>(),
            "The channel that it goes through: `SALESMAN`, `CALLCENTER`, `WHATSAPP`, `EMAIL`, `SMS` or `PUSH`.",
        );
        let meaning = "Of a channel, required: `TASK` or `MESSAGE`.";
        let activity_type = f.required_if(true, "type", parsed::<ActivityType>(), meaning);
        let reason = f.required_if(true, "reason", text(REASON_MAX_CHARS), "Of a channel, required: why.");
        let meaning = "Of a channel, required: whom it is about.";
        let commerce = f.required_if(true, "commerce", nested::<CommerceBody>(), meaning);
        let mut object = |name, meaning| f.optional(name, json_object(), meaning).and_then(json::raw);
        let task = object("task", "Of a channel: what is to be done.");
        let operator = object(OPERATOR, "Of a channel, required for `TASK`: who is to do it.");
        if activity_type == Some(ActivityType::Task) && !f.has(OPERATOR) {
            f.fault(OPERATOR, "is required for TASK");
        }
        let attributes =
            f.optional("attributes", json_object(), "Of a channel: whatever else the provider is to know.");
        let attributes = attributes.and_then(json::raw);
        let activity = activity_type.zip(reason).zip(commerce).map(|((activity_type, reason), commerce)| {
            ChannelActivity { activity_type, reason, commerce, task, operator, attributes }
        });
        Self { channel, activity }
    }
}

body! {
    /// Whom an activity is about.
    pub struct CommerceBody = commerce(()) -> Commerce;
}

fn commerce(f: &mut Object<'_>, _: Option<()>) -> Option<Commerce> {
    let reference = || json_of(reference, Described::default);
    let assignment = f.required("assignment", reference(), "The assignment: an id or an object.");
    let users = list_up_to(TARGET_USERS_MAX, "users", reference());
    let users = f.required("targetUsers", users, "The users: ids or objects.");
    let target_users = users?.into_iter().filter_map(json::raw).collect();
    Some(Commerce { assignment: json::raw(assignment?)?, target_users })
}

/// Something is named by an id, or described by an object.
fn reference(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(_) | Value::Number(_) => Ok(()),
        Value::String(text) if !text.is_empty() => Ok(()),
        _ => Err("must be an id or an object".to_owned()),
    }
}
