//! A reminder configuration as its owner sees it.

use crate::ApiContext;
use crate::http::openapi::schemas::State as ServerState;
use crate::http::{Problem, answer};
use serde::Serialize;
use shared::tenancy::ReminderConfiguration;
use utoipa::ToSchema;

/// What is shown in place of a notification key.
const MASK: &str = "********";

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
    /// What is called after every attempt.
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
    pub primary_key: Option<String>,
    /// The same, to change over to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_key: Option<String>,
    /// Signs the solution's outbound calls: answered once, if the solution was made with the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

impl ConfigurationView {
    pub async fn of(context: &ApiContext, found: &ReminderConfiguration) -> Result<Self, Problem> {
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
