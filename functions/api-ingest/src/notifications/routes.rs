//! `S/notifications`: publishing, showing, sending again and deleting them.

use super::body::NotificationBody;
use super::view::{NotificationView, path};
use crate::auth::{In, InSolution};
use crate::http::openapi::schemas::{Name, NotificationStatus};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Fault, Items, JsonText, Listing, Problem, Query, answer};
use crate::parts::attempt::HistoryView;
use crate::{ApiContext, deletion};
use http::{StatusCode, Uri};
use rules::names::{ActivityId, Tenant};
use rules::notification::Status;
use shared::engine::StoreError;
use shared::items::notification::{
    Deleted, NewNotification, Notification, NotificationFilter, NotificationView as Found,
};
use shared::publisher::{PublishError, Published, Resent};
use shared::table::keys;
use utoipa::IntoParams;

/// Which notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query, whose parameters are read one by one")]
pub struct FilterParameters {
    /// `PENDING`, `PUBLISHED` or `MAX_RETRIED`.
    #[param(value_type = Option<NotificationStatus>)]
    status: Option<String>,
    /// Of this notification type.
    #[param(rename = "type", value_type = Option<Name>)]
    kind: Option<String>,
}

/// Publishes a notification at once. It is saved first: `PENDING` is what could not be published, and is
/// sent again by its type's rules. While receivers of its company that do not answer hold the company's share of
/// the API's requests, it is left to the next cycle of the re-sender, which makes its first attempt.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/notifications",
    operation_id = "publishNotification", tag = "notifications",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NotificationBody,
    responses(
        (status = 201, body = NotificationView, description = "Published"),
        (status = 202, body = NotificationView, description = "Saved; it will be sent again"),
        (status = 200, body = NotificationView, description = "Accepted before by the same request"),
        Change
    )
)]
pub async fn post(context: ApiContext, InSolution { tenant, .. }: InSolution, body: JsonText) -> Answer {
    let solution = context.solution(&tenant).await?;
    let draft = body.read::<NotificationBody>(())?;
    let Some(of) = context.tenancy.notification_type(&tenant, &draft.kind).await? else {
        let detail = "names no notification type of this solution";
        return Err(Problem::invalid(vec![Fault::new("/type", detail)]));
    };
    let id = match draft.id {
        Some(id) => id,
        None => {
            let id = context.entropy.uuid_v7(context.clock.now()).to_string();
            id.parse().map_err(Problem::internal)?
        }
    };
    let location = path(&tenant, &id);
    let parents = vec![solution.as_parent(), of.as_parent(&tenant)];
    let new = NewNotification { tenant, id, payload: draft.payload, body_hash: draft.hash, parents };
    let place = context.places.place(&new.tenant.company).await;
    let publishing = context.publisher()?.publish(new, &of, solution.is_paused() || place.is_none());
    let published = match &place {
        Some(place) => place.during(publishing).await?,
        None => publishing.await?,
    };
    match published {
        Published::New(notification) => {
            let pending = notification.state.status == Status::Pending;
            let view = NotificationView::whole(&context, shown(&context, *notification).await?).await?;
            let mut response = answer::created(&location, &view);
            if pending {
                *response.status_mut() = StatusCode::ACCEPTED;
            }
            Ok(response)
        }
        Published::Existing(found) => Ok(answer::ok(&NotificationView::whole(&context, *found).await?)),
        Published::Conflict => Err(Problem::conflict("another notification has this id")),
        Published::ParentGone(gone) => Err(gone.into()),
    }
}

/// A notification as it is stored now, or, if somebody has just deleted it, as it was.
async fn shown(context: &ApiContext, notification: Notification) -> Result<Found, Problem> {
    let Notification { tenant, id, .. } = &notification;
    Ok(match context.work.notification(tenant, id).await? {
        Some(found) => found,
        None => {
            let payload = notification.payload.clone().unwrap_or_else(|| "null".to_owned());
            Found { notification, payload, history: Vec::new(), earlier: None }
        }
    })
}

