//! `/v1/companies/{company}/solutions`: making, showing and deleting them, and their secrets.

use super::body::SolutionBody;
use super::view::{SigningSecretView, SolutionView};
use crate::auth::{InCompany, InSolution};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Items, JsonText, Listing, Problem, answer};
use crate::{ApiContext, deletion, reminder_configuration};
use rules::names::Tenant;
use shared::tenancy::{Company, ParentKind};

/// Makes or replaces a solution's settings. Its server state and its signing secret stay; the secret of
/// a new one is shown this once.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "putSolution", tag = "solutions",
    request_body = SolutionBody,
    responses((status = 201, body = SolutionView), (status = 200, body = SolutionView), Change)
)]
pub async fn put(context: ApiContext, InSolution { actor, tenant }: InSolution, body: JsonText) -> Answer {
    let (qos_level, rolling) = body.read::<SolutionBody>(())?;
    let (changed, secret) = context.tenancy.put_solution(&actor, &tenant, qos_level, rolling).await?;
    let secret = secret.as_ref().map(|secret| secret.as_str());
    let location = format!("/v1/companies/{}/solutions/{}", tenant.company, tenant.solution.name());
    Ok(answer::put(&location, changed, |solution| SolutionView::of(&solution, secret)))
}

/// A solution.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "getSolution", tag = "solutions",
    responses((status = 200, body = SolutionView), Read)
)]
pub async fn get(context: ApiContext, InSolution { tenant, .. }: InSolution) -> Answer {
    Ok(answer::ok(&SolutionView::of(&*context.solution_now(&tenant).await?, None)))
}

/// Deletes a solution with everything in it; refused while work waits in it. Takes about 9 s, in which whatever is being
/// created in it is waited for: either that is refused, or the deletion is.
///
/// Nothing of it is shown to whoever makes a solution of this name again, which may take 5 s. Its activities,
/// histories, results, reminders, notifications and audit entries are removed within a day. The company's audit log
/// says that it was deleted.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}", operation_id = "deleteSolution", tag = "solutions",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, InSolution { actor, tenant }: InSolution) -> Answer {
    let refuse = || refuse_while_waiting(&context, &tenant);
    deletion::delete(&context, &actor, &tenant, ParentKind::Solution, refuse).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while something waits in the solution of `tenant`.
async fn refuse_while_waiting(context: &ApiContext, tenant: &Tenant) -> Result<(), Problem> {
    let kinds = context.tenancy.kinds(tenant).await?;
    if context.work.has_waiting(tenant, &kinds).await? {
        return Err(Problem::conflict(
            "activities wait in the solution; cancel them or let them finish first",
        ));
    }
    reminder_configuration::refuse_while_waiting(context, tenant).await?;
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
    responses((status = 200, body = Items<SolutionView>), Read)
)]
pub async fn list(context: ApiContext, InCompany { company, .. }: InCompany, list: Listing) -> Answer {
    if context.tenancy.cached::<Company>(&company).await?.is_none() {
        return Err(Problem::not_found("company"));
    }
    let page = context.tenancy.solutions(&company, &list.request).await?;
    Ok(list.show(page, |solution| SolutionView::of(&solution, None)))
}

/// Makes a new signing secret; for 24 hours the one that it replaces signs too. Up to five replaced secrets
/// sign at a time: while there are as many, another rotation is refused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/signing-secret/rotate", operation_id = "rotateSigningSecret", tag = "solutions",
    responses((status = 200, body = SigningSecretView), Change)
)]
pub async fn rotate_signing_secret(
    context: ApiContext,
    InSolution { actor, tenant }: InSolution,
    body: JsonText,
) -> Answer {
    body.nothing()?;
    let (secret, previous_until) = context.tenancy.rotate_signing_secret(&actor, &tenant).await?;
    Ok(answer::ok(&SigningSecretView {
        signing_secret: secret.to_string(),
        previous_valid_until: answer::time(previous_until),
    }))
}
