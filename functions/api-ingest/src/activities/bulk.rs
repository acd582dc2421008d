//! One change to all activities that match (SPEC §3).

use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::openapi::Change;
use crate::http::{
    Answer, CURSOR_REFUSED, JsonText, Object, Scope, answer, any_text, body, doc, nested, object_id, parsed,
    time,
};
use chrono::TimeDelta;
use http::Uri;
use rules::activity::Status;
use rules::names::{Kind, TypeName};
use rules::uri::UriPattern;
use serde::Serialize;
use shared::items::activity::{BulkAction, Filter};
use shared::tenancy::CursorSecret;
use utoipa::ToSchema;

const SET_URI: &str = "setUri";
const RESCHEDULE: &str = "reschedule";
const CANCEL: &str = "cancel";
const RETRY: &str = "retry";
const ACTIONS: [&str; 4] = [SET_URI, RESCHEDULE, CANCEL, RETRY];
/// How long one call works; an HTTP API of AWS waits 30 s for an answer.
const CALL_TIME: TimeDelta = TimeDelta::seconds(20);

/// What is wanted.
pub struct Wanted {
    filter: Filter,
    action: BulkAction,
    scope: Scope,
    after: Option<String>,
}

body! {
    /// Which activities, and what to do to them.
    pub struct BulkBody = bulk((&'b CursorSecret, &'b Uri)) -> Wanted;
}

/// What opens cursors, and the path that they are for.
fn bulk(f: &mut Object<'_>, beside: Option<(&CursorSecret, &Uri)>) -> Option<Wanted> {
    let filter = f.required("filter", nested::<BulkFilter>(), "Which activities; absent fields match all.");
    let action = action(f);
    let cursor = f.optional("cursor", any_text(), "`cursor` of the same call's last answer, to go on.");
    let (filter, action, (secret, uri)) = (filter?, action?, beside?);
    let scope = Scope::of_body(secret, uri, &format!("{filter:?} {action:?}"));
    let after = cursor.and_then(|cursor| {
        let opened = scope.open(&cursor);
        if opened.is_none() {
            f.fault("cursor", CURSOR_REFUSED);
        }
        opened
    });
    Some(Wanted { filter, action, scope, after })
}

fn action(f: &mut Object<'_>) -> Option<BulkAction> {
    let meaning = doc("`setUri`, `reschedule`, `cancel` or `retry`.").example(SET_URI);
    let pattern = format!("^({})$", ACTIONS.join("|"));
    let name = f.required("action", any_text(), meaning.with("pattern", pattern));
    let pattern = f.optional("uri", parsed::<UriPattern>(), "For `setUri`: the URI pattern.");
    let date = f.optional("date", time(), "For `reschedule`: the date.");
    let for_action = |field: &str, action: &str| {
        let asked = name.as_deref() == Some(action);
        match (asked, f.has(field)) {
            (true, false) => f.fault(field, format!("is required for {action}")),
            (false, true) if name.is_some() => f.fault(field, format!("is for {action} alone")),
            _ => {}
        }
    };
    for_action("uri", SET_URI);
    for_action("date", RESCHEDULE);
    match name.as_deref()? {
        SET_URI => pattern.map(BulkAction::SetUri),
        RESCHEDULE => date.map(BulkAction::Reschedule),
        CANCEL => Some(BulkAction::Cancel),
        RETRY => Some(BulkAction::Retry),
        _ => {
            f.fault("action", "must be setUri, reschedule, cancel or retry");
            None
        }
    }
}

body! {
    /// Which activities.
    pub struct BulkFilter = bulk_filter(()) -> Filter;
}

fn bulk_filter(f: &mut Object<'_>, _: Option<()>) -> Option<Filter> {
    let meaning = "Whose `objectIdRef` fields have this value: a string, or as well a number, in any spelling, or a boolean.";
    let filter = Filter {
        status: f.optional(
            "status",
            parsed::<Status>(),
            "`READY`, `DISPATCHED`, `FAILED`, `CANCELED` or `COMPLETED`.",
        ),
        kind: f.optional("activityType", parsed::<TypeName>(), "Of this type.").map(Kind::Type),
        object_id: f.optional("objectId", object_id(), meaning),
        from: f.optional("from", time(), "With a date from this instant on."),
        to: f.optional("to", time(), "With a date up to this instant."),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && to < from
    {
        f.fault("to", "must not be before from");
    }
    Some(filter)
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub struct BulkView {
    /// Matches seen in this call.
    matched: usize,
    /// Those whose state allowed the change.
    changed: usize,
    /// Present if this call's time did not suffice: the same call with it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Does something to all activities that match, never to one page of them.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/bulk", operation_id = "changeActivities", tag = "activities",
    request_body = BulkBody,
    responses((status = 200, body = BulkView), Change)
)]
pub async fn post(
    context: ApiContext,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
    body: JsonText,
) -> Answer {
    let secret = context.tenancy.cursor_secret().await?;
    let Wanted { filter, action, scope, after } = body.read::<BulkBody>((secret, &uri))?;
    context.solution_now(&tenant).await?;
    let kinds = context.tenancy.kinds(&tenant).await?;
    let deadline = context.clock.now() + CALL_TIME;
    let report = context.work.bulk(&tenant, &kinds, &filter, &action, after.as_deref(), deadline).await?;
    Ok(answer::ok(&BulkView {
        matched: report.matched,
        changed: report.changed,
        cursor: report.cursor.map(|cursor| scope.seal(&cursor)),
    }))
}
