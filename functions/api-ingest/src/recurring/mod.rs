//! `S/recurring-activities`: SPEC §5.

mod draft;
mod view;

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{In, InSolution};
use crate::body::JsonText;
use crate::companies::only_page;
use crate::faults::{Fault, Faults};
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::{Query, Scope};
use crate::server_state::ServerStateBody;
use crate::solutions::existing;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::names::{RecurringName, Tenant};
use shared::items::recurring::RuleView;
use shared::recurring::{self, RecurringError, occurrences};
use utoipa::IntoParams;
use view::{OccurrenceView, OccurrencesView, RecurringBody, RecurringStateView, RecurringView, SkippedView};

/// Most occurrences of a preview (SPEC §5).
const COUNT_MAX: usize = 100;
/// Occurrences of a preview, if the caller does not say.
const COUNT_DEFAULT: usize = 10;

impl From<RecurringError> for Problem {
    fn from(error: RecurringError) -> Self {
        match error {
            RecurringError::Change(error) => error.into(),
            RecurringError::Store(error) => error.into(),
            RecurringError::ParentGone(gone) => gone.into(),
            RecurringError::NoFuture => {
                Self::invalid(vec![Fault::new("", "describes a rule without a future occurrence")])
            }
        }
    }
}

/// Makes or replaces a recurring activity. What it created stays. Where the change makes its occurrences others (their
/// instants, type, parameter or retries), what it missed before is made up for first, as it was; of a paused one that is
/// skipped, with the reason `RULE_CHANGED`. Refused without a future occurrence.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}",
    operation_id = "putRecurringActivity", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path)),
    request_body = RecurringBody,
    responses((status = 201, body = RecurringView), (status = 200, body = RecurringView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<RecurringName>,
    body: JsonText,
) -> Result<Response, Problem> {
    existing(&context, &tenant).await?;
    let (draft, faults) = draft::read(body.text());
    let activity_type = match draft.as_ref().and_then(|draft| draft.activity_type.as_ref()) {
        Some(name) => context.tenancy.activity_type(&tenant, name).await?,
        None => None,
    };
    let (spec, parameter) = draft::judge(draft, faults, &tenant, activity_type.as_deref())?;
    let location = format!(
        "/v1/companies/{}/solutions/{}/recurring-activities/{name}",
        tenant.company,
        tenant.solution.name()
    );
    let changed = recurring::put(&context, &actor, &tenant, &name, spec, parameter).await?;
    let now = context.clock.now();
    Ok(answer::put(&location, changed, |view| RecurringView::of(view, now)))
}

async fn found(context: &ApiContext, tenant: &Tenant, name: &RecurringName) -> Result<RuleView, Problem> {
    let found = context.work.rule(tenant, name).await?;
    found.ok_or_else(|| Problem::not_found("recurring activity"))
}

/// A recurring activity.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}",
    operation_id = "getRecurringActivity", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = RecurringView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<RecurringName>,
) -> Result<Response, Problem> {
    let view = found(&context, &tenant, &name).await?;
    Ok(answer::ok(&RecurringView::of(view, context.clock.now())))
}

/// Deletes a recurring activity, and takes back what it created ahead of its time. An occurrence that somebody has
/// rescheduled, dispatched or retried since is theirs: it stays, and is canceled as any other activity.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}",
    operation_id = "deleteRecurringActivity", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path)),
    responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<RecurringName>,
) -> Result<Response, Problem> {
    recurring::delete(&context, &actor, &tenant, &name).await?;
    Ok(answer::nothing())
}

/// The solution's recurring activities, by name.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities",
    operation_id = "listRecurringActivities", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ListParameters),
    responses((status = 200, body = Items<RecurringView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    existing(&context, &tenant).await?;
    let rules = context.work.rules(&tenant, request.after.as_deref(), request.limit).await?;
    let now = context.clock.now();
    Ok(answer::page(&scope, rules, |view| RecurringView::of(view, now)))
}

/// Pauses or resumes a recurring activity. Paused, it creates nothing, and what it created ahead of its time
/// is taken back, unless somebody has rescheduled, dispatched or retried it since; resumed, what it missed is made up for by
/// its `catchUp`.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
    operation_id = "setRecurringActivityState", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path)),
    request_body = ServerStateBody, responses((status = 200, body = RecurringStateView), Change)
)]
pub async fn put_state(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<RecurringName>,
    body: JsonText,
) -> Result<Response, Problem> {
    let ServerStateBody { server_state, reason } = body.read(ServerStateBody::read)?;
    let changed =
        recurring::set_server_state(&context, &actor, &tenant, &name, server_state, reason.as_deref());
    Ok(answer::ok(&RecurringStateView::of(&changed.await?.into_inner())))
}

/// The state of a recurring activity.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
    operation_id = "getRecurringActivityState", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = RecurringStateView), Read)
)]
pub async fn get_state(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<RecurringName>,
) -> Result<Response, Problem> {
    Ok(answer::ok(&RecurringStateView::of(&found(&context, &tenant, &name).await?.rule)))
}

/// From when, and how many.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query; it is read by hand")]
pub struct OccurrencesParameters {
    /// From this instant on, itself included; now, if absent.
    #[param(format = DateTime)]
    from: Option<String>,
    /// How many.
    #[param(minimum = 1, maximum = 100, default = 10)]
    count: Option<u32>,
}

/// A preview of a recurring activity's occurrences, past ones too if asked for, whether or not it is paused.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/occurrences",
    operation_id = "listOccurrences", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path), OccurrencesParameters),
    responses((status = 200, body = OccurrencesView), Read)
)]
pub async fn preview(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<RecurringName>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (from, count) = {
        let faults = Faults::default();
        let mut query = Query::read(&uri, &faults);
        let from = query.time("from");
        let count = match query.text("count").map(|text| text.parse()) {
            None => COUNT_DEFAULT,
            Some(Ok(count @ 1..=COUNT_MAX)) => count,
            Some(_) => {
                faults.add("query:count", format!("must be a whole number from 1 to {COUNT_MAX}"));
                COUNT_DEFAULT
            }
        };
        query.finish();
        faults.finish(Some((from, count)))?
    };
    let rule = found(&context, &tenant, &name).await?.rule;
    let dates = occurrences(&rule.schedule(), from.unwrap_or_else(|| context.clock.now()), count);
    let dates = dates.into_iter().map(|date| OccurrenceView { date: answer::time(date) });
    Ok(answer::ok(&OccurrencesView { occurrences: dates.collect() }))
}

/// Why it did not fire: the occurrences that were skipped, latest first, each run of them with its reason.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/skipped",
    operation_id = "listSkippedOccurrences", tag = "recurring activities",
    params(("company" = String, Path), ("solution" = String, Path), ("name" = String, Path), ListParameters),
    responses((status = 200, body = Items<SkippedView>), Read)
)]
pub async fn skipped(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<RecurringName>,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    found(&context, &tenant, &name).await?;
    let skips = context.work.skips(&tenant, &name, request.after.as_deref(), request.limit).await?;
    Ok(answer::page(&scope, skips, SkippedView::of))
}
