//! One activity, and lists of them (SPEC §3).

use super::view::ActivityView;
use crate::ApiContext;
use crate::activity_results::ResultView;
use crate::auth::{In, InSolution};
use crate::http::openapi::Read;
use crate::http::openapi::schemas::{ActivityStatus, Channel as ChannelText, Name};
use crate::http::{Answer, Items, Listing, Problem, Query, answer};
use crate::parts::attempt::HistoryView;
use http::Uri;
use rules::names::{ActivityId, Channel, Kind, TypeName};
use shared::items::activity::Filter;
use utoipa::IntoParams;

/// Which activities.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
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
    responses((status = 200, body = ActivityView), Read)
)]
pub async fn get(context: ApiContext, In { tenant, name, .. }: In<ActivityId>) -> Answer {
    context.solution(&tenant).await?;
    let activity = context.work.get(&tenant, &name).await?.ok_or_else(not_found)?;
    Ok(answer::ok(&ActivityView::whole(&context, activity).await?))
}

fn not_found() -> Problem {
    Problem::not_found("activity")
}

/// An activity's attempts, the last one first.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/history", operation_id = "listActivityHistory", tag = "activities",
    responses((status = 200, body = Items<HistoryView>), Read)
)]
pub async fn history(context: ApiContext, In { tenant, name, .. }: In<ActivityId>, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let page = context.work.history(&tenant, &name, &list.request).await?.ok_or_else(not_found)?;
    Ok(list.show(page, HistoryView::of))
}

/// What was reported of an activity, the last one by id first: of ids that Punctual made, the last one reported.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/results", operation_id = "listActivityResults", tag = "activities",
    responses((status = 200, body = Items<ResultView>), Read)
)]
pub async fn results(context: ApiContext, In { tenant, name, .. }: In<ActivityId>, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let page = context.work.results(&tenant, &name, &list.request).await?.ok_or_else(not_found)?;
    Ok(list.show(page, |result| ResultView::of(result, Some(&name))))
}

/// The solution's activities, without their histories: what is due first, then what is finished, newest
/// first. A page may be short, even empty, and still have a `nextCursor`.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activities", operation_id = "listActivities", tag = "activities",
    params(FilterParameters),
    responses((status = 200, body = Items<ActivityView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { tenant, .. }: InSolution, uri: Uri) -> Answer {
    let (list, filter) = Listing::of(&context, &uri, filter).await?;
    context.solution(&tenant).await?;
    let kinds = context.tenancy.kinds(&tenant).await?;
    let found = context.work.list(&tenant, &kinds, &filter, list.after(), list.request.limit).await?;
    Ok(list.show(found, ActivityView::brief))
}

fn filter(query: &mut Query<'_>) -> Filter {
    let activity_type = query.parsed::<TypeName>("activityType").map(Kind::Type);
    let channel = query.parsed::<Channel>("channel").map(Kind::Channel);
    if activity_type.is_some() && channel.is_some() {
        query.fault("channel", "cannot go with activityType: an activity has one of them");
    }
    let (status, object_id) = (query.parsed("status"), query.object_id("objectId"));
    let (from, to) = query.span();
    Filter { status, kind: activity_type.or(channel), object_id, from, to }
}
