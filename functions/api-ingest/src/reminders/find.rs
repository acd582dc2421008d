//! One reminder, its attempts, lists and counts (SPEC §6).

use super::access::{AtReminder, InConfiguration, SECRET};
use super::configuration::existing;
use super::put::only_secret;
use super::view::{EntryView, ReminderView};
use crate::ApiContext;
use crate::answer::{self, Items};
use crate::faults::Faults;
use crate::openapi::schemas::ReminderStatus;
use crate::openapi::{Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::{Query, Scope};
use crate::unreadable;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use shared::engine::StoreError;
use shared::items::reminder::{Cancelled, Filter, keys};
use utoipa::{IntoParams, ToSchema};

/// A reminder.
#[utoipa::path(
    get, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "getReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path), ("reminderId" = String, Path)),
    responses((status = 200, body = ReminderView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    AtReminder { tenant, id }: AtReminder,
    uri: Uri,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    match context.reminders.get(&tenant, &id).await? {
        Some(reminder) => Ok(answer::ok(&ReminderView::of(reminder))),
        None => Err(Problem::not_found("reminder")),
    }
}

/// Cancels an active reminder. A message that is on its way at this moment cannot be called back.
#[utoipa::path(
    delete, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "cancelReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path), ("reminderId" = String, Path)),
    responses((status = 200, body = ReminderView), Delete)
)]
pub async fn cancel(
    State(context): State<ApiContext>,
    AtReminder { tenant, id }: AtReminder,
    uri: Uri,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    match context.reminders.cancel(&tenant, &id).await {
        Ok(Cancelled::Applied(reminder)) => Ok(answer::ok(&ReminderView::of(*reminder))),
        Ok(Cancelled::NotFound) => Err(Problem::not_found("reminder")),
        Ok(Cancelled::Refused(refusal)) => Err(Problem::conflict(refusal.to_string())),
        Err(StoreError::Decode(_)) => {
            unreadable::removed(&context, &tenant, &keys::reminder(&tenant, &id)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A reminder's attempts and skipped send times, oldest first.
#[utoipa::path(
    get, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}/history", operation_id = "listReminderHistory", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path), ("reminderId" = String, Path), ListParameters),
    responses((status = 200, body = Items<EntryView>), Read)
)]
pub async fn history(
    State(context): State<ApiContext>,
    AtReminder { tenant, id }: AtReminder,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = {
        let faults = Faults::default();
        let mut query = Query::read(&uri, &faults);
        query.text(SECRET);
        let request = query.page(&scope);
        query.finish();
        faults.finish(Some(request))?
    };
    if context.reminders.get(&tenant, &id).await?.is_none() {
        return Err(Problem::not_found("reminder"));
    }
    let found = context.reminders.history(&tenant, &id, request.after.as_deref(), request.limit).await?;
    Ok(answer::page(&scope, found, EntryView::of))
}

/// Which reminders.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query; it is read by hand")]
pub struct ReminderFilter {
    /// `active`, `completed` or `cancelled`.
    #[param(value_type = Option<ReminderStatus>)]
    status: Option<String>,
    /// To this phone number, compared by its digits: with a leading `+` those of country code and number, without
    /// it these or the number's alone.
    #[param(example = "+5511999990000", max_length = 32, pattern = r"^\+?[ .()-]*[0-9][0-9 .()-]*$")]
    phone_number: Option<String>,
    /// With a send time from this instant on.
    #[param(format = DateTime)]
    from: Option<String>,
    /// With a send time up to this instant; together with `from`, one between the two.
    #[param(format = DateTime)]
    to: Option<String>,
}

/// The configuration's reminders: by their next send times, then what is done, newest first. A page may be
/// short, even empty, and still have a `nextCursor`.
#[utoipa::path(
    get, path = "/api/reminder/{agentId}/{configurationId}", operation_id = "listReminders", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path), ReminderFilter, ListParameters),
    responses((status = 200, body = Items<ReminderView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let (filter, request) = {
        let faults = Faults::default();
        let mut query = Query::read(&uri, &faults);
        let filter = Filter {
            status: query.parsed("status"),
            phone_number: query.phone_number("phoneNumber"),
            recipient: None,
            from: query.time("from"),
            to: query.time("to"),
        };
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && to < from
        {
            faults.add("query:to", "must not be before from");
        }
        query.text(SECRET);
        let request = query.page(&scope);
        query.finish();
        faults.finish(Some((filter, request)))?
    };
    let shards = existing(&context, &tenant).await?.shards;
    let found =
        context.reminders.list(&tenant, shards, &filter, request.after.as_deref(), request.limit).await?;
    Ok(answer::page(&scope, found, ReminderView::of))
}

/// How a configuration's reminders stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReminderStatistics)]
pub struct StatisticsView {
    /// All of them.
    total: u64,
    /// Those that are active, those that need review included.
    active: u64,
    /// Active ones whose send time has come.
    pending: u64,
    /// Those that are completed.
    completed: u64,
    /// Those that were cancelled.
    cancelled: u64,
    /// Active ones that nothing will be sent of any more, until somebody has looked.
    needs_review: u64,
}

/// Counts of the configuration's reminders.
#[utoipa::path(
    get, path = "/api/reminder/configuration/{agentId}/{configurationId}/statistics", operation_id = "getReminderStatistics", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path)),
    responses((status = 200, body = StatisticsView), Read)
)]
pub async fn statistics(
    State(context): State<ApiContext>,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    let shards = existing(&context, &tenant).await?.shards;
    let stats = context.reminders.stats(&tenant, shards).await?;
    let active = stats.waiting + stats.needs_review;
    Ok(answer::ok(&StatisticsView {
        total: active + stats.completed + stats.cancelled,
        active,
        pending: stats.pending,
        completed: stats.completed,
        cancelled: stats.cancelled,
        needs_review: stats.needs_review,
    }))
}
