//! `/v1/companies/{company}/solutions`: SPEC §3.

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{InCompany, InSolution};
use crate::body::JsonText;
use crate::companies::{only_page, qos_level};
use crate::deletion;
use crate::object::Object;
use crate::openapi::schemas::{HttpUrl, State as ServerState};
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::Scope;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::names::Tenant;
use rules::number::Decimal;
use serde::Serialize;
use shared::tenancy::{ParentKind, Rolling, Solution};
use std::sync::Arc;
use utoipa::ToSchema;

/// Most days that logs are kept: a century.
const PERIOD_MAX_DAYS: u64 = 36_525;

/// What a solution is made of.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SolutionBody {
    /// Slots it gets of its company's.
    #[schema(minimum = 1, maximum = 100, default = 1, required = false)]
    qos_level: u32,
    /// Where the logs of dispatched activities go when their period has passed: an absolute http(s) URL.
    #[schema(value_type = Option<HttpUrl>)]
    success_uri: Option<String>,
    /// Days for which dispatched activities are kept; fractions are allowed.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 36525)]
    success_period: Option<Decimal>,
    /// Where the logs of dead letters go when their period has passed: an absolute http(s) URL.
    #[schema(value_type = Option<HttpUrl>)]
    dead_letter_uri: Option<String>,
    /// Days for which dead letters are kept; fractions are allowed.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 36525)]
    dead_letter_period: Option<Decimal>,
}

impl SolutionBody {
    fn read(body: &mut Object<'_, '_>) -> Option<Self> {
        Some(Self {
            qos_level: qos_level(body),
            success_uri: fixed_uri(body, "successUri"),
            success_period: body.number("successPeriod", 0..=PERIOD_MAX_DAYS),
            dead_letter_uri: fixed_uri(body, "deadLetterUri"),
            dead_letter_period: body.number("deadLetterPeriod", 0..=PERIOD_MAX_DAYS),
        })
    }
}

/// An absolute http(s) URL without placeholders.
pub fn fixed_uri(body: &mut Object<'_, '_>, name: &str) -> Option<String> {
    let text = body.text(name)?;
    body.faults().check(&body.at(name), rules::uri::fixed(&text).map(|()| text.clone()))
}

/// A solution.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolutionView {
    /// Its company.
    company: String,
    /// Its name.
    solution: String,
    /// Slots it gets of its company's.
    #[schema(minimum = 1, maximum = 100)]
    qos_level: u32,
    /// Where the logs of dispatched activities go.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_uri: Option<String>,
    /// Days for which dispatched activities are kept; absent: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    success_period: Option<Decimal>,
    /// Where the logs of dead letters go.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_uri: Option<String>,
    /// Days for which dead letters are kept; absent: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    dead_letter_period: Option<Decimal>,
    /// `running` or `paused`.
    #[schema(value_type = ServerState)]
    server_state: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Signs outbound calls (Standard Webhooks): answered once, when the solution is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: Option<String>,
}

impl SolutionView {
    fn of(solution: &Solution, signing_secret: Option<&str>) -> Self {
        let rolling = solution.rolling.clone();
        Self {
            company: solution.tenant.company.to_string(),
            solution: solution.tenant.solution.name().to_string(),
            qos_level: solution.qos_level,
            success_uri: rolling.success_uri,
            success_period: rolling.success_period_days,
            dead_letter_uri: rolling.dead_letter_uri,
            dead_letter_period: rolling.dead_letter_period_days,
            server_state: solution.server_state.as_str(),
            created_at: answer::time(solution.meta.created_at),
            updated_at: answer::time(solution.meta.updated_at),
            signing_secret: signing_secret.map(str::to_owned),
        }
    }
}

/// The solution of the path, from the cache.
///
/// # Errors
/// 404 without it.
pub async fn existing(context: &ApiContext, tenant: &Tenant) -> Result<Arc<Solution>, Problem> {
    context.tenancy.solution(tenant).await?.ok_or_else(|| Problem::not_found("solution"))
}

/// The solution of the path, read past the cache: for changes of what is left of it when it is deleted,
/// which must not come back to life.
///
/// # Errors
/// 404 without it.
pub async fn existing_now(context: &ApiContext, tenant: &Tenant) -> Result<Arc<Solution>, Problem> {
    context.tenancy.solution_fresh(tenant).await?.ok_or_else(|| Problem::not_found("solution"))
}

