//! How a solution's reminders are sent: `/api/reminder/configuration/{agentId}/{configurationId}` (SPEC §6).

use super::access::{ConfigurationOwner, InConfiguration};
use super::put::only_secret;
use crate::ApiContext;
use crate::answer;
use crate::auth::Caller;
use crate::body::JsonText;
use crate::companies::QOS_LEVEL_DEFAULT;
use crate::deletion;
use crate::object::Object;
use crate::openapi::schemas::{HttpUrl, State as ServerState};
use crate::openapi::{Change, Delete, Read};
use crate::problem::Problem;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::names::Tenant;
use serde::Serialize;
use shared::tenancy::{
    Changed, Company, ParentKind, ReminderConfiguration, ReminderSecrets, ReminderSettings, Rolling,
};
use std::sync::Arc;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Most characters of a notification key: it is sent as a header.
const NOTIFICATION_KEY_MAX_CHARS: usize = 4_096;
/// Most characters of an account code.
const ACCOUNT_CODE_MAX_CHARS: usize = 256;
/// What is shown in place of a notification key.
const MASK: &str = "********";

/// How reminders are sent.
#[derive(ToSchema)]
#[schema(as = ReminderConfigurationBody, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; it is read by hand")]
pub struct ConfigurationBody {
    /// What the Dialog service wants as its `authorization` header. Never shown again.
    #[schema(min_length = 1, max_length = 4096, pattern = "^[ -~]*$")]
    notification_key: String,
    /// The messaging account.
    #[schema(min_length = 1, max_length = 256)]
    account_code: String,
    /// Base URL of the Dialog service; may be left out where the service has a default one (`DialogServiceUri`).
    #[schema(value_type = Option<HttpUrl>)]
    dialog_service_uri: Option<String>,
    /// What is told of every attempt, by an activity of the type `reminder-webhook`.
    #[schema(value_type = Option<HttpUrl>)]
    webhook_url: Option<String>,
}

/// Reads a body. `default_service`: whether the service's own Dialog service may stand in.
fn read(body: &mut Object<'_, '_>, default_service: bool) -> Option<ReminderSettings> {
    let key = body.short_text("notificationKey", NOTIFICATION_KEY_MAX_CHARS);
    let key = body.require("notificationKey", key).map(Zeroizing::new);
    if key.as_ref().is_some_and(|key| !key.chars().all(|c| matches!(c, ' '..='~'))) {
        body.faults()
            .add(body.at("notificationKey"), "must be visible ASCII and spaces: it is sent as a header");
    }
    let account_code = body.short_text("accountCode", ACCOUNT_CODE_MAX_CHARS);
    let account_code = body.require("accountCode", account_code);
    let service = fixed_uri(body, "dialogServiceUri");
    if !default_service {
        body.require("dialogServiceUri", service.as_ref());
    }
    if service.as_ref().is_some_and(|uri| uri.contains(['?', '#'])) {
        body.faults().add(body.at("dialogServiceUri"), "must end before the query: a path is added to it");
    }
    let webhook_url = fixed_uri(body, "webhookUrl");
    Some(ReminderSettings {
        notification_key: key?,
        account_code: account_code?,
        dialog_service_uri: service,
        webhook_url,
    })
}

/// An absolute http(s) URL without placeholders.
fn fixed_uri(body: &mut Object<'_, '_>, name: &str) -> Option<String> {
    let text = body.text(name)?;
    body.faults().check(&body.at(name), rules::uri::fixed(&text).map(|()| text.clone()))
}

/// A configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReminderConfiguration)]
pub struct ConfigurationView {
    /// The company.
    agent_id: String,
    /// The solution.
    configuration_id: String,
    /// Masked.
    #[schema(example = "********")]
    notification_key: &'static str,
    /// The messaging account.
    account_code: String,
    /// Base URL of the Dialog service; absent: the service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialog_service_uri: Option<String>,
    /// What is told of every attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    /// `running` or `paused`: the solution's.
    #[schema(value_type = ServerState)]
    server_state: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Opens the reminder endpoints as `?secret=`: answered once, when the configuration is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key: Option<String>,
    /// The same, to change over to.
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary_key: Option<String>,
    /// Signs the solution's outbound calls: answered once, if the solution was made with the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

impl ConfigurationView {
    async fn of(context: &ApiContext, found: &ReminderConfiguration) -> Result<Self, Problem> {
        let solution = context.tenancy.solution_fresh(&found.tenant).await?;
        let solution = solution.ok_or_else(|| Problem::not_found("solution"))?;
        Ok(Self {
            agent_id: found.tenant.company.to_string(),
            configuration_id: found.tenant.solution.name().to_string(),
            notification_key: MASK,
            account_code: found.account_code.clone(),
            dialog_service_uri: found.dialog_service_uri.clone(),
            webhook_url: found.webhook_url.clone(),
            server_state: solution.server_state.as_str(),
            created_at: answer::time(found.meta.created_at),
            updated_at: answer::time(found.meta.updated_at),
            primary_key: None,
            secondary_key: None,
            signing_secret: None,
        })
    }
}

/// The configuration of the path, from the cache.
///
/// # Errors
/// 404 without it.
pub async fn existing(context: &ApiContext, tenant: &Tenant) -> Result<Arc<ReminderConfiguration>, Problem> {
    let found = context.tenancy.reminder_configuration(tenant).await?;
    found.ok_or_else(|| Problem::not_found("reminder configuration"))
}

/// Makes or replaces a configuration; the secrets of a new one are shown this once. Its solution is made with it,
/// if there is none, and under the admin key its company too.
#[utoipa::path(
    put, path = "/api/reminder/configuration/{agentId}/{configurationId}", operation_id = "putReminderConfiguration", tag = "reminders",
    params(("agentId" = String, Path), ("configurationId" = String, Path)), request_body = ConfigurationBody,
    responses((status = 201, body = ConfigurationView), (status = 200, body = ConfigurationView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    ConfigurationOwner { caller, tenant }: ConfigurationOwner,
    uri: Uri,
    body: JsonText,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    let settings = body.read(|body| read(body, context.has_dialog_service))?;
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
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path)),
    responses((status = 200, body = ConfigurationView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    match context.tenancy.reminder_configuration_fresh(&tenant).await? {
        Some(found) => Ok(answer::ok(&ConfigurationView::of(&context, &found).await?)),
        None => Err(Problem::not_found("reminder configuration")),
    }
}

/// Deletes a configuration; refused while reminders wait in it. Takes about 9 s, in which whatever reminder is being
/// written is waited for: either that is refused, or the deletion is. The solution stays, and so do its finished reminders.
#[utoipa::path(
    delete, path = "/api/reminder/configuration/{agentId}/{configurationId}", operation_id = "deleteReminderConfiguration", tag = "reminders",
    params(("agentId" = String, Path), ("configurationId" = String, Path)), responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    ConfigurationOwner { caller, tenant }: ConfigurationOwner,
    uri: Uri,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    deletion::delete(&context, &caller.actor, &tenant, ParentKind::ReminderConfiguration).await?;
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
