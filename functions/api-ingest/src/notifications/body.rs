//! A notification to be published.

use crate::http::{Object, any_json, body, idempotency, parsed};
use rules::names::{ActivityId, TypeName, ids};

body! {
    /// A notification to be published.
    pub struct NotificationBody = notification(()) -> Draft;
}

/// What is to be published.
pub struct Draft {
    /// Its type.
    pub kind: TypeName,
    /// The id that the caller gives.
    pub id: Option<ActivityId>,
    /// What is POSTed.
    pub payload: String,
    /// Hash of the body.
    pub hash: String,
}

fn notification(f: &mut Object<'_>, _: Option<()>) -> Option<Draft> {
    let kind = f.required("type", parsed::<TypeName>(), "Its notification type.");
    let id = idempotency::id(f, ids::given);
    let payload = f.required("payload", any_json(), "What is POSTed, as it is. Any JSON but `null`.");
    Some(Draft { kind: kind?, id, payload: payload?, hash: f.hash_without_id() })
}
