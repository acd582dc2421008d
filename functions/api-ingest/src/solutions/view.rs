//! A solution as its owner sees it.

use crate::http::answer;
use crate::http::openapi::schemas::State as ServerState;
use rules::number::Decimal;
use serde::Serialize;
use shared::tenancy::Solution;
use utoipa::ToSchema;

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
    pub fn of(solution: &Solution, signing_secret: Option<&str>) -> Self {
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

/// A new signing secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningSecretView {
    /// The secret: answered this once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub signing_secret: String,
    /// Until when the secret that it replaces signs too.
    #[schema(format = DateTime)]
    pub previous_valid_until: String,
}
