//! One activity, and lists of them (SPEC §3).

use super::results::ResultView;
use super::view::{ActivityView, HistoryView};
use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{In, InSolution};
use crate::companies::only_page;
use crate::faults::Faults;
use crate::openapi::schemas::{ActivityStatus, Channel as ChannelText, Name};
use crate::openapi::{ListParameters, Read};
use crate::problem::Problem;
use crate::query::{Query, Scope};
use crate::solutions::existing;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::names::{ActivityId, Channel, Kind, TypeName};
use shared::items::activity::Filter;
use utoipa::IntoParams;

/// Which activities.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query; it is read by hand")]
pub struct FilterParameters {
    /// `READY`, `DISPATCHED`, `FAILED`, `CANCELED` or `COMPLETED`.
    #[param(value_type = Option<ActivityStatus>)]
    status: Option<String>,
    /// Of this type.
    #[param(value_type = Option<Name>)]
    activity_type: Option<String>,
    /// Through this channel.
    #[param(value_type = Option<ChannelText>)]
    channel: Option<String>,
    /// Whose `objectIdRef` fields have this value; a number in any spelling: 100 finds 100, 100.0, 1e2 and "100".
    object_id: Option<String>,
    /// With a date from this instant on.
    #[param(format = DateTime)]
    from: Option<String>,
    /// With a date up to this instant.
    #[param(format = DateTime)]
    to: Option<String>,
}

/// One activity, with its last attempts and results; `moreHistory` and `moreResults` lead to those before.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}", operation_id = "getActivity", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = ActivityView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
) -> Result<Response, Problem> {
    existing(&context, &tenant).await?;
    match context.work.get(&tenant, &name).await? {
        Some(activity) => Ok(answer::ok(&ActivityView::whole(&context, activity).await?)),
        None => Err(not_found()),
    }
}

fn not_found() -> Problem {
    Problem::not_found("activity")
}

/// An activity's attempts, the last one first.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/history", operation_id = "listActivityHistory", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path), ListParameters),
    responses((status = 200, body = Items<HistoryView>), Read)
)]
pub async fn history(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    existing(&context, &tenant).await?;
    let page = context.work.history(&tenant, &name, &request).await?.ok_or_else(not_found)?;
    Ok(answer::page(&scope, page, HistoryView::of))
}

/// What was reported of an activity, the last one by id first: of ids that Punctual made, the last one reported.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/results", operation_id = "listActivityResults", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path), ListParameters),
    responses((status = 200, body = Items<ResultView>), Read)
)]
pub async fn results(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    existing(&context, &tenant).await?;
    let page = context.work.results(&tenant, &name, &request).await?.ok_or_else(not_found)?;
    Ok(answer::page(&scope, page, |result| ResultView::of(result, Some(&name))))
}

/// The solution's activities, without their histories: what is due first, then what is finished, newest
/// first. A page may be short, even empty, and still have a `nextCursor`.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities", operation_id = "listActivities", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), FilterParameters, ListParameters),
    responses((status = 200, body = Items<ActivityView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let (filter, request) = {
        let faults = Faults::default();
        let mut query = Query::read(&uri, &faults);
        let filter = filter(&mut query, &faults);
        let request = query.page(&scope);
        query.finish();
        faults.finish(Some((filter, request)))?
    };
    existing(&context, &tenant).await?;
    let kinds = context.tenancy.kinds(&tenant).await?;
    let found = context.work.list(&tenant, &kinds, &filter, request.after.as_deref(), request.limit).await?;
    Ok(answer::page(&scope, found, ActivityView::brief))
}

fn filter(query: &mut Query<'_>, faults: &Faults) -> Filter {
    let activity_type = query.parsed::<TypeName>("activityType").map(Kind::Type);
    let channel = query.parsed::<Channel>("channel").map(Kind::Channel);
    if activity_type.is_some() && channel.is_some() {
        faults.add("query:channel", "cannot go with activityType: an activity has one of them");
    }
    let filter = Filter {
        status: query.parsed("status"),
        kind: activity_type.or(channel),
        object_id: query.object_id("objectId"),
        from: query.time("from"),
        to: query.time("to"),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && to < from
    {
        faults.add("query:to", "must not be before from");
    }
    filter
}
