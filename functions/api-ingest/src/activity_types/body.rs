//! What an activity type is made of.

use crate::http::openapi::schemas::FieldPathOrMany;
use crate::http::{
    Described, Kind, Object, Place, any_json, body, checked_item, doc, integer, kind, list_up_to, parsed,
};
use crate::parts::call_headers::call_headers;
use crate::parts::limits::RETRIES;
use crate::parts::reschedule_rules::reschedule_rules;
use rules::field::FieldPath;
use rules::names::TypeName;
use rules::uri::UriPattern;
use shared::tenancy::{ActivityType, RETRIES_DEFAULT, TIMEOUT_SECONDS_DEFAULT, Verb};
use std::cell::RefCell;

const TIMEOUT_SECONDS: std::ops::RangeInclusive<u32> = 1..=120;
/// Most bytes of the description of a parameter.
const PARAMETER_EXPECTED_MAX_BYTES: usize = 4_096;
/// Most fields that name an object.
const OBJECT_ID_REFS_MAX: usize = 10;

body! {
    /// What an activity type is made of.
    pub struct ActivityTypeBody = activity_type(TypeName) -> ActivityType;
}

fn activity_type(f: &mut Object<'_>, name: Option<TypeName>) -> Option<ActivityType> {
    let verb =
        doc("`POST`, `PUT`, `DELETE` or `GET`. `POST` and `PUT` carry the parameter as their JSON body.");
    let verb = f.required("verb", parsed::<Verb>(), verb.example("POST"));
    let uri_pattern = f.required(
        "uriPattern",
        parsed::<UriPattern>(),
        "An absolute http(s) URL; `{Field}` and `{a.b}` in its path and query are filled from the parameter.",
    );
    let parameter_expected = parameter_expected(f);
    let retries =
        f.or("retries", integer(RETRIES), RETRIES_DEFAULT, "Executions in all; 0 and 1 both mean one.");
    let timeout_seconds = f.or(
        "timeoutSeconds",
        integer(TIMEOUT_SECONDS),
        TIMEOUT_SECONDS_DEFAULT,
        "The whole call's time limit.",
    );
    let object_id_ref = f.optional(
        "objectIdRef",
        field_paths(),
        "The field of the parameter that names the object an activity is about, or a list of them.",
    );
    let headers = f.optional(
        "headers",
        call_headers(),
        "Headers of every call. Whoever may read the type is shown their values, so they are no place for\n\
         secrets: a receiver knows a call for ours by its signature, `webhook-signature`.",
    );
    let reschedule_rules = f.optional(
        "rescheduleRules",
        reschedule_rules(),
        "Named rules `{attempt?, retries?, retryAfterS?}`; the first that matches, in the order written,\n\
         says how long to wait after a failed execution. Without a match: 30 seconds. `Retry-After` of a 429 or\n\
         503 lengthens the wait, to a day at most, and never shortens it.",
    );
    Some(ActivityType {
        parameter_expected,
        retries,
        object_id_ref: object_id_ref.unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        timeout_seconds,
        reschedule_rules: reschedule_rules.unwrap_or_default(),
        ..ActivityType::new(name?, verb?, uri_pattern?)
    })
}

fn parameter_expected(f: &mut Object<'_>) -> Option<String> {
    const FIELD: &str = "parameterExpected";
    let meaning = "For readers: what parameter is expected. Any JSON of at most 4 KiB.";
    let text = f.optional(FIELD, any_json(), meaning)?;
    if text.len() > PARAMETER_EXPECTED_MAX_BYTES {
        f.fault(FIELD, format!("has at most {PARAMETER_EXPECTED_MAX_BYTES} bytes"));
    }
    Some(text)
}

/// One field path, or a list of them, none twice.
fn field_paths() -> impl Kind<Value = Vec<FieldPath>> {
    let read = |raw: &str, place: &Place<'_>| {
        if raw.starts_with('"') {
            return parsed::<FieldPath>().read(raw, place).map(|path| vec![path]);
        }
        if !raw.starts_with('[') {
            place.fault("must be a field path or a list of them");
            return None;
        }
        let one = || parsed::<FieldPath>().describe();
        let before = RefCell::new(Vec::new());
        let other = |raw: &str, place: &Place<'_>| {
            let path = checked_item(str::parse::<FieldPath>, one).read(raw, place)?;
            if before.borrow().contains(&path) {
                place.fault("is given twice");
            }
            before.borrow_mut().push(path.clone());
            Some(path)
        };
        list_up_to(OBJECT_ID_REFS_MAX, "field paths", kind(other, one)).read(raw, place)
    };
    kind(read, Described::component::<FieldPathOrMany>)
}
