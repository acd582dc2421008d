//! Punctual's HTTP API as a caller sees it.

use crate::system::Addresses;
use anyhow::{Context, Result, bail};
use reqwest::Method;
use rules::names::{CompanyName, SolutionName};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use std::time::Duration;

/// No call of the API takes so long; one that does is a failure.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The activity type every tenant of the bench has.
pub const TYPE: &str = "call";
/// The channel of those that go through one.
const CHANNEL: &str = "EMAIL";

/// A client with the admin key.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    key: &'static str,
}

/// A company and its solution, as path segments.
#[derive(Debug, Clone)]
pub struct TenantPath(String);

#[derive(Debug, Deserialize)]
struct BatchAnswer {
    results: Vec<BatchResult>,
}

#[derive(Debug, Deserialize)]
struct BatchResult {
    status: u16,
    #[serde(default)]
    problem: Option<Value>,
}

/// The parts of an activity that the bench looks at.
#[derive(Debug, Deserialize)]
pub struct Activity {
    pub status: String,
    pub attempts: u32,
    pub history: Vec<HistoryEntry>,
}

/// One recorded attempt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    #[serde(default)]
    pub http_status: Option<u16>,
}

impl Api {
    /// A client of the API at `addresses`.
    pub fn new(addresses: &Addresses) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, base: addresses.api.clone(), key: addresses.admin_key })
    }

    /// Makes a company with one solution and one activity type that posts to `uri`.
    pub async fn make_tenant(
        &self,
        name: &str,
        qos_level: u32,
        uri: &str,
        timeout_seconds: u32,
    ) -> Result<TenantPath> {
        let company: CompanyName = name.parse()?;
        let solution: SolutionName = "main".parse()?;
        let company_path = format!("/v1/companies/{company}");
        let tenant = TenantPath(format!("{company_path}/solutions/{solution}"));
        self.put(&company_path, &json!({ "qosLevel": qos_level })).await?;
        self.put(&tenant.0, &json!({})).await?;
        let activity_type = json!({ "verb": "POST", "uriPattern": uri, "timeoutSeconds": timeout_seconds });
        self.put(&format!("{}/activity-types/{TYPE}", tenant.0), &activity_type).await?;
        Ok(tenant)
    }

    /// Gives one activity.
    pub async fn create(&self, tenant: &TenantPath, activity: &Value) -> Result<()> {
        self.call(Method::POST, &format!("{}/activities", tenant.0), Some(activity)).await.map(drop)
    }

    /// Gives up to 100 activities in one call; all must be accepted.
    pub async fn create_batch(&self, tenant: &TenantPath, activities: &[Value]) -> Result<()> {
        let body = json!({ "activities": activities });
        let answer = self.call(Method::POST, &format!("{}/activities/batch", tenant.0), Some(&body)).await?;
        let answer: BatchAnswer = serde_json::from_slice(&answer).context("unexpected answer to a batch")?;
        if answer.results.len() != activities.len() {
            bail!("{} results for a batch of {}", answer.results.len(), activities.len());
        }
        match answer.results.iter().find(|result| !(200..300).contains(&result.status)) {
            None => Ok(()),
            Some(refused) => bail!("an activity was refused: {} {:?}", refused.status, refused.problem),
        }
    }

    /// Has the tenant's e-mails dispatched by `YOM` at `base_url`.
    pub async fn put_dispatch_config(&self, tenant: &TenantPath, base_url: &str) -> Result<()> {
        let config = json!({
            "provider": "YOM",
            "baseUrl": base_url,
            "credentials": { "apiKey": "bench-key-of-the-provider" },
        });
        self.put(&format!("{}/dispatch-configs/{CHANNEL}", tenant.0), &config).await
    }

    /// Reports an activity as completed, by its provider's id of it.
    pub async fn report_result(&self, tenant: &TenantPath, provider_activity_id: String) -> Result<()> {
        let occurred_at = rules::time::format(SystemClock.now());
        let result = json!({
            "providerActivityId": provider_activity_id,
            "status": "COMPLETED",
            "occurredAt": occurred_at,
        });
        self.call(Method::POST, &format!("{}/activity-results", tenant.0), Some(&result)).await.map(drop)
    }

    /// `running` or `paused`.
    pub async fn set_server_state(&self, tenant: &TenantPath, state: &str) -> Result<()> {
        self.put(&format!("{}/server-state", tenant.0), &json!({ "serverState": state })).await
    }

    /// Makes a recurring activity of the tenant's type.
    pub async fn put_rule(&self, tenant: &TenantPath, name: &str, expression: &str) -> Result<()> {
        let rule = json!({ "activityType": TYPE, "parameter": { "order": name }, "expression": expression });
        self.put(&format!("{}/recurring-activities/{name}", tenant.0), &rule).await
    }

    /// Sends the logs of what was dispatched to `uri`, at the next round of the roller.
    pub async fn set_rolling(&self, tenant: &TenantPath, uri: &str) -> Result<()> {
        self.put(&tenant.0, &json!({ "successUri": uri, "successPeriod": 0 })).await
    }

    /// Reads one activity.
    pub async fn activity(&self, tenant: &TenantPath, id: &str) -> Result<Activity> {
        let answer = self.call(Method::GET, &format!("{}/activities/{id}", tenant.0), None).await?;
        serde_json::from_slice(&answer).with_context(|| format!("unexpected answer for activity {id}"))
    }

    /// Makes a company and a solution whose reminders go to the Dialog service at `dialog`, and are told to `webhook`.
    pub async fn make_reminder_configuration(
        &self,
        name: &str,
        dialog: &str,
        webhook: Option<&str>,
    ) -> Result<TenantPath> {
        let tenant = TenantPath(format!("/api/reminder/{name}/main"));
        let mut configuration = json!({
            "notificationKey": "bench-notification-key",
            "accountCode": "bench",
            "dialogServiceUri": dialog,
        });
        if let Some(webhook) = webhook {
            configuration["webhookUrl"] = json!(webhook);
        }
        self.put(&format!("/api/reminder/configuration/{name}/main"), &configuration).await?;
        Ok(tenant)
    }

    /// Gives one reminder.
    pub async fn put_reminder(&self, configuration: &TenantPath, id: &str, reminder: &Value) -> Result<()> {
        self.put(&format!("{}/{id}", configuration.0), reminder).await
    }

    async fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.call(Method::PUT, path, Some(body)).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(self.key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(serde_json::to_vec(body)?);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path} got no answer"))?;
        let status = answer.status();
        let answer = answer.bytes().await.with_context(|| format!("{method} {path} was answered in part"))?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer.to_vec())
    }
}

