//! A notification as its owner sees it.

use crate::ApiContext;
use crate::http::openapi::schemas::NotificationStatus;
use crate::http::{Problem, answer};
use crate::parts::attempt::HistoryView;
use rules::names::{ActivityId, Tenant};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::items::notification::{Notification, NotificationView as Found};
use utoipa::ToSchema;

/// A notification.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Notification)]
pub struct NotificationView {
    /// Its id.
    id: String,
    /// Its company.
    company: String,
    /// Its solution.
    solution: String,
    /// Its notification type.
    #[serde(rename = "type")]
    kind: String,
    /// `PENDING`, `PUBLISHED` or `MAX_RETRIED`.
    #[schema(value_type = NotificationStatus)]
    status: &'static str,
    /// 1 once the first attempt is over, and one more for each re-send that another followed, or that succeeded.
    attempts: u32,
    /// Re-sends go on while this is at least one more than `attempts`.
    retries: u32,
    /// 0, and one more for each time it was re-sent manually after `MAX_RETRIED`.
    run: u32,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the last attempt was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_attempt_at: Option<String>,
    /// When it is sent next: at the first cycle of the re-sender from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// What is POSTed.
    #[schema(value_type = serde_json::Value)]
    payload: Option<Box<RawValue>>,
    /// Its attempts, oldest first: the last 100, and no more than 1 MB of them. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<HistoryView>>,
    /// The path at which the attempts before those are listed, the last one first; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_history: Option<String>,
}

impl NotificationView {
    pub async fn whole(context: &ApiContext, mut found: Found) -> Result<Self, Problem> {
        let Notification { tenant, id, .. } = &found.notification;
        let path = format!("{}/history", path(tenant, id));
        let more_history = answer::link(context, &path, found.earlier.take()).await?;
        let history = std::mem::take(&mut found.history).into_iter().map(HistoryView::of).collect();
        Ok(Self { history: Some(history), more_history, ..Self::brief(found) })
    }

    pub fn brief(found: Found) -> Self {
        let next_attempt_at = found.next_attempt_at().map(answer::time);
        let Found { notification, payload, .. } = found;
        let state = notification.state;
        Self {
            id: notification.id.to_string(),
            company: notification.tenant.company.to_string(),
            solution: notification.tenant.solution.name().to_string(),
            kind: notification.name.to_string(),
            status: state.status.as_str(),
            attempts: state.attempts,
            retries: state.retries,
            run: state.run,
            created_at: answer::time(notification.created_at),
            last_attempt_at: state.last_attempt_at.map(answer::time),
            next_attempt_at,
            payload: RawValue::from_string(payload).ok(),
            history: None,
            more_history: None,
        }
    }
}

/// Where a notification is found.
pub fn path(tenant: &Tenant, id: &ActivityId) -> String {
    answer::path(tenant, format_args!("notifications/{id}"))
}
