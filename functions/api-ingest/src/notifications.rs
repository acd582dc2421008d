//! `S/notifications`: SPEC §7.

use crate::ApiContext;
use crate::activities::view::HistoryView;
use crate::answer::{self, Items};
use crate::auth::{In, InSolution};
use crate::body::JsonText;
use crate::companies::only_page;
use crate::faults::{Fault, Faults};
use crate::idempotency::{self, IDEMPOTENCY_KEY};
use crate::json;
use crate::object::Object;
use crate::openapi::schemas::{Id, Name, NotificationStatus};
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::{Query, Scope};
use crate::solutions::existing;
use crate::unreadable;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use rules::names::{ActivityId, Tenant, TypeName, ids};
use rules::notification::Status;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::engine::{StoreError, keys};
use shared::items::notification::{
    Deleted, NewNotification, Notification, NotificationFilter, NotificationView as Found,
};
use shared::publisher::{PublishError, Published, Resent};
use utoipa::{IntoParams, ToSchema};

const PAYLOAD: &str = "payload";

/// A notification to be published.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct NotificationBody {
    /// Its notification type.
    #[schema(rename = "type", value_type = Name)]
    kind: String,
    /// What is POSTed, as it is. Any JSON but `null`.
    #[schema(value_type = serde_json::Value)]
    payload: (),
    /// Its id, if the caller gives one; makes the request idempotent.
    #[schema(value_type = Option<Id>)]
    id: Option<String>,
}

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
    /// 0, and one more for each time it was re-sent by hand after `MAX_RETRIED`.
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
    async fn whole(context: &ApiContext, mut found: Found) -> Result<Self, Problem> {
        let Notification { tenant, id, .. } = &found.notification;
        let path = format!("{}/history", path(tenant, id));
        let more_history = answer::link(context, &path, found.earlier.take()).await?;
        let history = std::mem::take(&mut found.history).into_iter().map(HistoryView::of).collect();
        Ok(Self { history: Some(history), more_history, ..Self::brief(found) })
    }

    fn brief(found: Found) -> Self {
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

/// Which notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query; it is read by hand")]
pub struct FilterParameters {
    /// `PENDING`, `PUBLISHED` or `MAX_RETRIED`.
    #[param(value_type = Option<NotificationStatus>)]
    status: Option<String>,
    /// Of this notification type.
    #[param(rename = "type", value_type = Option<Name>)]
    kind: Option<String>,
}

struct Draft {
    kind: TypeName,
    id: Option<ActivityId>,
    payload: String,
    hash: String,
}

fn read(body: &mut Object<'_, '_>, header: Option<&HeaderValue>) -> Option<Draft> {
    let kind = body.parsed::<TypeName>("type");
    let kind = body.require("type", kind);
    let id = idempotency::id(body, header, ids::given);
    let raw = body.raw(PAYLOAD);
    let raw = body.require(PAYLOAD, raw);
    let value = body.faults().check(&body.at(PAYLOAD), json::strict(raw?))?;
    body.means(PAYLOAD, value);
    Some(Draft { kind: kind?, id, payload: json::compact(raw?), hash: body.hash_without_id() })
}

/// Publishes a notification at once. It is saved first: `PENDING` is what could not be published, and is
/// sent again by its type's rules. While receivers of its company that do not answer hold the company's share of
/// the API's requests, it is left to the next cycle of the re-sender, which makes its first attempt.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/notifications",
    operation_id = "publishNotification", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = NotificationBody,
    responses(
        (status = 201, body = NotificationView, description = "Published"),
        (status = 202, body = NotificationView, description = "Saved; it will be sent again"),
        (status = 200, body = NotificationView, description = "Accepted before by the same request"),
        Change
    )
)]
pub async fn post(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Problem> {
    let solution = existing(&context, &tenant).await?;
    let draft = body.read(|body| read(body, headers.get(IDEMPOTENCY_KEY)))?;
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
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = NotificationView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
) -> Result<Response, Problem> {
    match context.work.notification(&tenant, &name).await? {
        Some(found) => Ok(answer::ok(&NotificationView::whole(&context, found).await?)),
        None => Err(not_found()),
    }
}

fn not_found() -> Problem {
    Problem::not_found("notification")
}

fn path(tenant: &Tenant, id: &ActivityId) -> String {
    format!("/v1/companies/{}/solutions/{}/notifications/{id}", tenant.company, tenant.solution.name())
}

/// A notification's attempts, the last one first.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}/history",
    operation_id = "listNotificationHistory", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path), ListParameters),
    responses((status = 200, body = Items<HistoryView>), Read)
)]
pub async fn history(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    let page = context.work.notification_history(&tenant, &name, &request).await?.ok_or_else(not_found)?;
    Ok(answer::page(&scope, page, HistoryView::of))
}

/// The solution's notifications, without their histories: what is pending, next first, then what is over,
/// newest first. A page may be short, even empty, and still have a `nextCursor`.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notifications",
    operation_id = "listNotifications", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), FilterParameters, ListParameters),
    responses((status = 200, body = Items<NotificationView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let (filter, request) = {
        let faults = Faults::default();
        let mut query = Query::read(&uri, &faults);
        let filter = NotificationFilter { status: query.parsed("status"), name: query.parsed("type") };
        let request = query.page(&scope);
        query.finish();
        faults.finish(Some((filter, request)))?
    };
    existing(&context, &tenant).await?;
    let slices = context.tenancy.notification_slices_of(&tenant).await?;
    let found = context.work.notifications(&slices, &filter, request.after.as_deref(), request.limit).await?;
    Ok(answer::page(&scope, found, NotificationView::brief))
}

/// Sends a notification now: one that is pending ahead of its time, one that is `MAX_RETRIED` as a new run.
/// Not while its solution is paused.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/notifications/{id}/resend",
    operation_id = "resendNotification", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses(
        (status = 200, body = NotificationView, description = "Published"),
        (status = 202, body = NotificationView, description = "Failed once more"),
        Change
    )
)]
pub async fn resend(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
    body: JsonText,
) -> Result<Response, Problem> {
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
    params(("company" = String, Path), ("solution" = String, Path), ("id" = String, Path)),
    responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<ActivityId>,
) -> Result<Response, Problem> {
    match context.work.delete_notification(&tenant, &name).await {
        Ok(Deleted::Yes) => Ok(answer::nothing()),
        Ok(Deleted::NotFound) => Err(not_found()),
        Ok(Deleted::InFlight) => Err(Problem::conflict("the notification is being sent")),
        Err(StoreError::Decode(_)) => {
            unreadable::removed(&context, &tenant, &keys::notification(&tenant, &name)).await
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