/// A parameter that is `bytes` long as JSON.
pub fn parameter(id: &str, bytes: usize) -> Value {
    let frame = json!({ "order": id, "note": "" });
    let filling = bytes.saturating_sub(frame.to_string().len());
    json!({ "order": id, "note": "x".repeat(filling) })
}

/// The body of an activity; due now without a `date`.
pub fn activity_body(id: &str, parameter_bytes: usize, date: Option<&str>) -> Value {
    let mut body = json!({ "activityType": TYPE, "id": id, "parameter": parameter(id, parameter_bytes) });
    if let Some(date) = date {
        body["date"] = json!(date);
    }
    body
}

/// The body of a channel's message that is stored in `stored_bytes`; due now.
pub fn channel_body(id: &str, stored_bytes: usize) -> Value {
    let body = |note: &str| {
        json!({
            "type": "MESSAGE",
            "reason": "bench",
            "commerce": { "assignment": "shop-7", "targetUsers": ["user-1"] },
            "attributes": { "order": id, "note": note },
        })
    };
    let filling = stored_bytes.saturating_sub(body("").to_string().len());
    let mut body = body(&"x".repeat(filling));
    body["id"] = json!(id);
    body["channel"] = json!(CHANNEL);
    body
}

#[cfg(test)]
mod tests {
    use super::activity_body;

    #[test]
    fn a_parameter_has_the_size_asked_for() {
        for bytes in [60, 500, 5_000] {
            let body = activity_body("throughput-000001", bytes, None);
            assert_eq!(body["parameter"].to_string().len(), bytes);
        }
    }

    #[test]
    fn a_date_is_left_out_when_due_now() {
        assert!(activity_body("a", 60, None).get("date").is_none());
        assert_eq!(activity_body("a", 60, Some("2030-01-01T00:00:00Z"))["date"], "2030-01-01T00:00:00Z");
    }
}