/// One notification, with its last attempts; `moreHistory` leads to those before.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}",
    operation_id = "getNotification", tag = "notifications",
    responses((status = 200, body = NotificationView), Read)
)]
pub async fn get(context: ApiContext, In { tenant, name, .. }: In<ActivityId>) -> Answer {
    let found = context.work.notification(&tenant, &name).await?.ok_or_else(not_found)?;
    Ok(answer::ok(&NotificationView::whole(&context, found).await?))
}

fn not_found() -> Problem {
    Problem::not_found("notification")
}

/// A notification's attempts, the last one first.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}/history",
    operation_id = "listNotificationHistory", tag = "notifications",
    responses((status = 200, body = Items<HistoryView>), Read)
)]
pub async fn history(context: ApiContext, In { tenant, name, .. }: In<ActivityId>, list: Listing) -> Answer {
    let page =
        context.work.notification_history(&tenant, &name, &list.request).await?.ok_or_else(not_found)?;
    Ok(list.show(page, HistoryView::of))
}

/// The solution's notifications, without their histories: what is pending, next first, then what is over,
/// newest first. A page may be short, even empty, and still have a `nextCursor`.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notifications",
    operation_id = "listNotifications", tag = "notifications",
    params(FilterParameters),
    responses((status = 200, body = Items<NotificationView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { tenant, .. }: InSolution, uri: Uri) -> Answer {
    let filter = |query: &mut Query<'_>| NotificationFilter {
        status: query.parsed("status"),
        name: query.parsed("type"),
    };
    let (list, filter) = Listing::of(&context, &uri, filter).await?;
    context.solution(&tenant).await?;
    let slices = context.tenancy.notification_slices_of(&tenant).await?;
    let found = context.work.notifications(&slices, &filter, list.after(), list.request.limit).await?;
    Ok(list.show(found, NotificationView::brief))
}

/// Sends a notification now: one that is pending ahead of its time, one that is `MAX_RETRIED` as a new run.
/// Not while its solution is paused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}/resend",
    operation_id = "resendNotification", tag = "notifications",
    responses(
        (status = 200, body = NotificationView, description = "Published"),
        (status = 202, body = NotificationView, description = "Failed once more"),
        Change
    )
)]
pub async fn resend(context: ApiContext, In { tenant, name, .. }: In<ActivityId>, body: JsonText) -> Answer {
    body.nothing()?;
    running(&context, &tenant).await?;
    let place = context.places.place(&tenant.company).await.ok_or_else(Problem::share_is_taken)?;
    match place.during(context.publisher()?.resend(&tenant, &name)).await? {
        Resent::Tried(notification) => {
            let status = match notification.state.status {
                Status::Published => StatusCode::OK,
                Status::Pending | Status::MaxRetried => StatusCode::ACCEPTED,
            };
            let view = NotificationView::whole(&context, shown(&context, *notification).await?).await?;
            Ok(answer::json(status, &view))
        }
        Resent::NotFound => Err(not_found()),
        Resent::Refused(refusal) => Err(Problem::conflict(refusal.to_string())),
        Resent::ParentGone(gone) => Err(Problem::conflict(format!("the {gone} was deleted"))),
    }
}

async fn running(context: &ApiContext, tenant: &Tenant) -> Result<(), Problem> {
    match context.tenancy.solution_fresh(tenant).await? {
        None => Err(Problem::not_found("solution")),
        Some(solution) if solution.is_paused() => Err(Problem::conflict("the solution is paused")),
        Some(_) => Ok(()),
    }
}

/// Deletes a notification with its history; not while it is being sent.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}",
    operation_id = "deleteNotification", tag = "notifications",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, In { tenant, name, .. }: In<ActivityId>) -> Answer {
    match context.work.delete_notification(&tenant, &name).await {
        Ok(Deleted::Yes) => Ok(answer::nothing()),
        Ok(Deleted::NotFound) => Err(not_found()),
        Ok(Deleted::InFlight) => Err(Problem::conflict("the notification is being sent")),
        Err(StoreError::Decode(_)) => {
            deletion::remove_unreadable(&context, &tenant, &keys::notification(&tenant, &name)).await
        }
        Err(error) => Err(error.into()),
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Tenancy(error) => error.into(),
            PublishError::Store(error) => error.into(),
        }
    }
}
