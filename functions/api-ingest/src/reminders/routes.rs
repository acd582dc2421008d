//! Reminders: writing, showing and cancelling them, their attempts, lists and counts (SPEC §6).

use super::body::ReminderBody;
use super::view::{EntryView, ReminderView};
use crate::auth::reminders::{AtReminder, InConfiguration, only_secret};
use crate::http::openapi::schemas::ReminderStatus;
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Fault, Items, JsonText, Listing, Problem, Query, SECRET, answer};
use crate::reminder_configuration::existing;
use crate::{ApiContext, deletion, reminder_configuration};
use http::Uri;
use rules::names::ids;
use serde::Serialize;
use shared::engine::StoreError;
use shared::items::reminder::{Cancelled, Filter, NewReminder, Put, keys};
use utoipa::{IntoParams, ToSchema};

/// Makes a reminder, or writes one anew: then it goes on with those of the send times that were not sent and whose
/// attempts did not all fail, earlier ones too. None is sent twice. The same body again changes nothing, unless the
/// reminder was cancelled.
#[utoipa::path(
    put, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "putReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), request_body = ReminderBody,
    responses((status = 201, body = ReminderView), (status = 200, body = ReminderView), Change)
)]
pub async fn put(
    context: ApiContext,
    AtReminder { tenant, id }: AtReminder,
    uri: Uri,
    body: JsonText,
) -> Answer {
    only_secret(&uri)?;
    if let Err(reserved) = ids::given(&id) {
        return Err(Problem::invalid(vec![Fault::new("path:reminderId", reserved.to_string())]));
    }
    let (definition, body_hash) = body.read::<ReminderBody>(())?;
    let configuration = reminder_configuration::existing(&context, &tenant).await?;
    let location = format!("/api/reminder/{}/{}/{id}", tenant.company, tenant.solution.name());
    let solution = context.solution(&tenant).await?;
    let parents = vec![solution.as_parent(), configuration.as_parent()];
    let new = NewReminder { tenant, id, definition, body_hash, shards: configuration.shards, parents };
    match context.reminders.put(new).await? {
        Put::Created(reminder) => Ok(answer::created(&location, &ReminderView::of(*reminder))),
        Put::Replaced(reminder) | Put::Unchanged(reminder) => Ok(answer::ok(&ReminderView::of(*reminder))),
        Put::Refused(refusal) => Err(Problem::conflict(refusal.to_string())),
        Put::ParentGone(gone) => Err(gone.into()),
    }
}

/// A reminder.
#[utoipa::path(
    get, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "getReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = ReminderView), Read)
)]
pub async fn get(context: ApiContext, AtReminder { tenant, id }: AtReminder, uri: Uri) -> Answer {
    only_secret(&uri)?;
    answer::found(context.reminders.get(&tenant, &id).await?, "reminder", ReminderView::of)
}

/// Cancels an active reminder. A message that is on its way at this moment cannot be called back.
#[utoipa::path(
    delete, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "cancelReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = ReminderView), Delete)
)]
pub async fn cancel(context: ApiContext, AtReminder { tenant, id }: AtReminder, uri: Uri) -> Answer {
    only_secret(&uri)?;
    match context.reminders.cancel(&tenant, &id).await {
        Ok(Cancelled::Applied(reminder)) => Ok(answer::ok(&ReminderView::of(*reminder))),
        Ok(Cancelled::NotFound) => Err(Problem::not_found("reminder")),
        Ok(Cancelled::Refused(refusal)) => Err(Problem::conflict(refusal.to_string())),
        Err(StoreError::Decode(_)) => {
            deletion::remove_unreadable(&context, &tenant, &keys::reminder(&tenant, &id)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A reminder's attempts and skipped send times, oldest first.
#[utoipa::path(
    get, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}/history", operation_id = "listReminderHistory", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = Items<EntryView>), Read)
)]
pub async fn history(context: ApiContext, AtReminder { tenant, id }: AtReminder, uri: Uri) -> Answer {
    let (list, _) = Listing::of(&context, &uri, |query| query.text(SECRET)).await?;
    if context.reminders.get(&tenant, &id).await?.is_none() {
        return Err(Problem::not_found("reminder"));
    }
    let found = context.reminders.history(&tenant, &id, list.after(), list.request.limit).await?;
    Ok(list.show(found, EntryView::of))
}

/// Which reminders.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
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
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(ReminderFilter),
    responses((status = 200, body = Items<ReminderView>), Read)
)]
pub async fn list(context: ApiContext, InConfiguration { tenant, .. }: InConfiguration, uri: Uri) -> Answer {
    let filter = |query: &mut Query<'_>| {
        let (status, phone_number) = (query.parsed("status"), query.phone_number("phoneNumber"));
        let (from, to) = query.span();
        query.text(SECRET);
        Filter { status, phone_number, recipient: None, from, to }
    };
    let (list, filter) = Listing::of(&context, &uri, filter).await?;
    let shards = existing(&context, &tenant).await?.shards;
    let found = context.reminders.list(&tenant, shards, &filter, list.after(), list.request.limit).await?;
    Ok(list.show(found, ReminderView::of))
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
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), responses((status = 200, body = StatisticsView), Read)
)]
pub async fn statistics(
    context: ApiContext,
    InConfiguration { tenant, .. }: InConfiguration,
    uri: Uri,
) -> Answer {
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
