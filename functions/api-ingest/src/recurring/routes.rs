//! `S/recurring-activities`: making, showing, pausing and deleting them, and their occurrences.

use super::body::{self, RecurringBody};
use super::view::{OccurrenceView, OccurrencesView, RecurringStateView, RecurringView, SkippedView};
use crate::ApiContext;
use crate::auth::{In, InSolution};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Fault, Items, JsonText, Listing, Problem, answer, query};
use crate::server_state::ServerStateBody;
use http::Uri;
use rules::names::{RecurringName, Tenant};
use shared::items::recurring::RuleView;
use shared::recurring::{self, RecurringError, occurrences};
use utoipa::IntoParams;

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
    request_body = RecurringBody,
    responses((status = 201, body = RecurringView), (status = 200, body = RecurringView), Change)
)]
pub async fn put(
    context: ApiContext,
    In { actor, tenant, name }: In<RecurringName>,
    body: JsonText,
) -> Answer {
    context.solution(&tenant).await?;
    let (draft, faults) = body.read_apart::<RecurringBody>(());
    let activity_type = match draft.as_ref().and_then(|draft| draft.activity_type.as_ref()) {
        Some(name) => context.tenancy.activity_type(&tenant, name).await?,
        None => None,
    };
    let (spec, parameter) = body::judge(draft, faults, &tenant, activity_type.as_deref())?;
    let location = answer::path(&tenant, format_args!("recurring-activities/{name}"));
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
    responses((status = 200, body = RecurringView), Read)
)]
pub async fn get(context: ApiContext, In { tenant, name, .. }: In<RecurringName>) -> Answer {
    let view = found(&context, &tenant, &name).await?;
    Ok(answer::ok(&RecurringView::of(view, context.clock.now())))
}

/// Deletes a recurring activity, and takes back what it created ahead of its time. An occurrence that somebody has
/// rescheduled, dispatched or retried since is theirs: it stays, and is canceled as any other activity.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}",
    operation_id = "deleteRecurringActivity", tag = "recurring activities",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, In { actor, tenant, name }: In<RecurringName>) -> Answer {
    recurring::delete(&context, &actor, &tenant, &name).await?;
    Ok(answer::nothing())
}

/// The solution's recurring activities, by name.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities",
    operation_id = "listRecurringActivities", tag = "recurring activities",
    responses((status = 200, body = Items<RecurringView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { tenant, .. }: InSolution, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let rules = context.work.rules(&tenant, list.after(), list.request.limit).await?;
    let now = context.clock.now();
    Ok(list.show(rules, |view| RecurringView::of(view, now)))
}

/// Pauses or resumes a recurring activity. Paused, it creates nothing, and what it created ahead of its time
/// is taken back, unless somebody has rescheduled, dispatched or retried it since; resumed, what it missed is made up for by
/// its `catchUp`.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
    operation_id = "setRecurringActivityState", tag = "recurring activities",
    request_body = ServerStateBody, responses((status = 200, body = RecurringStateView), Change)
)]
pub async fn put_state(
    context: ApiContext,
    In { actor, tenant, name }: In<RecurringName>,
    body: JsonText,
) -> Answer {
    let (server_state, reason) = body.read::<ServerStateBody>(())?;
    let changed =
        recurring::set_server_state(&context, &actor, &tenant, &name, server_state, reason.as_deref());
    Ok(answer::ok(&RecurringStateView::of(&changed.await?.into_inner())))
}

/// The state of a recurring activity.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
    operation_id = "getRecurringActivityState", tag = "recurring activities",
    responses((status = 200, body = RecurringStateView), Read)
)]
pub async fn get_state(context: ApiContext, In { tenant, name, .. }: In<RecurringName>) -> Answer {
    Ok(answer::ok(&RecurringStateView::of(&found(&context, &tenant, &name).await?.rule)))
}

/// From when, and how many.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
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
    params(OccurrencesParameters),
    responses((status = 200, body = OccurrencesView), Read)
)]
pub async fn preview(context: ApiContext, In { tenant, name, .. }: In<RecurringName>, uri: Uri) -> Answer {
    let (from, count) = query::read(&uri, |query| {
        Some((query.time("from"), query.count("count", COUNT_MAX, COUNT_DEFAULT)))
    })?;
    let rule = found(&context, &tenant, &name).await?.rule;
    let dates = occurrences(&rule.schedule(), from.unwrap_or_else(|| context.clock.now()), count);
    let dates = dates.into_iter().map(|date| OccurrenceView { date: answer::time(date) });
    Ok(answer::ok(&OccurrencesView { occurrences: dates.collect() }))
}

/// Why it did not fire: the occurrences that were skipped, latest first, each run of them with its reason.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/skipped",
    operation_id = "listSkippedOccurrences", tag = "recurring activities",
    responses((status = 200, body = Items<SkippedView>), Read)
)]
pub async fn skipped(
    context: ApiContext,
    In { tenant, name, .. }: In<RecurringName>,
    list: Listing,
) -> Answer {
    found(&context, &tenant, &name).await?;
    let skips = context.work.skips(&tenant, &name, list.after(), list.request.limit).await?;
    Ok(list.show(skips, SkippedView::of))
}
