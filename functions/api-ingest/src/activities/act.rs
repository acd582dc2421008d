//! What an owner does to one activity: cancel, reschedule, dispatch now, retry (SPEC §3).

use super::view::ActivityView;
use crate::ApiContext;
use crate::auth::In;
use crate::deletion;
use crate::http::openapi::{Change as ChangeProblems, Delete};
use crate::http::{Answer, JsonText, Object, Problem, answer, body, time};
use chrono::{DateTime, Utc};
use rules::activity::Event;
use rules::names::{ActivityId, Tenant};
use shared::engine::StoreError;
use shared::items::activity::Change;
use shared::table::keys;

body! {
    /// Another date.
    pub struct RescheduleBody = reschedule_date(()) -> DateTime<Utc>;
}

fn reschedule_date(f: &mut Object<'_>, _: Option<()>) -> Option<DateTime<Utc>> {
    f.required("date", time(), "When it is due; at once, if in the past.")
}

async fn change(context: &ApiContext, tenant: &Tenant, id: &ActivityId, event: Event<'_>) -> Answer {
    let solution = context.solution_now(tenant).await?;
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
                return deletion::remove_unreadable(context, tenant, &keys::activity(tenant, id)).await;
            }
            Err(Problem::conflict(refusal.to_string()))
        }
        Ok(Change::ParentGone(gone)) => {
            Err(Problem::conflict(format!("the solution has no {gone} any more")))
        }
        Err(StoreError::Decode(_)) if event == Event::Cancel => {
            deletion::remove_unreadable(context, tenant, &keys::activity(tenant, id)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Cancels an activity that is still READY.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}", operation_id = "cancelActivity", tag = "activities",
    responses((status = 200, body = ActivityView), Delete)
)]
pub async fn cancel(context: ApiContext, In { tenant, name, .. }: In<ActivityId>) -> Answer {
    change(&context, &tenant, &name, Event::Cancel).await
}

/// Gives an activity that is still READY another date.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/reschedule", operation_id = "rescheduleActivity", tag = "activities",
    request_body = RescheduleBody, responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn reschedule(
    context: ApiContext,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Answer {
    let date = body.read::<RescheduleBody>(())?;
    change(&context, &tenant, &name, Event::Reschedule(date)).await
}

/// Sends an activity now, ahead of its date; not while its solution is paused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/dispatch", operation_id = "dispatchActivity", tag = "activities",
    responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn dispatch(
    context: ApiContext,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Answer {
    body.nothing()?;
    change(&context, &tenant, &name, Event::DispatchNow).await
}

/// Makes a dead letter READY again: its attempts start at 0, its history is kept.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/{id}/retry", operation_id = "retryActivity", tag = "activities",
    responses((status = 200, body = ActivityView), ChangeProblems)
)]
pub async fn retry(context: ApiContext, In { tenant, name, .. }: In<ActivityId>, body: JsonText) -> Answer {
    body.nothing()?;
    change(&context, &tenant, &name, Event::Retry).await
}
