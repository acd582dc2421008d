//! `/api/reminder/configuration`: making, showing and deleting them.

use super::body::ReminderConfigurationBody;
use super::view::ConfigurationView;
use crate::auth::Caller;
use crate::auth::reminders::{ConfigurationOwner, InConfiguration, only_secret};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, JsonText, Problem, answer};
use crate::parts::limits::QOS_LEVEL_DEFAULT;
use crate::{ApiContext, deletion};
use http::Uri;
use rules::names::Tenant;
use shared::tenancy::{Changed, Company, ParentKind, ReminderConfiguration, ReminderSecrets, Rolling};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The configuration of the path, from the cache.
///
/// # Errors
/// 404 without it.
pub async fn existing(context: &ApiContext, tenant: &Tenant) -> Result<Arc<ReminderConfiguration>, Problem> {
    let found = context.tenancy.reminder_configuration(tenant).await?;
    found.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("reminder configuration")
}

/// Makes or replaces a configuration; the secrets of a new one are shown this once. Its solution is made with it,
/// if there is none, and under the admin key its company too.
#[utoipa::path(
    put, path = "/api/reminder/configuration/{agentId}/{configurationId}", operation_id = "putReminderConfiguration", tag = "reminders",
    request_body = ReminderConfigurationBody,
    responses((status = 201, body = ConfigurationView), (status = 200, body = ConfigurationView), Change)
)]
pub async fn put(
    context: ApiContext,
    ConfigurationOwner { caller, tenant }: ConfigurationOwner,
    uri: Uri,
    body: JsonText,
) -> Answer {
    only_secret(&uri)?;
    let settings = body.read::<ReminderConfigurationBody>(context.has_dialog_service)?;
    let (tenant, signing_secret) = make_solution(&context, &caller, tenant).await?;
    if let Some(url) = &settings.webhook_url {
        context.tenancy.keep_reminder_webhook(&caller.actor, &tenant, url).await?;
    }
    let put = context.tenancy.put_reminder_configuration(&caller.actor, &tenant, &settings).await?;
    let (changed, secrets) = put;
    let is_new = matches!(changed, Changed::Created(_));
    let mut view = ConfigurationView::of(&context, &changed.into_inner()).await?;
    view.signing_secret = signing_secret.map(|secret| secret.to_string());
    if let Some(ReminderSecrets { primary, secondary }) = secrets {
        view.primary_key = Some(primary.to_string());
        view.secondary_key = Some(secondary.to_string());
    }
    let location = format!("/api/reminder/configuration/{}/{}", tenant.company, tenant.solution.name());
    Ok(if is_new { answer::created(&location, &view) } else { answer::ok(&view) })
}

/// Makes the solution, and for the admin the company, unless they exist; with the signing secret of a new solution.
async fn make_solution(
    context: &ApiContext,
    caller: &Caller,
    tenant: Tenant,
) -> Result<(Tenant, Option<Zeroizing<String>>), Problem> {
    let tenancy = &context.tenancy;
    if tenancy.solution_fresh(&tenant).await?.is_some() {
        return Ok((tenant, None));
    }
    if tenancy.fresh::<Company>(&tenant.company).await?.is_none() {
        if caller.require_admin().is_err() {
            return Err(Problem::not_found("company"));
        }
        let company = Company::new(tenant.company.clone(), QOS_LEVEL_DEFAULT);
        tenancy.put_company(&caller.actor, company).await?;
    }
    let (made, secret) =
        tenancy.put_solution(&caller.actor, &tenant, QOS_LEVEL_DEFAULT, Rolling::default()).await?;
    Ok((made.into_inner().tenant, secret))
}

/// A configuration, its notification key masked.
#[utoipa::path(
    get, path = "/api/reminder/configuration/{agentId}/{configurationId}", operation_id = "getReminderConfiguration", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = ConfigurationView), Read)
)]
pub async fn get(context: ApiContext, InConfiguration { tenant, .. }: InConfiguration, uri: Uri) -> Answer {
    only_secret(&uri)?;
    let found = context.tenancy.reminder_configuration_fresh(&tenant).await?.ok_or_else(not_found)?;
    Ok(answer::ok(&ConfigurationView::of(&context, &found).await?))
}

/// Deletes a configuration; refused while reminders wait in it. Takes about 9 s, in which whatever reminder is being
/// written is waited for: either that is refused, or the deletion is. The solution stays, and so do its finished reminders.
#[utoipa::path(
    delete, path = "/api/reminder/configuration/{agentId}/{configurationId}", operation_id = "deleteReminderConfiguration", tag = "reminders",
    responses((status = 204), Delete)
)]
pub async fn delete(
    context: ApiContext,
    ConfigurationOwner { caller, tenant }: ConfigurationOwner,
    uri: Uri,
) -> Answer {
    only_secret(&uri)?;
    let refuse = || refuse_while_waiting(&context, &tenant);
    deletion::delete(&context, &caller.actor, &tenant, ParentKind::ReminderConfiguration, refuse).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while reminders wait in the configuration of `tenant`, if it has one.
pub async fn refuse_while_waiting(context: &ApiContext, tenant: &Tenant) -> Result<(), Problem> {
    let found = context.tenancy.reminder_configuration_fresh(tenant).await;
    let shards = match context.unreadable.leave_out(found)? {
        Some(None) => return Ok(()),
        Some(Some(found)) => found.shards,
        None => context.tenancy.reminder_shards(tenant).await?,
    };
    if context.reminders.has_waiting(tenant, shards).await? {
        return Err(Problem::conflict("reminders wait here; cancel them or let them be sent first"));
    }
    Ok(())
}
