//! One change to all activities that match (SPEC §3).

use crate::ApiContext;
use crate::answer;
use crate::auth::InSolution;
use crate::body::JsonText;
use crate::object::Object;
use crate::openapi::Change;
use crate::openapi::schemas::{ActivityStatus, Name, ObjectId, UrlPattern as UrlPatternText};
use crate::problem::Problem;
use crate::query::{CURSOR_REFUSED, Scope};
use crate::solutions::existing_now;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use http::Uri;
use rules::activity::Status;
use rules::names::{Kind, TypeName};
use rules::uri::UriPattern;
use serde::Serialize;
use shared::items::activity::{BulkAction, Filter};
use shared::tenancy::CursorSecret;
use utoipa::ToSchema;

/// How long one call works; an HTTP API of AWS waits 30 s for an answer.
const CALL_TIME: TimeDelta = TimeDelta::seconds(20);

/// Which activities, and what to do to them.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct BulkBody {
    /// Which activities; absent fields match all.
    filter: BulkFilter,
    /// `setUri`, `reschedule`, `cancel` or `retry`.
    #[schema(example = "setUri", pattern = "^(setUri|reschedule|cancel|retry)$")]
    action: String,
    /// For `setUri`: the URI pattern.
    #[schema(value_type = Option<UrlPatternText>)]
    uri: Option<String>,
    /// For `reschedule`: the date.
    #[schema(format = DateTime)]
    date: Option<String>,
    /// `cursor` of the same call's last answer, to go on.
    cursor: Option<String>,
}

/// Which activities.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct BulkFilter {
    /// `READY`, `DISPATCHED`, `FAILED`, `CANCELED` or `COMPLETED`.
    #[schema(value_type = Option<ActivityStatus>)]
    status: Option<String>,
    /// Of this type.
    #[schema(value_type = Option<Name>)]
    activity_type: Option<String>,
    /// Whose `objectIdRef` fields have this value: a string, or as well a number, in any spelling, or a boolean.
    #[schema(value_type = Option<ObjectId>)]
    object_id: Option<String>,
    /// With a date from this instant on.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// With a date up to this instant.
    #[schema(format = DateTime)]
    to: Option<String>,
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

struct Wanted {
    filter: Filter,
    action: BulkAction,
    scope: Scope,
    after: Option<String>,
}

/// Does something to all activities that match, never to one page of them.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/bulk", operation_id = "changeActivities", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path)), request_body = BulkBody,
    responses((status = 200, body = BulkView), Change)
)]
pub async fn post(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
    body: JsonText,
) -> Result<Response, Problem> {
    let secret = context.tenancy.cursor_secret().await?;
    let Wanted { filter, action, scope, after } = body.read(|body| read(secret, &uri, body))?;
    existing_now(&context, &tenant).await?;
    let kinds = context.tenancy.kinds(&tenant).await?;
    let deadline = context.clock.now() + CALL_TIME;
    let report = context.work.bulk(&tenant, &kinds, &filter, &action, after.as_deref(), deadline).await?;
    Ok(answer::ok(&BulkView {
        matched: report.matched,
        changed: report.changed,
        cursor: report.cursor.map(|cursor| scope.seal(&cursor)),
    }))
}

fn read(secret: &CursorSecret, uri: &Uri, body: &mut Object<'_, '_>) -> Option<Wanted> {
    let faults = body.faults();
    let filter = body.object("filter").map(filter);
    let filter = body.require("filter", filter);
    let name = body.text("action");
    let name = body.require("action", name);
    let pattern = body.parsed::<UriPattern>("uri");
    let date = body.time("date");
    let for_action = |field: &str, action: &str| {
        let asked = name.as_deref() == Some(action);
        match (asked, body.has(field)) {
            (true, false) => faults.add(body.at(field), format!("is required for {action}")),
            (false, true) if name.is_some() => faults.add(body.at(field), format!("is for {action} alone")),
            _ => {}
        }
    };
    for_action("uri", "setUri");
    for_action("date", "reschedule");
    let action = match name.as_deref() {
        Some("setUri") => pattern.map(BulkAction::SetUri),
        Some("reschedule") => date.map(BulkAction::Reschedule),
        Some("cancel") => Some(BulkAction::Cancel),
        Some("retry") => Some(BulkAction::Retry),
        Some(_) => {
            faults.add(body.at("action"), "must be setUri, reschedule, cancel or retry");
            None
        }
        None => None,
    };
    let cursor = body.text("cursor");
    let (filter, action) = (filter?, action?);
    let scope = Scope::of_body(secret, uri, &format!("{filter:?} {action:?}"));
    let after = cursor.and_then(|cursor| {
        let opened = scope.open(&cursor);
        if opened.is_none() {
            faults.add(body.at("cursor"), CURSOR_REFUSED);
        }
        opened
    });
    Some(Wanted { filter, action, scope, after })
}

fn filter(mut filter: Object<'_, '_>) -> Filter {
    let read = Filter {
        status: filter.parsed::<Status>("status"),
        kind: filter.parsed::<TypeName>("activityType").map(Kind::Type),
        object_id: filter.scalar("objectId").map(|value| value.as_str().to_owned()),
        from: filter.time("from"),
        to: filter.time("to"),
    };
    if let (Some(from), Some(to)) = (read.from, read.to)
        && to < from
    {
        filter.faults().add(filter.at("to"), "must not be before from");
    }
    filter.finish();
    read
}
