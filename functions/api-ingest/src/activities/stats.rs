//! Counts for the console and for alarms (SPEC §3).

use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::openapi::Read;
use crate::http::{Answer, answer};
use rules::names::Kind;
use serde::Serialize;
use shared::items::activity::KINDS_COUNTED_MAX;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How a solution's activities stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsView {
    /// How many are in each status.
    by_status: BTreeMap<&'static str, u64>,
    /// How many of each kind wait.
    by_kind: Vec<KindView>,
    /// How many wait past their instant.
    overdue: u64,
    /// How long the oldest of these has been due, in seconds; 0 if none is.
    oldest_overdue_seconds: f64,
    /// Whether there are too many to be counted to the end: in one place, or more than 500 types of activities or notifications,
    /// of which the first by name are counted.
    truncated: bool,
    /// How the notifications of each type stand.
    notifications: Vec<NotificationsView>,
}

/// How the notifications of a type stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationsView {
    /// The type.
    #[serde(rename = "type")]
    kind: String,
    /// How many are in each status.
    by_status: BTreeMap<&'static str, u64>,
}

/// How many activities of a kind wait.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindView {
    /// The type.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_type: Option<String>,
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// How many are READY.
    ready: u64,
}

/// Counts by status and kind, and what is overdue. Counted in indexes, which lag a moment behind.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/stats", operation_id = "getStats", tag = "activities",
    responses((status = 200, body = StatsView), Read)
)]
pub async fn get(context: ApiContext, InSolution { tenant, .. }: InSolution) -> Answer {
    context.solution(&tenant).await?;
    let kinds = context.tenancy.kinds(&tenant).await?;
    let stats = context.work.stats(&tenant, &kinds).await?;
    let slices = context.tenancy.notification_slices_of(&tenant).await?;
    let notifications = context.work.count_notifications(&slices).await?.into_iter();
    let notifications = notifications.map(|(name, counts)| NotificationsView {
        kind: name.to_string(),
        by_status: counts.into_iter().map(|(status, count)| (status.as_str(), count)).collect(),
    });
    let overdue_ms =
        stats.oldest_overdue.map_or(0, |due| (context.clock.now() - due).num_milliseconds().max(0));
    let kind = |(kind, ready)| match kind {
        Kind::Type(name) => KindView { activity_type: Some(name.to_string()), channel: None, ready },
        Kind::Channel(channel) => KindView { activity_type: None, channel: Some(channel.to_string()), ready },
    };
    Ok(answer::ok(&StatsView {
        by_status: stats.by_status.into_iter().map(|(status, count)| (status.as_str(), count)).collect(),
        by_kind: stats.ready_by_kind.into_iter().map(kind).collect(),
        overdue: stats.overdue,
        oldest_overdue_seconds: overdue_ms as f64 / 1_000.0,
        truncated: stats.truncated || slices.len() > KINDS_COUNTED_MAX,
        notifications: notifications.collect(),
    }))
}
