//! Every endpoint that needs a key, with a body it accepts.

use serde_json::{Value, json};

/// An endpoint, with a body that it accepts if it takes one.
pub struct Endpoint {
    pub method: &'static str,
    /// With the parameters' names.
    pub template: &'static str,
    pub body: Option<Value>,
    /// Whether the admin key alone opens it.
    pub admin_only: bool,
}

impl Endpoint {
    /// The path in `acme`, below which only `main` and `play` exist.
    pub fn path(&self) -> String {
        filled(self.template)
    }
}

/// A path with the names of what the tests make in place of its parameters.
pub fn filled(template: &str) -> String {
    let parameters = [
        ("{company}", "acme"),
        ("{solution}", "main"),
        ("{type}", "play"),
        ("{channel}", "EMAIL"),
        ("{id}", "some-id"),
        ("{name}", "nightly"),
        ("{agentId}", "acme"),
        ("{configurationId}", "main"),
        ("{reminderId}", "some-id"),
        ("/refresh-keys", "/refresh-keys?keyType=primary"),
    ];
    parameters.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// Every endpoint that needs a key. [`crate::api_openapi`] sees to it that none is missing.
pub fn endpoints() -> Vec<Endpoint> {
    let play = json!({"verb": "GET", "uriPattern": "https://example.com/{SongId}"});
    let activity = json!({"activityType": "play", "parameter": {"SongId": 1}});
    let date = json!({"date": "2030-01-01T00:00:00Z"});
    let state = json!({"serverState": "running"});
    let bulk = json!({"filter": {}, "action": "cancel"});
    let mock = json!({"provider": "MOCK"});
    let result =
        json!({"activityId": "some-id", "occurredAt": "2030-01-01T00:00:00Z", "status": "COMPLETED"});
    let rule = json!({"activityType": "play", "parameter": {"SongId": 1}, "minute": "0"});
    let notify = json!({"uri": "https://example.com/n"});
    let notification = json!({"type": "play", "payload": {}});
    let configuration = json!({
        "notificationKey": "k", "accountCode": "a", "dialogServiceUri": "https://dialog.example",
    });
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "11999", "notificationTemplateName": "visit",
        "sendTimes": ["2030-01-01T00:00:00Z"],
    });
    let endpoint = |method, template, body: Option<&Value>, admin_only| Endpoint {
        method,
        template,
        body: body.cloned(),
        admin_only,
    };
    let s = |method, template, body| endpoint(method, template, body, false);
    vec![
        endpoint("GET", "/v1/companies", None, true),
        endpoint("PUT", "/v1/companies/{company}", Some(&json!({})), true),
        s("GET", "/v1/companies/{company}", None),
        endpoint("DELETE", "/v1/companies/{company}", None, true),
        s("GET", "/v1/companies/{company}/audit-log", None),
        s("POST", "/v1/companies/{company}/api-keys", Some(&json!({"label": "x"}))),
        s("GET", "/v1/companies/{company}/api-keys", None),
        s("DELETE", "/v1/companies/{company}/api-keys/{id}", None),
        s("GET", "/v1/companies/{company}/solutions", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}", Some(&json!({}))),
        s("GET", "/v1/companies/{company}/solutions/{solution}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}/server-state", Some(&state)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/server-state", None),
        s("GET", "/v1/companies/{company}/solutions/{solution}/audit-log", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/signing-secret/rotate", Some(&json!({}))),
        s("GET", "/v1/companies/{company}/solutions/{solution}/activity-types", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", Some(&play)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activities", Some(&activity)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/activities", None),
        s(
            "POST",
            "/v1/companies/{company}/solutions/{solution}/activities/batch",
            Some(&json!({"activities": [activity]})),
        ),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activities/bulk", Some(&bulk)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/activities/{id}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/activities/{id}", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activities/{id}/reschedule", Some(&date)),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activities/{id}/dispatch", Some(&json!({}))),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activities/{id}/retry", Some(&json!({}))),
        s("GET", "/v1/companies/{company}/solutions/{solution}/stats", None),
        s("GET", "/v1/companies/{company}/solutions/{solution}/dispatch-configs", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}", Some(&mock)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/activity-results", Some(&result)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/recurring-activities", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}", Some(&rule)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}", None),
        s(
            "GET",
            "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/occurrences",
            None,
        ),
        s("GET", "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/skipped", None),
        s(
            "GET",
            "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
            None,
        ),
        s(
            "PUT",
            "/v1/companies/{company}/solutions/{solution}/recurring-activities/{name}/server-state",
            Some(&state),
        ),
        s("GET", "/v1/companies/{company}/solutions/{solution}/notification-types", None),
        s("PUT", "/v1/companies/{company}/solutions/{solution}/notification-types/{type}", Some(&notify)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/notification-types/{type}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/notification-types/{type}", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/notifications", Some(&notification)),
        s("GET", "/v1/companies/{company}/solutions/{solution}/notifications", None),
        s("GET", "/v1/companies/{company}/solutions/{solution}/notifications/{id}", None),
        s("DELETE", "/v1/companies/{company}/solutions/{solution}/notifications/{id}", None),
        s("POST", "/v1/companies/{company}/solutions/{solution}/notifications/{id}/resend", Some(&json!({}))),
        s("PUT", "/api/reminder/configuration/{agentId}/{configurationId}", Some(&configuration)),
        s("GET", "/api/reminder/configuration/{agentId}/{configurationId}", None),
        s("DELETE", "/api/reminder/configuration/{agentId}/{configurationId}", None),
        s("POST", "/api/reminder/configuration/{agentId}/{configurationId}/refresh-keys", Some(&json!({}))),
        s("PUT", "/api/reminder/configuration/{agentId}/{configurationId}/server-state", Some(&state)),
        s("GET", "/api/reminder/configuration/{agentId}/{configurationId}/server-state", None),
        s("GET", "/api/reminder/configuration/{agentId}/{configurationId}/audit-log", None),
        s("GET", "/api/reminder/configuration/{agentId}/{configurationId}/statistics", None),
        s("GET", "/api/reminder/{agentId}/{configurationId}", None),
        s("PUT", "/api/reminder/{agentId}/{configurationId}/{reminderId}", Some(&reminder)),
        s("GET", "/api/reminder/{agentId}/{configurationId}/{reminderId}", None),
        s("DELETE", "/api/reminder/{agentId}/{configurationId}/{reminderId}", None),
        s("GET", "/api/reminder/{agentId}/{configurationId}/{reminderId}/history", None),
    ]
}
