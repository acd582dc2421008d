//! What an owner does to one activity: cancel, reschedule, dispatch now, retry (SPEC §3).

use super::view::ActivityView;
use crate::ApiContext;
use crate::answer;
use crate::auth::In;
use crate::body::JsonText;
use crate::openapi::{Change as ChangeProblems, Delete};
use crate::problem::Problem;
use crate::solutions::existing_now;
use crate::unreadable;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use rules::activity::Event;
use rules::names::{ActivityId, Tenant};
use shared::engine::{StoreError, keys};
use shared::items::activity::Change;
use utoipa::ToSchema;

/// Another date.
#[derive(ToSchema)]
pub struct RescheduleBody {
    /// When it is due; at once, if in the past.
    #[schema(value_type = String, format = DateTime)]
    date: DateTime<Utc>,
}

async fn change(
    context: &ApiContext,
    tenant: &Tenant,
    id: &ActivityId,
    event: Event<'_>,
) -> Result<Response, Problem> {
    let solution = existing_now(context, tenant).await?;
    if event == Event::DispatchNow && solution.is_paused() {
        return Err(Problem::conflict("the solution is paused"));
    }
    match context.work.change(tenant, id, event).await {
        Ok(Change::Applied(activity)) => Ok(answer::ok(&ActivityView::brief(*activity))),
        Ok(Change::NotFound) => Err(Problem::not_found("activity")),
        Ok(Change::Refused(refusal)) => {
            // One that is over goes by itself, unless something of it cannot be decoded.
            if event == Event::Cancel
                && let Err(StoreError::Decode(_)) = context.work.get(tenant, id).await
            {
                return unreadable::removed(context, tenant, &keys::activity(tenant, id)).await;
            }
            Err(Problem::conflict(refusal.to_string()))
        }
        Ok(Change::ParentGone(gone)) => {
            Err(Problem::conflict(format!("the solution has no {gone} any more")))
        }
        Err(StoreError::Decode(_)) if event == Event::Cancel => {
            unreadable::removed(context, tenant, &keys::activity(tenant, id)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Cancels an activity that is still READY.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}", operation_id = "cancelActivity", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = ActivityView), Delete)
)]
pub async fn cancel(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
) -> Result<Response, Problem> {
    change(&context, &tenant, &name, Event::Cancel).await
}

/// Gives an activity that is still READY another date.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/reschedule", operation_id = "rescheduleActivity", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    request_body = RescheduleBody, responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn reschedule(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Result<Response, Problem> {
    let RescheduleBody { date } = body.read(|body| {
        let date = body.time("date");
        Some(RescheduleBody { date: body.require("date", date)? })
    })?;
    change(&context, &tenant, &name, Event::Reschedule(date)).await
}

/// Sends an activity now, ahead of its date; not while its solution is paused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/dispatch", operation_id = "dispatchActivity", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn dispatch(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Result<Response, Problem> {
    body.nothing()?;
    change(&context, &tenant, &name, Event::DispatchNow).await
}

/// Makes a dead letter READY again: its attempts start at 0, its history is kept.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/retry", operation_id = "retryActivity", tag = "activities",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn retry(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Result<Response, Problem> {
    body.nothing()?;
    change(&context, &tenant, &name, Event::Retry).await
}
