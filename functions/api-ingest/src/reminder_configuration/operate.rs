//! Secrets, server state and audit log of a configuration (SPEC §6). The last two are the solution's.

use super::routes::existing;
use crate::ApiContext;
use crate::audit_log::{self, AuditEntryView};
use crate::auth::reminders::{ConfigurationOwner, InConfiguration, only_secret};
use crate::http::openapi::{Change, Read};
use crate::http::{Answer, Items, JsonText, Listing, SECRET, answer, query};
use crate::server_state::{self, ServerStateBody, ServerStateView};
use http::Uri;
use serde::Serialize;
use shared::tenancy::{AuditScope, SecretKind};
use utoipa::{IntoParams, ToSchema};

/// Which secret.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
pub struct KeyType {
    /// `primary` or `secondary`.
    #[param(pattern = "^(primary|secondary)$", example = "primary")]
    key_type: String,
}

/// A new secret, under the name of its kind.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReminderKey)]
pub struct RefreshedView {
    /// The new primary key: answered this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key: Option<String>,
    /// The new secondary key: answered this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary_key: Option<String>,
}

/// Makes the primary or the secondary key anew; the one before opens nothing from here on.
#[utoipa::path(
    post, path = "/api/reminder/configuration/{agentId}/{configurationId}/refresh-keys", operation_id = "refreshReminderKeys", tag = "reminders",
    params(KeyType),
    responses((status = 200, body = RefreshedView), Change)
)]
pub async fn refresh_keys(
    context: ApiContext,
    ConfigurationOwner { caller, tenant }: ConfigurationOwner,
    uri: Uri,
    body: JsonText,
) -> Answer {
    let kind = query::read(&uri, |query| {
        if !query.has("keyType") {
            query.fault("keyType", "is required: primary or secondary");
        }
        query.parsed::<SecretKind>("keyType")
    })?;
    body.nothing()?;
    let secret = context.tenancy.refresh_reminder_secret(&caller.actor, &tenant, kind).await?;
    let shown = |of: SecretKind| (kind == of).then(|| secret.to_string());
    Ok(answer::ok(&RefreshedView {
        primary_key: shown(SecretKind::Primary),
        secondary_key: shown(SecretKind::Secondary),
    }))
}

/// Pauses or resumes the solution: its reminders, and everything else in it. Paused, nothing is sent, nothing is
/// lost and nothing counts as an attempt.
#[utoipa::path(
    put, path = "/api/reminder/configuration/{agentId}/{configurationId}/server-state", operation_id = "putReminderServerState", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), request_body = ServerStateBody,
    responses((status = 200, body = ServerStateView), Change)
)]
pub async fn put_server_state(
    context: ApiContext,
    InConfiguration { actor, tenant }: InConfiguration,
    uri: Uri,
    body: JsonText,
) -> Answer {
    only_secret(&uri)?;
    let wanted = body.read::<ServerStateBody>(())?;
    existing(&context, &tenant).await?;
    server_state::set(&context, &actor, &tenant, wanted).await
}

/// The solution's state.
#[utoipa::path(
    get, path = "/api/reminder/configuration/{agentId}/{configurationId}/server-state", operation_id = "getReminderServerState", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = ServerStateView), Read)
)]
pub async fn get_server_state(
    context: ApiContext,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Answer {
    only_secret(&uri)?;
    existing(&context, &tenant).await?;
    server_state::show(&context, &tenant).await
}

/// The solution's audit log, newest first.
#[utoipa::path(
    get, path = "/api/reminder/configuration/{agentId}/{configurationId}/audit-log", operation_id = "listReminderAuditLog", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = Items<AuditEntryView>), Read)
)]
pub async fn audit_log(
    context: ApiContext,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Answer {
    let (list, _) = Listing::of(&context, &uri, |query| query.text(SECRET)).await?;
    let whose = AuditScope::Solution(tenant);
    audit_log::show(&context, &list, &whose, "reminder configuration").await
}
