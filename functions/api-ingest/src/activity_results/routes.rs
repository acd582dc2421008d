//! `S/activity-results`: reporting (SPEC §4).

use super::body::ResultBody;
use super::view::ResultView;
use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::openapi::Change;
use crate::http::{Answer, JsonText, Problem, answer};
use axum::response::Response;
use http::StatusCode;
use rules::activity::{Refusal, Status};
use rules::names::{ActivityId, Tenant};
use shared::items::activity::{ActivityResult, Reported, Target};

/// Reports what became of an activity. A final result ends it; another one is refused then, unless it is a
/// hard override. A result whose activity is not known is kept, and linked once its dispatch is recorded.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activity-results",
    operation_id = "reportActivityResult", tag = "channels",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ResultBody,
    responses((status = 201, body = ResultView), (status = 200, body = ResultView, description = "Reported before by the same request"), Change)
)]
pub async fn post(context: ApiContext, InSolution { tenant, .. }: InSolution, body: JsonText) -> Answer {
    context.solution(&tenant).await?;
    let (target, result) = body.read::<ResultBody>(&context)?;
    match context.work.report(&tenant, &target, result.clone()).await? {
        Reported::New(linked) => Ok(created(&tenant, result, &target, linked)),
        Reported::Existing(known, linked) => {
            Ok(answer::ok(&ResultView::reported(*known, &target, linked.as_ref())))
        }
        Reported::Conflict => Err(Problem::conflict("another result has this id")),
        Reported::Refused(Refusal::HasResult) => Err(Problem::conflict(
            "the activity has a final result already; a result with hardOverride replaces it",
        )),
        Reported::Refused(refusal) => Err(Problem::conflict(refusal.to_string())),
        Reported::Ambiguous => {
            Err(Problem::conflict("several activities have this providerActivityId; give the activityId"))
        }
    }
}

fn created(
    tenant: &Tenant,
    result: ActivityResult,
    target: &Target,
    linked: Option<(ActivityId, Status)>,
) -> Response {
    let view = ResultView::reported(result, target, linked.as_ref());
    match linked {
        // It is found with its activity.
        Some((id, _)) => answer::created(&answer::path(tenant, format_args!("activities/{id}")), &view),
        None => answer::json(StatusCode::CREATED, &view),
    }
}
