//! What is reported of an activity.

use super::view::Details;
use crate::ApiContext;
use crate::http::{
    Kind, Object, Place, any_json, any_text, body, boolean, idempotency, json, kind, parsed, text, time,
};
use rules::names::ActivityId;
use rules::number::Decimal;
use rules::verdict::ResultStatus;
use shared::body_hash::BodyHash;
use shared::dispatch::PROVIDER_ACTIVITY_ID_MAX_BYTES;
use shared::items::activity::{ActivityResult, Target};

/// Most characters of a comment.
const COMMENT_MAX_CHARS: usize = 4_096;
/// Most characters of an external status.
const EXTERNAL_STATUS_MAX_CHARS: usize = 256;
const ACTIVITY_ID: &str = "activityId";
const PROVIDER_ACTIVITY_ID: &str = "providerActivityId";

body! {
    /// What is reported.
    pub struct ResultBody = result(&'b ApiContext) -> (Target, ActivityResult);
}

fn result(f: &mut Object<'_>, context: Option<&ApiContext>) -> Option<(Target, ActivityResult)> {
    let id = idempotency::id(f, rules::names::ids::given);
    let target = target(f);
    let occurred_at = f.required("occurredAt", time(), "When it happened.");
    let meaning = "`COMPLETED`, `TRANSFERRED`, `NOT_EXECUTED`, `CANCELED` or `PENDING`.";
    let status = f.required("status", parsed::<ResultStatus>(), meaning);
    let hard_override = f.or("hardOverride", boolean(), false, "Whether it replaces a final result.");
    let meaning = "What came of it, in the provider's terms.";
    let result = f.optional("result", any_json(), meaning).and_then(json::raw);
    let comment = f.optional("comment", text(COMMENT_MAX_CHARS), "Something for people to read.");
    let payload = f.optional("payload", any_json(), "Whatever else there is to keep.").and_then(json::raw);
    let meaning = "The provider's own status.";
    let external_status = f.optional("externalStatus", text(EXTERNAL_STATUS_MAX_CHARS), meaning);
    let details = Details { result, comment, payload, external_status };
    // Without an id of the caller's nobody can ask for the same again.
    let body_hash = if id.is_some() { f.body_hash(None) } else { BodyHash::default() };
    let context = context?;
    let received_at = rules::time::truncate(context.clock.now());
    let id = id.or_else(|| context.entropy.uuid_v7(received_at).to_string().parse().ok());
    let target = target?;
    let result = ActivityResult {
        id: id?,
        status: status?,
        provider_activity_id: match &target {
            Target::Provider(id) => Some(id.clone()),
            Target::Activity(_) => None,
        },
        occurred_at: occurred_at?,
        received_at,
        hard_override,
        details: serde_json::to_string(&details).ok()?,
        body_hash,
        standalone: false,
    };
    Some((target, result))
}

fn target(f: &mut Object<'_>) -> Option<Target> {
    let meaning = "The activity. Either this or `providerActivityId` is required.";
    let activity = f.optional(ACTIVITY_ID, parsed::<ActivityId>(), meaning);
    let meaning = "The provider's id of the activity.";
    let provider = f.optional(PROVIDER_ACTIVITY_ID, provider_activity_id(), meaning);
    match (f.has(ACTIVITY_ID), f.has(PROVIDER_ACTIVITY_ID)) {
        (true, true) => {
            f.fault(PROVIDER_ACTIVITY_ID, "cannot go with activityId; give one of them");
            None
        }
        (true, false) => activity.map(Target::Activity),
        (false, true) => provider.map(Target::Provider),
        (false, false) => {
            f.fault(ACTIVITY_ID, "is required, unless providerActivityId is given");
            None
        }
    }
}

/// The provider's id, as it is read from its answer to a dispatch: a number is as good as the text of its value.
fn provider_activity_id() -> impl Kind<Value = String> {
    let read = |raw: &str, place: &Place<'_>| {
        let text = match raw.parse::<Decimal>() {
            Ok(number) => number.canonical(),
            Err(_) => any_text().read(raw, place)?.trim().to_owned(),
        };
        place.means(text.as_str());
        if (1..=PROVIDER_ACTIVITY_ID_MAX_BYTES).contains(&text.len()) {
            return Some(text);
        }
        place.fault(format!("must have 1 to {PROVIDER_ACTIVITY_ID_MAX_BYTES} bytes"));
        None
    };
    kind(read, || any_text().describe())
}