/// Makes or replaces a solution's settings. Its server state and its signing secret stay; the secret of
/// a new one is shown this once.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "putSolution", tag = "solutions",
    params(("company" = String, Path), ("solution" = String, Path)), request_body = SolutionBody,
    responses((status = 201, body = SolutionView), (status = 200, body = SolutionView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    InSolution { actor, tenant }: InSolution,
    body: JsonText,
) -> Result<Response, Problem> {
    let body = body.read(SolutionBody::read)?;
    let rolling = Rolling {
        success_uri: body.success_uri,
        success_period_days: body.success_period,
        dead_letter_uri: body.dead_letter_uri,
        dead_letter_period_days: body.dead_letter_period,
    };
    let (changed, secret) = context.tenancy.put_solution(&actor, &tenant, body.qos_level, rolling).await?;
    let secret = secret.as_ref().map(|secret| secret.as_str());
    let location = format!("/v1/companies/{}/solutions/{}", tenant.company, tenant.solution.name());
    Ok(answer::put(&location, changed, |solution| SolutionView::of(&solution, secret)))
}

/// A solution.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "getSolution", tag = "solutions",
    params(("company" = String, Path), ("solution" = String, Path)),
    responses((status = 200, body = SolutionView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
) -> Result<Response, Problem> {
    Ok(answer::ok(&SolutionView::of(&*existing_now(&context, &tenant).await?, None)))
}

/// Deletes a solution with everything in it; refused while work waits in it. Takes about 9 s, in which whatever is being
/// created in it is waited for: either that is refused, or the deletion is.
///
/// Nothing of it is shown to whoever makes a solution of this name again, which may take 5 s. Its activities,
/// histories, results, reminders, notifications and audit entries are removed within a day. The company's audit log
/// says that it was deleted.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "deleteSolution", tag = "solutions",
    params(("company" = String, Path), ("solution" = String, Path)), responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    InSolution { actor, tenant }: InSolution,
) -> Result<Response, Problem> {
    deletion::delete(&context, &actor, &tenant, ParentKind::Solution).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while something waits in the solution of `tenant`.
pub async fn refuse_while_waiting(context: &ApiContext, tenant: &Tenant) -> Result<(), Problem> {
    let kinds = context.tenancy.kinds(tenant).await?;
    if context.work.has_waiting(tenant, &kinds).await? {
        return Err(Problem::conflict(
            "activities wait in the solution; cancel them or let them finish first",
        ));
    }
    crate::reminders::configuration::refuse_while_waiting(context, tenant).await?;
    if context.work.has_rules(tenant).await? {
        return Err(Problem::conflict("the solution has recurring activities; delete them first"));
    }
    let slices = context.tenancy.notification_slices_of(tenant).await?;
    if context.work.has_pending_notifications(&slices).await? {
        return Err(Problem::conflict(
            "notifications of the solution are pending; delete them or let them end",
        ));
    }
    Ok(())
}

/// The company's solutions, by name.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions", operation_id = "listSolutions", tag = "solutions",
    params(("company" = String, Path), ListParameters), responses((status = 200, body = Items<SolutionView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InCompany { company, .. }: InCompany,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    if context.tenancy.cached::<shared::tenancy::Company>(&company).await?.is_none() {
        return Err(Problem::not_found("company"));
    }
    let page = context.tenancy.solutions(&company, &request).await?;
    Ok(answer::page(&scope, page, |solution| SolutionView::of(&solution, None)))
}

/// A new signing secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningSecretView {
    /// The secret: answered this once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: String,
    /// Until when the secret that it replaces signs too.
    #[schema(format = DateTime)]
    previous_valid_until: String,
}

/// Makes a new signing secret; for 24 hours the one that it replaces signs too. Up to five replaced secrets
/// sign at a time: while there are as many, another rotation is refused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/signing-secret/rotate", operation_id = "rotateSigningSecret", tag = "solutions",
    params(("company" = String, Path), ("solution" = String, Path)),
    responses((status = 200, body = SigningSecretView), Change)
)]
pub async fn rotate_signing_secret(
    State(context): State<ApiContext>,
    InSolution { actor, tenant }: InSolution,
    body: JsonText,
) -> Result<Response, Problem> {
    body.nothing()?;
    let (secret, previous_until) = context.tenancy.rotate_signing_secret(&actor, &tenant).await?;
    Ok(answer::ok(&SigningSecretView {
        signing_secret: secret.to_string(),
        previous_valid_until: answer::time(previous_until),
    }))
}
